//! What must hold after each run, once everything is whole again and everyone has retried.

use super::{
    director::Director,
    errand::{PATIENCE_S, goods_of, unseen, worth},
    stage::{CASH, PRICE, Stage},
};
use farthing_client::cli::Exit;
use farthing_kit::{
    books::{Books, decisions, expected_status, seen_within},
    customer::Customer,
    error::RunError,
};
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

/// How long what is settled in the background may take: servers wait longer each time.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Something that must hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// Which promise it is about.
    pub promise: &'static str,
    /// What was compared.
    pub what: String,
    /// What is.
    pub is: String,
    /// What must be.
    pub must_be: String,
    /// Whether it holds.
    pub holds: bool,
}

fn check(promise: &'static str, what: &str, is: impl ToString, must_be: impl ToString) -> Check {
    let (is, must_be) = (is.to_string(), must_be.to_string());
    Check {
        promise,
        what: what.to_owned(),
        holds: is == must_be,
        is,
        must_be,
    }
}

/// How a purchase ended, for its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// She has the goods.
    Goods,
    /// She has her coins back.
    Coins,
}

/// What the audit found.
#[derive(Debug, Clone)]
pub struct Audit {
    /// How it ended.
    pub end: End,
    /// Every comparison.
    pub checks: Vec<Check>,
}

impl Audit {
    /// Counts everything that one customer and the books have, `before` being the books when she came, and `settled`
    /// whether what is done in the background was done in time.
    ///
    /// # Errors
    /// When a party does not answer its operator or its customer.
    pub async fn take(
        stage: &Stage,
        before: &Books,
        customer: &Customer,
        settled: bool,
    ) -> Result<Audit, RunError> {
        let mut checks = vec![check(
            "progress",
            "everything is settled at the bank",
            settled,
            true,
        )];
        let customer = &unseen(customer);
        let resumed = customer.done(&["--patience", PATIENCE_S, "resume"]).await?;
        let under_way =
            ["ended", "open"].map(|list| resumed.get(list).and_then(Value::as_array).map_or(0, Vec::len));
        checks.push(check(
            "progress",
            "matters that `farthing resume` still finds under way",
            under_way.iter().sum::<usize>(),
            0,
        ));
        let books = stage.books().await?;
        let purchases = customer.purchases().await?;
        let end = goods(stage, customer, &purchases, &mut checks)?;
        outcome(stage, &purchases, &mut checks).await?;
        money(stage, before, &books, customer, end, &mut checks).await?;
        evidence(customer, &purchases, &mut checks).await?;
        Ok(Audit { end, checks })
    }

    /// What does not hold.
    pub fn violated(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.holds)
    }
}

