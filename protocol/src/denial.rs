//! Denials: final refusals, signed by the bank.
//!
//! A refusal is final for a wallet only if the bank signs it. The document has the digest of the whole request, so it
//! fits no other request, and names the cause. The bank makes it after it has verified the request's signatures, from
//! rows that are durable. The bank never denies a request that can be repeated: [`Later`](crate::refusal::Later), a
//! session that is gone, a key of another epoch.
//!
//! A bank that denies a coin as used shows what was given for the coin. The coin's own signature is not enough, as it
//! could come from a request that was never carried out. For an exchange the bank shows the [`Issued`] record of that
//! request. For a payment it shows the commit of that purchase. A denial without this proof convicts the bank
//! ([`crate::evidence`]). There is one exception: an escrow whose hold is refused is shown only the signature. The wallet
//! then puts the coin to an exchange.

use crate::{
    deposited::Deposited,
    documents::{CoinUse, Commit, EarlierUse, Issued, Terms},
    money::Amount,
    reserve_sums::ReserveFault,
};
use farthing_coin::{
    Coin, Document, KeyId, PublicKey, Signature, Signed, StatementDigest, Transcript, TranscriptExt,
};
use serde::{Deserialize, Serialize};

/// The kinds of request that are denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RequestKind {
    /// [`WithdrawBegin`](crate::withdraw::WithdrawBegin).
    WithdrawBegin,
    /// [`WithdrawFinish`](crate::withdraw::WithdrawFinish).
    WithdrawFinish,
    /// [`ExchangeBegin`](crate::exchange::ExchangeBegin).
    ExchangeBegin,
    /// [`ExchangeFinish`](crate::exchange::ExchangeFinish).
    ExchangeFinish,
    /// [`BankHoldRequest`](crate::hold::BankHoldRequest). Its digest is the purchase id, which covers terms, coins and
    /// recovery record.
    Hold,
    /// The begin of a withdrawal from a reserve: [`FromReserve`](crate::reserve::FromReserve).
    ReserveBegin,
    /// The finish of a withdrawal from a reserve.
    ReserveFinish,
    /// [`Deposit`](crate::deposit::Deposit). Its digest is the deposit's id.
    Deposit,
}

impl RequestKind {
    fn code(self) -> u8 {
        match self {
            RequestKind::WithdrawBegin => 0,
            RequestKind::WithdrawFinish => 1,
            RequestKind::ExchangeBegin => 2,
            RequestKind::ExchangeFinish => 3,
            RequestKind::Hold => 4,
            RequestKind::ReserveBegin => 5,
            RequestKind::ReserveFinish => 6,
            RequestKind::Deposit => 7,
        }
    }
}

/// The bank's final refusal of one request. Signed by the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The bank.
    pub bank: PublicKey,
    /// The kind of the request.
    pub kind: RequestKind,
    /// The digest of the whole request.
    pub request: StatementDigest,
    /// The cause.
    pub cause: DenialCause,
    /// The time of the denial (ms since 1970, the bank's clock). If the same request is denied again, only the time may
    /// differ.
    pub at_ms: u64,
}

/// Why a request is denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DenialCause {
    /// A coin cannot be used.
    Coin {
        /// Its denomination.
        key_id: KeyId,
        /// Its key.
        coin: PublicKey,
        /// What is wrong with it.
        what: CoinDenial,
    },
    /// The bank keeps no such account.
    UnknownAccount(PublicKey),
    /// The account holds too little.
    Balance {
        /// The balance of the account.
        balance: Amount,
        /// The amount of the request.
        asked: Amount,
    },
    /// The bank does not have the key of a new coin.
    UnknownKey(KeyId),
    /// The inputs and the outputs differ in worth.
    Unbalanced {
        /// The worth of the inputs.
        inputs: Amount,
        /// The worth of the outputs.
        outputs: Amount,
    },
    /// The worth of the outputs does not fit in an amount.
    Overflow,
    /// A reserve holds too little.
    Reserve(ReserveFault),
}

/// Why a coin cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinDenial {
    /// It is held for a purchase. The bank knows of no decision.
    Held(EarlierUse),
    /// It paid for a purchase.
    Spent {
        /// The purchase, with the coin's own signature.
        used: EarlierUse,
        /// The proof of the commit. Only the coin's holder gets it, so it is absent in the denial of a hold.
        proof: Option<Box<SpendProof>>,
    },
    /// It was exchanged.
    Exchanged {
        /// The exchange, with the coin's own signature.
        used: EarlierUse,
        /// The record of what was given for it. Absent in the denial of a hold.
        issued: Option<Box<Signed<Issued>>>,
    },
    /// The time in which coins of its key can be held, or exchanged, has ended.
    Expired {
        /// The end of that time (ms since 1970).
        expired_ms: u64,
    },
    /// The deadline of the purchase leaves too little time before its key ends.
    EndsTooSoon,
    /// It was deposited.
    Deposited {
        /// The deposit, with the coin's own signature.
        used: EarlierUse,
        /// The record of what was credited for it. Absent in the denial of a hold.
        deposited: Option<Box<Signed<Deposited>>>,
    },
}

/// The proof that a purchase was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendProof {
    /// The terms of the purchase. The purchase id is their digest.
    pub terms: Terms,
    /// The commit, signed by the escrow that the terms name.
    pub commit: Signed<Commit>,
}

