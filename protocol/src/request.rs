//! Checks that all requests share: the recipient, the account's signature, and the lengths of lists.

use crate::refusal::RequestFault;
use farthing_coin::{Document, PublicKey, Signature, Signed, Statement};

/// Checks that a request names this party as its recipient.
pub(crate) fn check_recipient(named: &PublicKey, self_id: &PublicKey) -> Result<(), RequestFault> {
    if named == self_id {
        return Ok(());
    }
    Err(RequestFault::NotForMe {
        named: *named,
        this: *self_id,
    })
}

/// Checks that the account's key signed a request.
pub(crate) fn check_account<D: Document>(
    signed: &Signed<D>,
    account: &PublicKey,
) -> Result<(), RequestFault> {
    check_signature(
        "account's",
        account,
        &signed.body.statement(account),
        &signed.signature,
    )
}

/// Checks that the reserve's key signed a request.
pub(crate) fn check_reserve<D: Document>(
    signed: &Signed<D>,
    reserve: &PublicKey,
) -> Result<(), RequestFault> {
    check_signature(
        "reserve's",
        reserve,
        &signed.body.statement(reserve),
        &signed.signature,
    )
}

/// Checks a signature. `whose` is its signer, with a possessive.
pub(crate) fn check_signature(
    whose: &str,
    key: &PublicKey,
    statement: &Statement,
    signature: &Signature,
) -> Result<(), RequestFault> {
    key.verify(statement, signature)
        .map_err(|why| RequestFault::Signature {
            whose: whose.into(),
            why: why.to_string(),
        })
}

/// Checks that a list has 1 to `most` entries.
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

/// Checks that a list has the length of the list that it belongs to.
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
