//! Every write of the escrow: rows are loaded, the protocol decides, and the decision, its place in the outbox and
//! what else belongs to it are written in one step.
//!
//! The row of a decision is looked up before the time and the bank's card are: who asks again about what is decided
//! gets the same answer, whatever the clock says.

use crate::rows::{
    ACKNOWLEDGED, DECISIONS, LATEST_MS, OUTBOX, SEALED_SALE_COUNTS, SEALED_SALES, SINGLE_SALES, SealedSaleRow,
};
use crate::time;
use farthing_coin::Signed;
use farthing_node::call::TxError;
use farthing_protocol::{
    decide::{VerifiedCancel, VerifiedOverdue, VerifiedRelease},
    decision::{Decided, Decision},
    documents::{Settled, Terms},
    refusal::{Later, Refusal},
};
use farthing_store::{Reads, RowKey, StoreError, Transaction};

/// What the clock says, or that it cannot be trusted.
pub type ClockReading = Result<u64, Later>;

/// Whether the purchase's bank is one that the escrow has the card of, or what to say if it is not.
pub type BankKnown = Result<(), Refusal>;

/// What [`release`] reads.
pub fn release_reads(release: &VerifiedRelease) -> Reads {
    let sold = release.single_sale().map(|sale| SINGLE_SALES.key(&sale));
    let listed = release
        .unseen()
        .map(|_| SEALED_SALE_COUNTS.key(&release.terms().merchant));
    decide_reads(release.terms()).and(sold).and(listed)
}

/// What every decision reads.
pub fn decide_reads(terms: &Terms) -> Reads {
    Reads::from([DECISIONS.key(&terms.purchase_id()), LATEST_MS.key(&())])
}

/// Commits a purchase, unless it is decided, and writes down the time at which it was not too late. Where the merchant
/// has no part in it, as his offer is sealed, he is put down to be told.
///
/// # Errors
/// As [`VerifiedRelease::respond`]; and when the purchase is open and its bank is unknown here, or the clock cannot be
/// trusted.
pub fn release(
    tx: &mut Transaction<'_>,
    release: &VerifiedRelease,
    bank: &BankKnown,
    clock: &ClockReading,
) -> Result<Decision, TxError> {
    let purchase = release.purchase();
    let sale = release.single_sale();
    let existing = DECISIONS.get(tx, &purchase)?;
    let now_ms = match existing {
        Some(_) => 0,
        None => time_to_decide(tx, bank, clock)?,
    };
    let sold_to = match &sale {
        Some(sale) => SINGLE_SALES.get(tx, sale)?,
        None => None,
    };
    let decided = release.respond(existing, sold_to, now_ms)?;
    if let Decided::Now(decision) = &decided {
        if let Decision::Committed { .. } = decision {
            if let Some(sale) = &sale {
                SINGLE_SALES.put(tx, sale, &purchase)?;
            }
            if let Some(unseen) = release.unseen() {
                let sale = SealedSaleRow {
                    contract: unseen.contract().clone(),
                    bank_hold: unseen.bank_hold().clone(),
                };
                list(tx, sale)?;
            }
        }
        LATEST_MS.put(tx, &(), &now_ms)?;
        write(tx, decision, Push::Yes)?;
    }
    Ok(decided.decision().clone())
}

/// Aborts a purchase for its customer, unless it is decided. No time and no bank's card is needed, so that there is
/// always a way for her to get her coins back; and no time is written, so that nobody can move it by cancelling.
///
/// # Errors
/// When the store fails.
pub fn cancel(tx: &mut Transaction<'_>, cancel: &VerifiedCancel, push: Push) -> Result<Decision, TxError> {
    let existing = DECISIONS.get(tx, &cancel.terms().purchase_id())?;
    let decided = cancel.respond(existing);
    if let Decided::Now(decision) = &decided {
        write(tx, decision, push)?;
    }
    Ok(decided.decision().clone())
}