impl CoinDenial {
    /// The use that the bank claims, if it claims one.
    pub fn used(&self) -> Option<&EarlierUse> {
        match self {
            CoinDenial::Held(used)
            | CoinDenial::Spent { used, .. }
            | CoinDenial::Exchanged { used, .. }
            | CoinDenial::Deposited { used, .. } => Some(used),
            CoinDenial::Expired { .. } | CoinDenial::EndsTooSoon => None,
        }
    }

    /// The use that the bank claims, if the coin's key signed it for the claimed kind of use.
    pub fn authorized_use(&self, key_id: &KeyId, coin: &PublicKey) -> Option<EarlierUse> {
        let operation = match self {
            CoinDenial::Exchanged { .. } => CoinUse::Exchange,
            CoinDenial::Deposited { .. } => CoinUse::Deposit,
            _ => CoinUse::Hold,
        };
        let used = self.used()?;
        let is_authorized = used.operation == operation && used.verify_by(key_id, coin).is_ok();
        is_authorized.then_some(*used)
    }

    fn describe(&self, t: &mut Transcript) {
        let (code, used) = match self {
            CoinDenial::Held(used) => (0, Some(used)),
            CoinDenial::Spent { used, .. } => (1, Some(used)),
            CoinDenial::Exchanged { used, .. } => (2, Some(used)),
            CoinDenial::Expired { .. } => (3, None),
            CoinDenial::EndsTooSoon => (4, None),
            CoinDenial::Deposited { used, .. } => (5, Some(used)),
        };
        t.u8(b"fault", code);
        if let Some(used) = used {
            describe_use(t, used);
        }
        match self {
            CoinDenial::Spent { proof, .. } => {
                t.u8(b"proof", proof.is_some().into());
                if let Some(proof) = proof {
                    t.bytes(b"terms", &proof.terms.digest().0);
                    describe_signed(t, b"commit", &proof.commit);
                }
            }
            CoinDenial::Exchanged { issued, .. } => {
                t.u8(b"proof", issued.is_some().into());
                if let Some(issued) = issued {
                    describe_signed(t, b"issued", issued);
                }
            }
            CoinDenial::Deposited { deposited, .. } => {
                t.u8(b"proof", deposited.is_some().into());
                if let Some(deposited) = deposited {
                    describe_signed(t, b"deposited", deposited);
                }
            }
            CoinDenial::Expired { expired_ms } => t.u64(b"expired", *expired_ms),
            CoinDenial::Held(_) | CoinDenial::EndsTooSoon => {}
        }
    }
}

fn describe_use(t: &mut Transcript, used: &EarlierUse) {
    let operation = match used.operation {
        CoinUse::Hold => 0,
        CoinUse::ExchangeBegin => 1,
        CoinUse::Exchange => 2,
        CoinUse::Deposit => 3,
    };
    t.u8(b"operation", operation);
    t.bytes(b"used for", &used.digest.0);
    describe_signature(t, &used.authorization);
}

fn describe_signed<D: Document>(t: &mut Transcript, label: &'static [u8], signed: &Signed<D>) {
    t.bytes(label, &signed.body.digest().0);
    describe_signature(t, &signed.signature);
}

fn describe_signature(t: &mut Transcript, signature: &Signature) {
    t.bytes(b"commitment", &signature.commitment.0);
    t.bytes(b"response", &signature.response.0);
}

impl Document for Denial {
    const LABEL: &'static str = "farthing denial";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"bank", &self.bank.0);
        t.u8(b"kind of request", self.kind.code());
        t.bytes(b"request", &self.request.0);
        match &self.cause {
            DenialCause::Coin { key_id, coin, what } => {
                t.u8(b"cause", 0);
                t.bytes(b"key id", &key_id.0);
                t.bytes(b"coin key", &coin.0);
                what.describe(t);
            }
            DenialCause::UnknownAccount(account) => {
                t.u8(b"cause", 1);
                t.bytes(b"account", &account.0);
            }
            DenialCause::Balance { balance, asked } => {
                t.u8(b"cause", 2);
                t.u64(b"balance", balance.0);
                t.u64(b"asked", asked.0);
            }
            DenialCause::UnknownKey(key_id) => {
                t.u8(b"cause", 3);
                t.bytes(b"key id", &key_id.0);
            }
            DenialCause::Unbalanced { inputs, outputs } => {
                t.u8(b"cause", 4);
                t.u64(b"inputs", inputs.0);
                t.u64(b"outputs", outputs.0);
            }
            DenialCause::Overflow => t.u8(b"cause", 5),
            DenialCause::Reserve(fault) => {
                t.u8(b"cause", 6);
                fault.describe(t);
            }
        }
        t.u64(b"at", self.at_ms);
    }
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// Whether `bank` has denied the request of this kind and digest. Any other denial says nothing about the request.
pub fn is_denied(
    denial: &Signed<Denial>,
    bank: &PublicKey,
    kind: RequestKind,
    request: &StatementDigest,
) -> bool {
    let body = &denial.body;
    (body.bank, body.kind, body.request) == (*bank, kind, *request) && denial.verify(bank).is_ok()
}

// ---- a judge ----------------------------------------------------------------------------------------------

impl Denial {
    /// Whether the denial is about this coin.
    pub fn names(&self, of: &Coin) -> bool {
        matches!(&self.cause, DenialCause::Coin { key_id, coin, .. } if (*key_id, *coin) == (of.key_id, of.public))
    }
}
