//! Reserves: balances at the bank that a key alone names.
//!
//! The first credit opens a reserve, and no operator does. A deposit credits one, and so do the change of a purchase and
//! a refund. The key of a purchase is the key of its reserve. The owner withdraws coins with the requests of a
//! [withdrawal](crate::withdraw), under labels of their own, over an anonymous connection:
//!
//! ```text
//! wallet                                            bank
//!   ReserveRequest               -------------->   reads the sums
//!                                <--------------   Signed<ReserveBalance>
//!   FromReserve<WithdrawBegin>   -------------->   checks that the balance is enough; opens a session
//!                                <--------------   Begun
//!   FromReserve<WithdrawFinish>  -------------->   debits and stores challenges and responses in one write
//!                                <--------------   Signed<Issued>, the same for each repeated request
//! ```
//!
//! Nobody but the owner can tell that two reserves belong to one wallet, as long as no request or connection has both.

use crate::{
    ids::{CreditId, DepositId, IssueSource, PurchaseId},
    money::Amount,
    refusal::Refusal,
    request::{check_recipient, check_reserve},
    reserve_sums::ReserveSums,
};
use farthing_coin::{Document, PublicKey, RequestId, Signed, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

// ---- messages ---------------------------------------------------------------------------------------------

/// Asks for the sums of a reserve. Signed by the reserve's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveRequest {
    /// The recipient.
    pub bank: PublicKey,
    /// The reserve.
    pub reserve: PublicKey,
}

impl Document for ReserveRequest {
    const LABEL: &'static str = "farthing reserve";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"reserve", &self.reserve.0);
    }
}

/// The bank's statement of the sums of a reserve. Signed by the bank.
///
/// Both sums only grow. A bank that has forgotten a credit states less than documents prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveBalance {
    /// The bank.
    pub bank: PublicKey,
    /// The reserve.
    pub reserve: PublicKey,
    /// The sums.
    pub sums: ReserveSums,
    /// The time of the statement (ms since 1970, the bank's clock).
    pub at_ms: u64,
}

impl Document for ReserveBalance {
    const LABEL: &'static str = "farthing reserve balance";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.bytes(b"reserve", &self.reserve.0);
        self.sums.describe(t);
        t.u64(b"at", self.at_ms);
    }
}

/// A request of the [withdrawal](crate::withdraw) flow in which a reserve pays in place of an account. Signed by the
/// reserve's key.
///
/// Its label differs from that of the request inside. So a signature for a reserve is never one for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromReserve<T>(pub T);

// ---- digests ----------------------------------------------------------------------------------------------

/// What pays for coins that were withdrawn from a reserve.
///
/// The records of issued coins are public, so it is a digest: it does not show which reserve paid, nor that two requests
/// were paid by one reserve.
pub fn reserve_source(reserve: &PublicKey, request_id: &RequestId) -> IssueSource {
    let mut t = Transcript::start(b"farthing reserve source");
    t.bytes(b"reserve", &reserve.0);
    t.bytes(b"request", &request_id.0);
    IssueSource(t.digest32(b"digest"))
}

/// What a credit of a reserve comes from. A reserve is credited once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditSource {
    /// A deposit.
    Deposit(DepositId),
    /// The change of a committed purchase.
    Change(PurchaseId),
    /// A refund of a purchase, which raised the refunded total to this amount.
    Refund(PurchaseId, Amount),
}

impl CreditSource {
    /// The id of the credit.
    pub fn id(&self) -> CreditId {
        let mut t = Transcript::start(b"farthing credit");
        match self {
            CreditSource::Deposit(deposit) => t.bytes(b"deposit", &deposit.0),
            CreditSource::Change(purchase) => t.bytes(b"change of", &purchase.0),
            CreditSource::Refund(purchase, total) => {
                t.bytes(b"refund of", &purchase.0);
                t.u64(b"total", total.0);
            }
        }
        CreditId(t.digest32(b"id"))
    }
}

// ---- the bank ---------------------------------------------------------------------------------------------

/// A question for the sums of a reserve, signed by its key. Only [`verify_reserve`] makes one.
#[derive(Debug)]
pub struct VerifiedReserve(ReserveRequest);

/// Verifies a question for the sums of a reserve.
///
/// # Errors
/// When it is for another bank, or the reserve's key did not sign it.
pub fn verify_reserve(
    request: Signed<ReserveRequest>,
    self_id: &PublicKey,
) -> Result<VerifiedReserve, Refusal> {
    check_recipient(&request.body.bank, self_id)?;
    check_reserve(&request, &request.body.reserve)?;
    Ok(VerifiedReserve(request.body))
}

impl VerifiedReserve {
    /// The reserve.
    pub fn reserve(&self) -> PublicKey {
        self.0.reserve
    }

    /// The statement about these sums.
    pub fn respond(&self, sums: ReserveSums, now_ms: u64) -> ReserveBalance {
        ReserveBalance {
            bank: self.0.bank,
            reserve: self.0.reserve,
            sums,
            at_ms: now_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_credit() {
        let (id, other) = (PurchaseId([1; 32]), PurchaseId([2; 32]));
        let ids = [
            CreditSource::Deposit(DepositId([1; 32])),
            CreditSource::Change(id),
            CreditSource::Change(other),
            CreditSource::Refund(id, Amount(1)),
            CreditSource::Refund(id, Amount(2)),
            CreditSource::Refund(other, Amount(1)),
        ]
        .map(|source| source.id().0);
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
