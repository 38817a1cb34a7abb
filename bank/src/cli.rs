//! The command line of the bank.

use crate::admin::{Cash, Command as Ask};
use crate::args::{AccountCommand, Cli, Command, Dates, Init, MovementArgs};
use crate::audit::AuditReport;
use crate::evidence::About;
use crate::keys::BankSettings;
use crate::node::{BankNode, create, run_node};
use crate::output;
use crate::replies::{AccountLine, AccountsPage, HoldLine, HoldsPage, Moved};
use crate::statement::{
    ChangesReport, MovementLine, ReportLine, ReportsPage, ReportsRequest, StatementPage, StatementRequest,
};
use anyhow::{Result, anyhow, bail};
use farthing_coin::{Calendar, PublicKey, is_currency};
use farthing_node::{
    admin::AdminError,
    card::RoleName,
    home::Home,
    logging::{self, LogFormat},
    operator::{
        self, Directory, OperatorError, Report, administer, all_pages,
        lifecycle::{made, with_port},
    },
    store::parse_url,
    terminal::json_lines,
};
use farthing_store::clock::{Clock, SystemClock};
use farthing_store::entropy::{Entropy, SystemEntropy};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{ffi::OsString, path::Path, process::ExitCode, str::FromStr};

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

/// The subject of the evidence that is asked for.
fn about(purchase: Option<String>, coin: Option<String>, reserve: Option<String>) -> Result<About> {
    Ok(match (purchase, coin, reserve) {
        (Some(id), _, _) => About::Purchase {
            id: parse(&id, "purchase id")?,
        },
        (_, Some(key), _) => About::Coin {
            key: parse(&key, "coin's key")?,
        },
        (_, _, Some(key)) => About::Reserve {
            key: parse(&key, "reserve's key")?,
        },
        (None, None, None) => About::Contradictions,
    })
}

async fn execute(cli: Cli) -> Result<Report> {
    match cli.command {
        Command::Init(init) => make(init).await,
        Command::Serve {
            dir,
            accept_clock,
            args,
        } => {
            logging::init(if cli.json {
                LogFormat::Json
            } else {
                LogFormat::Text
            })?;
            run_node(&dir, accept_clock, args, cli.json).await?;
            Ok(Report::said())
        }
        Command::Node(command) => Ok(command.execute(RoleName::Bank).await?),
        Command::Account(command) => account(command).await,
        Command::StopIssuing { dir, off } => {
            let state = ask(&dir, Ask::Issuing { stop: Some(!off) }).await?;
            show(output::issuing, &state)
        }
        Command::Holds(Directory { dir }) => {
            let page = async |after| {
                let page: HoldsPage = ask(&dir, Ask::Holds { after }).await?;
                Ok((page.holds, page.more))
            };
            let holds = all_pages(|hold: &HoldLine| hold.position, page).await?;
            Ok(Report::new(output::holds(&holds), json!({ "holds": holds })))
        }
        Command::Keys(Directory { dir }) => show(output::keys, &ask(&dir, Ask::Keys).await?),
        Command::Evidence {
            dir,
            purchase,
            coin,
            reserve,
        } => {
            let papers: Value = ask(&dir, Ask::Evidence(about(purchase, coin, reserve)?)).await?;
            Ok(Report::new(json_lines(&papers), papers))
        }
        Command::Statement { dir, account, dates } => statement(&dir, account, dates).await,
        Command::Reports { dir, dates } => reports(&dir, dates).await,
        Command::Audit {
            dir,
            since: Some(since_ms),
        } => {
            let found: ChangesReport = ask(&dir, Ask::Changes { since_ms }).await?;
            let mut report = show(output::changes, &found)?;
            if found.was_quiet && !found.problems.is_empty() {
                report.exit = EXIT_BROKEN;
            }
            Ok(report)
        }
        Command::Audit { dir, since: None } => {
            let found: AuditReport = ask(&dir, Ask::Audit).await?;
            let mut report = show(output::audit, &found)?;
            if !found.problems.is_empty() {
                report.exit = EXIT_BROKEN;
            }
            Ok(report)
        }
    }
}

