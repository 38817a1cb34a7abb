//! Why a request was refused, told to whoever asked.
//!
//! No refusal ends anything for a wallet: only a signed document does (an abort, a receipt, the issued
//! coins, a bank's [`Denial`]). A refusal says what was wrong and whether asking again can help; it never says anything that
//! joins two requests.

use crate::bounded::reason;
use crate::decision::SignedDecision;
use crate::denial::{CoinDenial, Denial, DenialCause};
use crate::documents::{Abort, EarlierUse, Issued};
use crate::ids::PurchaseId;
use crate::money::Amount;
use farthing_coin::{KeyId, PublicKey, Signed};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a request was refused. Whatever it is, the request has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The request itself is not one.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// The node cannot answer now; nothing was decided.
    #[error(transparent)]
    Later(#[from] Later),
    /// The account.
    #[error(transparent)]
    Account(#[from] AccountFault),
    /// The issuing of new coins.
    #[error(transparent)]
    Issue(#[from] IssueFault),
    /// The coins that were offered.
    #[error(transparent)]
    Coins(#[from] CoinsFault),
    /// The contract, the offer, or a signed document.
    #[error(transparent)]
    Contract(#[from] ContractFault),
    /// The state that the purchase is in.
    #[error(transparent)]
    Purchase(#[from] PurchaseFault),
    /// The merchant's goods.
    #[error(transparent)]
    Goods(#[from] GoodsFault),
    /// The bank denies the request for good, and signs it. Whoever is told checks that: see
    /// [`is_denied`](crate::denial::is_denied).
    #[error("{}", .0.body.cause)]
    Denied(Box<Signed<Denial>>),
}

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Ask the same again, after a while.
    AskAgain,
    /// Open a new session under the same request id.
    BeginAgain,
    /// Asking the same again gets the same refusal.
    GiveUp,
}

impl Refusal {
    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Refusal::Later(_) => Advice::AskAgain,
            Refusal::Issue(IssueFault::SessionGone) => Advice::BeginAgain,
            _ => Advice::GiveUp,
        }
    }
}

/// The request itself is not one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// The bytes do not spell a request.
    #[error("{0}")]
    Malformed(#[serde(with = "reason")] String),
    /// The request came over a connection of another kind; identified and anonymous ones are never mixed.
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
        /// Which list.
        #[serde(with = "reason")]
        what: String,
        /// Its length.
        got: usize,
        /// The most that is allowed.
        most: usize,
    },
    /// Two lists that belong together differ in length.
    #[error("there are {got} {what}, expected {expected}")]
    ListMismatch {
        /// Which list.
        #[serde(with = "reason")]
        what: String,
        /// Its length.
        got: usize,
        /// What it should be.
        expected: usize,
    },
    /// A signature is not the one that the request needs.
    #[error("the {whose} signature is refused: {why}")]
    Signature {
        /// Whose.
        #[serde(with = "reason")]
        whose: String,
        /// Why.
        #[serde(with = "reason")]
        why: String,
    },
    /// A bucket was asked for by too long a prefix.
    #[error("a bucket's prefix has at most {most} bits, got {got}")]
    BucketTooNarrow {
        /// What was asked.
        got: u8,
        /// The most.
        most: u8,
    },
}

/// The node cannot answer now; nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Later {
    /// More requests are under way than the node carries.
    #[error("busy, retry after {retry_after_ms} ms")]
    Busy {
        /// When to ask again (ms).
        retry_after_ms: u64,
    },
    /// The node's store takes no writes (disk full, disk failing), or it is stopping.
    #[error("the node takes no requests now: {0}")]
    Unavailable(#[serde(with = "reason")] String),
    /// Another node that has to act as well did not answer.
    #[error("the {0} did not answer; ask again")]
    PeerSilent(#[serde(with = "reason")] String),
    /// The decision is still open.
    #[error("not yet: the deadline has not passed")]
    NotYet,
    /// The node has just started, and none of its peers has told it yet what they remember of it.
    #[error("the node has just started and waits for a peer to tell what it remembers of it; ask again")]
    Unwitnessed,
    /// A peer remembers more of the node than it does itself: it runs from an older copy.
    #[error("the node runs from an older copy of its journal; its operator has to put the newest in place")]
    Behind,
}

/// The account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum AccountFault {
    /// The bank keeps no such account.
    #[error("the bank has no account {0}; its operator opens one with `farthing-bank account open`")]
    Unknown(PublicKey),
    /// The account holds too little.
    #[error("the balance is {balance}, {asked} was asked for")]
    Balance {
        /// What it holds.
        balance: Amount,
        /// What was asked.
        asked: Amount,
    },
}

/// The issuing of new coins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum IssueFault {
    /// The bank was restarted or has closed the session: begin again under the same request id.
    #[error("the session is gone, nothing was issued; begin again with the same request id")]
    SessionGone,
    /// This request id was finished with other content; what was issued then is inside.
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
    /// Coins in and coins out differ in worth.
    #[error("the coins put in are worth {inputs}, those asked for {outputs}")]
    Unbalanced {
        /// Worth of the inputs.
        inputs: Amount,
        /// Worth of the outputs.
        outputs: Amount,
    },
    /// The outputs' worth does not fit in an amount.
    #[error("the outputs' sum overflows")]
    Overflow,
}

/// The coins that were offered; `index` counts from 0 in the request's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("coin {index}: {what}")]
pub struct CoinsFault {
    /// Which coin.
    pub index: usize,
    /// What is wrong with it.
    pub what: CoinFault,
}

/// What is wrong with a coin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CoinFault {
    /// Its denomination key is not in the bank's list: another bank's, or made up.
    #[error("its denomination key is not one of this bank's")]
    UnknownKey,
    /// Its key's time to be spent or exchanged has ended.
    #[error("its denomination key expired at {expired_ms} ms")]
    Expired {
        /// When (ms since 1970).
        expired_ms: u64,
    },
    /// The purchase's deadline leaves too little time before its key ends.
    #[error("its denomination key ends too soon after the purchase's deadline")]
    EndsTooSoon,
    /// It is not a coin.
    #[error("{0}")]
    Invalid(#[serde(with = "reason")] String),
    /// Its holder's signature is not for this request.
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
}

/// The contract, the offer, or a signed document.
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
    /// The coins are not those of the terms.
    #[error("the coins are not those that the terms name")]
    OtherCoins,
    /// The note is not that of the terms.
    #[error("the note is not the one that the terms name")]
    OtherNote,
    /// The coins' worth is not the price.
    #[error("the coins are worth {worth}, the price is {price}")]
    Worth {
        /// What the coins are worth.
        worth: Amount,
        /// What the terms say.
        price: Amount,
    },
    /// The deadline is in the past or too near.
    #[error("the deadline has passed or leaves too little time")]
    DeadlineTooSoon,
    /// The deadline is beyond the horizon.
    #[error("the deadline is too far in the future")]
    DeadlineTooFar,
    /// The party does not work with this bank or escrow.
    #[error("this node does not work with the {role} {key}; its operator adds the card with `network add`")]
    UnknownParty {
        /// Bank or escrow.
        #[serde(with = "reason")]
        role: String,
        /// Its identity key.
        key: PublicKey,
    },
    /// The hold is not one for this contract by this escrow and bank.
    #[error("the hold is refused: {0}")]
    Hold(#[serde(with = "reason")] String),
    /// The goods key does not open the offer's commitment.
    #[error("the goods key does not open the offer's commitment")]
    WrongGoodsKey,
    /// A decision's signature or content does not fit the purchase.
    #[error("the decision is refused: {0}")]
    Decision(#[serde(with = "reason")] String),
    /// What is shown as the cause of an abort is none.
    #[error("the cause of the abort is refused: {0}")]
    Cause(#[serde(with = "reason")] String),
    /// The contract is of version 1, whose escrow need not show why it aborts.
    #[error(
        "the contract is of version 1, and nothing is released for it any more; the coins come back, buy again"
    )]
    WithoutCauses,
}

/// The state that the purchase is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PurchaseFault {
    /// Not known here.
    #[error("purchase {0} is not known here")]
    Unknown(PurchaseId),
    /// It has ended as committed.
    #[error("purchase {0} has ended: committed")]
    Committed(PurchaseId),
    /// It has ended as aborted.
    #[error("purchase {0} has ended: aborted")]
    Aborted(PurchaseId),
    /// Its deadline has passed by the escrow's clock.
    #[error("the deadline of purchase {0} has passed")]
    DeadlinePassed(PurchaseId),
    /// Its offer was for one sale only, and another purchase has it.
    #[error("the offer was for one sale and is sold")]
    Sold,
    /// It is older than what the escrow keeps: the bank knows how it ended.
    #[error("purchase {0} is closed; ask the bank")]
    Closed(PurchaseId),
    /// The bank has obeyed its escrow's opposite decision, which is inside: both together convict the escrow.
    #[error("the same escrow signed the opposite before, which convicts it")]
    DecidedOtherwise(Box<SignedDecision>),
    /// The escrow has aborted it: this, with its cause. It is what a merchant gets, who has shown the goods key for it.
    #[error("the purchase has ended: aborted, as {}", .0.body.reason)]
    AbortedBy(Box<Signed<Abort>>),
}

/// The merchant's goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum GoodsFault {
    /// No such item.
    #[error("the merchant has no such item; `farthing catalog` lists what there is")]
    UnknownItem,
    /// No such encrypted goods, or an offset beyond their end.
    #[error("the merchant serves no such piece of goods")]
    UnknownPiece,
    /// The offer was not made by this merchant.
    #[error("the offer is not one of this merchant's")]
    UnknownOffer,
    /// The merchant takes no such bank or escrow.
    #[error("the merchant accepts no such {0}")]
    NotAccepted(#[serde(with = "reason")] String),
}

// ---- denials ----------------------------------------------------------------------------------------------

impl DenialCause {
    /// What a refusal denies for good, of a request for `coins` whose signatures have been verified. `None` if asking
    /// again, or beginning again, may help, or if the request itself is at fault.
    ///
    /// A used coin is without what was given for it; see [`CoinDenial`].
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
            CoinDenial::Expired { expired_ms } => CoinFault::Expired {
                expired_ms: *expired_ms,
            }
            .fmt(f),
            CoinDenial::EndsTooSoon => CoinFault::EndsTooSoon.fmt(f),
        }
    }
}
