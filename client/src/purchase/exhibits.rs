//! The documents that convict an escrow, which a purchase keeps.

use crate::rows::{EXHIBITS_MAX, Exhibit, PurchaseRow};
use farthing_protocol::{purchase::PurchaseError, settle::Collected};

/// Keeps what the bank has of the escrow's.
pub(crate) fn add_collected(row: &mut PurchaseRow, collected: Collected) {
    match collected {
        Collected::Committed(commit) => add_exhibit(row, Exhibit::Commit(Box::new(commit))),
        Collected::Aborted(abort) => add_exhibit(row, Exhibit::Abort(abort)),
        Collected::Open => {}
    }
}

/// Keeps a document that convicts.
pub(crate) fn add_exhibit(row: &mut PurchaseRow, exhibit: Exhibit) {
    let exhibits = &mut row.exhibits;
    if exhibits.len() < EXHIBITS_MAX && !exhibits.contains(&exhibit) {
        exhibits.push(exhibit);
    }
}

/// Whether an error of the wallet's proves that the escrow broke its word.
pub(crate) fn convicts(error: &PurchaseError) -> bool {
    matches!(
        error,
        PurchaseError::WrongGoodsKey
            | PurchaseError::WithoutCause(_)
            | PurchaseError::BothOutcomes
            | PurchaseError::PaidAfterRecovery
            | PurchaseError::Sealed(_)
    )
}
