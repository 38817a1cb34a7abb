//! The nodes' books as their operators see them. Tests and demonstrations do not rely on what a wallet says.

use crate::{
    error::{RunError, must},
    nodes::Node,
};
use farthing_node::card::RoleName;
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{collections::BTreeMap, future::Future, time::Duration};
use tokio::time::{Instant, sleep};

/// The most time that the books may take to show a background settlement.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause between two looks at the books.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The bank's books at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Deposits at the cash desk.
    pub paid_in: Amount,
    /// Payouts of the cash desk.
    pub paid_out: Amount,
    /// The sum of all account balances.
    pub accounts: Amount,
    /// The sum of the balances of all reserves.
    pub reserves: Amount,
    /// The worth of all outstanding coins, including held coins.
    pub outstanding: Amount,
    /// The worth of the held coins.
    pub held: Amount,
    /// Every account's balance, by its key (hex).
    pub balances: BTreeMap<String, Amount>,
    /// Whether the bank's audit counted every row, and not only the sums.
    pub counted_rows: bool,
    /// The problems that the bank's audit found.
    pub problems: Vec<String>,
}

impl Books {
    /// The books of `bank`.
    ///
    /// # Errors
    /// When the bank's command line returns an error or unexpected output.
    pub async fn of(bank: &Node) -> Result<Books, RunError> {
        let audit = bank.admin(&["audit"], &[]).await?;
        let accounts = bank.admin(&["account", "list"], &[]).await?;
        let mut held = Amount(0);
        for line in list(&audit, "coins")? {
            let value = amount(line, "value")?.0;
            let count = line
                .get("held")
                .and_then(Value::as_u64)
                .ok_or_else(|| missing("held"))?;
            held = Amount(held.0.saturating_add(value.saturating_mul(count)));
        }
        let balances = list(&accounts, "accounts")?
            .iter()
            .map(|account| Ok((text(account, "key")?.to_owned(), amount(account, "balance")?)))
            .collect::<Result<_, RunError>>()?;
        Ok(Books {
            paid_in: amount(&audit, "paid_in")?,
            paid_out: amount(&audit, "paid_out")?,
            accounts: amount(&audit, "accounts")?,
            reserves: amount(&audit, "reserves")?,
            outstanding: amount(&audit, "outstanding")?,
            held,
            balances,
            counted_rows: audit.get("counted_rows") == Some(&Value::Bool(true)),
            problems: list(&audit, "problems")?
                .iter()
                .map(|p| p.as_str().unwrap_or_default().to_owned())
                .collect(),
        })
    }

    /// An account's balance. An unknown account has a balance of zero.
    pub fn balance(&self, account: &str) -> Amount {
        self.balances.get(account).copied().unwrap_or_default()
    }
}

/// An escrow's decision about a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscrowDecision {
    /// `committed` or `aborted`.
    pub outcome: String,
    /// Whether the bank has applied it.
    pub settled: bool,
}

/// Every decision of `escrow`, by the purchase's id (hex).
///
/// # Errors
/// When the escrow's command line returns an error or unexpected output, or lists a purchase twice.
pub async fn decisions(escrow: &Node) -> Result<BTreeMap<String, EscrowDecision>, RunError> {
    let answer = escrow.admin(&["purchases"], &[]).await?;
    let missing = |what: &str| RunError::Answer {
        role: RoleName::Escrow,
        what: what.into(),
    };
    let purchases = answer
        .get("purchases")
        .and_then(Value::as_array)
        .ok_or_else(|| missing("purchases"))?;
    let mut decisions = BTreeMap::new();
    for line in purchases {
        let field = |name: &str| {
            line.get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| missing(name))
        };
        let settled = line
            .get("settled")
            .and_then(Value::as_bool)
            .ok_or_else(|| missing("settled"))?;
        let decided = EscrowDecision {
            outcome: field("outcome")?.to_owned(),
            settled,
        };
        let purchase = field("purchase")?.to_owned();
        if decisions.insert(purchase.clone(), decided).is_some() {
            return Err(RunError::Broken(format!(
                "the escrow lists two decisions for purchase {purchase}"
            )));
        }
    }
    Ok(decisions)
}

/// The status that a wallet must give a purchase now called `status`, after the escrow `decided`. A purchase that is
/// recovered ended without the escrow, which may have aborted it since.
pub fn expected_status<'d>(status: &'d str, decided: Option<&'d EscrowDecision>) -> &'d str {
    let outcome = decided.map_or("undecided", |decided| decided.outcome.as_str());
    match (status, outcome) {
        ("recovered", "undecided" | "aborted") => status,
        _ => outcome,
    }
}

/// Calls `look` until it returns true.
///
/// # Errors
/// [`RunError::Broken`] if that takes longer than [`SETTLE_TIMEOUT`], and the errors of `look`.
pub async fn until<F>(what: &str, look: impl FnMut() -> F) -> Result<(), RunError>
where
    F: Future<Output = Result<bool, RunError>>,
{
    let seen = seen_within(SETTLE_TIMEOUT, look).await?;
    must(seen, || {
        format!(
            "after {} s it is still not so that {what}",
            SETTLE_TIMEOUT.as_secs()
        )
    })
}

/// Calls `look` until it returns true, for at most `patience`. Returns whether it did.
///
/// # Errors
/// The errors of `look`.
pub async fn seen_within<F>(patience: Duration, mut look: impl FnMut() -> F) -> Result<bool, RunError>
where
    F: Future<Output = Result<bool, RunError>>,
{
    let give_up = Instant::now() + patience;
    while !look().await? {
        if Instant::now() > give_up {
            return Ok(false);
        }
        sleep(LOOK_PAUSE).await;
    }
    Ok(true)
}

fn missing(what: &str) -> RunError {
    RunError::Answer {
        role: RoleName::Bank,
        what: what.into(),
    }
}

fn list<'v>(value: &'v Value, field: &str) -> Result<&'v [Value], RunError> {
    value
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| missing(field))
}

fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str, RunError> {
    value
        .get(field)
        .and_then(Value::as_str)
        .ok_or_else(|| missing(field))
}

fn amount(value: &Value, field: &str) -> Result<Amount, RunError> {
    text(value, field)?.parse().map_err(|_| missing(field))
}
