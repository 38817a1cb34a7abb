//! The command line of the bank.

use crate::admin::{Cash, Command as Ask};
use crate::args::{AccountCommand, Cli, Command, Init, Movement, NetworkCommand};
use crate::keys::BankSettings;
use crate::node::{BankNode, STORE_DIR, add_card, create, list_cards, run_node};
use crate::output;
use anyhow::{Context, Result, bail};
use clap::Parser;
use farthing_coin::Calendar;
use farthing_node::{
    admin::{AdminError, admin_call},
    card::{Card, RoleName},
    disk::FileDisk,
    entropy::{Entropy, SystemEntropy},
    home::Home,
    logging::{self, LogFormat},
    store::verify,
};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    io::Write,
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::ExitCode,
};

/// The exit code for books that do not balance.
pub const EXIT_BROKEN: u8 = 3;

/// For how many epochs coins can be spent after their keys stopped issuing.
const SPEND_EPOCHS: u32 = 4;

/// For how many epochs after that they can still be exchanged.
const REDEEM_EPOCHS: u32 = 4;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Runs `farthing-bank` with these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _gone = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match start(cli.command, cli.json) {
        Ok(code) => code,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error:#}");
            if cli.json {
                print(&json!({ "error": format!("{error:#}") }).to_string());
            }
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command, as_json: bool) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(execute(command, as_json))
}

