//! Streams: requests that a stranger makes by hand, merchants that lie about ticks, and papers of streams.

use super::strangers::{EXACT, is_abort_for_sealed_key, key, stranger_in};
use farthing_client::{
    purchase::{Seen, WatchEnd},
    wallet::Wallet,
};
use farthing_coin::{SecretKey, Signed};
use farthing_kit::by_hand::{Bought, ByHand};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{
    api::{EscrowRequest, SettleOne},
    decision::{Outcome, SignedDecision},
    documents::{Abort, AbortReason, Close, Commit, Offer},
    evidence::{Charge, Papers, ShownTick, judge},
    goods::GoodsKey,
    ids::SealingContext,
    money::Amount,
    offered_key::OfferedKey,
    refusal::{Later, Refusal},
    seal::seal_goods_key,
    stream::{
        CloseRequest, Ending, OpenRequest, OpenStream, Opened, PreparedEnding, RaiseRequest, Raised,
        StopRequest, StreamCommit, Ticks, TicksRequest, Voucher, WatchRequest, chain, chain::KnownKeys,
    },
};
use farthing_simulation::{
    foundation::{Population, TICKS},
    machine::Death,
    party::Party,
    stream_cheats::{LiesAboutTicks, TickLie, price},
    streams::{WANTED, watch_once},
    world::World,
};
use std::sync::Arc;

const ESCROW: Party = Party::Escrow(0);
const MERCHANT: Party = Party::Merchant(0);

/// What the account of a customer with a wallet has. The customer withdraws all of it.
const FUNDS: Amount = Amount(2000);

/// How many ticks a stream has whose vouchers are shown without end.
const MANY_TICKS: u32 = 20;

/// A stream, and a stranger who pays for its ticks by hand.
struct Stream {
    world: Arc<World>,
    hand: ByHand,
    bought: Bought,
    opened: Signed<Opened>,
}

/// A stranger in a world with a stream.
async fn stranger(seed: u64) -> (Arc<World>, ByHand) {
    stranger_in(World::of(seed, Population::streaming()).await, seed).await
}

async fn opened(seed: u64) -> Stream {
    let (world, hand) = stranger(seed).await;
    let offer = hand.offer().await;
    opened_on(world, hand, offer).await
}

async fn opened_on(world: Arc<World>, hand: ByHand, offer: Signed<Offer>) -> Stream {
    let bought = hand.order_of(offer, &hand.withdraw(&EXACT).await);
    let outcome = hand.ask(OpenRequest(bought.hold())).await.expect("an outcome");
    let Outcome::Streaming(opened) = outcome else {
        panic!("progress: the stream is not open: {outcome:?}");
    };
    Stream {
        world,
        hand,
        bought,
        opened,
    }
}

impl Stream {
    fn voucher(&self, ticks: u32) -> Signed<Voucher> {
        self.bought.order.voucher(ticks, &self.bought.purchase_key)
    }

    /// Shows a voucher to the escrow, and returns the key of its last tick.
    async fn raise(&self, voucher: Signed<Voucher>) -> Result<GoodsKey, Refusal> {
        let request = RaiseRequest {
            voucher,
            wants_key: true,
        };
        Ok(self.hand.ask(request).await?.key.expect("a key"))
    }

    /// The merchant's word that the stream ends, signed with this key.
    fn close_by(&self, key: &SecretKey, ticks: Option<u32>) -> CloseRequest {
        let close = Close {
            purchase: self.bought.order.purchase(),
            escrow: self.hand.key(RoleName::Escrow),
        };
        CloseRequest {
            close: Signed::sign(close, key),
            voucher: ticks.map(|ticks| self.voucher(ticks)),
        }
    }

    /// Ends the stream with the merchant's voucher for so many ticks. Returns the ticks that are committed.
    async fn close(&self, ticks: Option<u32>) -> Option<u32> {
        let request = self.close_by(&self.world.foundation.key(MERCHANT), ticks);
        committed(&self.hand.ask(request).await.expect("an outcome"))
    }

