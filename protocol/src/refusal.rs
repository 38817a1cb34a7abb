//! Refusals: why a server did not carry out a request.
//!
//! A refusal ends nothing for a wallet. Only a signed document does: an abort, a receipt, the issued coins, or a bank's
//! [`Denial`]. A refusal says what was wrong and whether the same request can succeed later. It never says anything that
//! links two requests.

use crate::bounded::reason;
use crate::decision::SignedDecision;
use crate::denial::{CoinDenial, Denial, DenialCause};
use crate::documents::{Abort, EarlierUse, Issued};
use crate::ids::PurchaseId;
use crate::money::Amount;
use crate::reserve_sums::ReserveFault;
use farthing_coin::{KeyId, PublicKey, Signed};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a request was refused. A refused request has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The request is malformed, or not one for this server.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// The node cannot answer now. Nothing was decided.
    #[error(transparent)]
    Later(#[from] Later),
    /// A fault of the account.
    #[error(transparent)]
    Account(#[from] AccountFault),
    /// A fault of the issuing of new coins.
    #[error(transparent)]
    Issue(#[from] IssueFault),
    /// A fault of a coin in the request.
    #[error(transparent)]
    Coins(#[from] CoinsFault),
    /// A fault of the contract, the offer, or a signed document.
    #[error(transparent)]
    Contract(#[from] ContractFault),
    /// The state of the purchase does not allow the request.
    #[error(transparent)]
    Purchase(#[from] PurchaseFault),
    /// The merchant does not have or serve the goods.
    #[error(transparent)]
    Goods(#[from] GoodsFault),
    /// The bank's signed, final denial of the request. The recipient checks it with
    /// [`is_denied`](crate::denial::is_denied).
    #[error("{}", .0.body.cause)]
    Denied(Box<Signed<Denial>>),
    /// A fault of a request that goes through a relay. Nobody has signed it, so it decides nothing.
    #[error(transparent)]
    Relay(#[from] RelayFault),
}

/// What to do after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Send the same request again, after a pause.
    AskAgain,
    /// Open a new session under the same request id.
    BeginAgain,
    /// Stop. The same request gets the same refusal.
    GiveUp,
}

impl Refusal {
    /// What to do after this refusal.
    pub fn advice(&self) -> Advice {
        match self {
            Refusal::Later(_) => Advice::AskAgain,
            Refusal::Issue(IssueFault::SessionGone) => Advice::BeginAgain,
            _ => Advice::GiveUp,
        }
    }

    /// Whether the request was of no use to anyone: it did not decode, came on a wrong lane, or held something that its
    /// supposed signer has not signed. A client that checks what it sends gets no such refusal.
    pub fn is_misuse(&self) -> bool {
        match self {
            Refusal::Request(fault) => matches!(
                fault,
                RequestFault::Malformed(_) | RequestFault::WrongLane(_) | RequestFault::Signature { .. }
            ),
            Refusal::Coins(fault) => {
                matches!(fault.what, CoinFault::Invalid(_) | CoinFault::Authorization(_))
            }
            Refusal::Contract(fault) => matches!(
                fault,
                ContractFault::OfferForged(_)
                    | ContractFault::Forged(_)
                    | ContractFault::Hold(_)
                    | ContractFault::Decision(_)
            ),
            _ => false,
        }
    }
}

/// A fault of the request itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// The bytes do not decode to a request.
    #[error("{0}")]
    Malformed(#[serde(with = "reason")] String),
    /// The request came over a connection of the wrong kind. Identified and anonymous requests are never mixed.
    #[error("this request must come over {0} connection")]
    WrongLane(#[serde(with = "reason")] String),
    /// The request names another party as its recipient.
    #[error("the request is for {named}, this is {this}")]
    NotForMe {
        /// The party that the request names.
        named: PublicKey,
        /// The party that it was sent to. JSON calls it `here`.
        #[serde(rename = "here")]
        this: PublicKey,
    },
    /// A list is empty or too long.
    #[error("the list of {what} has {got} entries, 1 to {most} are allowed")]
    ListLength {
        /// The name of the list.
        #[serde(with = "reason")]
        what: String,
        /// Its length.
        got: usize,
        /// The greatest length that is allowed.
        most: usize,
    },
    /// Two lists that belong together differ in length.
    #[error("there are {got} {what}, expected {expected}")]
    ListMismatch {
        /// The name of the list.
        #[serde(with = "reason")]
        what: String,
        /// Its length.
        got: usize,
        /// The length that it must have.
        expected: usize,
    },
    /// A signature is invalid, or is by another key.
    #[error("the {whose} signature is refused: {why}")]
    Signature {
        /// The signer, with a possessive.
        #[serde(with = "reason")]
        whose: String,
        /// What is wrong with it.
        #[serde(with = "reason")]
        why: String,
    },
    /// The prefix of a bucket is too long.
    #[error("a bucket's prefix has at most {most} bits, got {got}")]
    BucketTooNarrow {
        /// The length in the request (bits).
        got: u8,
        /// The greatest length that is allowed (bits).
        most: u8,
    },
    /// An output of a deposit is nothing, two have the same payee, or nobody can have the key of a reserve.
    #[error(
        "an output of the deposit is 0, or has a payee twice, or goes to a reserve whose key nobody can have"
    )]
    Output,
}

/// Why a node cannot answer now. Nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Later {
    /// The node has more requests than it accepts at once.
    #[error("busy, retry after {retry_after_ms} ms")]
    Busy {
        /// How long to wait before the next request (ms).
        retry_after_ms: u64,
    },
    /// The node's store accepts no writes (the disk is full or fails), or the node is stopping.
    #[error("the node takes no requests now: {0}")]
    Unavailable(#[serde(with = "reason")] String),
    /// Another node that has to act too did not answer.
    #[error("the {0} did not answer; ask again")]
    PeerSilent(#[serde(with = "reason")] String),
    /// The escrow has not decided, and cannot abort before the deadline.
    #[error("not yet: the deadline has not passed")]
    NotYet,
    /// The node has just started, and no peer has said yet what it remembers of the node.
    #[error(
        "the node has just started and waits for a peer to tell what it remembers of the node; ask again"
    )]
    Unwitnessed,
    /// A peer remembers a record that the node's journal lacks. The node runs from an older copy.
    #[error("the node runs from an older copy of its journal; its operator has to put the newest in place")]
    Behind,
    /// The operator has the node finish its work. It begins nothing new, and finishes everything that is under way.
    #[error("the node begins nothing new for now, and finishes what is under way; come back later")]
    Draining,
}

/// Why a request did not go through a relay. The wallet sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RelayFault {
    /// The relay does not forward to this target.
    #[error("the relay does not know this party; its operator adds it with `farthing-relay network add`")]
    UnknownTarget,
    /// The target does not have the key to which the request is encrypted.
    #[error("the key of that day is gone; ask the relay for the newest")]
    OldKey,
    /// The request does not open under the target's key.
    #[error("the request does not open under the key of its day")]
    DoesNotOpen,
}

/// A fault of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum AccountFault {
    /// The bank keeps no such account.
    #[error("the bank has no account {0}; its operator opens one with `farthing-bank account open`")]
    Unknown(PublicKey),
    /// The account holds too little.
    #[error("the balance is {balance}, {asked} was asked for")]
    Balance {
        /// The balance of the account.
        balance: Amount,
        /// The amount of the request.
        asked: Amount,
    },
    /// A reserve holds too little.
    #[error(transparent)]
    Reserve(#[from] ReserveFault),
}

/// A fault of the issuing of new coins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum IssueFault {
    /// The bank was restarted or has closed the session. The wallet begins again under the same request id.
    #[error("the session is gone, nothing was issued; begin again with the same request id")]
    SessionGone,
    /// This request id was finished before with other content. The record of what was issued is inside.
    #[error("this request was finished before with other content")]
    OtherContent(Box<Signed<Issued>>),
    /// The bank has no such denomination key.
    #[error("the bank has no denomination key {0}")]
    UnknownKey(KeyId),
    /// The denomination key does not issue now.
    #[error("the denomination key {0} is not being issued now")]
    NotIssuing(KeyId),
    /// A challenge is not a canonical scalar.
    #[error("challenge {0} is not a canonical scalar")]
    Challenge(usize),
    /// The inputs and the outputs differ in worth.
    #[error("the coins that go in are worth {inputs}, the new coins {outputs}")]
    Unbalanced {
        /// The worth of the inputs.
        inputs: Amount,
        /// The worth of the outputs.
        outputs: Amount,
    },
    /// The worth of the outputs does not fit in an amount.
    #[error("the new coins are worth more than an amount can hold")]
    Overflow,
    /// The bank winds down. It takes coins back, and nobody withdraws any.
    #[error(
        "the bank winds down, and nobody withdraws coins any more; `farthing redeem` puts coins into an account, which the bank pays out"
    )]
    Stopped,
}

