//! Statements, reports, and the audit of the movements since a date: the ledger as the operator sees it.

use crate::bank::Bank;
use crate::movement::{LedgerEnd, LedgerRow, MovementKind};
use crate::policy::Level;
use crate::policy::ReportRow;
use crate::rows::{ACCOUNTS, Direction, LEDGER, LEDGER_ENDS, MOVEMENTS, REPORTS};
use farthing_coin::PublicKey;
use farthing_protocol::money::{Amount, amount_text};
use farthing_store::{StoreError, View};
use serde::{Deserialize, Serialize};
use std::{ops::Bound, time::Duration};

/// The most rows that one page looks at. A page is far shorter than the longest reply of the operator's socket.
pub const STATEMENT_PAGE_MAX: usize = 2048;

/// The most problems that an audit of the movements lists.
pub const PROBLEMS_MAX: usize = 100;

/// How many times the movements are counted before the audit says that the bank is too busy.
const COUNT_TRIES: u32 = 8;

/// The pause between two counts.
const COUNT_PAUSE: Duration = Duration::from_millis(50);

/// The dates of a statement, and its account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementRequest {
    /// Only this account. All accounts otherwise.
    #[serde(default)]
    pub account: Option<PublicKey>,
    /// Only movements at this time or later (ms since 1970).
    #[serde(default)]
    pub since_ms: Option<u64>,
    /// Only movements before this time (ms since 1970).
    #[serde(default)]
    pub until_ms: Option<u64>,
    /// Where the previous page ended.
    #[serde(default)]
    pub after: Option<MovementPosition>,
}

impl StatementRequest {
    fn has(&self, at_ms: u64) -> bool {
        self.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| at_ms < until_ms)
    }
}

/// The place of a movement in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovementPosition {
    /// The account.
    pub account: PublicKey,
    /// The number of the movement.
    pub number: u64,
}

/// A page of a statement, by account and number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementPage {
    /// The movements.
    pub movements: Vec<MovementLine>,
    /// Where the next page begins, if more rows follow. A page can have no movement and still have a next one.
    pub next: Option<MovementPosition>,
}

/// A movement on a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovementLine {
    /// The account.
    pub account: PublicKey,
    /// Its number among the account's movements.
    pub number: u64,
    /// The time (ms since 1970).
    pub at_ms: u64,
    /// The kind.
    pub kind: MovementKind,
    /// The amount.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The balance after it.
    #[serde(with = "amount_text")]
    pub balance: Amount,
    /// The operator's name for a movement of the cash desk.
    pub reference: Option<String>,
}

/// The dates of a list of reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportsRequest {
    /// Only reports of this time or later (ms since 1970).
    #[serde(default)]
    pub since_ms: Option<u64>,
    /// Only reports before this time (ms since 1970).
    #[serde(default)]
    pub until_ms: Option<u64>,
    /// The last report of the previous page.
    #[serde(default)]
    pub after: Option<ReportPosition>,
}

/// The place of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportPosition {
    /// The time of its movement (ms since 1970).
    pub at_ms: u64,
    /// The movement.
    #[serde(flatten)]
    pub movement: MovementPosition,
}

/// A page of the reports, by time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportsPage {
    /// The reports.
    pub reports: Vec<ReportLine>,
    /// Whether more follow.
    pub more: bool,
}

/// A report that the policy asks for: of one movement at an account's edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLine {
    /// Its place.
    #[serde(flatten)]
    pub position: ReportPosition,
    /// The account's name.
    pub name: Option<String>,
    /// Whether it is to be reported, or only kept.
    pub level: Level,
    /// The kind of the movement.
    pub kind: MovementKind,
    /// Its amount.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The sum of the account's movements of this kind in the period, this one included.
    #[serde(with = "amount_text")]
    pub sum: Amount,
    /// The limit that the sum exceeds.
    #[serde(with = "amount_text")]
    pub limit: Amount,
}

/// The audit of the movements since a date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesReport {
    /// The date (ms since 1970).
    pub since_ms: u64,
    /// The number of movements since then.
    pub movements: u64,
    /// The number of accounts with movements since then.
    pub moved_accounts: u64,
    /// The cash that was paid in since then.
    #[serde(with = "amount_text")]
    pub cash_in: Amount,
    /// The cash that was paid out.
    #[serde(with = "amount_text")]
    pub cash_out: Amount,
    /// The worth of the coins that were withdrawn.
    #[serde(with = "amount_text")]
    pub withdrawn: Amount,
    /// What sales have brought to accounts.
    #[serde(with = "amount_text")]
    pub deposited: Amount,
    /// The coins and reserves that were paid to accounts.
    #[serde(with = "amount_text")]
    pub coins: Amount,
    /// What was refunded of sales.
    #[serde(with = "amount_text")]
    pub refunded: Amount,
    /// How many accounts may have moved since then without a row: they are older than the ledger.
    pub unknown_accounts: u64,
    /// Whether the bank was quiet during the count. Otherwise a problem may come from a movement at that moment.
    pub was_quiet: bool,
    /// Each difference. At most [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
}

