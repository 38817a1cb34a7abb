//! The text form of the replies to commands.

use crate::audit::{AuditReport, ValueLine};
use crate::replies::{AccountLine, AccountOpened, HoldLine, KeyLine, KeyLines, Moved};
use farthing_node::table::{Align, table};

/// An account was opened.
pub(crate) fn account_opened(opened: &AccountOpened) -> String {
    let key = opened.key;
    match opened.new {
        true => format!("account {key} is open"),
        false => format!("account {key} was open already; nothing was changed"),
    }
}

/// Money was paid in.
pub(crate) fn credited(moved: &Moved) -> String {
    movement(moved, "credited to")
}

/// Money was paid out.
pub(crate) fn paid_out(moved: &Moved) -> String {
    movement(moved, "paid out from")
}

fn movement(moved: &Moved, done: &str) -> String {
    let before = match moved.new {
        true => "",
        false => " before, under the same reference; nothing was changed now",
    };
    let Moved {
        key,
        amount,
        balance,
        reference,
        ..
    } = moved;
    format!("{amount} {done} {key}{before}; balance {balance}; reference {reference}")
}

/// The accounts.
pub(crate) fn accounts(accounts: &[AccountLine]) -> String {
    let row = |account: &AccountLine| {
        [
            account.key.to_string(),
            account.balance.to_string(),
            account.name.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<[String; 3]> = accounts.iter().map(row).collect();
    if rows.is_empty() {
        return "there are no accounts; open one with `farthing-bank account open`".to_owned();
    }
    let columns = [
        ("KEY", Align::Left),
        ("BALANCE", Align::Right),
        ("NAME", Align::Left),
    ];
    table(columns, &rows)
}

/// The open holds.
pub(crate) fn holds(holds: &[HoldLine]) -> String {
    let row = |hold: &HoldLine| {
        let overdue = if hold.overdue { "overdue" } else { "" };
        [
            hold.purchase.to_string(),
            hold.amount.to_string(),
            hold.escrow.to_string(),
            overdue.to_owned(),
        ]
    };
    let rows: Vec<[String; 4]> = holds.iter().map(row).collect();
    if rows.is_empty() {
        return "no coins are held".to_owned();
    }
    let columns = [
        ("PURCHASE", Align::Left),
        ("AMOUNT", Align::Right),
        ("ESCROW", Align::Left),
        ("STATUS", Align::Left),
    ];
    table(columns, &rows)
}

/// The list of keys.
pub(crate) fn keys(list: &KeyLines) -> String {
    let row = |key: &KeyLine| {
        let issuing = if key.issuing { "issuing" } else { "" };
        [
            key.epoch.to_string(),
            key.value.text.to_string(),
            key.id.to_string(),
            issuing.to_owned(),
        ]
    };
    let rows: Vec<[String; 4]> = list.keys.iter().map(row).collect();
    let columns = [
        ("EPOCH", Align::Right),
        ("VALUE", Align::Right),
        ("KEY", Align::Left),
        ("STATUS", Align::Left),
    ];
    format!(
        "currency {}, list of keys {}\n{}",
        list.currency,
        list.digest,
        table(columns, &rows)
    )
}

/// The audit.
pub(crate) fn audit(report: &AuditReport) -> String {
    let sums = [
        ("paid in", report.paid_in.to_string()),
        ("paid out", report.paid_out.to_string()),
        ("accounts", report.accounts.to_string()),
        ("coins outstanding", report.outstanding.clone()),
    ];
    let sums = sums.map(|(what, amount)| [what.to_owned(), amount]);
    let mut lines = vec![table([("SUM", Align::Left), ("AMOUNT", Align::Right)], &sums)];
    if !report.coins.is_empty() {
        lines.push(coins_table(&report.coins));
    }
    lines.extend(
        report
            .problems
            .iter()
            .map(|problem| format!("problem: {problem}")),
    );
    lines.push(
        match (report.problems.is_empty(), report.counted_rows) {
            (true, true) => "the books balance, by the sums and by every row",
            (true, false) => {
                "the books balance by the sums; the bank was too busy to count every row, so audit it again in a \
                 quiet moment"
            }
            (false, _) => "THE BOOKS DO NOT BALANCE: stop the bank, keep its directory as it is, and find out why",
        }
        .to_owned(),
    );
    lines.join("\n")
}

/// The audit's counts of coins.
fn coins_table(coins: &[ValueLine]) -> String {
    let row = |line: &ValueLine| {
        [
            line.value.to_string(),
            line.issued.to_string(),
            line.outstanding.to_string(),
            line.held.to_string(),
            line.spent.to_string(),
            line.exchanged.to_string(),
        ]
    };
    let rows: Vec<[String; 6]> = coins.iter().map(row).collect();
    let headings = ["COINS OF", "ISSUED", "OUT", "HELD", "SPENT", "EXCHANGED"];
    table(headings.map(|heading| (heading, Align::Right)), &rows)
}
