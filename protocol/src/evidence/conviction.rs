//! Who is convicted, and of what.

use crate::ids::PurchaseId;
use farthing_coin::PublicKey;
use std::fmt;

/// Who can be convicted by documents. What a merchant delivered is judged by [`Judge`](super::Judge), by the goods; a customer has no
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
    WrongSealedKey {
        /// Whether the abort shows it, with a shared point. Version 1 aborts only say it: the ephemeral secret of a right
        /// key then clears the merchant (PROTOCOL EV-15).
        shown: bool,
    },
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
            | Charge::WrongSealedKey { shown: true }
            | Charge::SettledTwice => None,
            Charge::WrongSealedKey { shown: false } => {
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
            Charge::WrongSealedKey { .. } => "the goods key that it sealed in its offer is not the one that the offer commits to",
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
