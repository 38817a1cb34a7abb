//! Documents that convict an escrow. A purchase keeps them.

use crate::rows::{EXHIBITS_MAX, Exhibit, PurchaseRow};
use farthing_protocol::{purchase::PurchaseError, settle::Collected};

/// Keeps the escrow's decision that the bank has.
pub(crate) fn add_collected(row: &mut PurchaseRow, collected: Collected) {
    match collected {
        Collected::Committed(commit) => add_exhibit(row, Exhibit::Commit(Box::new(commit))),
        Collected::Aborted(abort) => add_exhibit(row, Exhibit::Abort(abort)),
        Collected::Streamed(stream) => add_exhibit(row, Exhibit::Stream(stream)),
        Collected::Open => {}
    }
}

/// Keeps a document that convicts the escrow.
pub(crate) fn add_exhibit(row: &mut PurchaseRow, exhibit: Exhibit) {
    let exhibits = &mut row.exhibits;
    if exhibits.len() < EXHIBITS_MAX && !exhibits.contains(&exhibit) {
        exhibits.push(exhibit);
    }
}

/// Whether an error proves that the escrow broke the contract.
pub(crate) fn convicts(error: &PurchaseError) -> bool {
    matches!(
        error,
        PurchaseError::WrongGoodsKey
            | PurchaseError::WithoutCause(_)
            | PurchaseError::BothOutcomes
            | PurchaseError::PaidAfterRecovery
            | PurchaseError::Sealed(_)
            | PurchaseError::Voucher
    )
}
