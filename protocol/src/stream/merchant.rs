//! Wallet and merchant: ticks, vouchers, and keys.

use super::{
    documents::{Opened, TickBatch, Voucher},
    price::{pay_until_ms, price_of},
};
use crate::{
    bounded,
    contract::{VerifiedContract, check_opened},
    decide::check_purchase_key,
    documents::{Contract, PurchaseKeyUse, Terms},
    goods::{GoodsKey, TAG_BYTES},
    ids::{PurchaseId, TickDigest},
    limits::{GOODS_PIECE_BYTES, TICK_MAX_BYTES, TICKS_PER_REPLY_MAX},
    refusal::{ContractFault, GoodsFault, PurchaseFault, Refusal, RequestFault},
};
use farthing_coin::{PublicKey, SecretKey, Signature, Signed};
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

// ---- messages ---------------------------------------------------------------------------------------------

/// From the wallet to the merchant: begins to watch. The answer is the highest voucher that the merchant has.
///
/// So a wallet that has lost its place goes on where it was. The voucher has its own signature, so the merchant cannot
/// name a higher one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRequest {
    /// The contract.
    pub contract: Contract,
    /// The escrow's word that the stream is open.
    pub opened: Signed<Opened>,
}

/// From the wallet to the merchant: pays for ticks, and asks for their key and for further ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicksRequest {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The voucher for the ticks that the wallet holds, if it holds any.
    pub voucher: Option<Signed<Voucher>>,
    /// How many further ticks the wallet takes: at most [`TICKS_PER_REPLY_MAX`].
    pub window: u16,
    /// How long the merchant waits for a first further tick (ms). It answers without one after that time.
    pub wait_ms: u16,
}

/// The merchant's answer: a key, and ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks {
    /// The key of the voucher's last tick.
    pub key: Option<GoodsKey>,
    /// The ticks after it, encrypted.
    pub batch: Option<Batch>,
    /// Whether there are no further ticks.
    pub ended: bool,
}

/// Encrypted ticks, with the merchant's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The merchant's signature over the digests of the ticks.
    pub signed: Signed<TickBatch>,
    /// The ticks, in their order. Together they have at most [`GOODS_PIECE_BYTES`].
    #[serde(deserialize_with = "ticks")]
    pub ticks: Vec<ByteBuf>,
}

/// Decodes ticks within their bounds.
fn ticks<'de, D: Deserializer<'de>>(decoder: D) -> Result<Vec<ByteBuf>, D::Error> {
    #[derive(Deserialize)]
    struct Tick(#[serde(deserialize_with = "bounded::bytes::<_, { TICK_MAX_BYTES + TAG_BYTES }>")] Vec<u8>);

    let ticks: Vec<Tick> = bounded::list::<_, _, TICKS_PER_REPLY_MAX>(decoder)?;
    Ok(ticks.into_iter().map(|Tick(tick)| ByteBuf::from(tick)).collect())
}

/// From the wallet to the merchant: end the stream. The answer is how it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// The purchase.
    pub purchase: PurchaseId,
    /// The signature of the purchase key.
    pub signature: Signature,
    /// The last voucher, if the wallet has it. So a merchant that has crashed is paid what an honest customer has seen.
    pub voucher: Option<Signed<Voucher>>,
}

// ---- the merchant -----------------------------------------------------------------------------------------

/// A contract on a stream that its escrow has opened. Only [`verify_watch`] makes one.
#[derive(Debug)]
pub struct VerifiedWatch {
    contract: VerifiedContract,
    opened: Signed<Opened>,
    ticks: u32,
}

/// Verifies at the merchant that a contract is on one of its streams, and that the escrow has opened it.
///
/// # Errors
/// Names the first thing at fault. [`PurchaseFault::DeadlinePassed`] if ticks are not paid any more.
pub fn verify_watch(
    request: WatchRequest,
    self_id: &PublicKey,
    now_ms: u64,
) -> Result<VerifiedWatch, Refusal> {
    let WatchRequest { contract, opened } = request;
    if contract.terms.merchant != *self_id {
        return Err(GoodsFault::UnknownOffer.into());
    }
    let contract = contract.verified_stream()?;
    check_opened(contract.terms(), &opened)?;
    if now_ms >= pay_until_ms(contract.terms()) {
        return Err(PurchaseFault::DeadlinePassed(contract.purchase()).into());
    }
    let ticks = contract.contract().offer.body.ticks().unwrap_or_default();
    Ok(VerifiedWatch {
        contract,
        opened,
        ticks,
    })
}

