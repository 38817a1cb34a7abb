//! The documents that are judged.

use crate::{
    denial::Denial,
    documents::{Abort, BankHold, Commit, Contract, EarlierUse, Hold, Issued, Receipt, Settled, Terms},
    goods::{PurchaseSecret, SealingSecret},
};
use farthing_coin::{Coin, KeyId, KeyList, PublicKey, Signed};
use serde::{Deserialize, Serialize};

/// What somebody has of one purchase, or of coins. Each document is there or not.
///
/// It is a file of JSON (bytes in hex), so that anyone can judge it. None of it spends anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Papers {
    /// Signed by both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// The terms, where there is no contract. Nobody has to have signed them: the purchase id is their digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// The escrow, where there are not even terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escrow: Option<PublicKey>,
    /// Signed by the escrow, around the bank's: that it will accept a release, and whether an abort of it will show its
    /// cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Signed<Hold>>,
    /// Signed by the bank: that the coins are held, and whom it will obey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_hold: Option<Signed<BankHold>>,
    /// Signed by the escrow, with the goods key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Signed<Receipt>>,
    /// Signed by the escrow, for the bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Signed<Commit>>,
    /// What opens the goods key that is sealed in the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase_secret: Option<PurchaseSecret>,
    /// Signed by the escrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<Signed<Abort>>,
    /// What opens the goods key that is sealed in the contract's offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealing_secret: Option<SealingSecret>,
    /// Signed by the bank, once it has obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Signed<Settled>>,
    /// Signed by the bank: the keys of its coins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Signed<KeyList>>,
    /// Coins that the bank denies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coins: Vec<Coin>,
    /// Signed by the bank: that it denies them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Signed<Denial>>,
    /// What coins are said to have been used for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<ShownUse>,
}

impl Papers {
    /// The terms, in the contract or alone.
    pub fn terms(&self) -> impl Iterator<Item = &Terms> {
        let contract = self.contract.iter().map(|contract| &contract.terms);
        contract.chain(&self.terms)
    }
}

/// A use of a coin, as its bank shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownUse {
    /// The coin's denomination.
    pub key_id: KeyId,
    /// The coin's key.
    pub coin: PublicKey,
    /// What it was used for.
    pub used: EarlierUse,
    /// What was given for it, if it was exchanged. Signed by the bank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Signed<Issued>>,
}
