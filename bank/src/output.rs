//! How the answers to commands look to people. What they hold is the JSON that programs get.

use farthing_node::table::{Align, table};
use serde_json::Value;

/// A field as text; nothing where it is missing.
fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or_default()
}

fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// An account was opened.
pub(crate) fn account_opened(value: &Value) -> String {
    let key = text(value, "key");
    match flag(value, "new") {
        true => format!("account {key} is open"),
        false => format!("account {key} was open already; nothing was changed"),
    }
}

/// Money was paid in.
pub(crate) fn credited(value: &Value) -> String {
    moved(value, "credited to")
}

/// Money was paid out.
pub(crate) fn paid_out(value: &Value) -> String {
    moved(value, "paid out from")
}

fn moved(value: &Value, done: &str) -> String {
    let before = match flag(value, "new") {
        true => "",
        false => " before, under the same reference; nothing was changed now",
    };
    format!(
        "{} {done} {}{before}; balance {}; reference {}",
        text(value, "amount"),
        text(value, "key"),
        text(value, "balance"),
        text(value, "reference"),
    )
}

/// The accounts.
pub(crate) fn accounts(value: &Value) -> String {
    let row = |account: &Value| ["key", "balance", "name"].map(|field| text(account, field).to_owned());
    let rows: Vec<[String; 3]> = list(value, "accounts").iter().map(row).collect();
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
pub(crate) fn holds(value: &Value) -> String {
    let row = |hold: &Value| {
        let overdue = if flag(hold, "overdue") { "overdue" } else { "" };
        [
            text(hold, "purchase").to_owned(),
            text(hold, "amount").to_owned(),
            text(hold, "escrow").to_owned(),
            overdue.to_owned(),
        ]
    };
    let rows: Vec<[String; 4]> = list(value, "holds").iter().map(row).collect();
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
pub(crate) fn keys(value: &Value) -> String {
    let row = |key: &Value| {
        let issuing = if flag(key, "issuing") { "issuing" } else { "" };
        [
            number(key, "epoch").to_string(),
            text(key, "value").to_owned(),
            text(key, "id").to_owned(),
            issuing.to_owned(),
        ]
    };
    let rows: Vec<[String; 4]> = list(value, "keys").iter().map(row).collect();
    let columns = [
        ("EPOCH", Align::Right),
        ("VALUE", Align::Right),
        ("KEY", Align::Left),
        ("STATUS", Align::Left),
    ];
    format!(
        "currency {}, list of keys {}\n{}",
        text(value, "currency"),
        text(value, "digest"),
        table(columns, &rows)
    )
}

/// The audit.
pub(crate) fn audit(value: &Value) -> String {
    let sums = [
        ("paid in", "paid_in"),
        ("paid out", "paid_out"),
        ("accounts", "accounts"),
        ("coins outstanding", "outstanding"),
    ];
    let sums = sums.map(|(what, field)| [what.to_owned(), text(value, field).to_owned()]);
    let mut lines = vec![table([("SUM", Align::Left), ("AMOUNT", Align::Right)], &sums)];
    let coins = list(value, "coins");
    if !coins.is_empty() {
        lines.push(coins_table(coins));
    }
    let problems = list(value, "problems");
    lines.extend(
        problems
            .iter()
            .filter_map(Value::as_str)
            .map(|problem| format!("problem: {problem}")),
    );
    lines.push(
        match (problems.is_empty(), flag(value, "counted_rows")) {
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
fn coins_table(coins: &[Value]) -> String {
    let row = |line: &Value| {
        let count = |field| number(line, field).to_string();
        [
            text(line, "value").to_owned(),
            count("issued"),
            count("outstanding"),
            count("held"),
            count("spent"),
            count("exchanged"),
        ]
    };
    let rows: Vec<[String; 6]> = coins.iter().map(row).collect();
    let headings = ["COINS OF", "ISSUED", "OUT", "HELD", "SPENT", "EXCHANGED"];
    table(headings.map(|heading| (heading, Align::Right)), &rows)
}
