//! The decision of an escrow: as the escrow keeps it, and as it signs it for customer, merchant and bank.

use crate::{
    documents::{Abort, AbortReason, Commit, Receipt, Terms},
    goods::GoodsKey,
    ids::PurchaseId,
    seal::SealedKey,
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
}

impl SignedDecision {
    /// The purchase that it decides.
    pub fn purchase(&self) -> PurchaseId {
        match self {
            SignedDecision::Commit(commit) => commit.body.purchase,
            SignedDecision::Abort(abort) => abort.body.purchase,
        }
    }

    /// The bank of the purchase.
    pub fn bank(&self) -> PublicKey {
        match self {
            SignedDecision::Commit(commit) => commit.body.bank,
            SignedDecision::Abort(abort) => abort.body.bank,
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
}

impl Decision {
    /// The terms of the purchase.
    pub fn terms(&self) -> &Terms {
        match self {
            Decision::Committed { terms, .. } | Decision::Aborted { terms, .. } => terms,
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
                    commit: Signed::sign(commit(terms, purchase, sealed_key), key),
                }))
            }
            Decision::Aborted { terms, reason } => Outcome::Aborted(Signed::sign(abort(terms, reason), key)),
        }
    }

    /// Signs the decision for the bank.
    pub fn for_bank(&self, key: &SecretKey) -> SignedDecision {
        match self {
            Decision::Committed {
                terms, sealed_key, ..
            } => SignedDecision::Commit(Signed::sign(commit(terms, terms.purchase_id(), sealed_key), key)),
            Decision::Aborted { terms, reason } => {
                SignedDecision::Abort(Signed::sign(abort(terms, reason), key))
            }
        }
    }
}

fn commit(terms: &Terms, purchase: PurchaseId, sealed_key: &SealedKey) -> Commit {
    Commit {
        purchase,
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        sealed_key: *sealed_key,
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
