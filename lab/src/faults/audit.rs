//! The audit of a run: what must hold after all faults are mended and all parties have retried.

use super::{
    errand::{PATIENCE_S, Payee, goods_of, payments, unseen, worth},
    matrix::Route,
    settling::{sales, text},
    stage::{CASH, REDEEMED, SENT, Stage, bought_on, tick},
};
use farthing_client::cli::Exit;
use farthing_kit::{
    books::{Books, decisions, expected_status},
    customer::Customer,
    error::RunError,
};
use farthing_protocol::money::Amount;
use serde_json::Value;
use std::{fs, path::Path};

/// A comparison that must hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// The promise that it checks.
    pub promise: &'static str,
    /// The compared quantity.
    pub what: String,
    /// The actual value.
    pub is: String,
    /// The expected value.
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

/// The end of a purchase, for its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The customer has the goods.
    Goods,
    /// The customer has the coins back.
    Coins,
    /// The payment or the refund is made.
    Paid,
}

/// The people of a run, and what it was about.
#[derive(Clone, Copy)]
pub struct RunParties<'r> {
    /// The route.
    pub route: Route,
    /// The customer.
    pub customer: &'r Customer,
    /// Whom the customer has paid, on [`Route::Sent`].
    pub payee: Option<&'r Payee>,
}

/// The result of the audit.
#[derive(Debug, Clone)]
pub struct RunAudit {
    /// The end of the purchase.
    pub end: End,
    /// All comparisons.
    pub checks: Vec<Check>,
}

impl RunAudit {
    /// Counts the money of one customer and of the books. `before` are the books before the customer's first command.
    /// `settled` says whether the settlement in the background was done in time.
    ///
    /// # Errors
    /// When a party does not answer its operator or its customer.
    pub async fn take(
        stage: &Stage,
        before: &Books,
        of: RunParties<'_>,
        settled: bool,
    ) -> Result<RunAudit, RunError> {
        let mut checks = vec![check(
            "progress",
            "everything is settled at the bank",
            settled,
            true,
        )];
        let customer = &unseen(of.customer);
        let resumed = customer.done(&["--patience", PATIENCE_S, "resume"]).await?;
        let under_way =
            ["ended", "open"].map(|list| resumed.get(list).and_then(Value::as_array).map_or(0, Vec::len));
        checks.push(check(
            "progress",
            "purchases and requests that `farthing resume` still finds under way",
            under_way.iter().sum::<usize>(),
            0,
        ));
        if let Some(payee) = of.payee {
            payee.customer.done(&["receive", "--into-account"]).await?;
        }
        let books = stage.books().await?;
        let purchases = customer.purchases().await?;
        let end = match of.route {
            Route::Streamed => ticks(stage, customer, &purchases, &mut checks)?,
            _ => goods(stage, customer, &purchases, &mut checks)?,
        };
        outcome(stage, &purchases, &mut checks).await?;
        let moved = match of.route {
            Route::Streamed => Moved::streamed(paid_for(&purchases)),
            _ => Moved::of(of.route, end),
        };
        money(stage, before, &books, customer, moved, &mut checks).await?;
        let end = match of.route {
            Route::Redeemed | Route::Sent => {
                paid(&books, of, &mut checks).await?;
                End::Paid
            }
            Route::Refunded => End::Paid,
            _ => end,
        };
        evidence(customer, &purchases, &mut checks).await?;
        Ok(RunAudit { end, checks })
    }

    /// The comparisons that do not hold.
    pub fn violated(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.holds)
    }
}

/// Checks that the customer has the goods of every committed purchase, and of no other.
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
        "purchases that the wallet has as paid",
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

/// What the wallet has paid for its purchases.
fn paid_for(purchases: &[Value]) -> Amount {
    let paid = purchases
        .iter()
        .filter_map(|one| one.pointer("/paid/units")?.as_u64());
    Amount(paid.sum())
}

