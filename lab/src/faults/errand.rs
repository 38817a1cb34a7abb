//! What a customer does on each route, with the commands of the wallet, and what they do when a command fails.

use super::{
    director::Director,
    matrix::Route,
    record::Deed,
    stage::{CASH, SEALED_TITLE, TITLE},
};
use farthing_client::cli::Exit;
use farthing_kit::{customer::Customer, error::RunError, process::Said};
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{path::PathBuf, time::Duration};
use tokio::time::sleep;

/// How long a party may be silent before a command gives up (s).
pub const PATIENCE_S: &str = "2";

/// How often she carries on before she loses patience with the system.
const TRIES_MAX: usize = 12;

/// How long she waits before she carries on again.
const PAUSE: Duration = Duration::from_millis(500);

/// A customer's errand: they want the goods, or their coins back.
pub struct Errand {
    director: Director,
    customer: Customer,
}

impl Errand {
    /// The errand of a customer in front of this director.
    #[must_use]
    pub fn new(director: Director, customer: Customer) -> Errand {
        Errand { director, customer }
    }

    /// Runs a command of the wallet, which the director sees.
    async fn runs(&self, args: &[&str]) -> Result<Said, RunError> {
        self.director.note(Deed::Runs(shown(args)));
        let patient = [&["--patience", PATIENCE_S], args].concat();
        let running = self.customer.start(&patient).await?;
        self.director.wallet_is(running.process_id());
        let said = running.end().await;
        self.director.wallet_is(None);
        let said = said?;
        self.director.note(Deed::Ends(words(&said)));
        Ok(said)
    }

    /// Goes a route to its end, whatever happens on it. Returns how many commands it took more than it should.
    ///
    /// # Errors
    /// When there is no getting on, which is a broken promise.
    pub async fn goes(&self, route: Route) -> Result<usize, RunError> {
        let mut more = self.gets_coins().await?;
        more += self.buys().await?;
        if route == Route::Cancelled {
            more += self.cancels().await?;
        }
        Ok(more)
    }

    async fn gets_coins(&self) -> Result<usize, RunError> {
        let amount = CASH.to_string();
        for more in 0..TRIES_MAX {
            let carried_on = if is_done(&self.runs(&["withdraw", &amount]).await?) {
                0
            } else {
                self.carries_on().await?
            };
            if worth(&self.customer).await? > Amount(0) {
                return Ok(more + carried_on);
            }
            sleep(PAUSE).await;
        }
        Err(RunError::Broken("she gets no coins".into()))
    }

    async fn buys(&self) -> Result<usize, RunError> {
        let output = goods_of(&self.customer);
        let output = output.to_string_lossy();
        let title = match self.director.route() {
            Route::Sealed => SEALED_TITLE,
            Route::Bought | Route::Cancelled | Route::ReceiptLost | Route::BothLost => TITLE,
        };
        for more in 0..TRIES_MAX {
            let said = self.runs(&["buy", "studio", title, "-o", &output]).await?;
            let statuses = self.statuses().await?;
            let begun = statuses.iter().any(|status| status != "dropped");
            if is_done(&said) || (begun && self.is_cancelling()) {
                return Ok(more);
            }
            if begun {
                return Ok(more + self.carries_on().await?);
            }
            sleep(PAUSE).await;
        }
        Err(RunError::Broken("she cannot begin a purchase".into()))
    }

    /// Whether the next thing that she does is to cancel.
    fn is_cancelling(&self) -> bool {
        self.director.route() == Route::Cancelled && self.director.is_on_route()
    }

    async fn cancels(&self) -> Result<usize, RunError> {
        match is_done(&self.runs(&["cancel", "0"]).await?) {
            true => Ok(0),
            false => self.carries_on().await,
        }
    }

    /// Carries on until nothing is under way; says how often it took.
    async fn carries_on(&self) -> Result<usize, RunError> {
        let mut last = String::new();
        for tries in 1..=TRIES_MAX {
            let said = self.runs(&["resume"]).await?;
            let open = said.printed();
            let open = open.get("open").and_then(Value::as_array);
            if said.code.is_some() && open.is_some_and(Vec::is_empty) {
                return Ok(tries);
            }
            last = words(&said);
            sleep(PAUSE).await;
        }
        Err(RunError::Broken(format!(
            "after {TRIES_MAX} times `farthing resume` something is still under way: {last}"
        )))
    }

    async fn statuses(&self) -> Result<Vec<String>, RunError> {
        let status = |purchase: &Value| purchase.get("status")?.as_str().map(str::to_owned);
        let purchases = unseen(&self.customer).purchases().await?;
        Ok(purchases.iter().filter_map(status).collect())
    }
}

/// Where the goods of a customer go.
#[must_use]
pub fn goods_of(customer: &Customer) -> PathBuf {
    customer.dir().with_extension("bought")
}

/// The same customer, with commands that no director sees.
#[must_use]
pub fn unseen(customer: &Customer) -> Customer {
    customer.clone().with_probe(None)
}

/// What the wallet of a customer is worth, whatever it is doing with it.
///
/// # Errors
/// When the wallet cannot be read.
pub async fn worth(customer: &Customer) -> Result<Amount, RunError> {
    let balance = unseen(customer).done(&["balance"]).await?;
    let units = balance.pointer("/total/units").and_then(Value::as_u64);
    units
        .map(Amount)
        .ok_or_else(|| RunError::Broken(format!("`farthing balance` says {balance}")))
}

fn is_done(said: &Said) -> bool {
    said.code == Some(i32::from(Exit::Done.code()))
}

/// How a command ended: what went wrong in its words, or in those of the first matter that it did not bring to an end.
fn words(said: &Said) -> String {
    let printed = said.printed();
    let error = printed.get("error").or_else(|| printed.pointer("/open/0/error"));
    match (said.code, error.and_then(Value::as_str)) {
        (None, _) => "killed".into(),
        (Some(0), _) => "done".into(),
        (Some(code), Some(error)) => format!("exit {code}: {error}"),
        (Some(code), None) => format!("exit {code}"),
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
