//! Convictions: who is convicted, and of which charge.

use crate::ids::PurchaseId;
use farthing_coin::PublicKey;
use std::fmt;

/// A party that documents can convict.
///
/// [`Judge`](super::Judge) judges a merchant's delivery by the goods. A customer is anonymous and cannot be convicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    /// The escrow of this key.
    Escrow(PublicKey),
    /// The bank of this key.
    Bank(PublicKey),
    /// The merchant of this key.
    Merchant(PublicKey),
    /// The server of this key: a bank, an escrow or a merchant. Its documents do not say which.
    Server(PublicKey),
}

/// A charge: what a party has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// The escrow signed a receipt or a commit, and also an abort of the same purchase, or two commits of different amounts.
    DecidedTwice,
    /// The escrow signed or sealed a goods key that does not open the offer's commitment.
    WrongGoodsKey,
    /// A document contradicts the terms of the purchase that it names.
    NotAsAgreed,
    /// The escrow signed an abort without a valid cause: no cancel of the customer, and no statement of the bank that the
    /// purchase is overdue.
    AbortedWithoutCause,
    /// The bank signed that a purchase is overdue, before its deadline.
    OverdueTooEarly,
    /// The escrow aborted for a wrong sealed key, and the sealed key of the offer is right.
    SealedKeyDenied,
    /// The escrow aborted, as the sealed key of the merchant's offer is wrong.
    WrongSealedKey {
        /// Whether the abort proves it with a shared point. An abort of version 1 only says it. Then the ephemeral secret
        /// of a right key clears the merchant (PROTOCOL EV-15).
        shown: bool,
    },
    /// The bank signed that it has applied both a commit and an abort of one purchase.
    SettledTwice,
    /// The bank held the coins, and the escrow has committed. The bank owes the account the price.
    CreditDenied,
    /// The bank signed that it has paid for a purchase that the escrow aborted.
    SpentThoughAborted,
    /// The bank signed that it has released the coins of a purchase that the escrow committed.
    ReleasedThoughCommitted,
    /// The bank signed this coin blindly, and signed a denial of it without a good reason.
    CoinDenied(PublicKey),
    /// The bank signed a denial of this reserve. Its credits are more than the bank admits, or the owner has not signed what
    /// was debited.
    ReserveDenied(PublicKey),
    /// The escrow committed a stream, and no voucher of the customer is for the amount, with ticks that the committed key fits.
    CommittedWithoutVoucher,
    /// The escrow promised to commit ticks of a stream, and committed fewer or aborted.
    RaisedNotKept,
    /// The merchant signed a tick of a stream that does not open with its key.
    TickDoesNotOpen {
        /// The number of the tick.
        tick: u32,
    },
    /// The server signed two encryption keys for one day.
    TwoEncryptionKeys {
        /// The number of the day (UTC, days since 1970).
        day: u32,
    },
}

impl Charge {
    /// The document that clears the accused party. `None` if no document can, so that the charge is final.
    pub fn unless(&self) -> Option<&'static str> {
        match self {
            Charge::DecidedTwice
            | Charge::WrongGoodsKey
            | Charge::NotAsAgreed
            | Charge::AbortedWithoutCause
            | Charge::OverdueTooEarly
            | Charge::SealedKeyDenied
            | Charge::WrongSealedKey { shown: true }
            | Charge::SettledTwice
            | Charge::RaisedNotKept
            | Charge::TickDoesNotOpen { .. }
            | Charge::TwoEncryptionKeys { .. } => None,
            Charge::CommittedWithoutVoucher => Some("the customer's voucher for the amount of the commit"),
            Charge::WrongSealedKey { shown: false } => {
                Some("the ephemeral secret of the sealed key, which shows that the key is right")
            }
            Charge::CreditDenied => {
                Some("its own statement that it has credited the account, or the escrow's abort")
            }
            Charge::SpentThoughAborted => Some("the escrow's commit"),
            Charge::ReleasedThoughCommitted => Some("the escrow's abort"),
            Charge::CoinDenied(_) => Some(
                "an authorization by the coin's key, with the coins that it issued for that exchange and its list of their \
                 keys, or with the escrow's commit of that purchase, or with what it credited for that deposit",
            ),
            Charge::ReserveDenied(_) => Some(
                "its statement with all credits of the reserve, and each debit: the owner's signature, with the coins that \
                 it issued and its list of their keys, or with what it credited",
            ),
        }
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Charge::DecidedTwice => "it signed two outcomes of the purchase",
            Charge::CommittedWithoutVoucher => {
                "it committed the stream for an amount that the customer has signed no voucher for"
            }
            Charge::RaisedNotKept => "it promised to commit ticks of the stream, and committed fewer or none",
            Charge::TickDoesNotOpen { tick } => {
                return write!(f, "it signed tick {tick} of the stream, which does not open with its key");
            }
            Charge::WrongGoodsKey => "it committed with a goods key that does not open the offer's commitment",
            Charge::NotAsAgreed => "it signed a document that contradicts the terms of the purchase",
            Charge::AbortedWithoutCause => {
                "it aborted the purchase, and the abort has neither the customer's cancel nor the bank's statement"
            }
            Charge::OverdueTooEarly => "it signed that the purchase is overdue before its deadline",
            Charge::SealedKeyDenied => "it aborted for a wrong sealed key, and the offer's is right",
            Charge::WrongSealedKey { .. } => "the goods key that it sealed in its offer is not the key that the offer commits to",
            Charge::SettledTwice => "it signed that it has applied both outcomes of the purchase",
            Charge::CreditDenied => {
                "it held the coins and promised to apply the escrow's decision, which is to commit: it owes the merchant \
                 the price"
            }
            Charge::SpentThoughAborted => "it paid for a purchase that the escrow aborted",
            Charge::ReleasedThoughCommitted => "it released the coins of a purchase that the escrow committed",
            Charge::CoinDenied(coin) => return write!(f, "it issued the coin {coin} and has to replace it"),
            Charge::ReserveDenied(reserve) => {
                return write!(f, "it owes the owner of the reserve {reserve} what was credited and not debited");
            }
            Charge::TwoEncryptionKeys { day } => {
                return write!(f, "it signed two encryption keys for day {day}, so it could tell wallets apart");
            }
        })
    }
}

/// A charge that documents prove against a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conviction {
    /// The convicted party.
    pub culprit: Culprit,
    /// The charge.
    pub charge: Charge,
    /// The purchase, if the charge is about one.
    pub purchase: Option<PurchaseId>,
}