    /// Begins to watch at the merchant.
    async fn watch(&self) {
        let request = WatchRequest {
            contract: self.bought.order.contract.clone(),
            opened: self.opened.clone(),
        };
        let last = self.hand.ask(request).await.expect("the merchant serves it");
        assert_eq!(last, None);
    }

    /// Pays the merchant for so many ticks, and asks for the next one.
    async fn pay(&self, ticks: u32) -> Result<Ticks, Refusal> {
        let request = TicksRequest {
            purchase: self.bought.order.purchase(),
            voucher: (ticks > 0).then(|| self.voucher(ticks)),
            window: 1,
            wait_ms: 0,
        };
        self.hand.ask(request).await
    }

    /// Ends the stream at the merchant, with a voucher that it may have lost.
    async fn stop(&self, ticks: Option<u32>) -> Result<Outcome, Refusal> {
        let stop = StopRequest {
            voucher: ticks.map(|ticks| self.voucher(ticks)),
            ..self.bought.order.stop_request(&self.bought.purchase_key)
        };
        self.hand.ask(stop).await
    }

    /// Whether `key` is the key of tick `tick`.
    fn is_key_of(&self, tick: u32, key: &GoodsKey) -> bool {
        let commitment = &self.bought.order.contract.offer.body.key_commitment;
        KnownKeys::none(commitment).learn(tick, key).is_some()
    }

    /// A commit for so many ticks, with no key.
    fn commit(&self, ticks: u32) -> Signed<Commit> {
        let (terms, escrow) = (
            &self.bought.order.contract.terms,
            self.world.foundation.key(ESCROW),
        );
        let (purchase, nothing) = (terms.purchase_id(), GoodsKey::from_bytes([7; 32]));
        let context = SealingContext::from(purchase);
        let sealed_key = seal_goods_key(&key(), &terms.purchase_key, &context, &nothing);
        let commit = Commit {
            purchase,
            bank: terms.bank,
            coins_digest: terms.coins_digest,
            account: terms.account,
            amount: price(ticks),
            sealed_key: sealed_key.expect("it seals"),
        };
        Signed::sign(commit, &escrow)
    }
}

/// The ticks for which a stream was committed. `None` if it was not.
fn committed(outcome: &Outcome) -> Option<u32> {
    match outcome {
        Outcome::Streamed(stream) => Some(stream.voucher.body.ticks),
        _ => None,
    }
}

/// An offer with another chain of keys: `sealed` for the escrow, and the keys below `last` for the customer.
fn with_keys(
    world: &World,
    hand: &ByHand,
    offer: Offer,
    ticks: u32,
    (last, sealed): (u8, u8),
) -> Signed<Offer> {
    let (last, sealed) = (
        GoodsKey::from_bytes([last; 32]),
        GoodsKey::from_bytes([sealed; 32]),
    );
    let mut offer = offer;
    offer.key_commitment = chain::commitment(&last, ticks);
    let (escrow, context) = (hand.key(RoleName::Escrow), offer.sealing_context());
    let key = OfferedKey::seal(&key(), &escrow, &context, &sealed).expect("it seals");
    offer.sealed_key = Some(OfferedKey {
        ticks: Some(ticks),
        ..key
    });
    Signed::sign(offer, &world.foundation.key(MERCHANT))
}

// ---- the escrow ---------------------------------------------------------------------------------------------------

/// A stranger shows vouchers that nobody with the purchase key has signed, or that pay too little.
pub async fn a_voucher_that_is_forged_or_pays_too_little() {
    let it = opened(301).await;
    let forged = Signed::sign(it.voucher(2).body, &key());
    assert!(
        it.raise(forged).await.is_err(),
        "money: the escrow stores a voucher that the customer has not signed"
    );
    let cheap = Voucher {
        amount: price(1),
        ..it.voucher(3).body
    };
    let cheap = Signed::sign(cheap, &it.bought.purchase_key);
    assert!(
        it.raise(cheap).await.is_err(),
        "goods: three ticks are had for the price of one"
    );
}

