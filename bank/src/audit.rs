//! The audit counts the books twice: from the stored sums, and from every row. Both counts must balance.
//!
//! ```text
//! accounts + reserves + coins issued and neither spent nor exchanged = paid in - paid out
//! ```
//!
//! Held and released coins are outstanding. The worth of a spent coin is in an account, and the worth of an exchanged
//! coin is in new coins.

use crate::bank::Bank;
use crate::keys::Keys;
use crate::rows::{
    ACCOUNTS, COINS, Direction, EXCHANGED, FORGOTTEN, KEY_TOTALS, KeyTotals, MOVEMENTS, RECOVERY_RECORDS,
    RESERVE_CREDITS, RESERVE_DEBITS, RESERVES_TOTAL, TOTALS, Totals, WITHDRAWN,
};
use crate::statement::wrong_ends;
use farthing_coin::KeyId;
use farthing_node::books::each_row;
use farthing_protocol::{
    documents::Issued,
    money::{Amount, amount_text},
};
use farthing_store::{Reads, StoreError, Transaction, View, limits::SCAN_MAX_ROWS};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How many times all rows are counted before the audit reports that the bank is too busy.
const COUNT_TRIES: u32 = 8;

/// The pause between two counts.
const COUNT_PAUSE: Duration = Duration::from_millis(50);

/// The books at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// The sums over all rows.
    pub totals: Totals,
    /// The sum of the balances of all reserves.
    pub reserves: Amount,
    /// The sums by denomination key.
    pub keys: BTreeMap<KeyId, KeyTotals>,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// The money that was paid in.
    #[serde(with = "amount_text")]
    pub paid_in: Amount,
    /// The money that was paid out.
    #[serde(with = "amount_text")]
    pub paid_out: Amount,
    /// The sum of all balances.
    #[serde(with = "amount_text")]
    pub accounts: Amount,
    /// The sum of the balances of all reserves.
    #[serde(with = "amount_text")]
    pub reserves: Amount,
    /// The worth of the outstanding coins. A text, as a wrong sum can be negative.
    pub outstanding: String,
    /// The coins, by value.
    pub coins: Vec<ValueLine>,
    /// Whether every row was counted. False if the bank was too busy.
    pub counted_rows: bool,
    /// Each difference. Empty if the books balance.
    pub problems: Vec<String>,
}

/// The coins of one value, over all epochs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueLine {
    /// The value.
    #[serde(with = "amount_text")]
    pub value: Amount,
    /// How many were issued.
    pub issued: u64,
    /// How many are outstanding: neither spent nor exchanged.
    pub outstanding: u64,
    /// How many outstanding coins are held for a purchase.
    pub held: u64,
    /// How many were spent, in purchases and deposits.
    pub spent: u64,
    /// How many were exchanged.
    pub exchanged: u64,
}

impl Bank {
    /// Counts the books twice and compares. Changes nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit(&self) -> Result<AuditReport, StoreError> {
        let keys = self.keys();
        for _ in 0..COUNT_TRIES {
            let before = self.store.head();
            let kept = self.kept_books(&keys).await?;
            let view = self.store.view();
            // Counting all rows takes long. It must not block requests.
            let counting = tokio::task::spawn_blocking(move || Ok((count_rows(&view)?, wrong_ends(&view)?)));
            let counted: Result<_, StoreError> = counting
                .await
                .map_err(|error| StoreError::Panicked(error.to_string()))?;
            let (counted, wrong) = counted?;
            if self.store.head() == before {
                let mut report = report(&keys, &kept, Some(&counted));
                report.problems.extend(wrong);
                return Ok(report);
            }
            tokio::time::sleep(COUNT_PAUSE).await;
        }
        Ok(report(&keys, &self.kept_books(&keys).await?, None))
    }

    /// The stored sums, all read in one transaction.
    pub(crate) async fn kept_books(&self, keys: &Keys) -> Result<Books, StoreError> {
        let ids: Vec<KeyId> = keys.book().denominations().map(|(id, _)| *id).collect();
        let reads = Reads::from([TOTALS.key(&()), RESERVES_TOTAL.key(&())])
            .and(ids.iter().map(|id| KEY_TOTALS.key(id)));
        self.store.transact(reads, move |tx| kept(tx, &ids)).await
    }
}

fn kept(tx: &mut Transaction<'_>, ids: &[KeyId]) -> Result<Books, StoreError> {
    let mut books = Books {
        totals: TOTALS.get(tx, &())?.unwrap_or_default(),
        reserves: RESERVES_TOTAL.get(tx, &())?.unwrap_or_default(),
        keys: BTreeMap::new(),
    };
    for id in ids {
        if let Some(totals) = KEY_TOTALS.get(tx, id)? {
            books.keys.insert(*id, totals);
        }
    }
    Ok(books)
}

