//! How the answers to commands look to people. What they hold is the JSON that programs get.

use farthing_node::terminal::Shown;
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
    let lines: Vec<String> = list(value, "accounts")
        .iter()
        .map(|account| {
            format!(
                "{}  {:>14}  {}",
                text(account, "key"),
                text(account, "balance"),
                Shown(text(account, "name"))
            )
            .trim_end()
            .to_owned()
        })
        .collect();
    match lines.is_empty() {
        true => "there are no accounts; open one with `farthing-bank account open`".to_owned(),
        false => lines.join("\n"),
    }
}

/// The list of keys.
pub(crate) fn keys(value: &Value) -> String {
    let mut lines = vec![format!(
        "currency {}, list of keys {}",
        text(value, "currency"),
        text(value, "digest")
    )];
    lines.extend(list(value, "keys").iter().map(|key| {
        format!(
            "epoch {:>6}  {:>14}  {}  {}",
            number(key, "epoch"),
            text(key, "value"),
            text(key, "id"),
            match flag(key, "issuing") {
                true => "issuing",
                false => "",
            }
        )
        .trim_end()
        .to_owned()
    }));
    lines.join("\n")
}

/// The audit.
pub(crate) fn audit(value: &Value) -> String {
    let mut lines = vec![
        format!("paid in           {:>14}", text(value, "paid_in")),
        format!("paid out          {:>14}", text(value, "paid_out")),
        format!("accounts          {:>14}", text(value, "accounts")),
        format!("coins outstanding {:>14}", text(value, "outstanding")),
    ];
    let coins = list(value, "coins");
    if !coins.is_empty() {
        lines.push(format!(
            "{:>14}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}",
            "coins of", "issued", "out", "held", "spent", "exchanged"
        ));
    }
    lines.extend(coins.iter().map(|line| {
        format!(
            "{:>14}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}",
            text(line, "value"),
            number(line, "issued"),
            number(line, "outstanding"),
            number(line, "held"),
            number(line, "spent"),
            number(line, "exchanged")
        )
    }));
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