/// A customer shows the escrow a voucher, and then a lower one. The merchant has none.
pub async fn a_lower_voucher_that_comes_later() {
    let it = opened(302).await;
    let key = it.raise(it.voucher(3)).await.expect("a key");
    assert!(
        it.is_key_of(3, &key),
        "goods: the escrow gives the key of another tick"
    );
    let key = it.raise(it.voucher(1)).await.expect("a key");
    assert!(
        it.is_key_of(1, &key),
        "goods: the escrow gives the key of another tick"
    );
    assert_eq!(it.close(None).await, Some(3), "goods: ticks without money");
}

/// A customer shows the escrow a voucher, and the merchant ends the stream with a lower one.
pub async fn an_end_with_a_lower_voucher() {
    let it = opened(303).await;
    it.raise(it.voucher(3)).await.expect("a key");
    assert_eq!(it.close(Some(1)).await, Some(3), "goods: ticks without money");
    let late = it.raise(it.voucher(4)).await;
    assert!(
        late.is_err(),
        "goods: the escrow takes a voucher that it does not commit"
    );
}

/// The end of a stream is prepared, and a higher voucher is stored before it is written.
pub async fn an_end_that_a_voucher_overtakes() {
    let it = opened(304).await;
    let open = |voucher| OpenStream {
        terms: it.bought.order.contract.terms.clone(),
        ticks: TICKS,
        last_key: GoodsKey::from_bytes([5; 32]),
        opened: it.opened.body.clone(),
        voucher,
        raises: 0,
        customers_raises: 0,
    };
    let close = it.close_by(&it.world.foundation.key(MERCHANT), None).close;
    let prepared = PreparedEnding::new(&open(Some(it.voucher(1))), Ending::Closed(close), None, |_| key());
    let decided = prepared
        .expect("a decision")
        .respond(None, Some(&open(Some(it.voucher(3)))));
    assert!(decided.is_err(), "goods: ticks without money");
}

/// The escrow cannot write down the voucher that it is shown.
pub async fn a_promise_on_a_disk_that_fails() {
    let it = opened(305).await;
    it.world.machine(ESCROW).disk.fail_sync_after(0);
    let raised = it.raise(it.voucher(2)).await;
    assert!(
        matches!(raised, Err(Refusal::Later(_))),
        "goods: a promise that is not written down"
    );
}

/// Two customers open one stream.
pub async fn a_stream_that_is_sold_twice() {
    let (world, hand) = stranger(306).await;
    let purse = hand.withdraw(&EXACT).await;
    let other = hand.withdraw(&EXACT).await;
    let offer = hand.offer().await;
    let second = hand.order_of(offer.clone(), &other);
    let first = hand.order_of(offer, &purse);
    let is_open = |outcome: Result<Outcome, Refusal>| matches!(outcome, Ok(Outcome::Streaming(_)));
    assert!(is_open(hand.ask(OpenRequest(first.hold())).await));
    let again = hand.ask(OpenRequest(second.hold())).await;
    assert!(
        !is_open(again),
        "goods: whoever has paid for a key can give it to the other customer"
    );
    drop(world);
}

/// A stranger ends a stream.
pub async fn an_end_that_the_merchant_has_not_signed() {
    let it = opened(307).await;
    let ended = it.hand.ask(it.close_by(&key(), None)).await;
    assert!(ended.is_err(), "finality: a stranger ends a stream");
}

/// A customer shows voucher after voucher.
pub async fn vouchers_without_end() {
    let (world, hand) = stranger(308).await;
    let offer = hand.offer().await.body;
    let offer = with_keys(&world, &hand, offer, MANY_TICKS, (5, 5));
    let it = opened_on(world, hand, offer).await;
    for ticks in 1..=MANY_TICKS {
        if it.raise(it.voucher(ticks)).await.is_err() {
            return;
        }
    }
    panic!("bad input: a customer makes the escrow write without a limit");
}

