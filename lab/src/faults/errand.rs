//! The customer's commands on each route, and the customer's reaction when a command fails.

use super::{
    director::Director,
    matrix::Route,
    record::Action,
    settling::settles,
    stage::{CASH, REDEEMED, SENT, STREAM, Stage, WATCHED, bought_on},
};
use farthing_client::cli::Exit;
use farthing_kit::{customer::Customer, error::RunError, process::Said};
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{path::PathBuf, time::Duration};
use tokio::time::sleep;

/// The value of `--patience`: how long a party may be silent before a command gives up (s).
pub const PATIENCE_S: &str = "2";

/// How often the customer repeats a command or resumes, before the run counts as broken.
const TRIES_MAX: usize = 12;

/// The customer's pause before the next command.
const PAUSE: Duration = Duration::from_millis(500);

/// A person who has requested a payment, and is not there when it is paid.
pub struct Payee {
    /// The person.
    pub customer: Customer,
    /// The request, as its payer gets it.
    uri: String,
}

impl Payee {
    /// A payee with an account, and a request for [`SENT`]. No director observes it.
    ///
    /// # Errors
    /// As [`Stage::newcomer`].
    pub async fn at(stage: &Stage, name: &str) -> Result<Payee, RunError> {
        let customer = unseen(&stage.newcomer(name).await?);
        let asked = customer
            .done(&["request", &SENT.to_string(), "--for", "lunch"])
            .await?;
        let uri = asked.get("uri").and_then(Value::as_str);
        let uri = uri.ok_or_else(|| RunError::Broken(format!("`farthing request` says {asked}")))?;
        let uri = uri.to_owned();
        Ok(Payee { customer, uri })
    }
}

/// The errand of a customer: to get the goods, or the coins back, or to pay.
pub struct Errand<'r> {
    director: Director,
    stage: &'r Stage,
    customer: Customer,
    payee: Option<&'r Payee>,
}

impl<'r> Errand<'r> {
    /// The errand of this customer, observed by this director.
    #[must_use]
    pub fn new(
        director: Director,
        stage: &'r Stage,
        customer: Customer,
        payee: Option<&'r Payee>,
    ) -> Errand<'r> {
        Errand {
            director,
            stage,
            customer,
            payee,
        }
    }

    /// Runs a command of the wallet, observed by the director.
    async fn runs(&self, args: &[&str]) -> Result<Said, RunError> {
        self.director.record(Action::Runs(shown(args)));
        let patient = [&["--patience", PATIENCE_S], args].concat();
        let running = self.customer.start(&patient).await?;
        self.director.wallet_is(running.process_id());
        let said = running.end().await;
        self.director.wallet_is(None);
        let said = said?;
        self.director.record(Action::Ends(words(&said)));
        Ok(said)
    }

    /// Completes a route, also under a fault. Returns the number of commands beyond those of a run without a fault.
    ///
    /// # Errors
    /// When the customer makes no progress, which is a broken promise.
    pub async fn goes(&self, route: Route) -> Result<usize, RunError> {
        let coins = self.gets_coins().await?;
        let more = match route {
            Route::Redeemed => self.pays(&["redeem", &REDEEMED.to_string()]).await?,
            Route::Sent => {
                let payee = self
                    .payee
                    .ok_or_else(|| RunError::Broken("there is no payee".into()))?;
                self.pays(&["send", &payee.uri]).await?
            }
            Route::Streamed => self.watches().await?,
            Route::Cancelled => self.buys().await? + self.cancels().await?,
            Route::Refunded => self.buys().await? + self.is_refunded().await?,
            Route::Bought | Route::ReceiptLost | Route::BothLost | Route::Sealed | Route::Changed => {
                self.buys().await?
            }
        };
        Ok(coins + more)
    }

    /// Pays with this command. The places of the route begin with it.
    async fn pays(&self, command: &[&str]) -> Result<usize, RunError> {
        self.director.enter_route();
        let mut carried_on = 0;
        for more in 0..TRIES_MAX {
            if is_done(&self.runs(command).await?) {
                return Ok(more + carried_on);
            }
            carried_on += self.carries_on().await?;
            if payments(&self.customer).await? == ["done"] {
                return Ok(more + carried_on);
            }
            sleep(PAUSE).await;
        }
        Err(RunError::Broken("the customer cannot pay".into()))
    }

    /// The merchant's operator gives the price back once the sale is credited. The places of the route begin with that.
    async fn is_refunded(&self) -> Result<usize, RunError> {
        let purchases = unseen(&self.customer).purchases().await?;
        let sale = purchases.iter().find_map(|one| one.get("purchase_id")?.as_str());
        let sale = sale.ok_or_else(|| RunError::Broken("nothing was bought".into()))?;
        if !settles(self.stage, &self.director).await? {
            return Err(RunError::Broken("the sale is not credited".into()));
        }
        self.director.enter_route();
        for more in 0..TRIES_MAX {
            // An operator's command opens the directory of a node that is down, and the node could not start in it.
            while self.director.is_mending() {
                sleep(PAUSE).await;
            }
            let typed = format!("farthing-merchant refund {}", sale.get(..8).unwrap_or(sale));
            self.director.record(Action::Operates(typed));
            if self.stage.merchant.admin(&["refund"], &[sale]).await.is_ok() {
                return Ok(more);
            }
            sleep(PAUSE).await;
        }
        Err(RunError::Broken("the merchant cannot give the price back".into()))
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
        Err(RunError::Broken("the customer gets no coins".into()))
    }

    async fn buys(&self) -> Result<usize, RunError> {
        let output = goods_of(&self.customer);
        let output = output.to_string_lossy();
        let title = bought_on(self.director.route()).title;
        for more in 0..TRIES_MAX {
            let said = self.runs(&["buy", "studio", title, "-o", &output]).await?;
            let statuses = self.statuses().await?;
            let begun = statuses.iter().any(|status| status != "dropped");
            if (is_done(&said) && !owes_change(&said)) || (begun && self.is_cancelling()) {
                return Ok(more);
            }
            if begun {
                return Ok(more + self.carries_on().await?);
            }
            sleep(PAUSE).await;
        }
        Err(RunError::Broken("the customer cannot begin a purchase".into()))
    }

    /// Watches a part of the stream, once. The places of the route begin with it.
    async fn watches(&self) -> Result<usize, RunError> {
        self.director.enter_route();
        let output = goods_of(&self.customer);
        let output = output.to_string_lossy();
        let watch = [
            "watch", "studio", STREAM, "--ticks", WATCHED, "--window", "1", "-o", &output, "--force",
        ];
        for more in 0..TRIES_MAX {
            let said = self.runs(&watch).await?;
            let begun = self.statuses().await?.iter().any(|status| status != "dropped");
            if is_done(&said) && !owes_change(&said) {
                return Ok(more);
            }
            if begun {
                return Ok(more + self.carries_on().await?);
            }
            sleep(PAUSE).await;
        }
        Err(RunError::Broken("the customer cannot watch".into()))
    }

    /// Whether the customer's next command is `cancel`.
    fn is_cancelling(&self) -> bool {
        self.director.route() == Route::Cancelled && self.director.is_on_route()
    }

    async fn cancels(&self) -> Result<usize, RunError> {
        match is_done(&self.runs(&["cancel", "0"]).await?) {
            true => Ok(0),
            false => self.carries_on().await,
        }
    }

    /// Resumes until nothing is under way. Returns the number of commands.
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