/// Counts the books from every row, without the stored sums. Rows that were forgotten have been counted.
fn count_rows(view: &View) -> Result<Books, StoreError> {
    let mut books = Books::default();
    let totals = &mut books.totals;
    let add = |sum: &mut Amount, more: Amount| *sum = Amount(sum.0.saturating_add(more.0));
    each_row(&ACCOUNTS, view, SCAN_MAX_ROWS, |_, account| {
        add(&mut totals.accounts, account.balance)
    })?;
    each_row(&MOVEMENTS, view, SCAN_MAX_ROWS, |_, movement| {
        match movement.direction {
            Direction::In => add(&mut totals.paid_in, movement.amount),
            Direction::Out => add(&mut totals.paid_out, movement.amount),
        }
    })?;
    each_row(&RECOVERY_RECORDS, view, SCAN_MAX_ROWS, |_, _| {
        totals.recovery_records = totals.recovery_records.saturating_add(1)
    })?;
    let (mut credited, mut debited) = (Amount(0), Amount(0));
    each_row(&RESERVE_CREDITS, view, SCAN_MAX_ROWS, |_, amount| {
        add(&mut credited, amount)
    })?;
    each_row(&RESERVE_DEBITS, view, SCAN_MAX_ROWS, |_, debit| {
        add(&mut debited, debit.amount)
    })?;
    books.reserves = Amount(credited.0.saturating_sub(debited.0));
    let keys = &mut books.keys;
    each_row(&FORGOTTEN, view, SCAN_MAX_ROWS, |id, sums| {
        keys.insert(id, sums);
    })?;
    let mut issue = |issued: &Issued| {
        for id in &issued.outputs {
            let key = keys.entry(*id).or_default();
            key.issued = key.issued.saturating_add(1);
        }
    };
    each_row(&WITHDRAWN, view, SCAN_MAX_ROWS, |_, issued| issue(&issued))?;
    each_row(&EXCHANGED, view, SCAN_MAX_ROWS, |_, issued| {
        totals.exchanges = totals.exchanges.saturating_add(1);
        issue(&issued);
    })?;
    each_row(&COINS, view, SCAN_MAX_ROWS, |(id, _), state| {
        if let Some(count) = keys.entry(id).or_default().in_state(&state) {
            *count = count.saturating_add(1);
        }
    })?;
    Ok(books)
}

/// Compares the books. Sums are 128 bits wide, so wrong sums cannot overflow.
fn report(keys: &Keys, kept: &Books, counted: Option<&Books>) -> AuditReport {
    let mut problems = Vec::new();
    let mut outstanding = 0i128;
    let mut by_value: BTreeMap<u64, KeyTotals> = BTreeMap::new();
    for (id, totals) in &kept.keys {
        let Some(value) = keys.book().get(id).map(|denomination| denomination.value) else {
            continue;
        };
        match totals.outstanding() {
            Some(out) => outstanding = outstanding.saturating_add(i128::from(value) * i128::from(out)),
            None => problems.push(format!(
                "of the coins of {} under key {id}, {} were issued, but {} were spent and {} exchanged",
                Amount(value),
                totals.issued,
                totals.spent,
                totals.exchanged
            )),
        }
        let sum = by_value.entry(value).or_default();
        sum.issued = sum.issued.saturating_add(totals.issued);
        sum.held = sum.held.saturating_add(totals.held);
        sum.spent = sum.spent.saturating_add(totals.spent);
        sum.exchanged = sum.exchanged.saturating_add(totals.exchanged);
    }
    let Totals {
        paid_in,
        paid_out,
        accounts,
        ..
    } = kept.totals;
    let reserves = kept.reserves;
    let there = (i128::from(accounts.0) + i128::from(reserves.0)).saturating_add(outstanding);
    let expected = i128::from(paid_in.0) - i128::from(paid_out.0);
    if there != expected {
        problems.push(format!(
            "accounts, reserves and coins are worth {}, paid in less paid out is {}",
            wide(there),
            wide(expected)
        ));
    }
    if let Some(counted) = counted {
        compare(kept, counted, &mut problems);
    }
    AuditReport {
        paid_in,
        paid_out,
        accounts,
        reserves,
        outstanding: wide(outstanding),
        coins: by_value
            .into_iter()
            .map(|(value, sum)| line(value, &sum))
            .collect(),
        counted_rows: counted.is_some(),
        problems,
    }
}

fn line(value: u64, sum: &KeyTotals) -> ValueLine {
    ValueLine {
        value: Amount(value),
        issued: sum.issued,
        outstanding: sum.outstanding().unwrap_or_default(),
        held: sum.held,
        spent: sum.spent,
        exchanged: sum.exchanged,
    }
}

fn compare(kept: &Books, counted: &Books, problems: &mut Vec<String>) {
    if kept.totals != counted.totals {
        problems.push(format!(
            "the sums that are kept differ from the rows: kept {:?}, counted {:?}",
            kept.totals, counted.totals
        ));
    }
    if kept.reserves != counted.reserves {
        problems.push(format!(
            "the sum of the reserves that is kept is {}, their credits less their debits are {}",
            kept.reserves, counted.reserves
        ));
    }
    let ids: std::collections::BTreeSet<_> = kept.keys.keys().chain(counted.keys.keys()).collect();
    for id in ids {
        let (kept, counted) = (kept.keys.get(id), counted.keys.get(id));
        if kept.copied().unwrap_or_default() != counted.copied().unwrap_or_default() {
            problems.push(format!(
                "the sums that are kept for key {id} differ from the rows: kept {kept:?}, counted {counted:?}"
            ));
        }
    }
}

fn wide(units: i128) -> String {
    match u64::try_from(units) {
        Ok(units) => Amount(units).to_string(),
        Err(_) => format!("{units} smallest units"),
    }
}