/// A fault of one coin in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("coin {index}: {what}")]
pub struct CoinsFault {
    /// The place of the coin in the request, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub what: CoinFault,
}

/// What is wrong with a coin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CoinFault {
    /// Its denomination key is not in the bank's list. It belongs to another bank, or is made up.
    #[error("its denomination key is not one of this bank's")]
    UnknownKey,
    /// The time in which coins of its key can be held, or exchanged, has ended.
    #[error("its denomination key expired at {expired_ms} ms")]
    Expired {
        /// The end of that time (ms since 1970).
        expired_ms: u64,
    },
    /// The deadline of the purchase leaves too little time before its key ends.
    #[error("its denomination key ends too soon after the purchase's deadline")]
    EndsTooSoon,
    /// It is not a valid coin.
    #[error("{0}")]
    Invalid(#[serde(with = "reason")] String),
    /// The signature of its key is invalid for this request.
    #[error("its authorization is refused: {0}")]
    Authorization(#[serde(with = "reason")] String),
    /// It appears twice in the request.
    #[error("it is in the request twice")]
    Twice,
    /// It is held for another purchase.
    #[error("it is already held for another purchase")]
    AlreadyHeld(EarlierUse),
    /// It was spent in another purchase.
    #[error("it is already spent")]
    AlreadySpent(EarlierUse),
    /// It was exchanged in another request.
    #[error("it is already exchanged")]
    AlreadyExchanged(EarlierUse),
    /// It was paid to accounts or reserves in another deposit.
    #[error("it is already deposited")]
    AlreadyDeposited(EarlierUse),
    /// A cancel of an undecided purchase shows no coin.
    #[error("it is missing; the cancel of an undecided purchase shows one")]
    Missing,
    /// The coin has cancelled as many purchases as one coin can.
    #[error("it has cancelled too many purchases; exchange it")]
    CancelledTooOften,
}

/// A fault of the contract, the offer, or a signed document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ContractFault {
    /// A field of the offer is out of bounds.
    #[error("the offer's {0} is out of bounds")]
    OfferBounds(#[serde(with = "reason")] String),
    /// The offer is not signed by the merchant that it names.
    #[error("the offer's signature is refused: {0}")]
    OfferForged(#[serde(with = "reason")] String),
    /// The contract is not signed by its purchase key.
    #[error("the contract's signature is refused: {0}")]
    Forged(#[serde(with = "reason")] String),
    /// The terms do not fit the offer.
    #[error("the terms' {0} does not fit the offer")]
    DoesNotFit(#[serde(with = "reason")] String),
    /// The coins differ from the digest in the terms.
    #[error("the coins are not the coins that the terms name")]
    OtherCoins,
    /// The recovery record differs from the digest in the terms.
    #[error("the recovery record is not the one that the terms name")]
    OtherNote,
    /// The coins are worth less than the price.
    #[error("the coins are worth {worth}, the price is {price}")]
    Worth {
        /// The worth of the coins.
        worth: Amount,
        /// The price in the terms.
        price: Amount,
    },
    /// The deadline is in the past or too near.
    #[error("the deadline has passed or leaves too little time")]
    DeadlineTooSoon,
    /// The deadline is too far in the future.
    #[error("the deadline is too far in the future")]
    DeadlineTooFar,
    /// This node has no card of the bank or escrow.
    #[error("this node does not work with the {role} {key}; its operator adds the card with `network add`")]
    UnknownParty {
        /// The role: bank or escrow.
        #[serde(with = "reason")]
        role: String,
        /// The identity key.
        key: PublicKey,
    },
    /// The hold is not for this contract, or not signed by its escrow and bank.
    #[error("the hold is refused: {0}")]
    Hold(#[serde(with = "reason")] String),
    /// The goods key does not open the offer's commitment.
    #[error("the goods key does not open the offer's commitment")]
    WrongGoodsKey,
    /// The signature or the content of a decision does not fit the purchase.
    #[error("the decision is refused: {0}")]
    Decision(#[serde(with = "reason")] String),
    /// The cause that an abort shows is missing or false.
    #[error("the cause of the abort is refused: {0}")]
    Cause(#[serde(with = "reason")] String),
    /// The contract is of version 1. Its escrow need not show why it aborts.
    #[error(
        "the contract is of version 1, and nothing is released for it any more; the coins come back, buy again"
    )]
    WithoutCauses,
}

/// Why the state of the purchase does not allow a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PurchaseFault {
    /// The node does not know the purchase.
    #[error("purchase {0} is not known here")]
    Unknown(PurchaseId),
    /// The purchase has ended as committed.
    #[error("purchase {0} has ended: committed")]
    Committed(PurchaseId),
    /// The purchase has ended as aborted.
    #[error("purchase {0} has ended: aborted")]
    Aborted(PurchaseId),
    /// The deadline has passed by the escrow's clock.
    #[error("the deadline of purchase {0} has passed")]
    DeadlinePassed(PurchaseId),
    /// The offer could be bought once, and another purchase has it.
    #[error("the offer was for one sale and is sold")]
    Sold,
    /// The escrow no longer keeps the purchase, as it is old. The bank knows how it ended.
    #[error("purchase {0} is closed; ask the bank")]
    Closed(PurchaseId),
    /// The bank has applied the opposite decision of the same escrow. It is inside. Both together convict the escrow.
    #[error("the same escrow signed the opposite decision before; both together convict it")]
    DecidedOtherwise(Box<SignedDecision>),
    /// The escrow has aborted the purchase, with this document and its cause. It goes to a merchant who has shown the
    /// goods key.
    #[error("the purchase has ended: aborted, as {}", .0.body.reason)]
    AbortedBy(Box<Signed<Abort>>),
    /// The refunds of a purchase would exceed its price.
    #[error("the price was {price}, {asked} cannot be refunded of it")]
    RefundTooHigh {
        /// The price.
        price: Amount,
        /// The total of the request.
        asked: Amount,
    },
}

/// Why a merchant does not offer or serve goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum GoodsFault {
    /// The merchant does not have the item.
    #[error("the merchant does not have this item; `farthing catalog` lists the items")]
    UnknownItem,
    /// The merchant does not have the encrypted goods, or the offset is beyond their end.
    #[error("the merchant does not serve this piece of goods")]
    UnknownPiece,
    /// Another merchant made the offer.
    #[error("the offer is not by this merchant")]
    UnknownOffer,
    /// The merchant does not accept the bank or escrow.
    #[error("the merchant does not accept this {0}")]
    NotAccepted(#[serde(with = "reason")] String),
    /// All that the merchant has of the item are sold, or reserved by offers that are out.
    #[error("all of this item are sold or reserved; an offer that expires may make one free")]
    SoldOut,
}

// ---- denials ----------------------------------------------------------------------------------------------

impl DenialCause {
    /// The cause of a denial, for a refusal of a request with `coins` whose signatures have been verified.
    ///
    /// `None` if the request can succeed later or after a new begin, or if the request itself is faulty. For a used coin
    /// the cause has no proof yet: see [`CoinDenial`].
    pub fn of(refusal: &Refusal, coins: &[(KeyId, PublicKey)]) -> Option<DenialCause> {
        Some(match refusal {
            Refusal::Coins(CoinsFault { index, what }) => {
                let (key_id, coin) = *coins.get(*index)?;
                let what = match what {
                    CoinFault::AlreadyHeld(used) => CoinDenial::Held(*used),
                    CoinFault::AlreadySpent(used) => CoinDenial::Spent {
                        used: *used,
                        proof: None,
                    },
                    CoinFault::AlreadyExchanged(used) => CoinDenial::Exchanged {
                        used: *used,
                        issued: None,
                    },
                    CoinFault::AlreadyDeposited(used) => CoinDenial::Deposited {
                        used: *used,
                        deposited: None,
                    },
                    CoinFault::Expired { expired_ms } => CoinDenial::Expired {
                        expired_ms: *expired_ms,
                    },
                    CoinFault::EndsTooSoon => CoinDenial::EndsTooSoon,
                    _ => return None,
                };
                DenialCause::Coin { key_id, coin, what }
            }
            Refusal::Account(AccountFault::Unknown(account)) => DenialCause::UnknownAccount(*account),
            Refusal::Account(AccountFault::Balance { balance, asked }) => DenialCause::Balance {
                balance: *balance,
                asked: *asked,
            },
            Refusal::Account(AccountFault::Reserve(fault)) => DenialCause::Reserve(*fault),
            Refusal::Issue(IssueFault::UnknownKey(key_id)) => DenialCause::UnknownKey(*key_id),
            Refusal::Issue(IssueFault::Unbalanced { inputs, outputs }) => DenialCause::Unbalanced {
                inputs: *inputs,
                outputs: *outputs,
            },
            Refusal::Issue(IssueFault::Overflow) => DenialCause::Overflow,
            _ => return None,
        })
    }
}

impl fmt::Display for DenialCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DenialCause::Coin { coin, what, .. } => write!(f, "the coin {coin}: {what}"),
            DenialCause::UnknownAccount(account) => AccountFault::Unknown(*account).fmt(f),
            DenialCause::Balance { balance, asked } => {
                let (balance, asked) = (*balance, *asked);
                AccountFault::Balance { balance, asked }.fmt(f)
            }
            DenialCause::Reserve(fault) => fault.fmt(f),
            DenialCause::UnknownKey(key_id) => IssueFault::UnknownKey(*key_id).fmt(f),
            DenialCause::Unbalanced { inputs, outputs } => {
                let (inputs, outputs) = (*inputs, *outputs);
                IssueFault::Unbalanced { inputs, outputs }.fmt(f)
            }
            DenialCause::Overflow => IssueFault::Overflow.fmt(f),
        }
    }
}

impl fmt::Display for CoinDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoinDenial::Held(used) => CoinFault::AlreadyHeld(*used).fmt(f),
            CoinDenial::Spent { used, .. } => CoinFault::AlreadySpent(*used).fmt(f),
            CoinDenial::Exchanged { used, .. } => CoinFault::AlreadyExchanged(*used).fmt(f),
            CoinDenial::Deposited { used, .. } => CoinFault::AlreadyDeposited(*used).fmt(f),
            CoinDenial::Expired { expired_ms } => CoinFault::Expired {
                expired_ms: *expired_ms,
            }
            .fmt(f),
            CoinDenial::EndsTooSoon => CoinFault::EndsTooSoon.fmt(f),
        }
    }
}
