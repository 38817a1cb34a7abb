//! A stream of a few ticks: its offer, its contract, and what its parties sign.

use super::{BANK, CUSTOMER, ESCROW, MERCHANT, contract_until, key, offer, secret};
use farthing_coin::{Document, RecoveryRecordId, SecretKey, Seed, SharedPoint, Signed};
use farthing_protocol::{
    documents::{
        Abort, AbortReason, BankHold, Commit, Contract, Offer, Overdue, PurchaseKeyUse, Settled, Terms,
    },
    goods::GoodsKey,
    hold::{HoldRequest, Payment},
    ids::SealingContext,
    limits::STREAM_CLOSING_MS,
    money::Amount,
    offered_key::OfferedKey,
    purchase::Order,
    seal::seal_goods_key,
    stream::{Batch, Close, Opened, Raised, StreamCommit, Voucher, chain, price_of},
};
use serde_bytes::ByteBuf;

/// The ticks of [`stream_offer`].
pub(crate) const TICKS: u32 = 4;

/// The price of all ticks: 25 for each.
pub(crate) const PRICE: u64 = 100;

pub(crate) const DEADLINE_MS: u64 = STREAM_CLOSING_MS + 1000;

/// The key of the last tick.
pub(crate) fn last_key() -> GoodsKey {
    GoodsKey::from_bytes([33; 32])
}

pub(crate) fn key_of(tick: u32) -> GoodsKey {
    chain::key_at(&last_key(), TICKS, tick)
}

/// The purchase key of the customer.
pub(crate) fn purchase_key() -> SecretKey {
    Seed::from_bytes(&[CUSTOMER; 32]).purchase_key(0)
}

/// An offer of this many ticks, with `sealed` as the goods key that the escrow finds.
pub(crate) fn offer_of(ticks: u32, price: u64, sealed: &GoodsKey) -> Offer {
    let mut offer = offer();
    offer.price = Amount(price);
    offer.expires_ms = DEADLINE_MS;
    offer.served_until_ms = DEADLINE_MS;
    offer.key_commitment = chain::commitment(&last_key(), ticks);
    offer.sealed_key = Some(sealed_key(&offer, sealed, ticks));
    offer
}

pub(crate) fn sealed_key(offer: &Offer, sealed: &GoodsKey, ticks: u32) -> OfferedKey {
    let key = OfferedKey::seal(&secret(6), &key(ESCROW), &offer.sealing_context(), sealed).unwrap();
    OfferedKey {
        ticks: Some(ticks),
        ..key
    }
}

pub(crate) fn stream_offer() -> Offer {
    offer_of(TICKS, PRICE, &last_key())
}

pub(crate) fn contract_on(offer: Offer) -> Contract {
    contract_until(offer, &purchase_key(), DEADLINE_MS)
}

pub(crate) fn contract() -> Contract {
    contract_on(stream_offer())
}

pub(crate) fn by<D: Document>(who: u8, document: D) -> Signed<D> {
    Signed::sign(document, &secret(who))
}

pub(crate) fn voucher_body(contract: &Contract, ticks: u32) -> Voucher {
    let offer = &contract.offer.body;
    Voucher {
        purchase: contract.terms.purchase_id(),
        ticks,
        amount: price_of(ticks, offer.ticks().unwrap(), offer.price),
    }
}

pub(crate) fn voucher(contract: &Contract, ticks: u32) -> Signed<Voucher> {
    Signed::sign(voucher_body(contract, ticks), &purchase_key())
}

pub(crate) fn bank_hold(terms: &Terms) -> Signed<BankHold> {
    by(BANK, BankHold::of(terms))
}

pub(crate) fn opened(terms: &Terms) -> Signed<Opened> {
    let bank_hold = bank_hold(terms);
    by(ESCROW, Opened { bank_hold })
}

pub(crate) fn raised(terms: &Terms, ticks: u32) -> Signed<Raised> {
    let purchase = terms.purchase_id();
    by(ESCROW, Raised { purchase, ticks })
}