/// The output file for the goods of a customer.
#[must_use]
pub fn goods_of(customer: &Customer) -> PathBuf {
    customer.dir().with_extension("bought")
}

/// The same customer, with commands that no director observes.
#[must_use]
pub fn unseen(customer: &Customer) -> Customer {
    customer.clone().with_probe(None)
}

/// The states of a customer's payments.
///
/// # Errors
/// When the wallet cannot be read.
pub async fn payments(customer: &Customer) -> Result<Vec<String>, RunError> {
    let listed = unseen(customer).done(&["payments"]).await?;
    let sent = listed.get("sent").and_then(Value::as_array);
    let status = |payment: &Value| payment.get("status")?.as_str().map(str::to_owned);
    Ok(sent.into_iter().flatten().filter_map(status).collect())
}

/// The worth of a customer's wallet, including coins that are in use.
///
/// # Errors
/// When the wallet cannot be read.
pub async fn worth(customer: &Customer) -> Result<Amount, RunError> {
    let balance = unseen(customer).done(&["balance"]).await?;
    // The market has one bank.
    let units = balance.pointer("/balances/0/total/units").and_then(Value::as_u64);
    units
        .map(Amount)
        .ok_or_else(|| RunError::Broken(format!("`farthing balance` says {balance}")))
}

/// Whether the bank still owes change of the purchase. The wallet then says that `farthing resume` receives it.
fn owes_change(said: &Said) -> bool {
    let printed = said.printed();
    let due = printed.pointer("/change_due/units").and_then(Value::as_u64);
    due.is_some_and(|due| due > 0)
}

fn is_done(said: &Said) -> bool {
    said.code == Some(i32::from(Exit::Done.code()))
}

/// The result of a command, with its error, or with the error of the first purchase or request that is still open.
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

/// A command as the customer types it, without the paths of this machine.
fn shown(args: &[&str]) -> String {
    let mut words = vec!["farthing".to_owned()];
    let mut is_path = false;
    for arg in args {
        words.push(match *arg {
            _ if is_path => "postcard.txt".into(),
            uri if uri.starts_with("farthing:") => "\"farthing:pay?...\"".into(),
            spaced if spaced.contains(' ') => format!("\"{spaced}\""),
            word => word.to_owned(),
        });
        is_path = *arg == "-o";
    }
    words.join(" ")
}
