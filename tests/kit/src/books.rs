//! What the nodes have on their books, as their operators see it: the demonstration believes no wallet.

use crate::{
    error::{RunError, must},
    nodes::Node,
};
use farthing_node::card::RoleName;
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{collections::BTreeMap, future::Future, time::Duration};
use tokio::time::{Instant, sleep};

/// How long books may take to show what is settled in the background.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause between two looks at the books.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The bank's books at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// What the cash desk took in.
    pub paid_in: Amount,
    /// What it paid out.
    pub paid_out: Amount,
    /// What all accounts hold.
    pub accounts: Amount,
    /// What the coins that are out are worth, held ones among them.
    pub outstanding: Amount,
    /// What the held coins are worth.
    pub held: Amount,
    /// Every account's balance, by its key (hex).
    pub balances: BTreeMap<String, Amount>,
    /// Whether the bank's audit counted every row, and not the sums alone.
    pub counted_rows: bool,
    /// What the bank's own audit found.
    pub problems: Vec<String>,
}

impl Books {
    /// The books of `bank`.
    ///
    /// # Errors
    /// When the bank's command line does not answer as it should.
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

    /// An account's balance; an account that is not there holds nothing.
    pub fn balance(&self, account: &str) -> Amount {
        self.balances.get(account).copied().unwrap_or_default()
    }
}

/// How an escrow has decided a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// `committed` or `aborted`.
    pub outcome: String,
    /// Whether the bank has obeyed.
    pub settled: bool,
}

/// Every decision of `escrow`, by the purchase's id (hex).
///
/// # Errors
/// When the escrow's command line does not answer as it should, or one purchase is there twice.
pub async fn decisions(escrow: &Node) -> Result<BTreeMap<String, Decided>, RunError> {
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
        let decided = Decided {
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

/// What a wallet has to call a purchase that it calls `status`, by what the escrow has `decided`. A purchase that is
/// recovered has ended without the escrow, which may have aborted it since.
pub fn expected_status<'d>(status: &'d str, decided: Option<&'d Decided>) -> &'d str {
    let outcome = decided.map_or("undecided", |decided| decided.outcome.as_str());
    match (status, outcome) {
        ("recovered", "undecided" | "aborted") => status,
        _ => outcome,
    }
}

/// Looks until `look` sees that it is so.
///
/// # Errors
/// [`RunError::Broken`] when it has not within [`SETTLE_TIMEOUT`], and whatever `look` fails with.
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

/// Looks until `look` sees that it is so, for `patience`; says whether it has.
///
/// # Errors
/// Whatever `look` fails with.
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
