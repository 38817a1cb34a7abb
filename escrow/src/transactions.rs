//! Every write of the escrow: rows are loaded, the protocol decides, and the decision, its place in the outbox and
//! what else belongs to it are written in one step.
//!
//! The row of a decision is looked up before the time is: who asks again about what is decided gets the same
//! answer, whatever the clock says.

use crate::rows::{ACKNOWLEDGED, DECISIONS, LATEST_MS, OUTBOX, SINGLE_SALES};
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::Undone;
use farthing_node::store::{StoreError, Transaction};
use farthing_protocol::{
    decide::{Decided, Decision, OverdueRequest, VerifiedCancel, VerifiedRelease, respond_overdue},
    documents::{PurchaseId, Settled},
    refusal::Later,
};

/// What the clock says, or that it cannot be trusted.
pub type ClockReading = Result<u64, Later>;

/// Commits a purchase, unless it is decided.
///
/// # Errors
/// As [`VerifiedRelease::respond`]; and when the purchase is open and the clock cannot be trusted.
pub fn release(
    tx: &mut Transaction<'_>,
    release: VerifiedRelease,
    clock: ClockReading,
) -> Result<Decision, Undone> {
    let purchase = release.purchase();
    let sale = release.single_sale();
    let existing = DECISIONS.get(tx, &purchase.0)?;
    let now_ms = time(tx, existing.as_ref(), clock)?;
    let sold_to = match &sale {
        Some(sale) => SINGLE_SALES.get(tx, sale)?,
        None => None,
    };
    let decided = release.respond(existing, sold_to, now_ms)?;
    if let (Decided::Now(_), Some(sale)) = (&decided, &sale) {
        SINGLE_SALES.put(tx, sale, &purchase)?;
    }
    write(tx, decided, now_ms)
}

/// Aborts a purchase for its customer, unless it is decided.
///
/// # Errors
/// When the purchase is open and the clock cannot be trusted.
pub fn cancel(
    tx: &mut Transaction<'_>,
    cancel: VerifiedCancel,
    clock: ClockReading,
) -> Result<Decision, Undone> {
    let existing = DECISIONS.get(tx, &cancel.purchase().0)?;
    let now_ms = time(tx, existing.as_ref(), clock)?;
    write(tx, cancel.respond(existing), now_ms)
}

/// Aborts a purchase whose deadline has passed, unless it is decided.
///
/// # Errors
/// As [`respond_overdue`]; and when the purchase is open and the clock cannot be trusted.
pub fn overdue(
    tx: &mut Transaction<'_>,
    request: OverdueRequest,
    here: &PublicKey,
    clock: ClockReading,
) -> Result<Decision, Undone> {
    let existing = DECISIONS.get(tx, &request.terms.purchase_id().0)?;
    let now_ms = time(tx, existing.as_ref(), clock)?;
    let decided = respond_overdue(request, existing, here, now_ms)?;
    write(tx, decided, now_ms)
}

/// Keeps the bank's acknowledgement and takes the decision out of the outbox.
///
/// # Errors
/// When the store fails.
pub fn acknowledge(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    settled: &Signed<Settled>,
) -> Result<(), StoreError> {
    if OUTBOX.get(tx, &purchase.0)?.is_none() {
        return Ok(());
    }
    OUTBOX.delete(tx, &purchase.0)?;
    ACKNOWLEDGED.put(tx, &purchase.0, settled)
}

/// The time to decide by: the later of the clock and the journal's latest. What is decided needs none.
fn time(tx: &mut Transaction<'_>, existing: Option<&Decision>, clock: ClockReading) -> Result<u64, Undone> {
    if existing.is_some() {
        return Ok(clock.unwrap_or_default());
    }
    let latest_ms = LATEST_MS.get(tx, &())?.unwrap_or_default();
    Ok(clock?.max(latest_ms))
}

/// Writes a decision that is new, and only that.
fn write(tx: &mut Transaction<'_>, decided: Decided, now_ms: u64) -> Result<Decision, Undone> {
    match decided {
        Decided::Before(decision) => Ok(decision),
        Decided::Now(decision) => {
            let purchase = decision.terms().purchase_id();
            DECISIONS.put(tx, &purchase.0, &decision)?;
            OUTBOX.put(tx, &purchase.0, &())?;
            LATEST_MS.put(tx, &(), &now_ms)?;
            Ok(decision)
        }
    }
}