async fn account(command: AccountCommand) -> Result<Report> {
    match command {
        AccountCommand::Open { dir, key, name } => {
            let opened = ask(&dir, Ask::AccountOpen { key, name }).await?;
            show(output::account_opened, &opened)
        }
        AccountCommand::Credit(movement) => {
            show(output::credited, &move_money(movement, Ask::AccountCredit).await?)
        }
        AccountCommand::Payout(movement) => {
            show(output::paid_out, &move_money(movement, Ask::AccountPayout).await?)
        }
        AccountCommand::List(Directory { dir }) => {
            let page = async |after| {
                let page: AccountsPage = ask(&dir, Ask::AccountList { after }).await?;
                Ok((page.accounts, page.more))
            };
            let accounts = all_pages(|account: &AccountLine| account.key, page).await?;
            Ok(Report::new(
                output::accounts(&accounts),
                json!({ "accounts": accounts }),
            ))
        }
    }
}

async fn statement(dir: &Path, account: Option<PublicKey>, dates: Dates) -> Result<Report> {
    let mut movements: Vec<MovementLine> = Vec::new();
    let mut after = None;
    loop {
        let request = StatementRequest {
            account,
            since_ms: dates.since,
            until_ms: dates.until,
            after,
        };
        let page: StatementPage = ask(dir, Ask::Statement(request)).await?;
        movements.extend(page.movements);
        // A bank that names the same place again would be asked forever.
        if page.next.is_none() || page.next == after {
            break;
        }
        after = page.next;
    }
    let text = match dates.csv {
        true => output::statement_csv(&movements)?,
        false => output::statement(&movements),
    };
    Ok(Report::new(text, json!({ "movements": movements })))
}

async fn reports(dir: &Path, dates: Dates) -> Result<Report> {
    let page = async |after| {
        let request = ReportsRequest {
            since_ms: dates.since,
            until_ms: dates.until,
            after,
        };
        let page: ReportsPage = ask(dir, Ask::Reports(request)).await?;
        Ok((page.reports, page.more))
    };
    let reports = all_pages(|report: &ReportLine| report.position, page).await?;
    let text = match dates.csv {
        true => output::reports_csv(&reports)?,
        false => output::reports(&reports),
    };
    Ok(Report::new(text, json!({ "reports": reports })))
}

/// The report of a reply: its JSON for programs, and `text` for people.
fn show<R: Serialize>(text: fn(&R) -> String, reply: &R) -> Result<Report> {
    Ok(Report::new(text(reply), serde_json::to_value(reply)?))
}

/// Reads an id or a key.
fn parse<T: FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse()
        .map_err(|_| anyhow!("`{text}` is not a {what} of 64 hexadecimal digits"))
}

/// Sends `command` to the running bank, or executes it in the directory of a stopped one.
async fn ask<R: DeserializeOwned>(dir: &Path, command: Ask) -> Result<R, OperatorError> {
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
        advertise,
        store,
        currency,
        values,
        epoch_days,
    } = init;
    let store = parse_url(store.as_deref())?;
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
    let home = create(&dir, &name, listen, settings, store)?;
    // The first keys are made now, so that every command finds them and a node starts at once.
    BankNode::open(&dir).await?.close()?;
    let now_ms = i64::try_from(SystemClock.now_ms()).unwrap_or(i64::MAX);
    let date = Timestamp::from_millisecond(now_ms)?.strftime("%Y-%m-%d");
    let note = format!(
        "keep a copy of its files, above all issuing.key, where nobody else can read it; the clock says {date}: if that is \
         wrong, make the bank again, because it never issues coins before its first epoch"
    );
    Ok(made(home, advertise, &note, "its escrow")?)
}

async fn move_money(movement: MovementArgs, command: fn(Cash) -> Ask) -> Result<Moved> {
    let reference = movement.reference.unwrap_or_else(random_reference);
    let cash = Cash {
        key: movement.key,
        amount: movement.amount,
        reference: reference.clone(),
    };
    ask(&movement.dir, command(cash)).await.map_err(|error| {
        // Without a reply the operator needs the reference, to repeat the command without moving money twice.
        let unknown = matches!(&error, OperatorError::Admin(why) if !matches!(why, AdminError::Refused(_)));
        let error = anyhow::Error::from(error);
        match unknown {
            true => error.context(format!(
                "the money may have been moved: repeat the command with `--reference {reference}`"
            )),
            false => error,
        }
    })
}

fn random_reference() -> String {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    hex::encode(bytes)
}