async fn execute(command: Command, as_json: bool) -> Result<ExitCode> {
    let show = |value: Value, text: fn(&Value) -> String| {
        print(&if as_json { value.to_string() } else { text(&value) });
    };
    match command {
        Command::Init(init) => show(make(init).await?, output::made),
        Command::Serve { dir } => serve(&dir, as_json).await?,
        Command::Card { dir } => show(card(&dir).await?, output::card),
        Command::Network(NetworkCommand::Add { dir, card }) => {
            show(network_add(&dir, card).await?, output::added);
        }
        Command::Network(NetworkCommand::List { dir }) => {
            open_home(&dir)?;
            show(list_cards(&dir).map_err(anyhow::Error::msg)?, output::cards);
        }
        Command::Account(command) => account(command, show).await?,
        Command::Keys { dir } => show(ask(&dir, Ask::Keys).await?, output::keys),
        Command::Audit { dir } => {
            let report = ask(&dir, Ask::Audit).await?;
            let balanced = report
                .get("problems")
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty);
            show(report, output::audit);
            return Ok(if balanced {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(EXIT_BROKEN)
            });
        }
        Command::Verify { dir } => {
            let found = check_journal(&dir)?;
            let damaged = found.get("damage").is_some_and(|damage| !damage.is_null());
            show(found, output::verified);
            return Ok(if damaged {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn account(command: AccountCommand, show: impl Fn(Value, fn(&Value) -> String)) -> Result<()> {
    match command {
        AccountCommand::Open { dir, key, name } => {
            let key = key.to_string();
            show(
                ask(&dir, Ask::AccountOpen { key, name }).await?,
                output::account_opened,
            );
        }
        AccountCommand::Credit(movement) => {
            show(move_money(movement, Ask::AccountCredit).await?, output::credited);
        }
        AccountCommand::Payout(movement) => {
            show(move_money(movement, Ask::AccountPayout).await?, output::paid_out);
        }
        AccountCommand::List { dir } => show(list_accounts(&dir).await?, output::accounts),
    }
    Ok(())
}

/// One line or block on standard output. Whoever reads it may have gone away; the work is done all the same.
fn print(text: &str) {
    let mut out = std::io::stdout();
    let _gone = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn open_home(dir: &Path) -> Result<Home<BankSettings>> {
    Ok(Home::open(dir, RoleName::Bank)?)
}

/// Has the running bank do it, or does it in the directory of a stopped one.
async fn ask(dir: &Path, command: Ask) -> Result<Value> {
    open_home(dir)?;
    if let Some(answer) = admin_call(dir, &serde_json::to_value(&command)?).await? {
        return Ok(answer);
    }
    let node = BankNode::open(dir).await?;
    let answer = node.administer(command).await.map_err(anyhow::Error::msg);
    node.close()?;
    answer
}

async fn make(init: Init) -> Result<Value> {
    let Init {
        dir,
        name,
        listen,
        currency,
        values,
        epoch_days,
    } = init;
    let listen = with_port(listen)?;
    if currency.is_empty()
        || currency.len() > farthing_coin::MAX_CURRENCY_BYTES
        || !currency.bytes().all(|b| b.is_ascii_graphic())
    {
        bail!("`{currency}` is not a currency's name; it has 1 to 12 printable ASCII characters");
    }
    let settings = BankSettings {
        currency,
        calendar: Calendar {
            epoch_ms: u64::from(epoch_days).saturating_mul(DAY_MS),
            spend_epochs: SPEND_EPOCHS,
            redeem_epochs: REDEEM_EPOCHS,
        },
        values: (0..values).map(|power| 1u64 << power).collect(),
    };
    let home = create(&dir, &name, listen, settings)?;
    let card = home.card()?;
    // The store and the first keys are made now, so that every command finds them and a node starts at once.
    BankNode::open(&dir).await?.close()?;
    Ok(json!({ "card": card.to_string(), "identity": card.identity_hex(), "name": name, "dir": dir }))
}

/// The address with a free port, if none was given.
fn with_port(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let socket = UdpSocket::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    Ok(socket.local_addr()?)
}

async fn serve(dir: &Path, as_json: bool) -> Result<()> {
    logging::init(if as_json { LogFormat::Json } else { LogFormat::Text })?;
    run_node(dir, |address, node| {
        let card = node.card().map(|card| card.to_string());
        let value = json!({ "serving": address.to_string(), "card": card.as_deref().ok() });
        print(&if as_json {
            value.to_string()
        } else {
            output::serving(&value)
        });
        if let Err(error) = card {
            tracing::warn!(%error, "this bank has no card that others could use");
        }
    })
    .await?;
    Ok(())
}

/// The card of the running bank, whose address it knows best, or as it is configured.
async fn card(dir: &Path) -> Result<Value> {
    let home = open_home(dir)?;
    match admin_call(dir, &serde_json::to_value(Ask::Card)?).await? {
        Some(answer) => Ok(answer),
        None => Ok(json!({ "card": home.card()?.to_string() })),
    }
}

async fn network_add(dir: &Path, card: Card) -> Result<Value> {
    open_home(dir)?;
    let command = Ask::NetworkAdd { card: card.clone() };
    match admin_call(dir, &serde_json::to_value(command)?).await? {
        Some(answer) => Ok(answer),
        None => Ok(add_card(dir, card).map_err(anyhow::Error::msg)?.0),
    }
}

async fn move_money(movement: Movement, command: fn(Cash) -> Ask) -> Result<Value> {
    let reference = movement.reference.unwrap_or_else(random_reference);
    let cash = Cash {
        key: movement.key.to_string(),
        amount: movement.amount.to_string(),
        reference: reference.clone(),
    };
    ask(&movement.dir, command(cash)).await.map_err(|error| {
        // Whoever never saw the reply needs the reference to ask again without moving money twice.
        match error.downcast_ref::<AdminError>() {
            None | Some(AdminError::Refused(_)) => error,
            Some(_) => error.context(format!("to ask again, give `--reference {reference}`")),
        }
    })
}

fn random_reference() -> String {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    hex::encode(bytes)
}

async fn list_accounts(dir: &Path) -> Result<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let last = all.last().and_then(|a| a.get("key")).and_then(Value::as_str);
        let after = last.map(str::to_owned);
        let mut page = ask(dir, Ask::AccountList { after }).await?;
        let more = page.get("more").and_then(Value::as_bool).unwrap_or(false);
        match page.get_mut("accounts").map(Value::take) {
            Some(Value::Array(accounts)) if !accounts.is_empty() => all.extend(accounts),
            _ => break,
        }
        if !more {
            break;
        }
    }
    Ok(json!({ "accounts": all }))
}

fn check_journal(dir: &Path) -> Result<Value> {
    open_home(dir)?;
    let found = verify(&dir.join(STORE_DIR), &FileDisk, &|_| {})?;
    Ok(json!({
        "records": found.records,
        "bytes": found.bytes,
        "head": hex::encode(found.head.hash),
        "torn_bytes": found.torn_bytes,
        "damage": found.damage.map(|damage| damage.to_string()),
    }))
}
