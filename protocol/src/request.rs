//! What every request has to pass: it is for this party, its account signed it, and its lists are bounded.

use crate::refusal::RequestFault;
use farthing_coin::{Document, PublicKey, Signed};

/// Refuses a request that names another recipient.
pub(crate) fn check_recipient(named: &PublicKey, self_id: &PublicKey) -> Result<(), RequestFault> {
    if named == self_id {
        return Ok(());
    }
    Err(RequestFault::NotForMe {
        named: *named,
        this: *self_id,
    })
}

/// Refuses a request that its account did not sign.
pub(crate) fn check_account<D: Document>(
    signed: &Signed<D>,
    account: &PublicKey,
) -> Result<(), RequestFault> {
    signed.verify(account).map_err(|why| RequestFault::Signature {
        whose: "account's".into(),
        why: why.to_string(),
    })
}

/// Refuses what is empty or longer than `most`.
pub(crate) fn check_bound(what: &str, got: usize, most: usize) -> Result<(), RequestFault> {
    if (1..=most).contains(&got) {
        return Ok(());
    }
    Err(RequestFault::ListLength {
        what: what.into(),
        got,
        most,
    })
}

/// Refuses a list that does not match the one it belongs to.
pub(crate) fn check_matching(what: &str, got: usize, expected: usize) -> Result<(), RequestFault> {
    if got == expected {
        return Ok(());
    }
    Err(RequestFault::ListMismatch {
        what: what.into(),
        got,
        expected,
    })
}
