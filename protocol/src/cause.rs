//! The cause of an abort: the proof that the escrow shows, so that nobody has to believe the escrow.
//!
//! An escrow aborts for the customer, who signs a cancel, or for the bank, which signs that the purchase is overdue.
//! Each of these signatures is part of the abort. A reason of version 1 has no proof.

use crate::documents::{AbortReason, Close, Overdue, PurchaseKeyUse, Terms};
use farthing_coin::{SignatureError, Signed};
use std::fmt;

/// Why the cause of an abort is missing or false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CauseFault {
    /// The reason is of version 1 and has no proof.
    #[error("it shows no cause")]
    NotShown,
    /// The purchase key did not sign the cancel.
    #[error("the customer did not sign the cancel in it: {0}")]
    Cancel(SignatureError),
    /// The bank did not sign that the purchase is overdue.
    #[error("the bank of the purchase did not sign that it is overdue: {0}")]
    OverdueForged(SignatureError),
    /// The bank's statement is about another purchase, escrow or deadline.
    #[error("the bank's statement in it is about another {0}")]
    OverdueOfOther(&'static str),
    /// The merchant's word that it closed the stream is about another purchase or escrow, or the merchant did not sign it.
    #[error("the merchant of the purchase did not sign that it closed the stream")]
    CloseForged,
    /// The bank signed before the deadline.
    #[error("the bank called it overdue before its deadline")]
    OverdueEarly,
}

impl AbortReason {
    /// Whether the customer cancelled the purchase.
    pub fn is_cancel(&self) -> bool {
        matches!(self, AbortReason::Cancelled | AbortReason::CancelledBy(_))
    }

    /// Checks the cause of an abort of the purchase of `terms`.
    ///
    /// A [`WrongKey`](AbortReason::WrongKey) is accepted here. To check it a judge needs the offer, which is not in the
    /// terms.
    ///
    /// # Errors
    /// [`CauseFault::NotShown`] for a reason of version 1. Otherwise it says what is wrong with the cause.
    pub fn check(&self, terms: &Terms) -> Result<(), CauseFault> {
        match self {
            AbortReason::Cancelled | AbortReason::DeadlinePassed | AbortReason::WrongSealedKey => {
                Err(CauseFault::NotShown)
            }
            AbortReason::CancelledBy(signature) => {
                let statement = PurchaseKeyUse::Cancel.statement(&terms.purchase_key, &terms.purchase_id());
                let verdict = terms.purchase_key.verify(&statement, signature);
                verdict.map_err(CauseFault::Cancel)
            }
            AbortReason::Overdue(overdue) => check_overdue(overdue, terms),
            AbortReason::WrongKey(_) => Ok(()),
            AbortReason::Closed(close) => check_close(close, terms),
        }
    }
}

/// Checks that the bank of `terms` signed that their purchase is overdue, and not before the deadline.
///
/// # Errors
/// Says what does not fit.
pub fn check_overdue(overdue: &Signed<Overdue>, terms: &Terms) -> Result<(), CauseFault> {
    let body = &overdue.body;
    let checks = [
        (body.purchase == terms.purchase_id(), "purchase"),
        (body.escrow == terms.escrow, "escrow"),
        (body.deadline_ms == terms.deadline_ms, "deadline"),
    ];
    if let Some((_, field)) = checks.into_iter().find(|(fits, _)| !fits) {
        return Err(CauseFault::OverdueOfOther(field));
    }
    overdue.verify(&terms.bank).map_err(CauseFault::OverdueForged)?;
    if body.at_ms < terms.deadline_ms {
        return Err(CauseFault::OverdueEarly);
    }
    Ok(())
}

/// Checks that the merchant of `terms` closed the stream of their purchase.
fn check_close(close: &Signed<Close>, terms: &Terms) -> Result<(), CauseFault> {
    let fits = close.body.purchase == terms.purchase_id() && close.body.escrow == terms.escrow;
    match fits && close.verify(&terms.merchant).is_ok() {
        true => Ok(()),
        false => Err(CauseFault::CloseForged),
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AbortReason::Cancelled => "the escrow says that the customer cancelled it",
            AbortReason::DeadlinePassed => "the escrow says that its deadline passed",
            AbortReason::WrongSealedKey => "the escrow says that the offer's sealed key is wrong",
            AbortReason::CancelledBy(_) => "the customer cancelled it",
            AbortReason::Overdue(_) => "its deadline passed",
            AbortReason::WrongKey(_) => "the offer's sealed key is wrong",
            AbortReason::Closed(_) => "the merchant closed the stream before a tick was paid for",
        })
    }
}
