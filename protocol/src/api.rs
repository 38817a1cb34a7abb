//! The requests of each server, and the type of each reply.
//!
//! A request travels as one value of its server's enum. The reply is `Result<R, Refusal>`, where `R` is the request's
//! own [`Call::Reply`].

use crate::{
    decide::{CancelRequest, OutcomeRequest, OverdueRequest, ReleaseRequest},
    decision::{Committed, Outcome, SignedDecision},
    deposit::Deposit,
    deposited::Deposited,
    documents::{BankHold, FreeReceipt, Hold, Issued, Receipt, Settled},
    exchange::{Authorized, ExchangeBegin, ExchangeFinish},
    free::TakeRequest,
    history::{Testimony, WithHead, WitnessRequest},
    hold::{BankHoldRequest, HoldRequest},
    issue::Begun,
    limits::{REPLY_MAX_BYTES, REQUEST_MAX_BYTES},
    money::Amount,
    oblivious::{EncryptionKey, SealedReply, SealedRequest},
    offer::{CatalogPage, CatalogRequest, DeliverRequest, OfferRequest, Offered, Piece, PieceRequest},
    refund::{RefundRequest, Refunded},
    refusal::{Refusal, RequestFault},
    request::check_matching,
    reserve::{FromReserve, ReserveBalance, ReserveRequest},
    restore::{
        AccountRequest, BucketPage, BucketRequest, KeptMemo, MemoRequest, WithdrawalsPage, WithdrawalsRequest,
    },
    sealed::{PayRequest, SalesPage, SalesRequest},
    settle::{Answers, CollectRequest, Collected, SettleRequest},
    stream::{
        CloseRequest, OpenRequest, RaiseReply, RaiseRequest, StopRequest, Ticks, TicksRequest, Voucher,
        WatchRequest,
    },
    wire::{self, FRAME_MAX_BYTES, VARIANT_BYTES},
    withdraw::{WithdrawBegin, WithdrawFinish},
};
use farthing_coin::{KeyList, PublicKey, Signed};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// Who may send a request. A server refuses a request on a connection of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The owner of an account, whom the bank knows.
    Identified,
    /// A wallet that stays anonymous.
    Anonymous,
    /// Another server.
    Peer,
    /// A relay, for wallets.
    Relay,
    /// Anyone.
    Anyone,
}

