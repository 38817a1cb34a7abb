//! The command line: `farthing`.
//!
//! The result of a command goes to standard output, and progress to standard error. With `--json`, standard output is
//! one JSON value for each command, in a stable format: names in `lower_snake_case`, bytes in hex, amounts as
//! `{"units": 2000, "text": "20.00"}`. A command that fails prints its error to standard error. With `--json` it also
//! prints `{"error": ..., "code": ...}` to standard output. `code` is the exit code (see [`Exit`]).
//!
//! | what | file |
//! |---|---|
//! | commands and options | `args` |
//! | exit codes | `exit` |
//! | results, and progress | `report`, `screen` |
//! | open the wallet | `opening` |
//! | make and restore wallets; cards | `setup` |
//! | the words of a wallet, in any text | `phrase` |
//! | the wallet's password | `password` |
//! | which parties can be reached | `network_check` |
//! | coins and accounts | `money` |
//! | the catalogue, and purchases | `catalog`, `purchases` |
//! | payments by deposit, and requests for them | `payments` |
//! | gifts | `gift` |
//! | `open`, for every kind of link | `link` |
//! | what banks owe | `receive` |
//! | donations, and links to accounts | `donation` |
//! | everything that was done | `history` |
//! | `run`, and the end of other commands | `upkeep` |
//! | evidence, and proofs of payments | `receipt`, `paid` |

mod args;
mod catalog;
mod documents;
mod donation;
mod exit;
mod gift;
mod history;
mod link;
mod money;
mod network_check;
mod opening;
mod paid;
mod password;
mod payments;
mod phrase;
mod purchases;
mod receipt;
mod receive;
pub(crate) mod report;
mod screen;
mod setup;
mod upkeep;
mod watch;

pub use exit::Exit;

use crate::wallet::Wallet;
use anyhow::{Context, Result};
use args::{Cli, Command, NetworkCommand, Options, PaymentCommand, ReceiptCommand};
use farthing_coin::Seed;
use farthing_node::{
    home::files::Existing,
    logging::{self, LOG_VARIABLE, LogFormat},
    operator,
    process::stop_signal,
    terminal,
};
use password::Secrets;
use report::{Report, print_error};
use std::{
    ffi::OsString,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Runs `farthing` with these arguments. The first is the program's name.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let (Cli { mut options, command }, typed) = match operator::parse(args) {
        Ok(parsed) => parsed,
        Err(exit) => return exit,
    };
    options.typed = typed;
    let as_json = options.json;
    let outcome = start_logs().and_then(|()| start(options, command));
    let exit = match outcome {
        Ok(report) => {
            report.print(as_json);
            report.exit
        }
        Err(error) => print_error(&error, as_json),
    };
    exit.into()
}

/// Starts the logs only if they are asked for: progress is printed anyway.
fn start_logs() -> Result<()> {
    if std::env::var_os(LOG_VARIABLE).is_none() {
        return Ok(());
    }
    Ok(logging::init(LogFormat::Text)?)
}

