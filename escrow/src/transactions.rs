//! Every write of the escrow. A transaction reads rows, calls the protocol's decision, and writes the decision, its row in
//! the outbox and its other rows in one step.
//!
//! The decision's row is read before the time and the bank's card are checked. A repeated question about a decided
//! purchase gets the same answer, at any time of the clock. A purchase without a row is not decided if its decision may be
//! forgotten.

use crate::rows::{
    ACKNOWLEDGED, CANCELS, CLOSED_BEFORE, DECISIONS, FORGOTTEN, LATEST_MS, OUTBOX, SEALED_SALE_COUNTS,
    SEALED_SALES, SINGLE_SALES, STREAMS, SealedSaleRow,
};
use crate::time;
use farthing_coin::Signed;
use farthing_node::call::TxError;
use farthing_protocol::{
    decide::{VerifiedCancel, VerifiedOverdue, VerifiedRelease},
    decision::{Decided, Decision},
    documents::{PurchaseId, Settled, Terms},
    refusal::{Later, PurchaseFault, Refusal},
    stream::{PreparedEnding, VerifiedOpen, VerifiedRaise},
};
use farthing_store::{Reads, RowKey, StoreError, Transaction};

/// The time of the clock, or an error if the clock cannot be right.
pub type ClockReading = Result<u64, Later>;

/// Whether the escrow has the card of the purchase's bank, or the refusal if it has not.
pub type BankKnown = Result<(), Refusal>;

/// The rows that [`release`] reads.
pub fn release_reads(release: &VerifiedRelease) -> Reads {
    let sold = release.single_sale().map(|sale| SINGLE_SALES.key(&sale));
    let listed = release
        .unseen()
        .map(|_| SEALED_SALE_COUNTS.key(&release.terms().merchant));
    decide_reads(release.terms()).and(sold).and(listed)
}

/// The rows that every decision reads.
pub fn decide_reads(terms: &Terms) -> Reads {
    Reads::from([
        DECISIONS.key(&terms.purchase_id()),
        CLOSED_BEFORE.key(&terms.bank),
        LATEST_MS.key(&()),
    ])
}

/// The decision of a purchase, if there is one.
///
/// # Errors
/// [`PurchaseFault::Closed`] if there is none and the deadline is so long past that it may be forgotten.
fn decided(tx: &mut Transaction<'_>, terms: &Terms) -> Result<Option<Decision>, TxError> {
    let purchase = terms.purchase_id();
    let existing = DECISIONS.get(tx, &purchase)?;
    let closed_before_ms = CLOSED_BEFORE.get(tx, &terms.bank)?.unwrap_or_default();
    match existing.is_none() && terms.deadline_ms < closed_before_ms {
        true => Err(PurchaseFault::Closed(purchase).into()),
        false => Ok(existing),
    }
}

