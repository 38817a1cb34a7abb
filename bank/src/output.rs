//! The text form of the replies to commands.

use crate::audit::{AuditReport, ValueLine};
use crate::movement::MovementKind;
use crate::policy::Level;
use crate::replies::{AccountLine, AccountOpened, HoldLine, IssuingState, KeyLine, KeyLines, Moved};
use crate::statement::{ChangesReport, MovementLine, ReportLine};
use anyhow::{Context, Result};
use farthing_node::date;
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

/// Whether the bank issues coins.
pub(crate) fn issuing(state: &IssuingState) -> String {
    match state.stopped_ms {
        Some(stopped_ms) => format!(
            "nobody withdraws coins since {}; customers put theirs into their accounts with `farthing redeem`, and \
             `audit` shows what is outstanding",
            date::text(stopped_ms)
        ),
        None => "the bank issues coins".to_owned(),
    }
}

/// The audit.
pub(crate) fn audit(report: &AuditReport) -> String {
    let sums = [
        ("paid in", report.paid_in.to_string()),
        ("paid out", report.paid_out.to_string()),
        ("accounts", report.accounts.to_string()),
        ("reserves", report.reserves.to_string()),
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

/// A statement.
pub(crate) fn statement(movements: &[MovementLine]) -> String {
    let row = |line: &MovementLine| {
        [
            date::text(line.at_ms),
            line.account.to_string(),
            line.kind.as_str().to_owned(),
            line.amount.to_string(),
            line.balance.to_string(),
            line.reference.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<[String; 6]> = movements.iter().map(row).collect();
    if rows.is_empty() {
        return "no movement is on record for these dates; accounts that are older than the ledger have no earlier ones"
            .to_owned();
    }
    let columns = [
        ("DATE", Align::Left),
        ("ACCOUNT", Align::Left),
        ("KIND", Align::Left),
        ("AMOUNT", Align::Right),
        ("BALANCE", Align::Right),
        ("REFERENCE", Align::Left),
    ];
    let before = movements.iter().any(|line| line.kind == MovementKind::Before);
    let note = match before {
        true => {
            "\n`before` is the balance when the ledger began; the account's earlier movements are not on record"
        }
        false => "",
    };
    format!("{}{note}", table(columns, &rows))
}

/// A statement as comma-separated values (RFC 4180), under a line of headings.
pub(crate) fn statement_csv(movements: &[MovementLine]) -> Result<String> {
    let rows = movements.iter().map(|line| {
        [
            date::text(line.at_ms),
            line.account.to_string(),
            line.number.to_string(),
            line.kind.as_str().to_owned(),
            line.amount.to_string(),
            line.balance.to_string(),
            cell(line.reference.as_deref()),
        ]
    });
    let headings = [
        "date",
        "account",
        "number",
        "kind",
        "amount",
        "balance",
        "reference",
    ];
    comma_separated(headings, rows)
}

/// The reports.
pub(crate) fn reports(reports: &[ReportLine]) -> String {
    let row = |line: &ReportLine| {
        [
            date::text(line.position.at_ms),
            level(line.level).to_owned(),
            line.position.movement.account.to_string(),
            line.name.clone().unwrap_or_default(),
            line.kind.as_str().to_owned(),
            line.amount.to_string(),
            line.sum.to_string(),
            line.limit.to_string(),
        ]
    };
    let rows: Vec<[String; 8]> = reports.iter().map(row).collect();
    if rows.is_empty() {
        return "there are no reports for these dates".to_owned();
    }
    let columns = [
        ("DATE", Align::Left),
        ("LEVEL", Align::Left),
        ("ACCOUNT", Align::Left),
        ("NAME", Align::Left),
        ("KIND", Align::Left),
        ("AMOUNT", Align::Right),
        ("IN THE PERIOD", Align::Right),
        ("LIMIT", Align::Right),
    ];
    table(columns, &rows)
}

/// The reports as comma-separated values.
pub(crate) fn reports_csv(reports: &[ReportLine]) -> Result<String> {
    let rows = reports.iter().map(|line| {
        [
            date::text(line.position.at_ms),
            level(line.level).to_owned(),
            line.position.movement.account.to_string(),
            line.position.movement.number.to_string(),
            cell(line.name.as_deref()),
            line.kind.as_str().to_owned(),
            line.amount.to_string(),
            line.sum.to_string(),
            line.limit.to_string(),
        ]
    });
    let headings = [
        "date",
        "level",
        "account",
        "number",
        "name",
        "kind",
        "amount",
        "in_the_period",
        "limit",
    ];
    comma_separated(headings, rows)
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Report => "report",
        Level::Keep => "keep",
    }
}

/// An operator's text as a cell. An apostrophe goes before a formula, so that no spreadsheet computes it.
fn cell(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    match text.starts_with(['=', '+', '-', '@', '\t']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn comma_separated<const N: usize>(
    headings: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(headings)?;
    for row in rows {
        writer.write_record(row)?;
    }
    let text = String::from_utf8(writer.into_inner()?).context("a name is not UTF-8")?;
    // Printing adds the last end of line again.
    Ok(text.trim_end_matches('\n').to_owned())
}

/// The audit of the movements since a date.
pub(crate) fn changes(report: &ChangesReport) -> String {
    let sums = [
        ("cash in", report.cash_in),
        ("cash out", report.cash_out),
        ("withdrawn", report.withdrawn),
        ("deposited by sales", report.deposited),
        ("paid to accounts in coins", report.coins),
        ("refunded", report.refunded),
    ];
    let sums = sums.map(|(what, amount)| [what.to_owned(), amount.to_string()]);
    let mut lines = vec![
        format!(
            "{} movements on {} accounts since {}",
            report.movements,
            report.moved_accounts,
            date::text(report.since_ms)
        ),
        table([("SUM", Align::Left), ("AMOUNT", Align::Right)], &sums),
    ];
    if report.unknown_accounts > 0 {
        lines.push(format!(
            "{} accounts are older than the ledger: what they did before their first row in it is not counted",
            report.unknown_accounts
        ));
    }
    lines.extend(
        report
            .problems
            .iter()
            .map(|problem| format!("problem: {problem}")),
    );
    lines.push(
        match (report.problems.is_empty(), report.was_quiet) {
            (true, _) => {
                "the movements lead to the balances. This says nothing about coins, which have no dates: `audit` without \
                 --since compares accounts and coins"
            }
            (false, false) => "the bank was busy, so a movement may have come between: repeat this in a quiet moment",
            (false, true) => "THE MOVEMENTS DO NOT LEAD TO THE BALANCES: run `audit`, and find out why",
        }
        .to_owned(),
    );
    lines.join("\n")
}
