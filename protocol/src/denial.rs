//! Denials: the refusals that are final, signed by the bank.
//!
//! A refusal ends a matter for a wallet only if the bank signs it. The document names the digest of the whole request, so
//! that it cannot be shown for another one, and says what is denied. The bank makes it once the request's signatures have
//! been verified, from rows that are durable. A request that can be asked again ([`Later`](crate::refusal::Later), a
//! session that is gone, a key of another epoch) is never denied.
//!
//! Who denies a coin as used shows what was given for it: the coin's own signature alone could be taken from a request
//! that was never carried out. For an exchange that is the [`Issued`] record of that very request; for a payment it is the
//! commit of that purchase. A denial without it convicts the bank that signed it ([`crate::evidence`]). An escrow, which
//! is told of the refusal of a hold, is shown the signature alone: the wallet then puts the coin to an exchange.

use crate::{
    documents::{CoinUse, Commit, EarlierUse, Issued, Terms},
    money::Amount,
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
    /// [`BankHoldRequest`](crate::hold::BankHoldRequest); its digest is the purchase id, which covers terms, coins and
    /// note.
    Hold,
}

impl RequestKind {
    fn code(self) -> u8 {
        match self {
            RequestKind::WithdrawBegin => 0,
            RequestKind::WithdrawFinish => 1,
            RequestKind::ExchangeBegin => 2,
            RequestKind::ExchangeFinish => 3,
            RequestKind::Hold => 4,
        }
    }
}

/// The bank's final refusal of one request. Signed by the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The bank.
    pub bank: PublicKey,
    /// What kind of request it is.
    pub kind: RequestKind,
    /// The digest of the whole request.
    pub request: StatementDigest,
    /// Why.
    pub cause: DenialCause,
    /// When, by the bank's clock (ms since 1970). It alone may differ when the same request is denied again.
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
        /// What it holds.
        balance: Amount,
        /// What was asked.
        asked: Amount,
    },
    /// A new coin is asked of a key that the bank does not have.
    UnknownKey(KeyId),
    /// Coins in and coins out differ in worth.
    Unbalanced {
        /// Worth of the inputs.
        inputs: Amount,
        /// Worth of the outputs.
        outputs: Amount,
    },
    /// The outputs' worth does not fit in an amount.
    Overflow,
}

/// Why a coin cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoinDenial {
    /// It is held for a purchase that is not decided, so far as the bank knows.
    Held(EarlierUse),
    /// It paid for a purchase.
    Spent {
        /// The purchase, with the coin's own signature.
        used: EarlierUse,
        /// How the purchase was committed. It is told to the coin's holder alone, and so is absent for a hold.
        proof: Option<Box<SpendProof>>,
    },
    /// It was exchanged.
    Exchanged {
        /// The exchange, with the coin's own signature.
        used: EarlierUse,
        /// What was given for it. Absent for a hold.
        issued: Option<Box<Signed<Issued>>>,
    },
    /// Its key's time to be spent, or exchanged, has ended.
    Expired {
        /// When (ms since 1970).
        expired_ms: u64,
    },
    /// The purchase's deadline leaves too little time before its key ends.
    EndsTooSoon,
}

/// What proves that a purchase was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendProof {
    /// The purchase's terms: the purchase id is their digest.
    pub terms: Terms,
    /// Signed by the escrow that the terms name.
    pub commit: Signed<Commit>,
}

impl CoinDenial {
    /// The use that is claimed, if one is.
    pub fn used(&self) -> Option<&EarlierUse> {
        match self {
            CoinDenial::Held(used) | CoinDenial::Spent { used, .. } | CoinDenial::Exchanged { used, .. } => {
                Some(used)
            }
            CoinDenial::Expired { .. } | CoinDenial::EndsTooSoon => None,
        }
    }

    /// The use that the coin's own signature shows: what is claimed, authorized for that.
    pub fn authorized_use(&self, key_id: &KeyId, coin: &PublicKey) -> Option<EarlierUse> {
        let operation = match self {
            CoinDenial::Exchanged { .. } => CoinUse::Exchange,
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
        }
        t.u64(b"at", self.at_ms);
    }
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// Whether `bank` has denied the very request of this kind and digest. Anything else is no word on the request.
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
    /// Whether it is of this coin.
    pub fn names(&self, of: &Coin) -> bool {
        matches!(&self.cause, DenialCause::Coin { key_id, coin, .. } if (*key_id, *coin) == (of.key_id, of.public))
    }
}
