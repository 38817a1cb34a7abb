//! The sum of all postage: what was printed and what the meters hold is what was sold, and that is what was deposited. Pure.

use super::{
    rows::{MeterRow, RefillRow},
    rules::printed,
};
use crate::{documents::RefillSource, judge::paid_refill};
use farthing_coin::PublicKey;
use farthing_protocol::money::Amount;
use serde::Serialize;
use std::collections::BTreeMap;

/// The books of an office, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Deposits on the office's account, from the bank's signed statements.
    pub deposited: Amount,
    /// The number of deposits.
    pub deposits: u64,
    /// Rests of settled meters that were reissued.
    pub reissued: Amount,
    /// The sum of all refills.
    pub sold: Amount,
    /// Postage that was printed, as far as the meters have signed it.
    pub printed: Amount,
    /// What the meters hold.
    pub held: Amount,
    /// Refills that no meter has stated yet.
    pub pending: Amount,
    /// The value of all reported letters.
    pub carried: Amount,
    /// The number of reported letters.
    pub letters: u64,
    /// What does not add up.
    pub faults: Vec<String>,
}

/// A sum that may not fit. Then the books have a fault.
fn add(sum: &mut Amount, more: Amount, faults: &mut Vec<String>) {
    match sum.checked_add(more) {
        Some(both) => *sum = both,
        None => faults.push("a sum does not fit in an amount".into()),
    }
}

/// Counts the books. Each signature is verified again.
#[must_use]
pub fn count(meters: &BTreeMap<PublicKey, MeterRow>, refills: &[RefillRow]) -> Books {
    let mut books = Books::default();
    let mut faults = Vec::new();
    let mut given: BTreeMap<PublicKey, Amount> = BTreeMap::new();
    let mut moved: BTreeMap<PublicKey, Amount> = BTreeMap::new();
    for row in refills {
        let refill = &row.refill;
        add(given.entry(refill.meter).or_default(), refill.amount, &mut faults);
        match refill.source {
            RefillSource::Settlement { meter, .. } => {
                add(&mut books.reissued, refill.amount, &mut faults);
                add(moved.entry(meter).or_default(), refill.amount, &mut faults);
            }
            RefillSource::Deposit(deposit) => {
                let terms = meters.get(&refill.meter).map(|meter| &meter.certificate);
                let paid = row
                    .proof
                    .as_ref()
                    .zip(terms)
                    .map(|(proof, terms)| paid_refill(proof, terms));
                match paid {
                    Some(Ok(paid)) if paid.deposit == deposit && paid.amount == refill.amount => {
                        add(&mut books.deposited, paid.amount, &mut faults);
                        books.deposits = books.deposits.saturating_add(1);
                    }
                    _ => faults.push(format!(
                        "the refill {deposit} has no statement of the bank for its amount"
                    )),
                }
            }
        }
    }
    for (key, row) in meters {
        count_meter(key, row, &mut books, &mut faults);
        if given.get(key).copied().unwrap_or_default() != row.sold {
            faults.push(format!(
                "the refills of meter {key} do not add up to {}",
                row.sold
            ));
        }
        if moved.get(key).copied().unwrap_or_default() != row.settled.moved {
            faults.push(format!(
                "what was reissued of meter {key} is not {}",
                row.settled.moved
            ));
        }
    }
    let paid = books.deposited.checked_add(books.reissued);
    if paid != Some(books.sold) {
        faults.push(format!(
            "{} are sold, and {} are deposited or reissued",
            books.sold,
            paid.unwrap_or_default()
        ));
    }
    let postage = [books.printed, books.held, books.pending, books.reissued];
    if Amount::sum(postage.map(|part| part.0)) != Some(books.sold) {
        faults.push("printed, held, pending and reissued postage is not what was sold".into());
    }
    books.faults = faults;
    books
}

/// Adds one meter. What a settled meter held is reissued, and is held by another one.
fn count_meter(key: &PublicKey, row: &MeterRow, books: &mut Books, faults: &mut Vec<String>) {
    let refilled = row.seen.refilled().unwrap_or_default();
    if refilled > row.sold {
        faults.push(format!(
            "meter {key} states refills of {refilled}, and only {} are sold",
            row.sold
        ));
    }
    if row.carried > row.seen.ascending {
        let (carried, stated) = (row.carried, row.seen.ascending);
        faults.push(format!(
            "{carried} of meter {key} were carried, and it states {stated}: it was copied or rolled back"
        ));
    }
    if let Some(audit) = &row.audit
        && (audit.body.meter != *key || audit.verify(key).is_err())
    {
        faults.push(format!("the audit of meter {key} is not signed by it"));
    }
    let printed = printed(row);
    let (held, pending) = match row.settled.number {
        0 => {
            let left = row.sold.checked_sub(printed).unwrap_or_default();
            let held = row.seen.descending.min(left);
            (held, left.checked_sub(held).unwrap_or_default())
        }
        // All that is not printed was reissued, except a deposit that came later.
        _ => {
            let left = row.sold.checked_sub(printed).unwrap_or_default();
            (Amount(0), left.checked_sub(row.settled.moved).unwrap_or_default())
        }
    };
    add(&mut books.sold, row.sold, faults);
    add(&mut books.printed, printed, faults);
    add(&mut books.held, held, faults);
    add(&mut books.pending, pending, faults);
    add(&mut books.carried, row.carried, faults);
    books.letters = books.letters.saturating_add(row.letters);
}