async fn sales(stage: &Stage) -> Result<Vec<Value>, RunError> {
    let answer = stage.merchant.admin(&["sales"], &[]).await?;
    Ok(answer
        .get("sales")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default())
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether everything is settled at the bank, after a while.
///
/// # Errors
/// When a node's answer to its operator is not understood.
pub async fn settles(stage: &Stage, director: &Director) -> Result<bool, RunError> {
    let settled = || async {
        // A command of its operator's would have the directory open that a node which was killed is started in.
        if director.is_mending() {
            return Ok(false);
        }
        match is_settled(stage).await {
            // It was killed just now.
            Err(RunError::Process(_)) => Ok(false),
            other => other,
        }
    };
    seen_within(SETTLE_TIMEOUT, settled).await
}

async fn is_settled(stage: &Stage) -> Result<bool, RunError> {
    let decided = decisions(&stage.escrow).await?;
    let sold = sales(stage).await?;
    let over = |sale: &Value| matches!(text(sale, "state"), "credited" | "ended");
    // What was committed on a sealed offer the merchant learns a little later.
    let known = |id: &str| sold.iter().any(|sale| text(sale, "purchase") == id);
    Ok(decided
        .iter()
        .all(|(id, decision)| decision.settled && (decision.outcome != "committed" || known(id)))
        && sold.iter().all(over)
        && stage.books().await?.held == Amount(0))
}

/// She has the goods of every purchase that was committed, and of no other.
fn goods(
    stage: &Stage,
    customer: &Customer,
    purchases: &[Value],
    checks: &mut Vec<Check>,
) -> Result<End, RunError> {
    let committed = purchases
        .iter()
        .filter(|one| text(one, "status") == "committed")
        .count();
    let output = goods_of(customer);
    let has_goods = output.exists();
    checks.push(check(
        "goods",
        "purchases that her wallet has as paid",
        committed,
        usize::from(has_goods),
    ));
    if has_goods {
        let read = |path: &Path| fs::read(path).map_err(RunError::io(path.display()));
        let same = read(&output)? == read(&stage.goods())?;
        checks.push(check(
            "goods",
            "the goods are what the merchant sold, to the byte",
            same,
            true,
        ));
    }
    Ok(if has_goods { End::Goods } else { End::Coins })
}

/// Escrow, merchant and wallet know one and the same outcome of each purchase.
async fn outcome(stage: &Stage, purchases: &[Value], checks: &mut Vec<Check>) -> Result<(), RunError> {
    let decided = decisions(&stage.escrow).await?;
    let sold = sales(stage).await?;
    for purchase in purchases {
        let (id, status) = (text(purchase, "purchase_id"), text(purchase, "status"));
        if id.is_empty() {
            checks.push(check(
                "finality",
                "a purchase that no coins were put to",
                status,
                "dropped",
            ));
            continue;
        }
        let word = expected_status(status, decided.get(id));
        checks.push(check(
            "finality",
            "the escrow's decision = the wallet's",
            word,
            status,
        ));
        let sale = sold.iter().find(|sale| text(sale, "purchase") == id);
        let credited = sale.is_some_and(|sale| text(sale, "state") == "credited");
        checks.push(check(
            "finality",
            "the merchant has it as paid",
            credited,
            status == "committed",
        ));
    }
    Ok(())
}

/// All money is somewhere, once.
async fn money(
    stage: &Stage,
    before: &Books,
    books: &Books,
    customer: &Customer,
    end: End,
    checks: &mut Vec<Check>,
) -> Result<(), RunError> {
    let less = |a: Amount, b: Amount| Amount(a.0.wrapping_sub(b.0));
    let plus = |a: Amount, b: Amount| Amount(a.0.wrapping_add(b.0));
    let paid = if end == End::Goods { PRICE } else { Amount(0) };
    let worth = worth(customer).await?;
    let account = books.balance(&customer.account);
    let mut add = |what: &str, is: Amount, must_be: Amount| checks.push(check("money", what, is, must_be));
    add(
        "the bank's accounts + coins that are out = paid in less paid out",
        plus(books.accounts, books.outstanding),
        less(books.paid_in, books.paid_out),
    );
    add(
        "her account + her coins + what she paid = what she brought",
        plus(plus(account, worth), paid),
        CASH,
    );
    add(
        "coins that came out, by the bank = coins in her wallet",
        less(books.outstanding, before.outstanding),
        worth,
    );
    let merchant = &stage.merchant_account;
    add(
        "what the merchant was credited",
        less(books.balance(merchant), before.balance(merchant)),
        paid,
    );
    add("coins that are still held", books.held, Amount(0));
    let problems = books.problems.join("; ");
    checks.push(check(
        "money",
        "what the bank's own audit found, rows against sums",
        problems,
        "",
    ));
    Ok(())
}

/// Where she has a receipt, a judge finds from the documents that she was served as described.
async fn evidence(customer: &Customer, purchases: &[Value], checks: &mut Vec<Check>) -> Result<(), RunError> {
    for purchase in purchases {
        let number = purchase.get("number").map(Value::to_string).unwrap_or_default();
        if purchase.get("has_receipt") != Some(&Value::Bool(true)) {
            continue;
        }
        let file = customer.dir().with_extension(format!("receipt-{number}"));
        let file = file.to_string_lossy();
        let shown = customer.done(&["receipt", "show", &number, "-o", &file]).await?;
        let said = customer
            .run(&["receipt", "verify", &file, text(&shown, "goods")])
            .await?;
        checks.push(check(
            "evidence",
            "a judge's verdict on contract, receipt and encrypted goods (exit code)",
            said.code.unwrap_or(-1),
            Exit::Done.code(),
        ));
    }
    Ok(())
}
