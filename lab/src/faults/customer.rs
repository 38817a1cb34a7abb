//! A customer, who has nothing but the commands of her wallet: what she does on each route, and what she does when a
//! command fails.

use super::{
    director::Director,
    matrix::Route,
    record::Deed,
    world::{CASH, SEALED_TITLE, Stage, TITLE},
};
use farthing_client::cli::Exit;
use farthing_kit::{
    error::{DemoError, must},
    program::{CUSTOMER, ROLE_COMMAND},
};
use farthing_node::{logging::LOG_VARIABLE, probe::PROBE_VARIABLE};
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

/// How long a party may be silent before a command gives up (s).
const PATIENCE_S: &str = "2";

/// How long a command may take: all that it waits for is bounded by much less.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(90);

/// How often she carries on before she loses patience with the system.
const TRIES_MAX: usize = 12;

/// How long she waits before she carries on again.
const PAUSE: Duration = Duration::from_millis(500);

/// A customer.
pub struct Customer {
    stage: Arc<Stage>,
    director: Director,
    /// Her wallet's directory.
    pub dir: PathBuf,
    /// The key of her account (hex).
    pub account: String,
}

/// How a command ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed for programs.
    pub json: Value,
}

impl Said {
    /// Whether it ended like this.
    pub fn is(&self, exit: Exit) -> bool {
        self.code == Some(i32::from(exit.code()))
    }

    /// What went wrong, in its words: the command, or the first matter that it did not bring to an end.
    fn error(&self) -> Option<&str> {
        let error = self.json.get("error");
        error.or_else(|| self.json.pointer("/open/0/error"))?.as_str()
    }

    fn words(&self) -> String {
        match self.code {
            None => "killed".into(),
            Some(0) => "done".into(),
            Some(code) => match self.error() {
                Some(error) => format!("exit {code}: {error}"),
                None => format!("exit {code}"),
            },
        }
    }
}

/// Whether the wallet tells the director of its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Yes,
    No,
}

impl Customer {
    /// A new one.
    ///
    /// # Errors
    /// As [`Stage::newcomer`].
    pub async fn new(stage: &Arc<Stage>, director: &Director, name: &str) -> Result<Customer, DemoError> {
        let (dir, account) = stage.newcomer(name).await?;
        Ok(Customer {
            stage: Arc::clone(stage),
            director: director.clone(),
            dir,
            account,
        })
    }

    /// Where her goods go.
    pub fn output(&self) -> PathBuf {
        self.dir.with_extension("bought")
    }

    /// Runs a command of her wallet, as she does.
    ///
    /// # Errors
    /// When it cannot be started, or does not end.
    pub async fn runs(&self, args: &[&str]) -> Result<Said, DemoError> {
        self.command(args, Seen::Yes).await
    }

    /// Runs a command of her wallet that only looks.
    ///
    /// # Errors
    /// When it fails.
    pub async fn looks(&self, args: &[&str]) -> Result<Value, DemoError> {
        let said = self.tries(args).await?;
        must(said.is(Exit::Done), || {
            format!("`farthing {}` failed: {}", args.join(" "), said.words())
        })?;
        Ok(said.json)
    }

    /// Runs a command of her wallet that only looks, and may find something wrong.
    ///
    /// # Errors
    /// When it cannot be started, or does not end.
    pub async fn tries(&self, args: &[&str]) -> Result<Said, DemoError> {
        self.command(args, Seen::No).await
    }