/// Commits a purchase, unless it is decided, and writes the time of the commit. A sale on a sealed offer is also added to
/// the merchant's list, as the merchant takes no part in it.
///
/// # Errors
/// Those of [`VerifiedRelease::respond`]. For an open purchase also when its bank has no pinned card, or the clock cannot
/// be right.
pub fn release(
    tx: &mut Transaction<'_>,
    release: &VerifiedRelease,
    bank: &BankKnown,
    clock: &ClockReading,
) -> Result<Decision, TxError> {
    let purchase = release.purchase();
    let sale = release.single_sale();
    let existing = decided(tx, release.terms())?;
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

/// The rows that [`cancel`] reads.
pub fn cancel_reads(cancel: &VerifiedCancel) -> Reads {
    let stream = STREAMS.key(&cancel.terms().purchase_id());
    decide_reads(cancel.terms()).and([CANCELS.key(cancel.coin()), stream])
}

/// Aborts a purchase for its customer, unless it is decided, and counts it for the coin that was shown.
///
/// It needs no time and no card of the bank, so the customer can always get the coins back. It writes no time, so nobody
/// can move the journal's time by a cancel.
///
/// # Errors
/// Those of [`VerifiedCancel::respond`], or when the store fails.
pub fn cancel(tx: &mut Transaction<'_>, cancel: &VerifiedCancel, push: Push) -> Result<Decision, TxError> {
    let purchase = cancel.terms().purchase_id();
    let existing = decided(tx, cancel.terms())?;
    // The stream was opened since it was looked up.
    if STREAMS.get(tx, &purchase)?.is_some() {
        return Err(Later::NotYet.into());
    }
    let cancelled = CANCELS.get(tx, cancel.coin())?.unwrap_or_default();
    let decided = cancel.respond(existing, cancelled)?;
    if let Decided::Now(decision) = &decided {
        CANCELS.put(tx, cancel.coin(), &cancelled.saturating_add(1))?;
        write(tx, decision, push)?;
    }
    Ok(decided.decision().clone())
}

/// Aborts a purchase whose deadline has passed, unless it is decided. It writes the deadline as the journal's time, not the
/// later time of the clock.
///
/// # Errors
/// Those of [`VerifiedOverdue::respond`]. For an open purchase also when its bank has no pinned card, or the clock cannot
/// be right.
pub fn overdue(
    tx: &mut Transaction<'_>,
    overdue: &VerifiedOverdue,
    bank: &BankKnown,
    clock: &ClockReading,
) -> Result<Decision, TxError> {
    let purchase = overdue.terms().purchase_id();
    let existing = decided(tx, overdue.terms())?;
    // The stream was opened since it was looked up.
    if STREAMS.get(tx, &purchase)?.is_some() {
        return Err(Later::NotYet.into());
    }
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

/// The rows that [`open`] reads.
pub fn open_reads(open: &VerifiedOpen) -> Reads {
    let rows = [
        STREAMS.key(&open.purchase()),
        SINGLE_SALES.key(&open.single_sale()),
    ];
    decide_reads(open.terms()).and(rows)
}

/// Opens a stream, unless it is open or decided, and writes the time.
///
/// # Errors
/// Those of [`VerifiedOpen::respond`]. Also when the bank has no pinned card, or the clock cannot be right.
pub fn open(
    tx: &mut Transaction<'_>,
    open: &VerifiedOpen,
    bank: &BankKnown,
    clock: &ClockReading,
) -> Result<(), TxError> {
    let (purchase, sale) = (open.purchase(), open.single_sale());
    if decided(tx, open.terms())?.is_some() {
        return Ok(());
    }
    let now_ms = time_to_decide(tx, bank, clock)?;
    let (stored, sold_to) = (STREAMS.get(tx, &purchase)?, SINGLE_SALES.get(tx, &sale)?);
    if let Some(stream) = open.respond(stored.as_ref(), sold_to, now_ms)? {
        STREAMS.put(tx, &purchase, &stream)?;
        SINGLE_SALES.put(tx, &sale, &purchase)?;
        LATEST_MS.put(tx, &(), &now_ms)?;
    }
    Ok(())
}

/// The rows that [`raise`] reads.
pub fn raise_reads(purchase: &PurchaseId) -> Reads {
    Reads::from([STREAMS.key(purchase)])
}

/// Stores a voucher, if it is the highest one of its stream.
///
/// # Errors
/// [`Later::NotYet`] if the stream has ended since it was looked up. Then the decision is looked up. Otherwise those of
/// [`VerifiedRaise::respond`].
pub fn raise(tx: &mut Transaction<'_>, raise: &VerifiedRaise) -> Result<(), TxError> {
    let purchase = raise.purchase();
    let open = STREAMS.get(tx, &purchase)?.ok_or(Later::NotYet)?;
    if let Some(raised) = raise.respond(&open)? {
        STREAMS.put(tx, &purchase, &raised)?;
    }
    Ok(())
}

/// The rows that [`end`] and [`overdue`] read.
pub fn end_reads(terms: &Terms) -> Reads {
    decide_reads(terms).and([STREAMS.key(&terms.purchase_id())])
}

/// Ends a stream, unless it has ended. A merchant may do that at any time, the bank from the deadline on.
///
/// # Errors
/// Those of [`PreparedEnding::respond`]. When the bank asks, also before the deadline, or when the clock cannot be right.
pub fn end(
    tx: &mut Transaction<'_>,
    ending: &PreparedEnding,
    bank: &BankKnown,
    clock: &ClockReading,
) -> Result<Decision, TxError> {
    let purchase = ending.purchase();
    let existing = DECISIONS.get(tx, &purchase)?;
    let deadline_ms = ending.terms().deadline_ms;
    if existing.is_none() && ending.is_overdue() {
        if time_to_decide(tx, bank, clock)? < deadline_ms {
            return Err(Later::NotYet.into());
        }
        let latest_ms = LATEST_MS.get(tx, &())?.unwrap_or_default();
        LATEST_MS.put(tx, &(), &latest_ms.max(deadline_ms))?;
    }
    let open = STREAMS.get(tx, &purchase)?;
    // It was decided and forgotten since it was looked up.
    if existing.is_none() && open.is_none() {
        return Err(PurchaseFault::Closed(purchase).into());
    }
    let decided = ending.respond(existing, open.as_ref())?;
    if let Decided::Now(decision) = &decided {
        STREAMS.delete(tx, &purchase)?;
        let push = match bank {
            Ok(()) => Push::Yes,
            Err(_) => Push::No,
        };
        write(tx, decision, push)?;
    }
    Ok(decided.decision().clone())
}

/// The rows that [`accept_clock`] reads.
pub fn accept_clock_reads() -> [RowKey; 1] {
    [LATEST_MS.key(&())]
}

/// Sets the journal's time back to the clock, which the operator has confirmed. Returns the journal's time if it was
/// later.
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

/// The rows that [`acknowledge`] reads.
pub fn acknowledge_reads(settled: &Signed<Settled>) -> RowKey {
    OUTBOX.key(&settled.body.purchase)
}

/// Stores the bank's acknowledgement and removes the decision from the outbox.
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

/// The rows that [`forget`] reads.
pub(crate) fn forget_reads(purchase: &PurchaseId) -> [RowKey; 2] {
    [DECISIONS.key(purchase), FORGOTTEN.key(&())]
}

/// Forgets a decision, and counts it. Returns whether it was there.
///
/// # Errors
/// When the store fails.
pub(crate) fn forget(tx: &mut Transaction<'_>, purchase: &PurchaseId) -> Result<bool, StoreError> {
    let mut sums = FORGOTTEN.get(tx, &())?.unwrap_or_default();
    let sum = match DECISIONS.get(tx, purchase)? {
        None => return Ok(false),
        Some(Decision::Committed { .. } | Decision::Streamed { .. }) => &mut sums.committed,
        Some(Decision::Aborted { .. }) => &mut sums.aborted,
    };
    *sum = sum.saturating_add(1);
    FORGOTTEN.put(tx, &(), &sums)?;
    DECISIONS.delete(tx, purchase)?;
    OUTBOX.delete(tx, purchase)?;
    ACKNOWLEDGED.delete(tx, purchase)?;
    Ok(true)
}

/// The time of a decision: the later of the clock and the journal's time.
fn time_to_decide(tx: &mut Transaction<'_>, bank: &BankKnown, clock: &ClockReading) -> Result<u64, TxError> {
    bank.clone()?;
    let latest_ms = LATEST_MS.get(tx, &())?.unwrap_or_default();
    Ok(time::later(clock.clone()?, latest_ms)?)
}

/// Appends a sale to its merchant's list.
fn list(tx: &mut Transaction<'_>, sale: SealedSaleRow) -> Result<(), StoreError> {
    let merchant = sale.contract.terms.merchant;
    let number = SEALED_SALE_COUNTS.get(tx, &merchant)?.unwrap_or_default();
    SEALED_SALE_COUNTS.put(tx, &merchant, &number.saturating_add(1))?;
    SEALED_SALES.put(tx, &(merchant, number), &sale)
}

/// Whether a decision is pushed to its bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// The escrow pushes it.
    Yes,
    /// The escrow has no card of the bank. The customer has the abort and brings it to the bank.
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