/// The commit of `amount`, with this key inside.
pub(crate) fn commit_of(terms: &Terms, amount: Amount, goods_key: &GoodsKey) -> Signed<Commit> {
    let purchase = terms.purchase_id();
    let context = SealingContext::from(purchase);
    let sealed_key = seal_goods_key(&secret(9), &terms.purchase_key, &context, goods_key).unwrap();
    let commit = Commit {
        purchase,
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount,
        sealed_key,
    };
    by(ESCROW, commit)
}

/// The commit of an honest escrow that was shown the voucher for `ticks`.
pub(crate) fn stream_commit(contract: &Contract, ticks: u32) -> StreamCommit {
    let voucher = voucher(contract, ticks);
    let of = contract.offer.body.ticks().unwrap();
    let goods_key = chain::key_at(&last_key(), of, ticks);
    StreamCommit {
        commit: commit_of(&contract.terms, voucher.body.amount, &goods_key),
        voucher,
    }
}

/// The point with which the customer opens the key in a commit.
pub(crate) fn point(commit: &Signed<Commit>) -> SharedPoint {
    let context = SealingContext::from(commit.body.purchase);
    let ephemeral = &commit.body.sealed_key.ephemeral;
    purchase_key().show_shared_point(ephemeral, &context.0).unwrap()
}

pub(crate) fn abort(terms: &Terms, reason: AbortReason) -> Signed<Abort> {
    let abort = Abort {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        reason,
    };
    by(ESCROW, abort)
}

pub(crate) fn closed(terms: &Terms) -> AbortReason {
    let close = Close {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
    };
    AbortReason::Closed(Box::new(by(MERCHANT, close)))
}

pub(crate) fn cancelled(terms: &Terms) -> AbortReason {
    let key = purchase_key();
    let statement = PurchaseKeyUse::Cancel.statement(&key.public(), &terms.purchase_id());
    AbortReason::CancelledBy(key.sign(&statement))
}

pub(crate) fn overdue(terms: &Terms) -> AbortReason {
    let overdue = Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms,
    };
    AbortReason::Overdue(Box::new(by(BANK, overdue)))
}

pub(crate) fn credited(terms: &Terms, amount: u64) -> Signed<Settled> {
    by(BANK, Settled::committed(terms, Amount(amount)))
}

pub(crate) fn released(terms: &Terms) -> Signed<Settled> {
    by(BANK, Settled::aborted(terms.purchase_id(), terms.escrow))
}

/// The record of a tick.
pub(crate) fn record(tick: u32) -> Vec<u8> {
    format!("record {tick}").into_bytes()
}

/// The encrypted ticks from `first` to `last`, signed by the merchant.
pub(crate) fn batch(terms: &Terms, first: u32, last: u32) -> Batch {
    let purchase = terms.purchase_id();
    let encrypted =
        (first..=last).map(|tick| chain::encrypt_tick(&key_of(tick), &purchase, tick, record(tick)));
    Batch::sign(
        purchase,
        first,
        encrypted.map(ByteBuf::from).collect(),
        &secret(MERCHANT),
    )
}

/// The contract of the same goods, sold whole with a sealed key.
pub(crate) fn whole() -> Contract {
    let mut offer = stream_offer();
    offer.sealed_key.as_mut().unwrap().ticks = None;
    contract_on(offer)
}

pub(crate) fn hold_request(contract: Contract) -> HoldRequest {
    HoldRequest {
        contract,
        payment: payment(),
    }
}

pub(crate) fn payment() -> Payment {
    Payment {
        coins: Vec::new(),
        authorizations: Vec::new(),
        note_id: RecoveryRecordId([18; 32]),
        note: Vec::new(),
    }
}

pub(crate) fn order() -> Order {
    Order {
        counter: 0,
        contract: contract(),
        payment: payment(),
    }
}