/// Aborts a purchase whose deadline has passed, unless it is decided, and writes down that deadline: the time has been
/// that late, whatever more the clock says.
///
/// # Errors
/// As [`VerifiedOverdue::respond`]; and when the purchase is open and its bank is unknown here, or the clock cannot be
/// trusted.
pub fn overdue(
    tx: &mut Transaction<'_>,
    overdue: &VerifiedOverdue,
    bank: &BankKnown,
    clock: &ClockReading,
) -> Result<Decision, TxError> {
    let existing = DECISIONS.get(tx, &overdue.terms().purchase_id())?;
    let now_ms = match existing {
        Some(_) => 0,
        None => time_to_decide(tx, bank, clock)?,
    };
    let decided = overdue.respond(existing, now_ms)?;
    if let Decided::Now(decision) = &decided {
        let latest_ms = LATEST_MS.get(tx, &())?.unwrap_or_default();
        LATEST_MS.put(tx, &(), &latest_ms.max(decision.terms().deadline_ms))?;
        write(tx, decision, Push::Yes)?;
    }
    Ok(decided.decision().clone())
}

/// What [`accept_clock`] reads.
pub fn accept_clock_reads() -> [RowKey; 1] {
    [LATEST_MS.key(&())]
}

/// Sets the journal's time back to the clock, which its operator says is right. Returns the time that it was, if that
/// was later.
///
/// # Errors
/// When the store fails.
pub fn accept_clock(tx: &mut Transaction<'_>, clock_ms: u64) -> Result<Option<u64>, StoreError> {
    let latest_ms = LATEST_MS.get(tx, &())?.filter(|latest_ms| *latest_ms > clock_ms);
    if latest_ms.is_some() {
        LATEST_MS.put(tx, &(), &clock_ms)?;
    }
    Ok(latest_ms)
}

/// What [`acknowledge`] reads.
pub fn acknowledge_reads(settled: &Signed<Settled>) -> RowKey {
    OUTBOX.key(&settled.body.purchase)
}

/// Keeps the bank's acknowledgement and takes the decision out of the outbox.
///
/// # Errors
/// When the store fails.
pub fn acknowledge(tx: &mut Transaction<'_>, settled: &Signed<Settled>) -> Result<(), StoreError> {
    let purchase = settled.body.purchase;
    if OUTBOX.get(tx, &purchase)?.is_none() {
        return Ok(());
    }
    OUTBOX.delete(tx, &purchase)?;
    ACKNOWLEDGED.put(tx, &purchase, settled)
}

/// The time to decide by: the later of the clock and the journal's.
fn time_to_decide(tx: &mut Transaction<'_>, bank: &BankKnown, clock: &ClockReading) -> Result<u64, TxError> {
    bank.clone()?;
    let latest_ms = LATEST_MS.get(tx, &())?.unwrap_or_default();
    Ok(time::later(clock.clone()?, latest_ms)?)
}

/// Puts a sale at the end of its merchant's list.
fn list(tx: &mut Transaction<'_>, sale: SealedSaleRow) -> Result<(), StoreError> {
    let merchant = sale.contract.terms.merchant;
    let number = SEALED_SALE_COUNTS.get(tx, &merchant)?.unwrap_or_default();
    SEALED_SALE_COUNTS.put(tx, &merchant, &number.saturating_add(1))?;
    SEALED_SALES.put(tx, &(merchant, number), &sale)
}

/// Whether a decision is pushed to its bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// It is.
    Yes,
    /// It is not: the bank's card is not here. The customer has the abort, and brings it herself.
    No,
}

/// Writes a new decision.
fn write(tx: &mut Transaction<'_>, decision: &Decision, push: Push) -> Result<(), StoreError> {
    let purchase = decision.terms().purchase_id();
    DECISIONS.put(tx, &purchase, decision)?;
    if push == Push::Yes {
        OUTBOX.put(tx, &purchase, &())?;
    }
    Ok(())
}
