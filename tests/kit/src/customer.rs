//! A customer: the commands of their wallet, and their lines to the nodes.

use crate::{
    lines::Lines,
    points::Party,
    process::{ProcessError, Running, Said},
    program::{CUSTOMER, POSTAGE, ROLE_COMMAND},
};
use farthing_node::{card::Card, logging::LOG_VARIABLE, probe::PROBE_VARIABLE};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::process::Command;

/// The variable that makes a wallet log its steps on standard error.
const LOG_LEVEL: &str = "farthing_client=debug";

/// A customer.
#[derive(Debug, Clone)]
pub struct Customer {
    program: PathBuf,
    dir: PathBuf,
    probe: Option<PathBuf>,
    /// The key of the account (hex).
    pub account: String,
    /// The 24 words.
    pub words: String,
    /// The lines to the nodes.
    pub lines: Arc<Lines>,
}

impl Customer {
    /// Creates a wallet in `dir` that knows the nodes of these cards.
    ///
    /// # Errors
    /// When a command fails.
    pub async fn new(
        program: &Path,
        dir: &Path,
        lines: Arc<Lines>,
        cards: [&Card; 3],
    ) -> Result<Customer, ProcessError> {
        let mut customer = Customer {
            program: program.to_owned(),
            dir: dir.to_owned(),
            probe: None,
            account: String::new(),
            words: String::new(),
            lines,
        };
        customer.words = text(&customer.done(&["init"]).await?, "phrase");
        for card in cards {
            customer.knows(card).await?;
        }
        customer.account = text(&customer.done(&["account", "--key"]).await?, "account");
        Ok(customer)
    }

    /// The same customer with only their words, and room for a new wallet in `dir`.
    #[must_use]
    pub fn with_words_only(self, dir: &Path) -> Customer {
        Customer {
            dir: dir.to_owned(),
            ..self
        }
    }

    /// Makes the commands wait at every point for the listener on `socket`, if there is one.
    #[must_use]
    pub fn with_probe(self, socket: Option<PathBuf>) -> Customer {
        Customer {
            probe: socket,
            ..self
        }
    }

    /// The wallet's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adds the node of this card to the wallet.
    ///
    /// # Errors
    /// As [`done`](Customer::done).
    pub async fn knows(&self, card: &Card) -> Result<(), ProcessError> {
        let card = self.lines.card(Party::Wallet, card).to_string();
        self.done(&["network", "add", &card]).await?;
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_remove(LOG_VARIABLE)
            .args([ROLE_COMMAND, CUSTOMER, "--wallet"])
            .arg(&self.dir)
            .arg("--json")
            .args(args);
        if let Some(socket) = &self.probe {
            command.env(PROBE_VARIABLE, socket);
        }
        command
    }

    /// Starts a command of the wallet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(&self, args: &[&str]) -> Result<Running, ProcessError> {
        Running::start(self.command(args), &typed(args))
    }

    /// Starts a command of the wallet that logs its steps on standard error.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_with_log(&self, args: &[&str]) -> Result<Running, ProcessError> {
        let mut command = self.command(args);
        command.env(LOG_VARIABLE, LOG_LEVEL);
        Running::start(command, &typed(args))
    }

    /// Runs a command of the wallet to its end.
    ///
    /// # Errors
    /// When it cannot be started, or does not end.
    pub async fn run(&self, args: &[&str]) -> Result<Said, ProcessError> {
        self.start(args).await?.end().await
    }

    /// Runs a command of the wallet, which must succeed, and returns its JSON.
    ///
    /// # Errors
    /// When it fails; the message is the command's own.
    pub async fn done(&self, args: &[&str]) -> Result<Value, ProcessError> {
        self.run(args).await?.done()
    }

    /// The purchases.
    ///
    /// # Errors
    /// As [`done`](Customer::done).
    pub async fn purchases(&self) -> Result<Vec<Value>, ProcessError> {
        let all = self.done(&["purchases"]).await?;
        let list = all.get("purchases").and_then(Value::as_array);
        Ok(list.cloned().unwrap_or_default())
    }
}

/// Runs a command of the wallet's program that needs no wallet, to its end. `program` is the executable with all programs.
///
/// # Errors
/// When it cannot be started, or does not end.
pub async fn run_without_wallet(program: &Path, args: &[&str]) -> Result<Said, ProcessError> {
    let command = in_json(program, CUSTOMER, args);
    Running::start(command, &typed(args))?.end().await
}

/// Runs a command of `farthing-postage` in `dir`, to its end. `program` is the executable with all programs.
///
/// # Errors
/// When it cannot be started, or does not end.
pub async fn run_postage(program: &Path, dir: &Path, args: &[&str]) -> Result<Said, ProcessError> {
    let mut command = in_json(program, POSTAGE, args);
    command.current_dir(dir);
    let name = format!("farthing-postage {}", args.join(" "));
    Running::start(command, &name)?.end().await
}

/// A command of one of the programs, which prints JSON and writes no log.
fn in_json(program: &Path, role: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove(LOG_VARIABLE)
        .args([ROLE_COMMAND, role, "--json"])
        .args(args);
    command
}

fn typed(args: &[&str]) -> String {
    format!("farthing {}", args.join(" "))
}

/// A text in an answer; empty if there is none.
#[must_use]
pub fn text(value: &Value, field: &str) -> String {
    value
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
