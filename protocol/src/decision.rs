//! The decision of an escrow: as the escrow keeps it, and as it signs it for customer, merchant and bank.

use crate::{
    documents::{Abort, AbortReason, Commit, Receipt, Terms},
    goods::GoodsKey,
    ids::PurchaseId,
    money::Amount,
    seal::SealedKey,
    stream::{Opened, StreamCommit, Voucher},
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use serde::{Deserialize, Serialize};

/// How a purchase has ended, as the escrow tells the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is not decided.
    Undecided,
    /// The merchant is paid, and the customer gets the goods key.
    Committed(Box<Committed>),
    /// The coins are released.
    Aborted(Signed<Abort>),
    /// It is a stream that is open. No cancel ends it.
    Streaming(Signed<Opened>),
    /// It is a stream that has ended. The merchant is paid for the ticks of a voucher, and the customer gets their key.
    Streamed(Box<StreamCommit>),
}

/// Both documents of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// For merchant and customer.
    pub receipt: Signed<Receipt>,
    /// For the bank.
    pub commit: Signed<Commit>,
}

/// A decision, signed, as the bank applies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignedDecision {
    /// Spend the coins, credit the account.
    Commit(Signed<Commit>),
    /// Release the coins.
    Abort(Signed<Abort>),
    /// Spend the coins, credit the account with what a voucher pays.
    Stream(Box<StreamCommit>),
}

impl SignedDecision {
    /// The purchase that it decides.
    pub fn purchase(&self) -> PurchaseId {
        match self {
            SignedDecision::Commit(commit) => commit.body.purchase,
            SignedDecision::Abort(abort) => abort.body.purchase,
            SignedDecision::Stream(stream) => stream.commit.body.purchase,
        }
    }

    /// What the account is credited with. `None` for an abort.
    pub fn amount(&self) -> Option<Amount> {
        match self {
            SignedDecision::Commit(commit) => Some(commit.body.amount),
            SignedDecision::Abort(_) => None,
            SignedDecision::Stream(stream) => Some(stream.commit.body.amount),
        }
    }

    /// The bank of the purchase.
    pub fn bank(&self) -> PublicKey {
        match self {
            SignedDecision::Commit(commit) => commit.body.bank,
            SignedDecision::Abort(abort) => abort.body.bank,
            SignedDecision::Stream(stream) => stream.commit.body.bank,
        }
    }
}

/// The one final decision on a purchase, as the escrow keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// Committed.
    Committed {
        /// The terms.
        terms: Terms,
        /// The goods key.
        goods_key: GoodsKey,
        /// The goods key, sealed to the purchase key.
        sealed_key: SealedKey,
    },
    /// Aborted.
    Aborted {
        /// The terms.
        terms: Terms,
        /// The reason, with its cause.
        reason: AbortReason,
    },
    /// A stream, committed for the ticks of a voucher.
    Streamed {
        /// The terms.
        terms: Terms,
        /// The highest voucher that the escrow was shown.
        voucher: Signed<Voucher>,
        /// The key of its last tick.
        key: GoodsKey,
        /// This key, sealed to the purchase key.
        sealed_key: SealedKey,
    },
}

impl Decision {
    /// The terms of the purchase.
    pub fn terms(&self) -> &Terms {
        match self {
            Decision::Committed { terms, .. }
            | Decision::Aborted { terms, .. }
            | Decision::Streamed { terms, .. } => terms,
        }
    }

    /// What the merchant is paid. `None` if the purchase was aborted.
    pub fn paid(&self) -> Option<Amount> {
        match self {
            Decision::Committed { terms, .. } => Some(terms.price),
            Decision::Streamed { voucher, .. } => Some(voucher.body.amount),
            Decision::Aborted { .. } => None,
        }
    }

    /// Signs the decision for customer and merchant. Signatures are deterministic, so the result is always the same.
    pub fn outcome(&self, key: &SecretKey) -> Outcome {
        match self {
            Decision::Committed {
                terms,
                goods_key,
                sealed_key,
            } => {
                let purchase = terms.purchase_id();
                let receipt = Receipt {
                    purchase,
                    bank: terms.bank,
                    coins_digest: terms.coins_digest,
                    account: terms.account,
                    amount: terms.price,
                    goods_key: goods_key.clone(),
                };
                Outcome::Committed(Box::new(Committed {
                    receipt: Signed::sign(receipt, key),
                    commit: Signed::sign(commit(terms, terms.price, sealed_key), key),
                }))
            }
            Decision::Aborted { terms, reason } => Outcome::Aborted(Signed::sign(abort(terms, reason), key)),
            Decision::Streamed {
                terms,
                voucher,
                sealed_key,
                ..
            } => Outcome::Streamed(Box::new(stream_commit(terms, voucher, sealed_key, key))),
        }
    }

    /// Signs the decision for the bank.
    pub fn for_bank(&self, key: &SecretKey) -> SignedDecision {
        match self {
            Decision::Committed {
                terms, sealed_key, ..
            } => SignedDecision::Commit(Signed::sign(commit(terms, terms.price, sealed_key), key)),
            Decision::Aborted { terms, reason } => {
                SignedDecision::Abort(Signed::sign(abort(terms, reason), key))
            }
            Decision::Streamed {
                terms,
                voucher,
                sealed_key,
                ..
            } => SignedDecision::Stream(Box::new(stream_commit(terms, voucher, sealed_key, key))),
        }
    }
}

fn commit(terms: &Terms, amount: Amount, sealed_key: &SealedKey) -> Commit {
    Commit {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount,
        sealed_key: *sealed_key,
    }
}

fn stream_commit(
    terms: &Terms,
    voucher: &Signed<Voucher>,
    sealed_key: &SealedKey,
    key: &SecretKey,
) -> StreamCommit {
    StreamCommit {
        commit: Signed::sign(commit(terms, voucher.body.amount, sealed_key), key),
        voucher: voucher.clone(),
    }
}

fn abort(terms: &Terms, reason: &AbortReason) -> Abort {
    Abort {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        reason: reason.clone(),
    }
}

/// A decision, and whether the escrow has to write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It was written before.
    Before(Decision),
    /// It is new. Write it, then reply.
    Now(Decision),
}

impl Decided {
    /// The decision.
    pub fn decision(&self) -> &Decision {
        match self {
            Decided::Before(decision) | Decided::Now(decision) => decision,
        }
    }
}
