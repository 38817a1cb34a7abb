//! The command `network check`.

use super::{
    args::{Command, Options},
    exit::Exit,
    report::{Align, Report, table},
};
use crate::{network_check::PartyCheck, wallet::Wallet};
use anyhow::Result;
use farthing_node::{network::NetworkError, terminal::print_note};
use serde_json::{Value, json};
use std::time::Duration;

/// What is visible to whom without a relay.
const NO_RELAY: &str = "The wallet has no relay: every merchant, escrow and bank sees the network address of this machine when \
                        you buy, pay or exchange. Add one with `farthing network add CARD`.";

/// Says who sees what, before a command whose anonymous requests go through no relay. With `--direct` the user knows it.
pub(super) fn note_without_relay(wallet: &Wallet, options: &Options, command: &Command) -> Result<()> {
    if command.is_anonymous() && !options.json && !options.direct && wallet.relay()?.is_none() {
        print_note(
            "no relay is known, so the parties of this command see the network address of this machine; add a relay with \
             `farthing network add CARD`, or accept it with --direct",
        );
    }
    Ok(())
}

/// Shows which parties can be reached, directly and through the relay.
pub(super) async fn show(wallet: &Wallet) -> Result<Report> {
    let checks = wallet.check_network().await?;
    let relay = wallet.relay()?.map(|card| card.name);
    let rows: Vec<[String; 5]> = checks.iter().map(row).collect();
    let columns = [
        ("ROLE", Align::Left),
        ("NAME", Align::Left),
        ("ADDRESS", Align::Left),
        ("DIRECT", Align::Right),
        ("RELAYED", Align::Right),
    ];
    let failed = |check: &PartyCheck| check.used().is_err();
    let mut lines = vec![match checks.is_empty() {
        true => "no cards yet; add one with `farthing network add CARD`".to_owned(),
        false => table(columns, &rows),
    }];
    let errors = checks.iter().filter_map(|check| check.used().as_ref().err());
    lines.extend(errors.map(ToString::to_string));
    lines.push(match &relay {
        Some(name) => format!("Anonymous requests go through the relay `{name}`."),
        None => NO_RELAY.to_owned(),
    });
    let exit = match checks.iter().any(failed) {
        true => Exit::NotFinished,
        false => Exit::Done,
    };
    let parties: Vec<Value> = checks.iter().map(party).collect();
    let json = json!({ "relay": relay, "parties": parties, "code": exit.code() });
    Ok(Report {
        exit,
        ..Report::done(lines.join("\n"), json)
    })
}

fn row(check: &PartyCheck) -> [String; 5] {
    let card = &check.card;
    let time = |result: &Result<Duration, NetworkError>| match result {
        Ok(took) => format!("{:.1} ms", took.as_secs_f64() * 1e3),
        Err(_) => "-".to_owned(),
    };
    [
        card.role.to_string(),
        card.name.clone(),
        card.address.to_string(),
        time(&check.direct),
        check.relayed.as_ref().map_or_else(String::new, time),
    ]
}

fn party(check: &PartyCheck) -> Value {
    let way = |result: &Result<Duration, NetworkError>| match result {
        Ok(took) => json!({ "round_trip_us": u64::try_from(took.as_micros()).unwrap_or(u64::MAX) }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    json!({
        "role": check.card.role,
        "name": check.card.name,
        "address": check.card.address,
        "direct": way(&check.direct),
        "relayed": check.relayed.as_ref().map(way),
    })
}