impl VerifiedWatch {
    /// The contract.
    pub fn contract(&self) -> &Contract {
        self.contract.contract()
    }

    /// The purchase.
    pub fn purchase(&self) -> PurchaseId {
        self.contract.purchase()
    }

    /// The escrow's word that the stream is open.
    pub fn opened(&self) -> &Signed<Opened> {
        &self.opened
    }

    /// How many ticks the offer has.
    pub fn ticks(&self) -> u32 {
        self.ticks
    }
}

/// Checks that `voucher` pays for ticks of the stream with these terms, which has `ticks` ticks in all.
///
/// # Errors
/// When its ticks or its amount do not fit, or the purchase key did not sign it.
pub fn check_voucher(voucher: &Signed<Voucher>, terms: &Terms, ticks: u32) -> Result<(), Refusal> {
    let body = &voucher.body;
    let fits = body.purchase == terms.purchase_id()
        && (1..=ticks).contains(&body.ticks)
        && body.amount == price_of(body.ticks, ticks, terms.price);
    if !fits {
        return Err(ContractFault::DoesNotFit("voucher".into()).into());
    }
    check_voucher_signature(voucher, terms)
}

/// Checks that the purchase key signed a voucher.
pub(super) fn check_voucher_signature(voucher: &Signed<Voucher>, terms: &Terms) -> Result<(), Refusal> {
    let signed = voucher.verify(&terms.purchase_key);
    signed.map_err(|why| {
        RequestFault::Signature {
            whose: "purchase key's".into(),
            why: why.to_string(),
        }
        .into()
    })
}

impl Batch {
    /// Signs encrypted ticks of a purchase. `first` is the number of the first one.
    #[must_use]
    pub fn sign(purchase: PurchaseId, first: u32, ticks: Vec<ByteBuf>, key: &SecretKey) -> Batch {
        let batch = TickBatch {
            purchase,
            first,
            digests: ticks.iter().map(|tick| tick_digest(tick)).collect(),
        };
        Batch {
            signed: Signed::sign(batch, key),
            ticks,
        }
    }
}

/// SHA-256 of an encrypted tick.
#[must_use]
pub fn tick_digest(tick: &[u8]) -> TickDigest {
    TickDigest(Sha256::digest(tick).into())
}

/// Verifies at the merchant that the customer wants the stream of these terms to end.
///
/// # Errors
/// When the purchase key did not sign the request.
pub fn verify_stop(request: &StopRequest, terms: &Terms) -> Result<(), RequestFault> {
    check_purchase_key(terms, PurchaseKeyUse::Stop, &request.signature)
}

// ---- the wallet -------------------------------------------------------------------------------------------

/// Checks ticks before the wallet signs a voucher for them: they follow `after`, and the merchant has signed them.
///
/// # Errors
/// Says what does not fit.
pub fn check_batch(batch: &Batch, terms: &Terms, after: u32, window: u16) -> Result<(), ContractFault> {
    let Batch { signed, ticks } = batch;
    let TickBatch {
        purchase,
        first,
        digests,
    } = &signed.body;
    let bytes = ticks
        .iter()
        .fold(0, |sum: usize, tick| sum.saturating_add(tick.len()));
    let checks = [
        (*purchase == terms.purchase_id(), "purchase of the ticks"),
        (Some(*first) == after.checked_add(1), "number of the first tick"),
        (
            !ticks.is_empty() && ticks.len() == digests.len() && ticks.len() <= usize::from(window),
            "number of ticks",
        ),
        (
            bytes <= GOODS_PIECE_BYTES && ticks.iter().all(|tick| tick.len() >= TAG_BYTES),
            "length of the ticks",
        ),
        (
            ticks
                .iter()
                .zip(digests)
                .all(|(tick, digest)| tick_digest(tick) == *digest),
            "digest of a tick",
        ),
    ];
    if let Some((_, what)) = checks.into_iter().find(|(fits, _)| !fits) {
        return Err(ContractFault::DoesNotFit(what.into()));
    }
    signed
        .verify(&terms.merchant)
        .map_err(|why| ContractFault::Forged(format!("the merchant's signature under its ticks: {why}")))
}