/// Declares the kinds of request, each with its name.
macro_rules! questions {
    ($($(#[$doc:meta])* $question:ident = $name:literal;)*) => {
        /// The kind of a request. Some kinds are for both bank and escrow.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Question {
            $($(#[$doc])* $question,)*
        }

        impl Question {
            /// The name in errors, logs and traces.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Question::$question => $name,)* }
            }
        }
    };
}

questions! {
    /// A bank's list of keys.
    Keys = "list of keys";
    /// The balance of an account.
    Account = "balance";
    /// A session for a withdrawal.
    WithdrawBegin = "withdraw, begin";
    /// The coins of a withdrawal.
    WithdrawFinish = "withdraw, finish";
    /// Finished withdrawals.
    Withdrawals = "withdrawals";
    /// A session for an exchange.
    ExchangeBegin = "exchange, begin";
    /// The coins of an exchange.
    ExchangeFinish = "exchange, finish";
    /// A hold of coins, from an escrow or from its bank.
    Hold = "hold";
    /// The bank's answers to decisions.
    Settle = "settle";
    /// The decision on a purchase, from the bank.
    Collect = "collect";
    /// A page of a bucket.
    Bucket = "bucket";
    /// An account's scan record.
    Memo = "memo";
    /// The bank's answers to decisions that their escrow brings.
    Push = "push";
    /// What a peer remembers of a node's journal.
    Witness = "witness";
    /// A commit, with the goods key.
    Release = "release";
    /// An abort.
    Cancel = "cancel";
    /// How a purchase has ended.
    Outcome = "outcome";
    /// A decision on an overdue purchase.
    Overdue = "overdue";
    /// A hold and a commit on a sealed offer.
    Pay = "pay";
    /// The sales on sealed offers.
    Sales = "sales";
    /// A hold for a stream, which is then open.
    Open = "open";
    /// A voucher, shown to the escrow.
    Raise = "raise";
    /// The end of a stream, at the escrow.
    Close = "close";
    /// The begin of a stream, at the merchant.
    Watch = "watch";
    /// Ticks of a stream.
    Ticks = "ticks";
    /// The end of a stream, at the merchant.
    Stop = "stop";
    /// A page of a catalogue.
    Catalogue = "catalogue";
    /// An offer, with small goods.
    Offer = "offer";
    /// A piece of goods.
    Goods = "goods";
    /// A target's encryption key.
    EncryptionKey = "encryption key";
    /// A request for a target, encrypted to it.
    Forward = "forward";
    /// The receipt, with the goods key.
    Deliver = "deliver";
    /// The goods key of a free item.
    Take = "take";
    /// The sums of a reserve.
    Reserve = "reserve";
    /// A session for a withdrawal from a reserve.
    ReserveBegin = "withdraw from a reserve, begin";
    /// The coins of a withdrawal from a reserve.
    ReserveFinish = "withdraw from a reserve, finish";
    /// A payment to accounts and reserves.
    Deposit = "deposit";
    /// A refund of a purchase.
    Refund = "refund";
    /// A whole withdrawal: two requests.
    Withdraw = "withdraw";
    /// A whole exchange: two requests.
    Exchange = "exchange";
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

/// A request and the type of its reply.
///
/// ```
/// use farthing_protocol::api::{Call, KeysRequest};
///
/// // The index of the variant, 4 bytes little-endian. The request has no fields.
/// assert_eq!(KeysRequest.encode()?, [0, 0, 0, 0]);
/// // A reply with trailing or missing bytes is refused.
/// assert!(KeysRequest::decode_reply(&[0, 0, 0, 0]).is_err());
/// # Ok::<(), farthing_protocol::wire::WireError>(())
/// ```
pub trait Call: Sized {
    /// The server's enum of requests.
    type Server: From<Self> + Serialize;
    /// The reply.
    type Reply: Serialize + DeserializeOwned;
    /// The kind of the request. Errors and logs use its name.
    const QUESTION: Question;

    /// Encodes the request.
    ///
    /// # Errors
    /// When it is too long to be sent.
    fn encode(self) -> Result<Vec<u8>, wire::WireError> {
        wire::encode(&Self::Server::from(self))
    }

    /// Decodes a reply.
    ///
    /// # Errors
    /// When the bytes do not decode to a reply of this type or a refusal.
    fn decode_reply(bytes: &[u8]) -> Result<Result<Self::Reply, Refusal>, wire::WireError> {
        wire::decode(bytes, REPLY_MAX_BYTES)
    }

    /// Decodes the beginning of a reply that was cut off. `None` if it is worth nothing, as with most replies.
    fn decode_beginning(_bytes: &[u8]) -> Option<Self::Reply> {
        None
    }
}

/// Asks for the bank's list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysRequest;

/// Asks a bank what it remembers of the asker's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskBank(pub Signed<WitnessRequest>);

/// Asks an escrow what it remembers of the asker's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskEscrow(pub Signed<WitnessRequest>);

macro_rules! server {
    ($(#[$doc:meta])* $server:ident { $($(#[$vdoc:meta])* $name:ident($call:ty) -> $reply:ty, by $caller:ident, called $question:ident $(, kept by $beginning:path)?;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[allow(clippy::large_enum_variant, reason = "a request lives for one dispatch")]
        pub enum $server {
            $($(#[$vdoc])* $name($call),)*
        }

        impl $server {
            /// Who may send this request.
            pub fn caller(&self) -> Caller {
                match self { $($server::$name(_) => Caller::$caller,)* }
            }

            /// The kind of this request.
            pub fn question(&self) -> Question {
                match self { $($server::$name(_) => Question::$question,)* }
            }

            /// Decodes a request.
            ///
            /// # Errors
            /// When the bytes do not decode to a request of this server.
            pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
                wire::decode(bytes, REQUEST_MAX_BYTES)
                    .map_err(|e| RequestFault::Malformed(e.to_string()).into())
            }
        }

        $(
            impl From<$call> for $server {
                fn from(call: $call) -> Self { $server::$name(call) }
            }

            impl Call for $call {
                type Server = $server;
                type Reply = $reply;
                const QUESTION: Question = Question::$question;

                $(fn decode_beginning(bytes: &[u8]) -> Option<$reply> {
                    $beginning(bytes)
                })?
            }
        )*
    };
}

server! {
    /// The requests of a bank.
    BankRequest {
        /// The list of keys.
        Keys(KeysRequest) -> Signed<KeyList>, by Anyone, called Keys;
        /// An account's balance.
        Account(Signed<AccountRequest>) -> Amount, by Identified, called Account;
        /// Open a session for a withdrawal.
        WithdrawBegin(Signed<WithdrawBegin>) -> Begun, by Identified, called WithdrawBegin;
        /// Debit and issue.
        WithdrawFinish(Signed<WithdrawFinish>) -> Signed<Issued>, by Identified, called WithdrawFinish;
        /// Finished withdrawals.
        Withdrawals(Signed<WithdrawalsRequest>) -> WithdrawalsPage, by Identified, called Withdrawals;
        /// Open a session for an exchange.
        ExchangeBegin(Authorized<ExchangeBegin>) -> Begun, by Anonymous, called ExchangeBegin;
        /// Take coins in and issue.
        ExchangeFinish(Authorized<ExchangeFinish>) -> Signed<Issued>, by Anonymous, called ExchangeFinish;
        /// Hold coins.
        Hold(WithHead<BankHoldRequest>) -> WithHead<Signed<BankHold>>, by Peer, called Hold;
        /// Apply decisions that anyone brings.
        Settle(SettleRequest) -> Answers, by Anyone, called Settle;
        /// The decision on a purchase, as far as the bank knows it.
        Collect(CollectRequest) -> Collected, by Anonymous, called Collect;
        /// A page of a bucket.
        Bucket(BucketRequest) -> BucketPage, by Anonymous, called Bucket;
        /// Read or replace the account's memo.
        Memo(Signed<MemoRequest>) -> KeptMemo, by Identified, called Memo;
        /// Apply decisions that their escrow brings.
        Push(WithHead<SettleRequest>) -> WithHead<Answers>, by Peer, called Push;
        /// What the bank remembers of an escrow's journal.
        Witness(AskBank) -> Signed<Testimony>, by Peer, called Witness;
        /// The sums of a reserve.
        Reserve(Signed<ReserveRequest>) -> Signed<ReserveBalance>, by Anonymous, called Reserve;
        /// Open a session for a withdrawal from a reserve.
        ReserveBegin(Signed<FromReserve<WithdrawBegin>>) -> Begun, by Anonymous, called ReserveBegin;
        /// Debit a reserve and issue.
        ReserveFinish(Signed<FromReserve<WithdrawFinish>>) -> Signed<Issued>, by Anonymous, called ReserveFinish;
        /// Pay to accounts and reserves.
        Deposit(Authorized<Deposit>) -> Signed<Deposited>, by Anonymous, called Deposit;
        /// Give a part of a price back.
        Refund(Signed<RefundRequest>) -> Signed<Refunded>, by Peer, called Refund;
    }
}

server! {
    /// The requests of an escrow.
    EscrowRequest {
        /// Hold coins for a contract.
        Hold(HoldRequest) -> Signed<Hold>, by Anonymous, called Hold;
        /// Commit, with the goods key.
        Release(ReleaseRequest) -> Committed, by Peer, called Release;
        /// Abort, unless it is decided.
        Cancel(CancelRequest) -> Outcome, by Anonymous, called Cancel;
        /// How the purchase has ended, for its customer.
        Outcome(OutcomeRequest) -> Outcome, by Anonymous, called Outcome;
        /// How an overdue purchase has ended, for its bank.
        Overdue(WithHead<OverdueRequest>) -> WithHead<SignedDecision>, by Peer, called Overdue;
        /// What the escrow remembers of a bank's journal.
        Witness(AskEscrow) -> Signed<Testimony>, by Peer, called Witness;
        /// Hold coins for a sealed offer's contract, and commit.
        Pay(PayRequest) -> Outcome, by Anonymous, called Pay;
        /// A merchant's sales on sealed offers.
        Sales(Signed<SalesRequest>) -> SalesPage, by Peer, called Sales;
        /// Hold coins for a stream's contract, and open it.
        Open(OpenRequest) -> Outcome, by Anonymous, called Open;
        /// Store a voucher of a stream.
        Raise(RaiseRequest) -> RaiseReply, by Anyone, called Raise;
        /// End a stream.
        Close(CloseRequest) -> Outcome, by Peer, called Close;
    }
}

server! {
    /// The requests of a merchant.
    MerchantRequest {
        /// A page of the catalogue.
        Catalog(CatalogRequest) -> CatalogPage, by Anonymous, called Catalogue;
        /// An offer.
        Offer(OfferRequest) -> Offered, by Anonymous, called Offer;
        /// A piece of encrypted goods.
        Piece(PieceRequest) -> Piece, by Anonymous, called Goods, kept by Piece::beginning;
        /// Release the key and hand over the receipt.
        Deliver(DeliverRequest) -> Signed<Receipt>, by Anonymous, called Deliver;
        /// Give the goods key of a free item.
        Take(TakeRequest) -> Signed<FreeReceipt>, by Anonymous, called Take;
        /// Begin to watch a stream. The reply is the highest voucher that the merchant has.
        Watch(WatchRequest) -> Option<Signed<Voucher>>, by Anonymous, called Watch;
        /// Pay for ticks, and get their key and further ticks.
        Ticks(TicksRequest) -> Ticks, by Anonymous, called Ticks;
        /// End a stream.
        Stop(StopRequest) -> Outcome, by Anonymous, called Stop;
    }
}

/// Asks a relay for the encryption key of a target. The relay has one copy for all wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayKeyRequest {
    /// The identity key of the target.
    pub target: PublicKey,
}

/// Asks a target for its encryption key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetKeyRequest;

/// Asks a relay to forward a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardRequest {
    /// The identity key of the target.
    pub target: PublicKey,
    /// The request.
    pub request: SealedRequest,
}

server! {
    /// The requests of a relay.
    RelayRequest {
        /// The encryption key of a target.
        Key(RelayKeyRequest) -> Signed<EncryptionKey>, by Anonymous, called EncryptionKey;
        /// A request for a target. The reply is the target's.
        Forward(ForwardRequest) -> SealedReply, by Anonymous, called Forward;
    }
}

server! {
    /// The requests of a relay to a target.
    TargetRequest {
        /// The encryption key of the target.
        Key(TargetKeyRequest) -> Signed<EncryptionKey>, by Relay, called EncryptionKey;
        /// A wallet's request.
        Forward(SealedRequest) -> SealedReply, by Relay, called Forward;
    }
}

/// A single decision. It goes to the bank as a list of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettleOne {
    /// The escrow that signed it.
    pub escrow: PublicKey,
    /// The decision.
    pub decision: SignedDecision,
}

impl From<SettleOne> for SettleRequest {
    fn from(one: SettleOne) -> Self {
        Self {
            escrow: one.escrow,
            decisions: vec![one.decision],
        }
    }
}

impl From<SettleOne> for BankRequest {
    fn from(one: SettleOne) -> Self {
        Self::Settle(one.into())
    }
}

impl Call for SettleOne {
    type Server = BankRequest;
    type Reply = Signed<Settled>;
    const QUESTION: Question = SettleRequest::QUESTION;

    fn decode_reply(bytes: &[u8]) -> Result<Result<Self::Reply, Refusal>, wire::WireError> {
        Ok(SettleRequest::decode_reply(bytes)?.and_then(only))
    }
}

/// The answer to a list with one decision.
///
/// # Errors
/// The refusal of the decision, or that there is not exactly one answer.
pub fn only(mut answers: Answers) -> Result<Signed<Settled>, Refusal> {
    check_matching("answers", answers.len(), 1)?;
    answers.remove(0)
}

impl EscrowRequest {
    /// Whether the request that begins with `bytes` is a cancel or a question for the outcome. An escrow reserves places
    /// for these requests, also when it is full with others.
    pub fn is_ending(bytes: &[u8]) -> bool {
        matches!(variant(bytes), Some(2 | 3))
    }
}

/// The index of the variant with which a request or reply begins, if that much of it is there.
fn variant(bytes: &[u8]) -> Option<u32> {
    bytes
        .first_chunk::<VARIANT_BYTES>()
        .copied()
        .map(u32::from_le_bytes)
}

/// Encodes a reply.
pub fn encode_reply<R: Serialize>(reply: &Result<R, Refusal>) -> Vec<u8> {
    // The bounds of every reply type are well below the bound of a frame, so encoding does not fail. If a later type
    // fails, the caller gets a refusal.
    wire::encode(reply).unwrap_or_else(|e| {
        let refusal: Result<(), Refusal> = Err(RequestFault::Malformed(e.to_string()).into());
        wire::encode(&refusal).unwrap_or_default()
    })
}

/// The refusal that a reply to any request is, if it is one.
pub fn decode_refusal(reply: &[u8]) -> Option<Refusal> {
    // The variant is 0 for an answer and 1 for a refusal. Answers are not decoded.
    if variant(reply) != Some(1) {
        return None;
    }
    wire::decode::<Result<(), Refusal>>(reply, FRAME_MAX_BYTES)
        .ok()?
        .err()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::{Call, EscrowRequest};
    use crate::{
        decide::OutcomeRequest,
        history::WitnessRequest,
        ids::{PurchaseId, WitnessNonce},
    };
    use farthing_coin::{EncodedPoint, EncodedScalar, PublicKey, Signature, Signed};

    const SIGNATURE: Signature = Signature {
        commitment: EncodedPoint([0; 32]),
        response: EncodedScalar([0; 32]),
    };

    #[test]
    fn the_first_bytes_tell_a_cancel_and_an_outcome_from_other_requests() {
        let outcome = OutcomeRequest {
            purchase: PurchaseId([0; 32]),
            signature: SIGNATURE,
        };
        assert!(EscrowRequest::is_ending(&outcome.encode().unwrap()));
        let key = PublicKey([0; 32]);
        let witness = super::AskEscrow(Signed {
            body: WitnessRequest {
                asker: key,
                witness: key,
                nonce: WitnessNonce([0; 32]),
                remembered: None,
            },
            signature: SIGNATURE,
        });
        assert!(!EscrowRequest::is_ending(&witness.encode().unwrap()));
        // The tags of hold, release and cancel.
        for (tag, ends) in [(0, false), (1, false), (2, true)] {
            assert_eq!(EscrowRequest::is_ending(&[tag, 0, 0, 0, 9]), ends);
        }
        assert!(!EscrowRequest::is_ending(&[2, 0, 0]));
    }
}