/// A customer cancels a stream that is open, after they have got a key.
pub async fn an_open_stream_that_is_cancelled() {
    let it = opened(309).await;
    it.raise(it.voucher(2)).await.expect("a key");
    let cancelled = it.hand.ask(it.bought.cancel()).await;
    assert!(
        !matches!(cancelled, Ok(Outcome::Aborted(_))),
        "goods: ticks without money"
    );
}

/// A merchant seals a key that does not lead to the commitment of its offer.
pub async fn a_stream_whose_sealed_key_is_not_the_offers() {
    let (world, hand) = stranger(310).await;
    let offer = hand.offer().await.body;
    let offer = with_keys(&world, &hand, offer, TICKS, (5, 6));
    let bought = hand.order_of(offer, &hand.withdraw(&EXACT).await);
    let outcome = hand.ask(OpenRequest(bought.hold())).await.expect("an outcome");
    is_abort_for_sealed_key(&outcome, "goods: paid for keys that open nothing");
}

// ---- the bank -----------------------------------------------------------------------------------------------------

/// An escrow commits a stream for less than its price, with no voucher of the customer.
pub async fn a_commit_for_less_without_a_voucher() {
    let it = opened(311).await;
    let settle = |decision| SettleOne {
        escrow: it.hand.key(RoleName::Escrow),
        decision,
    };
    let bare = it.hand.ask(settle(SignedDecision::Commit(it.commit(1)))).await;
    assert!(
        matches!(bare, Err(Refusal::Contract(_))),
        "consent: the bank takes a commit that nobody agreed to"
    );
    let stream = StreamCommit {
        commit: it.commit(1),
        voucher: Signed::sign(it.voucher(1).body, &key()),
    };
    let forged = settle(SignedDecision::Stream(Box::new(stream)));
    assert!(
        it.hand.ask(forged).await.is_err(),
        "consent: the bank takes a voucher that the customer has not signed"
    );
}

// ---- the merchant -------------------------------------------------------------------------------------------------

fn is_close(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Escrow && matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Close(_)))
}

fn is_raise(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Escrow && matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Raise(_)))
}

/// A customer pays for tick after tick, and the escrow is shown no voucher.
pub async fn an_escrow_that_takes_no_vouchers() {
    let it = opened(312).await;
    it.watch().await;
    it.world.network.block(is_raise);
    for ticks in 0..=TICKS {
        match it.pay(ticks).await {
            Ok(Ticks { key, .. }) => {
                let fits = key.is_none_or(|key| it.is_key_of(ticks, &key));
                assert!(fits, "goods: the merchant gives the key of another tick");
            }
            Err(Refusal::Later(Later::Busy { .. })) => return,
            Err(refusal) => panic!("progress: {refusal}"),
        }
    }
    panic!("goods: a merchant gives all keys, and its crash loses all vouchers");
}

/// The merchant dies with a voucher that its escrow was not shown, and the customer brings it.
pub async fn a_merchant_that_has_lost_its_last_voucher() {
    let it = opened(313).await;
    it.watch().await;
    it.pay(0).await.expect("a tick");
    it.pay(1).await.expect("its key");
    it.world.restart(MERCHANT, Death::Killed).await;
    let ended = it.stop(Some(1)).await.expect("an outcome");
    assert_eq!(committed(&ended), Some(1), "goods: ticks without money");
}

/// The merchant asks for the end of a stream, and dies before the escrow answers.
pub async fn a_merchant_that_dies_at_the_end_of_a_stream() {
    let it = opened(319).await;
    it.watch().await;
    it.pay(0).await.expect("a tick");
    it.pay(1).await.expect("its key");
    it.world.network.block(is_close);
    assert!(it.stop(None).await.is_err());
    it.world.restart(MERCHANT, Death::Killed).await;
    it.world.network.unblock();
    let looked = it.world.merchant(0).close_round().await.expect("a round");
    assert_eq!(looked.open, 0, "progress: a stream stays open that was to end");
    let ended = it.stop(None).await.expect("an outcome");
    assert_eq!(committed(&ended), Some(1), "goods: ticks without money");
}

