//! The command that receives what banks owe.

use super::{
    args,
    exit::Exit,
    money::balances,
    payments::requested_json,
    purchases::find,
    report::{Report, amount},
};
use crate::{
    receive::{Destination, Received, Taken},
    wallet::Wallet,
};
use anyhow::Result;
use farthing_protocol::money::Amount;
use serde_json::{Value, json};

/// Receives what was paid for requests, or what a bank owes for a purchase.
pub(super) async fn receive(wallet: &Wallet, asked: &args::Receive) -> Result<Report> {
    let into = match asked.into_account {
        true => Destination::Account,
        false => Destination::Coins,
    };
    match &asked.purchase {
        Some(purchase) => of_purchase(wallet, find(wallet, purchase)?, into).await,
        None => requested(wallet, into, asked.all).await,
    }
}

async fn of_purchase(wallet: &Wallet, number: u64, into: Destination) -> Result<Report> {
    let taken = wallet.receive_of_purchase(number, into).await?;
    let says = match taken {
        Taken {
            credited: Amount(0), ..
        } => {
            format!("the bank owes nothing for purchase {number}: no change, and no refund so far")
        }
        taken => format!("purchase {number}: {}", taken_text(taken, into)),
    };
    let (text, balances) = balances(wallet)?;
    let json = json!({
        "purchase": number,
        "credited": amount(taken.credited),
        "received": amount(taken.now),
        "balances": balances,
    });
    Ok(Report::done(format!("{says}\n{text}"), json))
}

async fn requested(wallet: &Wallet, into: Destination, also_paid: bool) -> Result<Report> {
    let all = wallet.receive(into, also_paid).await?;
    if all.is_empty() {
        let text = match wallet.requested()?.is_empty() {
            true => "you have requested nothing; `farthing request` asks for a payment",
            false => "all requests were paid and received; `--all` asks for them again",
        };
        return Ok(Report::done(text, json!({ "received": [] })));
    }
    let (mut lines, mut values, mut exit) = (Vec::new(), Vec::new(), Exit::Done);
    for Received { requested, outcome } in &all {
        let says = match outcome {
            Ok(taken) => taken_text(*taken, into),
            Err(error) => {
                exit = Exit::of_wallet(error);
                error.to_string()
            }
        };
        lines.push(format!("request {}: {says}", requested.number));
        let answer = outcome.as_ref();
        values.push(json!({
            "request": requested_json(requested),
            "paid": answer.ok().map(|taken| amount(taken.credited)),
            "received": answer.ok().map(|taken| amount(taken.now)),
            "error": answer.err().map(ToString::to_string),
        }));
    }
    let (text, balances) = balances(wallet)?;
    lines.push(text);
    Ok(Report {
        text: lines.join("\n"),
        json: json!({ "received": Value::Array(values), "balances": balances }),
        exit,
    })
}

/// What was received from a reserve, for people.
fn taken_text(taken: Taken, into: Destination) -> String {
    let place = match into {
        Destination::Coins => "is in your wallet now",
        Destination::Account => "is in your account now",
    };
    match taken {
        Taken {
            credited: Amount(0), ..
        } => "nothing was paid yet".into(),
        Taken {
            credited,
            now: Amount(0),
        } => format!("{credited} was paid in all, and received before"),
        Taken { credited, now } => format!("{credited} was paid in all, and {now} of it {place}"),
    }
}