impl Bank {
    /// A page of a statement.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn statement(&self, request: &StatementRequest) -> Result<StatementPage, String> {
        let after = request.after.map(|at| (at.account, at.number));
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let view = self.store.view();
        let rows = match &request.account {
            Some(account) => LEDGER.scan_under(&view, account, from, STATEMENT_PAGE_MAX),
            None => LEDGER.scan(&view, from, STATEMENT_PAGE_MAX),
        };
        let rows = rows.map_err(|e| e.to_string())?;
        let last = rows.last().map(|((account, number), _)| MovementPosition {
            account: *account,
            number: *number,
        });
        let next = last.filter(|_| rows.len() == STATEMENT_PAGE_MAX);
        let movements = rows.into_iter().filter(|(_, row)| request.has(row.at_ms));
        let line = |((account, number), row): ((PublicKey, u64), LedgerRow)| MovementLine {
            account,
            number,
            at_ms: row.at_ms,
            kind: row.kind,
            amount: row.amount,
            balance: row.balance,
            reference: row.reference,
        };
        Ok(StatementPage {
            movements: movements.map(line).collect(),
            next,
        })
    }

    /// A page of the reports.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn reports(&self, request: &ReportsRequest) -> Result<ReportsPage, String> {
        let view = self.store.view();
        let first = (request.since_ms.unwrap_or_default(), PublicKey([0; 32]), 0);
        let after = request
            .after
            .map(|at| (at.at_ms, at.movement.account, at.movement.number));
        let from = after.as_ref().map_or(Bound::Included(&first), Bound::Excluded);
        let rows = REPORTS
            .scan(&view, from, STATEMENT_PAGE_MAX)
            .map_err(|e| e.to_string())?;
        let is_full = rows.len() == STATEMENT_PAGE_MAX;
        let is_wanted = |at_ms: u64| request.until_ms.is_none_or(|until_ms| at_ms < until_ms);
        let more = is_full && rows.last().is_some_and(|((at_ms, ..), _)| is_wanted(*at_ms));
        let mut reports = Vec::new();
        for ((at_ms, account, number), row) in rows.into_iter().filter(|((at_ms, ..), _)| is_wanted(*at_ms)) {
            let ReportRow {
                level,
                kind,
                amount,
                sum,
                limit,
            } = row;
            let owner = ACCOUNTS.peek(&view, &account).map_err(|e| e.to_string())?;
            let movement = MovementPosition { account, number };
            reports.push(ReportLine {
                position: ReportPosition { at_ms, movement },
                name: owner.and_then(|owner| owner.name),
                level,
                kind,
                amount,
                sum,
                limit,
            });
        }
        Ok(ReportsPage { reports, more })
    }

    /// Audits the movements since a date: each balance follows from the one before, and the last one is the account's.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn changes(&self, since_ms: u64) -> Result<ChangesReport, StoreError> {
        let mut tries = 0u32;
        loop {
            let (before, view) = (self.store.head(), self.store.view());
            // Counting all rows takes long. It must not block requests.
            let counting = tokio::task::spawn_blocking(move || count(&view, since_ms));
            let counted = counting.await;
            let report = counted.map_err(|error| StoreError::Panicked(error.to_string()))??;
            tries = tries.saturating_add(1);
            let was_quiet = self.store.head() == before;
            if was_quiet || tries == COUNT_TRIES {
                return Ok(ChangesReport { was_quiet, ..report });
            }
            tokio::time::sleep(COUNT_PAUSE).await;
        }
    }
}

fn count(view: &View, since_ms: u64) -> Result<ChangesReport, StoreError> {
    let mut report = ChangesReport {
        since_ms,
        ..ChangesReport::default()
    };
    let mut after: Option<PublicKey> = None;
    loop {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let accounts = ACCOUNTS.scan(view, from, STATEMENT_PAGE_MAX)?;
        let Some((last, _)) = accounts.last() else {
            break;
        };
        after = Some(*last);
        for (key, account) in &accounts {
            count_account(view, key, account.balance, &mut report)?;
        }
    }
    // The cash desk has rows of its own, with dates. They were written before there was a ledger, too.
    if report.unknown_accounts == 0 {
        let (cash_in, cash_out) = desk(view, since_ms)?;
        if (cash_in, cash_out) != (report.cash_in, report.cash_out) {
            report.add_problem(format!(
                "the cash desk has {cash_in} paid in and {cash_out} paid out, the ledger {} and {}",
                report.cash_in, report.cash_out
            ));
        }
    }
    Ok(report)
}

