//! The command line of the bank.

use crate::admin::{Cash, Command as Ask};
use crate::args::{AccountCommand, Cli, Command, Init, Movement};
use crate::evidence::About;
use crate::keys::BankSettings;
use crate::node::{BankNode, create, run_node};
use crate::output;
use anyhow::{Result, bail};
use farthing_coin::{Calendar, is_currency};
use farthing_node::{
    admin::AdminError,
    card::RoleName,
    home::Home,
    logging::{self, LogFormat},
    operator::{
        self, Directory, OperatorError, Report, administer, all_pages,
        lifecycle::{made, with_port},
    },
    terminal::json_lines,
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use serde_json::{Value, json};
use std::{ffi::OsString, path::Path, process::ExitCode};

/// The exit code for books that do not balance.
pub const EXIT_BROKEN: u8 = 3;

/// For how many epochs coins can be spent after their keys stopped issuing.
const SPEND_EPOCHS: u32 = 4;

/// For how many epochs after that they can still be exchanged.
const REDEEM_EPOCHS: u32 = 4;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Runs `farthing-bank` with these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    operator::run(args, |cli: &Cli| cli.json, execute)
}

async fn execute(cli: Cli) -> Result<Report> {
    match cli.command {
        Command::Init(init) => make(init).await,
        Command::Serve(Directory { dir }) => {
            logging::init(if cli.json {
                LogFormat::Json
            } else {
                LogFormat::Text
            })?;
            run_node(&dir, cli.json).await?;
            Ok(Report::said())
        }
        Command::Node(command) => Ok(command.execute(RoleName::Bank).await?),
        Command::Account(command) => account(command).await,
        Command::Holds(Directory { dir }) => {
            let page = async |after| ask(&dir, Ask::Holds { after }).await;
            let holds = all_pages("holds", "position", page).await?;
            Ok(show(output::holds, json!({ "holds": holds })))
        }
        Command::Keys(Directory { dir }) => Ok(show(output::keys, ask(&dir, Ask::Keys).await?)),
        Command::Evidence { dir, purchase, coin } => {
            let about = match (purchase, coin) {
                (Some(id), _) => About::Purchase { id },
                (None, Some(key)) => About::Coin { key },
                (None, None) => About::Contradictions,
            };
            let papers = ask(&dir, Ask::Evidence(about)).await?;
            Ok(Report::new(json_lines(&papers), papers))
        }
        Command::Audit(Directory { dir }) => {
            let found = ask(&dir, Ask::Audit).await?;
            let problems = found.get("problems").and_then(Value::as_array);
            let balanced = problems.is_some_and(Vec::is_empty);
            let mut report = show(output::audit, found);
            if !balanced {
                report.exit = EXIT_BROKEN;
            }
            Ok(report)
        }
    }
}

async fn account(command: AccountCommand) -> Result<Report> {
    Ok(match command {
        AccountCommand::Open { dir, key, name } => {
            let key = key.to_string();
            let opened = ask(&dir, Ask::AccountOpen { key, name }).await?;
            show(output::account_opened, opened)
        }
        AccountCommand::Credit(movement) => {
            show(output::credited, move_money(movement, Ask::AccountCredit).await?)
        }
        AccountCommand::Payout(movement) => {
            show(output::paid_out, move_money(movement, Ask::AccountPayout).await?)
        }
        AccountCommand::List(Directory { dir }) => {
            let page = async |after| ask(&dir, Ask::AccountList { after }).await;
            let accounts = all_pages("accounts", "key", page).await?;
            show(output::accounts, json!({ "accounts": accounts }))
        }
    })
}

/// An answer, as it is for programs and as `text` shows it to people.
fn show(text: fn(&Value) -> String, answer: Value) -> Report {
    Report::new(text(&answer), answer)
}

/// Has the running bank do it, or does it in the directory of a stopped one.
async fn ask(dir: &Path, command: Ask) -> Result<Value, OperatorError> {
    Home::<BankSettings>::open(dir, RoleName::Bank)?;
    administer(dir, &command, async || {
        let node = BankNode::open(dir).await?;
        let answer = node.bank().administer(command.clone()).await;
        node.close()?;
        answer.map_err(OperatorError::refused)
    })
    .await
}

async fn make(init: Init) -> Result<Report> {
    let Init {
        dir,
        name,
        listen,
        currency,
        values,
        epoch_days,
    } = init;
    let listen = with_port(listen)?;
    if !is_currency(&currency) {
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
    // The store and the first keys are made now, so that every command finds them and a node starts at once.
    BankNode::open(&dir).await?.close()?;
    let note = "keep a copy of its files, above all issuing.key, where nobody else can read it";
    Ok(made(&home, note, "its escrow")?)
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
        let unknown = matches!(&error, OperatorError::Admin(why) if !matches!(why, AdminError::Refused(_)));
        let error = anyhow::Error::from(error);
        match unknown {
            true => error.context(format!("to ask again, give `--reference {reference}`")),
            false => error,
        }
    })
}

fn random_reference() -> String {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    hex::encode(bytes)
}