    async fn command(&self, args: &[&str], seen: Seen) -> Result<Said, DemoError> {
        let mut command = Command::new(&self.stage.program);
        command
            .args([ROLE_COMMAND, CUSTOMER])
            .arg("--wallet")
            .arg(&self.dir)
            .args(["--json", "--patience", PATIENCE_S])
            .args(args)
            .env_remove(LOG_VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .process_group(0);
        let words = args.join(" ");
        if seen == Seen::Yes {
            command.env(PROBE_VARIABLE, &self.stage.socket);
            self.director.note(Deed::Runs(shown(args)));
        }
        let child = command.spawn().map_err(DemoError::io(&words))?;
        if seen == Seen::Yes {
            self.director.wallet_is(child.id());
        }
        let output = timeout(COMMAND_TIMEOUT, child.wait_with_output()).await;
        if seen == Seen::Yes {
            self.director.wallet_is(None);
        }
        let output = output
            .map_err(|_| {
                DemoError::Broken(format!(
                    "`farthing {words}` has not ended after {COMMAND_TIMEOUT:?}"
                ))
            })?
            .map_err(DemoError::io(&words))?;
        let said = Said {
            code: output.status.code(),
            json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        };
        if seen == Seen::Yes {
            self.director.note(Deed::Ends(said.words()));
        }
        Ok(said)
    }

    // ---- routes ---------------------------------------------------------------------------------------------------

    /// Goes a route to its end, whatever happens on it. Returns how many commands it took more than it should.
    ///
    /// # Errors
    /// When there is no getting on, which is a broken promise.
    pub async fn goes(&self, route: Route) -> Result<usize, DemoError> {
        let mut more = self.gets_coins().await?;
        more += self.buys().await?;
        if route == Route::Cancelled {
            more += self.cancels().await?;
        }
        Ok(more)
    }

    async fn gets_coins(&self) -> Result<usize, DemoError> {
        let amount = CASH.to_string();
        for more in 0..TRIES_MAX {
            let carried_on = if self.runs(&["withdraw", &amount]).await?.is(Exit::Done) {
                0
            } else {
                self.carries_on().await?
            };
            if self.worth().await? > Amount(0) {
                return Ok(more + carried_on);
            }
            sleep(PAUSE).await;
        }
        Err(DemoError::Broken("she gets no coins".into()))
    }

    async fn buys(&self) -> Result<usize, DemoError> {
        let output = self.output();
        let output = output.to_string_lossy();
        let title = match self.director.route() {
            Route::Sealed => SEALED_TITLE,
            Route::Bought | Route::Cancelled | Route::ReceiptLost | Route::BothLost => TITLE,
        };
        for more in 0..TRIES_MAX {
            let said = self.runs(&["buy", "studio", title, "-o", &output]).await?;
            let statuses = self.statuses().await?;
            let begun = statuses.iter().any(|status| status != "dropped");
            if said.is(Exit::Done) || (begun && self.is_cancelling()) {
                return Ok(more);
            }
            if begun {
                return Ok(more + self.carries_on().await?);
            }
            sleep(PAUSE).await;
        }
        Err(DemoError::Broken("she cannot begin a purchase".into()))
    }

    /// Whether the next thing that she does is to cancel.
    fn is_cancelling(&self) -> bool {
        self.director.route() == Route::Cancelled && self.director.is_on_route()
    }

    async fn cancels(&self) -> Result<usize, DemoError> {
        match self.runs(&["cancel", "0"]).await?.is(Exit::Done) {
            true => Ok(0),
            false => self.carries_on().await,
        }
    }

    /// Carries on until nothing is under way; says how often it took.
    async fn carries_on(&self) -> Result<usize, DemoError> {
        let mut last = String::new();
        for tries in 1..=TRIES_MAX {
            let said = self.runs(&["resume"]).await?;
            let open = said.json.get("open").and_then(Value::as_array);
            if said.code.is_some() && open.is_some_and(Vec::is_empty) {
                return Ok(tries);
            }
            last = said.words();
            sleep(PAUSE).await;
        }
        Err(DemoError::Broken(format!(
            "after {TRIES_MAX} times `farthing resume` something is still under way: {last}"
        )))
    }

    // ---- what she has ---------------------------------------------------------------------------------------------

    /// What her wallet is worth, whatever it is doing with it.
    ///
    /// # Errors
    /// When her wallet cannot be read.
    pub async fn worth(&self) -> Result<Amount, DemoError> {
        let balance = self.looks(&["balance"]).await?;
        let units = balance.pointer("/total/units").and_then(Value::as_u64);
        units
            .map(Amount)
            .ok_or_else(|| DemoError::Broken(format!("`farthing balance` says {balance}")))
    }

    /// Her purchases.
    ///
    /// # Errors
    /// When her wallet cannot be read.
    pub async fn purchases(&self) -> Result<Vec<Value>, DemoError> {
        let all = self.looks(&["purchases"]).await?;
        Ok(all
            .get("purchases")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default())
    }

    async fn statuses(&self) -> Result<Vec<String>, DemoError> {
        let status = |purchase: &Value| purchase.get("status")?.as_str().map(str::to_owned);
        Ok(self.purchases().await?.iter().filter_map(status).collect())
    }
}

/// A command as she types it, without the paths of this machine.
fn shown(args: &[&str]) -> String {
    let mut words = vec!["farthing".to_owned()];
    let mut is_path = false;
    for arg in args {
        words.push(match *arg {
            _ if is_path => "postcard.txt".into(),
            spaced if spaced.contains(' ') => format!("\"{spaced}\""),
            word => word.to_owned(),
        });
        is_path = *arg == "-o";
    }
    words.join(" ")
}