/// Checks that the customer has the ticks of the stream that are paid for, or fewer if the wallet was killed, and no others.
fn ticks(
    stage: &Stage,
    customer: &Customer,
    purchases: &[Value],
    checks: &mut Vec<Check>,
) -> Result<End, RunError> {
    let read = |path: &Path| fs::read(path).map_err(RunError::io(path.display()));
    let output = goods_of(customer);
    let seen = if output.exists() {
        read(&output)?
    } else {
        Vec::new()
    };
    checks.push(check(
        "goods",
        "the ticks are what the merchant sold, to the byte",
        read(&stage.goods())?.starts_with(&seen),
        true,
    ));
    let paid = paid_for(purchases);
    let (tick_bytes, tick_price) = tick();
    let paid_bytes = usize::try_from(paid.0 / tick_price.0)
        .unwrap_or(usize::MAX)
        .saturating_mul(tick_bytes);
    checks.push(check(
        "goods",
        "every tick that was seen is paid for",
        seen.len() <= paid_bytes,
        true,
    ));
    Ok(match paid {
        Amount(0) => End::Coins,
        _ => End::Goods,
    })
}

/// Checks that escrow, merchant and wallet have the same outcome of each purchase.
async fn outcome(stage: &Stage, purchases: &[Value], checks: &mut Vec<Check>) -> Result<(), RunError> {
    let decided = decisions(&stage.escrow).await?;
    let sold = sales(stage).await?;
    for purchase in purchases {
        let (id, status) = (text(purchase, "purchase_id"), text(purchase, "status"));
        if id.is_empty() {
            checks.push(check("finality", "a purchase without coins", status, "dropped"));
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

/// What a run must have moved.
struct Moved {
    /// From the customer to a merchant or a payee.
    paid: Amount,
    /// To the merchant, less refunds.
    earned: Amount,
    /// To the reserve of the customer's purchase.
    refunded: Amount,
}

impl Moved {
    /// What a stream has moved.
    fn streamed(paid: Amount) -> Moved {
        Moved {
            paid,
            earned: paid,
            refunded: Amount(0),
        }
    }

    fn of(route: Route, end: End) -> Moved {
        let nothing = Amount(0);
        let price = match end {
            End::Goods => bought_on(route).price,
            End::Coins | End::Paid => nothing,
        };
        let (paid, refunded) = match route {
            Route::Sent => (SENT, nothing),
            Route::Refunded => (price, price),
            _ => (price, nothing),
        };
        let earned = if route == Route::Sent {
            nothing
        } else {
            less(price, refunded)
        };
        Moved {
            paid,
            earned,
            refunded,
        }
    }
}

fn less(a: Amount, b: Amount) -> Amount {
    Amount(a.0.wrapping_sub(b.0))
}

fn plus(a: Amount, b: Amount) -> Amount {
    Amount(a.0.wrapping_add(b.0))
}

/// Checks that a payment was made, and once.
async fn paid(books: &Books, of: RunParties<'_>, checks: &mut Vec<Check>) -> Result<(), RunError> {
    let states = payments(of.customer).await?.join(", ");
    checks.push(check("finality", "the wallet's payments", states, "done"));
    let (to, must_be) = match of.payee {
        Some(payee) => (&payee.customer, plus(CASH, SENT)),
        None => (of.customer, REDEEMED),
    };
    let balance = books.balance(&to.account);
    checks.push(check("money", "the account that was paid", balance, must_be));
    Ok(())
}

/// Checks the sums of all money.
async fn money(
    stage: &Stage,
    before: &Books,
    books: &Books,
    customer: &Customer,
    moved: Moved,
    checks: &mut Vec<Check>,
) -> Result<(), RunError> {
    let worth = worth(customer).await?;
    let account = books.balance(&customer.account);
    let mut add = |what: &str, is: Amount, must_be: Amount| checks.push(check("money", what, is, must_be));
    add(
        "the bank's accounts and reserves + unspent coins = paid in less paid out",
        plus(plus(books.accounts, books.reserves), books.outstanding),
        less(books.paid_in, books.paid_out),
    );
    add(
        "the customer's account + coins + what was paid = cash paid in",
        plus(plus(account, worth), moved.paid),
        CASH,
    );
    add(
        "reserves of this run = what was refunded",
        less(books.reserves, before.reserves),
        moved.refunded,
    );
    add(
        "unspent coins of this run, by the bank = coins in the wallet",
        less(books.outstanding, before.outstanding),
        worth,
    );
    let merchant = &stage.merchant_account;
    add(
        "credited to the merchant",
        less(books.balance(merchant), before.balance(merchant)),
        moved.earned,
    );
    add("coins that are still held", books.held, Amount(0));
    let problems = books.problems.join("; ");
    checks.push(check(
        "money",
        "problems that the bank's own audit found, rows against sums",
        problems,
        "",
    ));
    Ok(())
}

/// Checks each receipt: from the documents, a judge finds that the goods are as described.
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
