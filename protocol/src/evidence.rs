//! Evidence: who broke the protocol, judged offline from documents alone.
//!
//! | what | file |
//! |---|---|
//! | the documents of a purchase, and what they prove of escrow and bank | [`judge`], `case` |
//! | a coin that its bank denies by a signed [`Denial`] | [`judge`], `coins` |
//! | whether the goods are as described | [`Judge`], `delivery` |
//!
//! A party is convicted by two documents that it could not both have signed by the protocol, or by its own promise that
//! it does not keep. A promise is kept where nobody can be made to watch, so such a conviction stands *unless* the
//! party shows the one document that anybody who had kept it would have: that is [`Charge::unless`]. Whoever is accused
//! puts his own documents beside those of the accuser, and they are judged together.

mod case;
mod coins;
mod delivery;

pub use delivery::{Breach, Judge, NoVerdict, Verdict};

use crate::{
    denial::Denial,
    documents::{
        Abort, BankHold, Commit, Contract, EarlierUse, Hold, Issued, PurchaseId, Receipt, Settled, Terms,
    },
    goods::{PurchaseSecret, SealingSecret},
};
use farthing_coin::{Coin, KeyId, KeyList, PublicKey, Signed};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most papers that are judged together: every document is laid beside every other.
pub const PAPERS_MAX: usize = 16;

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

/// Who can be convicted by documents. What a merchant delivered is judged by [`Judge`], by the goods; a customer has no
/// name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    /// The escrow of this key.
    Escrow(PublicKey),
    /// The bank of this key.
    Bank(PublicKey),
    /// The merchant of this key.
    Merchant(PublicKey),
}

/// What somebody has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// The escrow signed a receipt or commit, and an abort, of one purchase.
    DecidedTwice,
    /// The escrow signed a goods key that does not open the offer's commitment, or sealed one that does not.
    WrongGoodsKey,
    /// The signer's document says something else than the terms of the purchase that it names.
    NotAsAgreed,
    /// The escrow signed an abort whose cause is none: neither the customer cancelled nor the bank called it overdue.
    AbortedWithoutCause,
    /// The bank signed that a purchase is overdue, before its deadline.
    OverdueTooEarly,
    /// The escrow signed that it has aborted for a wrong sealed key, and the offer's is right.
    SealedKeyDenied,
    /// The escrow signed that the sealed key of the merchant's offer is a wrong one.
    WrongSealedKey,
    /// The bank signed that it has obeyed both outcomes of one purchase.
    SettledTwice,
    /// The bank held the coins and promised to obey the escrow, which has committed: it owes the account the price.
    CreditDenied,
    /// The bank signed that it has paid for a purchase that the escrow aborted.
    SpentThoughAborted,
    /// The bank signed that it has released the coins of a purchase that the escrow committed.
    ReleasedThoughCommitted,
    /// The bank signed this coin blindly, and signed a denial of it that shows no good reason.
    CoinDenied(PublicKey),
}

impl Charge {
    /// The document that would clear the accused, where there is one; without it the charge is final.
    pub fn unless(&self) -> Option<&'static str> {
        match self {
            Charge::DecidedTwice
            | Charge::WrongGoodsKey
            | Charge::NotAsAgreed
            | Charge::AbortedWithoutCause
            | Charge::OverdueTooEarly
            | Charge::SealedKeyDenied
            | Charge::SettledTwice => None,
            Charge::WrongSealedKey => {
                Some("the secret that it was sealed with, by which it is the right one")
            }
            Charge::CreditDenied => {
                Some("its own word that it has credited the account, or the escrow's abort")
            }
            Charge::SpentThoughAborted => Some("the escrow's commit"),
            Charge::ReleasedThoughCommitted => Some("the escrow's abort"),
            Charge::CoinDenied(_) => Some(
                "an authorization by the coin's key, with what it gave for that exchange and its list of those keys, or the \
                 escrow's commit of that purchase",
            ),
        }
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Charge::DecidedTwice => "it signed both outcomes of the purchase",
            Charge::WrongGoodsKey => "it committed with a goods key that does not open the offer's commitment",
            Charge::NotAsAgreed => "it signed something else than the terms of the purchase that it names",
            Charge::AbortedWithoutCause => {
                "it aborted the purchase, and neither the customer's cancel nor the bank's word is in the abort"
            }
            Charge::OverdueTooEarly => "it signed that the purchase is overdue before its deadline",
            Charge::SealedKeyDenied => "it aborted for a wrong sealed key, and the offer's is right",
            Charge::WrongSealedKey => "the goods key that it sealed in its offer is not the one that the offer commits to",
            Charge::SettledTwice => "it signed that it has obeyed both outcomes of the purchase",
            Charge::CreditDenied => {
                "it held the coins and promised to obey the escrow, which committed: it owes the merchant the price"
            }
            Charge::SpentThoughAborted => "it paid for a purchase that the escrow aborted",
            Charge::ReleasedThoughCommitted => "it released the coins of a purchase that the escrow committed",
            Charge::CoinDenied(coin) => return write!(f, "it issued the coin {coin} and has to make it good"),
        })
    }
}

/// What documents prove of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conviction {
    /// Who.
    pub culprit: Culprit,
    /// Of what.
    pub charge: Charge,
    /// In which purchase, if it is about one.
    pub purchase: Option<PurchaseId>,
}

/// Everything that `papers` prove, laid side by side. Documents whose signatures do not hold prove nothing; nor do more
/// than [`PAPERS_MAX`] of the papers.
pub fn judge(papers: &[Papers]) -> Vec<Conviction> {
    let papers = papers.get(..PAPERS_MAX).unwrap_or(papers);
    let cases = case::cases(papers);
    let mut convictions: Vec<Conviction> = cases.iter().flat_map(case::Case::judge).collect();
    convictions.extend(coins::judge(papers, &cases));
    convictions
}
