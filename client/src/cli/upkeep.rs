//! `farthing run`, and the little of it that other commands do.

use super::{
    args::{Command, Options},
    exit::Exit,
    opening::{self, wallet_dir},
    purchases::outcome,
    report::{Report, amount, bank_name, chain},
};
use crate::{
    resume::Resumed,
    upkeep::{Due, Task, look_again_after_ms},
    vault::{self, WalletKey},
    wallet::Wallet,
};
use anyhow::Result;
use farthing_node::terminal::{Shown, print_error, print_json, print_text};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// The longest time that a command spends on upkeep after its own end. An exchange that takes longer is stored, and is
/// carried on by the next `run` or `resume`.
const A_LITTLE: Duration = Duration::from_secs(3);

/// The result of one look at the wallet.
struct Look {
    /// How long until the next look.
    pause: Duration,
    /// The exit code if it is the only look.
    exit: Exit,
}

/// Looks after the wallet until the process is stopped, or once. The wallet is open only during a look, so that other
/// commands run in between.
pub(super) async fn run(
    options: &Options,
    command: &Command,
    key: Option<WalletKey>,
    once: bool,
) -> Result<Report> {
    let Look { mut pause, exit } = look(options, command, key.clone()).await?;
    if once {
        return Ok(Report {
            text: String::new(),
            json: Value::Null,
            exit,
        });
    }
    loop {
        tokio::time::sleep(pause).await;
        match look(options, command, key.clone()).await {
            Ok(look) => pause = look.pause,
            // The password was set or removed. The service must be started again with the new one.
            Err(error) if vault::is_sealed(&wallet_dir(options)?) != key.is_some() => return Err(error),
            // For example, another command has had the wallet for longer than `--wait`.
            Err(error) => tell_error(options, &error),
        }
    }
}

/// Finishes what is under way, and makes the exchanges that are due.
async fn look(options: &Options, command: &Command, key: Option<WalletKey>) -> Result<Look> {
    let wallet = opening::open(options, command, key)?;
    let done = work(options, &wallet).await;
    if let Err(error) = wallet.close() {
        tracing::warn!(%error, "the wallet could not be closed in order");
    }
    done
}

async fn work(options: &Options, wallet: &Wallet) -> Result<Look> {
    let mut exits = Vec::new();
    let mut tell = |job: Job| {
        job.tell(options);
        exits.push(job.exit);
    };
    finished(wallet, wallet.finish_all().await?)?
        .into_iter()
        .for_each(&mut tell);
    let upkeep = wallet.look_after().await?;
    for due in &upkeep.due {
        tell(exchange(wallet, due).await?);
    }
    // The exchanges that were made may be due again.
    let next_ms = match upkeep.due.is_empty() {
        true => upkeep.next_ms,
        false => wallet.look_after().await?.next_ms,
    };
    let pause_ms = look_again_after_ms(next_ms, wallet.now_ms(), wallet.random());
    Ok(Look {
        pause: Duration::from_millis(pause_ms),
        exit: Exit::of_parts(exits),
    })
}

/// A job that was done or tried.
struct Job {
    text: String,
    json: Value,
    exit: Exit,
}

impl Job {
    /// Prints it at once: one line, or with `--json` one value on a line.
    fn tell(&self, options: &Options) {
        match options.json {
            true => print_json(&self.json),
            false => print_text(&self.text),
        }
    }
}

/// What was under way: finished, or not. A purchase that was aborted has the exit code of that.
fn finished(wallet: &Wallet, resumed: Resumed) -> Result<Vec<Job>> {
    let mut aborted = BTreeSet::new();
    if !resumed.ended.is_empty() {
        for (number, row) in wallet.purchases()? {
            let matter = format!("purchase {number}");
            if resumed.ended.contains(&matter) && outcome(number, &row, None).exit == Exit::Aborted {
                aborted.insert(matter);
            }
        }
    }
    let ended = resumed.ended.into_iter().map(|matter| {
        let (text, exit) = match aborted.contains(&matter) {
            true => (format!("{matter}: aborted, the coins are back"), Exit::Aborted),
            false => (format!("{matter}: finished"), Exit::Done),
        };
        let json = json!({ "job": "finish", "matter": matter, "error": null, "code": exit.code() });
        Job { text, json, exit }
    });
    let open = resumed.open.into_iter().map(|(matter, error)| {
        let exit = Exit::of_wallet(&error);
        let why = chain(&error.into());
        Job {
            text: format!("{matter}: not finished: {}", Shown(&why)),
            json: json!({ "job": "finish", "matter": matter, "error": why, "code": exit.code() }),
            exit,
        }
    });
    Ok(ended.chain(open).collect())
}

/// Makes an exchange that is due.
async fn exchange(wallet: &Wallet, due: &Due) -> Result<Job> {
    let (worth, failed) = wallet.keep_up(due).await?;
    let exit = Exit::of_all(&failed);
    let bank = bank_name(&due.bank, &wallet.network_file()?);
    let (job, what) = match due.task {
        Task::Renew => ("renew", "coins that expire soon, for fresh ones"),
        Task::Consolidate => ("consolidate", "small coins, for fewer ones"),
    };
    let failed: Vec<String> = failed.into_iter().map(|error| chain(&error.into())).collect();
    let mut text = format!("bank {}: exchanged {worth} of {what}", Shown(&bank));
    for why in &failed {
        text.push_str(&format!("; failed: {}", Shown(why)));
    }
    let json = json!({
        "job": job,
        "bank": bank,
        "exchanged": amount(worth),
        "failed": failed,
        "code": exit.code(),
    });
    Ok(Job { text, json, exit })
}

fn tell_error(options: &Options, error: &anyhow::Error) {
    let text = chain(error);
    print_error(&text);
    if options.json {
        print_json(&json!({ "job": null, "error": text, "code": Exit::of(error).code() }));
    }
}

// ---- at the end of other commands ---------------------------------------------------------------------------------

/// The exchange that is due before a command that moves money does anything. A failure is no failure of the command.
///
/// Only this exchange is made at its end. It does not depend on what the command does: neither its coins nor its time
/// were chosen by it.
pub(super) async fn due_before(wallet: &Wallet, command: &Command) -> Option<Due> {
    if !command.moves_money() {
        return None;
    }
    match wallet.look_after().await {
        Ok(upkeep) => upkeep.due.into_iter().next(),
        Err(error) => {
            tracing::debug!(%error, "the wallet was not looked after");
            None
        }
    }
}

/// Makes the exchange that was due before a command, after its result was printed.
pub(super) async fn keep_up(wallet: &Wallet, due: &Due) {
    let kept = tokio::time::timeout(A_LITTLE, wallet.keep_up(due)).await;
    tracing::debug!(?kept, "upkeep after the command");
}