/// Follows the balances of one account, from its first row to its last.
fn count_account(
    view: &View,
    account: &PublicKey,
    balance: Amount,
    report: &mut ChangesReport,
) -> Result<(), StoreError> {
    let Some(end) = LEDGER_ENDS.peek(view, account)? else {
        report.unknown_accounts = report.unknown_accounts.saturating_add(1);
        return Ok(());
    };
    let (mut known, mut next, mut moved) = (Amount(0), 0u64, false);
    let mut after: Option<(PublicKey, u64)> = None;
    loop {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = LEDGER.scan_under(view, account, from, STATEMENT_PAGE_MAX)?;
        let Some((last, _)) = rows.last() else {
            break;
        };
        after = Some(*last);
        for ((_, number), row) in &rows {
            if *number != next {
                report.add_problem(format!("account {account}: movement {next} is missing"));
            }
            next = number.saturating_add(1);
            if row.kind == MovementKind::Before {
                known = row.balance;
                // What the account did before the row is not in the ledger.
                if row.at_ms >= report.since_ms {
                    report.unknown_accounts = report.unknown_accounts.saturating_add(1);
                }
            }
            if row.kind.balance_after(known, row.amount) != Some(row.balance) {
                report.add_problem(format!(
                    "account {account}: movement {number} ({} of {}) leads from {known} to {}",
                    row.kind.as_str(),
                    row.amount,
                    row.balance
                ));
            }
            known = row.balance;
            moved |= report.add(row);
        }
    }
    if moved {
        report.moved_accounts = report.moved_accounts.saturating_add(1);
    }
    let LedgerEnd {
        next: noted,
        balance: ended,
    } = end;
    if (noted, ended) != (next, known) || ended != balance {
        report.add_problem(format!(
            "account {account} has {balance}, and its {next} movements lead to {known}"
        ));
    }
    Ok(())
}

/// The sums of the cash desk's own rows since a date.
fn desk(view: &View, since_ms: u64) -> Result<(Amount, Amount), StoreError> {
    let (mut cash_in, mut cash_out) = (Amount(0), Amount(0));
    let mut after: Option<String> = None;
    loop {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = MOVEMENTS.scan(view, from, STATEMENT_PAGE_MAX)?;
        let Some((last, _)) = rows.last() else {
            return Ok((cash_in, cash_out));
        };
        after = Some(last.clone());
        for (_, row) in rows.iter().filter(|(_, row)| row.at_ms >= since_ms) {
            let sum = match row.direction {
                Direction::In => &mut cash_in,
                Direction::Out => &mut cash_out,
            };
            *sum = Amount(sum.0.saturating_add(row.amount.0));
        }
    }
}

impl ChangesReport {
    /// Adds a movement, if it is not before the date. Returns whether it did.
    fn add(&mut self, row: &LedgerRow) -> bool {
        let sum = match row.kind {
            MovementKind::Before => return false,
            _ if row.at_ms < self.since_ms => return false,
            MovementKind::CashIn => &mut self.cash_in,
            MovementKind::CashOut => &mut self.cash_out,
            MovementKind::Withdrawal => &mut self.withdrawn,
            MovementKind::Deposit => &mut self.deposited,
            MovementKind::Coins => &mut self.coins,
            MovementKind::Refund => &mut self.refunded,
        };
        *sum = Amount(sum.0.saturating_add(row.amount.0));
        self.movements = self.movements.saturating_add(1);
        true
    }

    fn add_problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// The accounts whose ledger ends with another balance than the account has.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn wrong_ends(view: &View) -> Result<Vec<String>, StoreError> {
    let mut wrong = Vec::new();
    let mut after: Option<PublicKey> = None;
    loop {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let ends = LEDGER_ENDS.scan(view, from, STATEMENT_PAGE_MAX)?;
        let Some((last, _)) = ends.last() else {
            return Ok(wrong);
        };
        after = Some(*last);
        for (key, end) in &ends {
            let balance = ACCOUNTS.peek(view, key)?.map(|account| account.balance);
            if balance != Some(end.balance) && wrong.len() < PROBLEMS_MAX {
                let has = balance.unwrap_or_default();
                wrong.push(format!(
                    "account {key} has {has}, and the ledger of its movements ends with {}",
                    end.balance
                ));
            }
        }
    }
}