// ---- the wallet ---------------------------------------------------------------------------------------------------

/// A customer watches the stream of a merchant that lies about its ticks.
async fn lied_to(seed: u64, lie: TickLie) -> (Arc<World>, Wallet, Seen) {
    let world = World::of(seed, Population::streaming()).await;
    let wallet = world.customer("alice", FUNDS).await.wallet();
    let withdrawn = wallet.withdraw(&world.parties().bank, FUNDS).await;
    withdrawn.expect("a withdrawal");
    let key = world.foundation.key(MERCHANT);
    world.cheat(MERCHANT, LiesAboutTicks { key, lie });
    let seen = watch_once(&world, &wallet).await.expect("a stream");
    world.honest(MERCHANT);
    (world, wallet, seen)
}

/// A merchant shows a voucher for everything, which it has signed itself.
pub async fn a_merchant_that_says_that_all_is_paid() {
    let (_world, _wallet, seen) = lied_to(314, TickLie::SaysAllIsPaid).await;
    assert_eq!(
        seen.ticks, WANTED,
        "goods: the wallet takes anybody's voucher for its own"
    );
}

/// A merchant sends ticks under somebody else's signature.
pub async fn ticks_that_the_merchant_has_not_signed() {
    let (_world, wallet, seen) = lied_to(315, TickLie::Unsigned).await;
    let row = wallet.purchase(seen.number).expect("the purchase");
    assert_eq!(
        row.purchase.status(),
        "aborted",
        "evidence: paid for ticks that nobody is held to"
    );
}

/// A merchant signs ticks that do not open.
pub async fn ticks_that_do_not_open() {
    let (world, wallet, seen) = lied_to(316, TickLie::DoNotOpen).await;
    assert_eq!(seen.end, WatchEnd::DoesNotOpen(1));
    world.settle().await;
    let papers = wallet.papers(seen.number).expect("the papers");
    let charges = judge(&[papers], 0);
    assert!(
        charges
            .iter()
            .any(|it| it.charge == Charge::TickDoesNotOpen { tick: 1 }),
        "evidence: a merchant sells nonsense, and is cleared"
    );
}

// ---- the judge ----------------------------------------------------------------------------------------------------

/// A customer shows a judge an honest tick with another key.
pub async fn a_tick_that_is_shown_with_another_key() {
    let it = opened(317).await;
    it.watch().await;
    let batch = it.pay(0).await.expect("a tick").batch.expect("a tick");
    let tick = ShownTick {
        batch: batch.signed,
        index: 1,
        tick: batch.ticks[0].to_vec(),
        key: GoodsKey::from_bytes([7; 32]),
    };
    let papers = Papers {
        contract: Some(it.bought.order.contract.clone()),
        opened: Some(it.opened.clone()),
        tick: Some(tick),
        ..Papers::default()
    };
    assert!(
        judge(&[papers], 0).is_empty(),
        "evidence: an honest merchant is convicted"
    );
}

/// An escrow promises to commit a voucher, and aborts.
pub async fn a_promise_that_is_not_kept() {
    let it = opened(318).await;
    let request = RaiseRequest {
        voucher: it.voucher(2),
        wants_key: false,
    };
    let raised: Signed<Raised> = it.hand.ask(request).await.expect("a promise").raised;
    let close = it.close_by(&it.world.foundation.key(MERCHANT), None).close;
    let abort = Abort {
        purchase: it.bought.order.purchase(),
        bank: it.hand.key(RoleName::Bank),
        reason: AbortReason::Closed(Box::new(close)),
    };
    let papers = Papers {
        contract: Some(it.bought.order.contract.clone()),
        opened: Some(it.opened.clone()),
        raised: Some(raised),
        abort: Some(Signed::sign(abort, &it.world.foundation.key(ESCROW))),
        ..Papers::default()
    };
    let convicted = judge(&[papers], 0)
        .iter()
        .any(|it| it.charge == Charge::RaisedNotKept);
    assert!(
        convicted,
        "evidence: an escrow breaks its promise, and is cleared"
    );
}
