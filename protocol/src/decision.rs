//! What an escrow has decided: as it keeps the decision, and as it signs it for customer, merchant and bank.

use crate::{
    documents::{Abort, AbortReason, Commit, Receipt, Terms},
    goods::GoodsKey,
    ids::PurchaseId,
    seal::SealedKey,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use serde::{Deserialize, Serialize};

/// How a purchase has ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing is decided.
    Undecided,
    /// The merchant is paid, the customer has the key.
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

/// What the bank obeys.
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

    /// The bank that it is for.
    pub fn bank(&self) -> PublicKey {
        match self {
            SignedDecision::Commit(commit) => commit.body.bank,
            SignedDecision::Abort(abort) => abort.body.bank,
        }
    }
}

/// The one final decision of a purchase, as the escrow keeps it.
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
        /// Why.
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

    /// The decision, signed. Signatures are deterministic, so this is the same for ever.
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

    /// The decision, signed, as the bank obeys it.
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

/// A decision and whether it has to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It was written before.
    Before(Decision),
    /// It is new: write it, then reply.
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