/// Runs a command. Commands with a network run in a runtime, and end on ctrl-c.
fn start(options: Options, command: Command) -> Result<Report> {
    if let Command::Receipt(ReceiptCommand::Verify(asked)) = &command {
        return match &asked.register {
            Some(register) => paid::register_all(asked, register),
            None => receipt::verify(asked),
        };
    }
    opening::settle(&options)?;
    let (seed, secrets) = match &command {
        Command::Init { no_password } => return setup::init(&options, *no_password),
        Command::Password {
            new_password_file,
            remove,
        } => return password::change(&options, new_password_file.as_deref(), *remove),
        Command::Network(command) if !matches!(command, NetworkCommand::Check) => {
            return setup::network(&options, command);
        }
        // Read before the runtime starts, so that ctrl-c ends a prompt at once.
        Command::Restore(restore) => {
            let secrets = password::for_restore(&options, restore)?;
            (Some(setup::read_phrase(restore)?), secrets)
        }
        _ => (None, Secrets::of_wallet(password::key(&options)?)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let is_service = matches!(command, Command::Run { once: false });
    let is_watch = matches!(command, Command::Watch(_));
    let has_ended = Arc::new(AtomicBool::new(is_service));
    let report = runtime.block_on(async {
        // A task of its own, so that ctrl-c works even while it reads a large file.
        let work = tokio::spawn(execute(options, command, seed, secrets, Arc::clone(&has_ended)));
        tokio::select! {
            done = work => done.context("the command stopped because of a bug; nothing is lost, `farthing resume` carries on")?,
            signal = interrupt(is_watch) => signal.context("cannot listen for ctrl-c").map(|()| match has_ended.load(Ordering::SeqCst) {
                // A service ends like this, and so does the upkeep after a command that has succeeded.
                true => Report::done("", serde_json::Value::Null),
                false => interrupted(),
            }),
        }
    });
    // Everything stored is durable. No task needs to be waited for.
    runtime.shutdown_background();
    report
}

/// Waits until the command is to end. The first signal ends a stream that is watched in order.
async fn interrupt(is_watch: bool) -> std::io::Result<()> {
    if is_watch {
        stop_signal().await?;
    }
    stop_signal().await
}

fn interrupted() -> Report {
    let text = "interrupted; nothing is lost, `farthing resume` carries on";
    terminal::print_note(text);
    Report {
        text: String::new(),
        json: report::error_json(text, Exit::Interrupted),
        exit: Exit::Interrupted,
    }
}

/// Executes a command. Sets `has_ended` when its result is printed and only upkeep is left.
async fn execute(
    options: Options,
    command: Command,
    seed: Option<Seed>,
    secrets: Secrets,
    has_ended: Arc<AtomicBool>,
) -> Result<Report> {
    if let (Command::Restore(restore), Some(seed)) = (&command, seed) {
        return setup::restore(&options, restore, &seed, secrets).await;
    }
    if let Command::Run { once } = command {
        return upkeep::run(&options, &command, secrets.key, once).await;
    }
    let wallet = opening::open(&options, &command, secrets.key)?;
    let due = upkeep::due_before(&wallet, &command).await;
    let report = match (carry_out(&wallet, &options, command).await, due) {
        (Ok(report), Some(due)) if report.exit == Exit::Done => {
            report.print(options.json);
            has_ended.store(true, Ordering::SeqCst);
            upkeep::keep_up(&wallet, &due).await;
            Ok(Report::done("", serde_json::Value::Null))
        }
        (report, _) => report,
    };
    // Closing only makes the next start faster, so its failure is no failure of the command.
    if let Err(error) = wallet.close() {
        tracing::warn!(%error, "the wallet could not be closed in order");
    }
    report
}

async fn carry_out(wallet: &Wallet, options: &Options, command: Command) -> Result<Report> {
    network_check::note_without_relay(wallet, options, &command)?;
    match command {
        Command::Account { key: true, bank, .. } => money::account_key(wallet, bank.as_deref()),
        Command::Account { bank, link, .. } if link.uri => donation::link(wallet, bank.as_deref(), &link),
        Command::Account { bank, .. } => money::account(wallet, bank.as_deref()).await,
        Command::Withdraw { amount, bank, again } => {
            money::withdraw(wallet, amount, bank.as_deref(), again).await
        }
        Command::Network(NetworkCommand::Check) => network_check::show(wallet).await,
        Command::Balance => money::balance(wallet),
        Command::Coins { all } => money::coins(wallet, all),
        Command::Exchange { all } => money::exchange(wallet, all).await,
        Command::Catalog { merchant } => catalog::show(wallet, merchant.as_deref(), options.json).await,
        Command::Buy(buy) => purchases::buy(wallet, &buy).await,
        Command::Watch(asked) => watch::watch(wallet, &asked, options.json).await,
        Command::Export { output, force } => setup::export(wallet, &output, Existing::by_force(force)),
        Command::Purchases => purchases::list(wallet),
        Command::History { csv } => history::show(wallet, csv),
        Command::Resume { purchase, output } => purchases::resume(wallet, purchase.as_deref(), &output).await,
        Command::Cancel { purchase, output } => purchases::cancel(wallet, &purchase, &output).await,
        Command::Receipt(ReceiptCommand::Show {
            purchase,
            output,
            force,
        }) => receipt::show(wallet, &purchase, output.as_deref(), Existing::by_force(force)),
        Command::Receipt(ReceiptCommand::Payment {
            payment,
            output,
            force,
        }) => receipt::payment(wallet, payment, output.as_deref(), Existing::by_force(force)),
        Command::Receipt(ReceiptCommand::Denied { output, force }) => {
            receipt::denied(wallet, output.as_deref(), Existing::by_force(force))
        }
        Command::Receipt(ReceiptCommand::Keys { output, force }) => {
            receipt::keys(wallet, output.as_deref(), Existing::by_force(force))
        }
        // These need no open wallet. They were handled before.
        Command::Init { .. }
        | Command::Password { .. }
        | Command::Network(_)
        | Command::Receipt(_)
        | Command::Restore(_)
        | Command::Run { .. } => Ok(Report::done("", serde_json::Value::Null)),
        Command::Payment(payment) => carry_out_payment(wallet, options, payment).await,
    }
}

/// The commands for payments by deposit, gifts, and what banks owe.
async fn carry_out_payment(wallet: &Wallet, options: &Options, command: PaymentCommand) -> Result<Report> {
    match command {
        PaymentCommand::Redeem { amount, bank, again } => {
            payments::redeem(wallet, amount, bank.as_deref(), again).await
        }
        PaymentCommand::Request {
            amount,
            text,
            bank,
            qr,
        } => payments::request(wallet, amount, &text, bank.as_deref(), qr).await,
        PaymentCommand::Send { uri, amount, again } => payments::send(wallet, &uri, amount, again).await,
        PaymentCommand::Donate {
            charity,
            amount,
            donor,
            bank,
            again,
        } => donation::donate(wallet, &charity, amount, &donor, bank.as_deref(), again).await,
        PaymentCommand::Gift {
            amount,
            text,
            bank,
            qr,
            again,
        } => gift::give(wallet, amount, &text, bank.as_deref(), qr, again).await,
        PaymentCommand::Accept { uri } => gift::accept(wallet, &uri).await,
        PaymentCommand::TakeBack { payment } => gift::take_back(wallet, payment).await,
        PaymentCommand::Open(asked) => link::open(wallet, options, asked).await,
        PaymentCommand::Payments => payments::list(wallet),
        PaymentCommand::Receive(receive) => receive::receive(wallet, &receive).await,
        PaymentCommand::GiveUp { payment } => payments::give_up(wallet, payment).await,
    }
}
