//! Streams of a few ticks, and what their customer and merchant ask of the escrow.

use super::bank::secret_key;
use super::{Bought, EscrowFixture, HOUR_MS};
use farthing_coin::{SecretKey, Signed};
use farthing_escrow::rows::STREAMS;
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::Call,
    decision::Outcome,
    documents::Offer,
    goods::GoodsKey,
    ids::SealingContext,
    offered_key::OfferedKey,
    refusal::{Refusal, RequestFault},
    seal::open_goods_key,
    stream::{
        Close, CloseRequest, OpenRequest, OpenStream, RaiseReply, RaiseRequest, StreamCommit, Voucher, chain,
        price_of,
    },
};

/// The ticks of an offer. Each costs one unit.
pub const TICKS: u32 = 24;

pub fn last_key() -> GoodsKey {
    GoodsKey::from_bytes([42; 32])
}

pub fn key_of(tick: u32) -> GoodsKey {
    chain::key_at(&last_key(), TICKS, tick)
}

/// An offer of a stream, with `sealed` as the goods key that the escrow finds.
pub fn sealing(fixture: &EscrowFixture, sealed: &GoodsKey, ticks: u32) -> Offer {
    let mut offer = fixture.offer(24);
    offer.key_commitment = chain::commitment(&last_key(), TICKS);
    let (to, context) = (fixture.escrow.self_id(), offer.sealing_context());
    let key = OfferedKey::seal(&secret_key(77), &to, &context, sealed).unwrap();
    offer.sealed_key = Some(OfferedKey {
        ticks: Some(ticks),
        ..key
    });
    offer
}

pub fn order(fixture: &mut EscrowFixture, offer: Offer) -> Bought {
    let deadline_ms = fixture.now_ms() + HOUR_MS;
    fixture.order_of(offer, &[16, 8], deadline_ms)
}

pub fn stream(fixture: &mut EscrowFixture) -> Bought {
    let offer = sealing(fixture, &last_key(), TICKS);
    order(fixture, offer)
}

/// A stream that is open.
pub async fn opened(fixture: &mut EscrowFixture) -> Bought {
    let bought = stream(fixture);
    let outcome = fixture.ask(open(&bought)).await.unwrap();
    assert!(matches!(outcome, Outcome::Streaming(_)), "{outcome:?}");
    bought
}

pub fn open(bought: &Bought) -> OpenRequest {
    OpenRequest(bought.hold())
}

pub fn voucher(bought: &Bought, ticks: u32) -> Signed<Voucher> {
    bought.order.voucher(ticks, &bought.purchase_key)
}

pub async fn raise_as(
    fixture: &EscrowFixture,
    lane: Lane,
    voucher: Signed<Voucher>,
    wants_key: bool,
) -> Result<RaiseReply, Refusal> {
    fixture.witnessed().await;
    let request = RaiseRequest { voucher, wants_key };
    let reply = fixture.escrow.call(lane, request.encode().unwrap()).await;
    RaiseRequest::decode_reply(&reply).unwrap()
}

pub async fn raise(fixture: &EscrowFixture, bought: &Bought, ticks: u32) -> RaiseReply {
    let raised = raise_as(fixture, Lane::Peer, voucher(bought, ticks), false).await;
    raised.unwrap()
}

pub fn close_by(
    fixture: &EscrowFixture,
    key: &SecretKey,
    bought: &Bought,
    voucher: Option<Signed<Voucher>>,
) -> CloseRequest {
    let close = Close {
        purchase: bought.id(),
        escrow: fixture.escrow.self_id(),
    };
    CloseRequest {
        close: Signed::sign(close, key),
        voucher,
    }
}

pub fn close(fixture: &EscrowFixture, bought: &Bought, ticks: Option<u32>) -> CloseRequest {
    let voucher = ticks.map(|ticks| voucher(bought, ticks));
    close_by(fixture, &fixture.merchant, bought, voucher)
}

/// The open row of a purchase.
pub fn row(fixture: &EscrowFixture, bought: &Bought) -> Option<OpenStream> {
    STREAMS.peek(&fixture.store.view(), &bought.id()).unwrap()
}

pub fn stored(fixture: &EscrowFixture, bought: &Bought) -> Option<u32> {
    row(fixture, bought)?.voucher.map(|voucher| voucher.body.ticks)
}

/// Checks that the outcome commits exactly these ticks.
#[track_caller]
pub fn commits(fixture: &EscrowFixture, bought: &Bought, outcome: Outcome, ticks: u32) -> Box<StreamCommit> {
    let Outcome::Streamed(stream) = outcome else {
        panic!("{outcome:?}")
    };
    let StreamCommit { commit, voucher } = &*stream;
    fixture.signed_here(commit);
    let terms = &bought.order.contract.terms;
    assert_eq!(*voucher, self::voucher(bought, ticks));
    assert_eq!(commit.body.amount, price_of(ticks, TICKS, terms.price));
    let context = SealingContext::from(bought.id());
    let opened = open_goods_key(&bought.purchase_key, &context, &commit.body.sealed_key);
    assert_eq!(opened, Ok(key_of(ticks)));
    stream
}

#[track_caller]
pub fn not_signed(refusal: Refusal) {
    assert!(
        matches!(refusal, Refusal::Request(RequestFault::Signature { .. })),
        "{refusal}"
    );
}
