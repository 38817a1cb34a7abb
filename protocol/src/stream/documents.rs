//! The documents of a stream.

use crate::{
    bounded,
    documents::{BankHold, Commit},
    ids::{PurchaseId, TickDigest},
    limits::TICKS_PER_REPLY_MAX,
    money::Amount,
};
use farthing_coin::{Document, Signed, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

/// The escrow's promise that it commits what the highest voucher says that it is shown, and that no cancel ends the
/// stream. The bank's hold is inside. Signed by the escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The bank's hold.
    pub bank_hold: Signed<BankHold>,
}

impl Document for Opened {
    const LABEL: &'static str = "farthing stream opened";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank hold", &self.bank_hold.body.digest().0);
        t.bytes(b"bank commitment", &self.bank_hold.signature.commitment.0);
        t.bytes(b"bank response", &self.bank_hold.signature.response.0);
    }
}

/// The customer's payment for the first ticks of a stream. Signed by the purchase key.
///
/// It says how many ticks are paid for in all, so a later voucher takes the place of each earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// The purchase.
    pub purchase: PurchaseId,
    /// How many ticks are paid for: 1 or more.
    pub ticks: u32,
    /// Their [price](super::price_of).
    pub amount: Amount,
}

impl Document for Voucher {
    const LABEL: &'static str = "farthing voucher";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.u64(b"ticks", self.ticks.into());
        t.u64(b"amount", self.amount.0);
    }
}

/// The escrow's promise to commit at least so many ticks. Signed by the escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The ticks of the voucher that the escrow was shown.
    pub ticks: u32,
}

impl Document for Raised {
    const LABEL: &'static str = "farthing stream raised";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.u64(b"ticks", self.ticks.into());
    }
}

/// Encrypted ticks of a stream, in their order. Signed by the merchant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickBatch {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The number of the first tick: 1 for the first one of the stream.
    pub first: u32,
    /// SHA-256 of each encrypted tick.
    #[serde(deserialize_with = "bounded::list::<_, _, TICKS_PER_REPLY_MAX>")]
    pub digests: Vec<TickDigest>,
}

impl Document for TickBatch {
    const LABEL: &'static str = "farthing ticks";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"purchase", &self.purchase.0);
        t.u64(b"first", self.first.into());
        t.u64(b"ticks", self.digests.len() as u64);
        for digest in &self.digests {
            t.bytes(b"tick", &digest.0);
        }
    }
}

/// The decision to commit a stream: the escrow's commit with the amount of a voucher, and the voucher.
///
/// The key that is sealed in the commit is that of the voucher's last tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCommit {
    /// The escrow's commit.
    pub commit: Signed<Commit>,
    /// The customer's voucher for the amount of the commit.
    pub voucher: Signed<Voucher>,
}
