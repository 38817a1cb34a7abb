//! Streams: ticks for vouchers, vouchers at the escrow, and every way in which a stream ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::Signed;
use farthing_merchant::merchant::{STREAM_LIFE_MS, Settings};
use farthing_merchant::rows::{BROKEN_PROMISES, SALES, SaleState};
use farthing_merchant::streams::{
    close::{IDLE_CLOSE_MS, Looked},
    raise::Which,
};
use farthing_node::admin::AdminHandler;
use farthing_node::network::Caller;
use farthing_protocol::{
    decision::Outcome,
    documents::{AbortReason, PurchaseId},
    evidence::{Charge, Papers, judge},
    money::Amount,
    purchase::check_offer,
    refusal::{GoodsFault, Later, PurchaseFault, Refusal},
    stream::{StopRequest, Ticks, TicksRequest, pay_until_ms},
};
use farthing_store::clock::Clock;
use serde_json::json;
use std::fs;
use std::time::Duration;
use support::stream::{CHUNK_BYTES, PRICE, TICKS, stranger};
use support::{HOUR_MS, ITEM, MerchantFixture};

fn state(fixture: &MerchantFixture, purchase: PurchaseId) -> Option<SaleState> {
    let sale = SALES.peek(&fixture.store.view(), &purchase).unwrap();
    sale.map(|sale| sale.state)
}

fn is_busy(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Later(Later::Busy { .. }))
}

fn paid(outcome: &Outcome) -> u32 {
    match outcome {
        Outcome::Streamed(stream) => stream.voucher.body.ticks,
        other => panic!("{other:?}"),
    }
}

async fn evidence(fixture: &MerchantFixture, purchase: PurchaseId) -> Papers {
    let ask = json!({ "do": "evidence", "sale": purchase.to_string() });
    let answer = fixture.merchant.admin(ask).await.unwrap();
    serde_json::from_value(answer["evidence"].clone()).unwrap()
}

const CLOSED: Looked = Looked { open: 0, waiting: 0 };

#[tokio::test]
async fn an_offer_of_a_stream_passes_the_checks_of_a_wallet() {
    let fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let offer = fixture.offer().await;
    let (bank, escrow) = (fixture.bank.key(), fixture.escrow.identity.public());
    check_offer(
        &offer,
        &fixture.merchant.self_id(),
        &bank,
        &escrow,
        &fixture.bank.book,
    )
    .unwrap();
    assert_eq!(offer.body.ticks(), Some(TICKS));
    assert_eq!(offer.body.expires_ms, fixture.clock.now_ms() + STREAM_LIFE_MS);
    // It has no goods to fetch, and its price is that of its ticks.
    let piece = farthing_protocol::offer::PieceRequest {
        item_id: ITEM,
        encrypted_digest: offer.body.encrypted_digest,
        offset: 0,
    };
    assert_eq!(fixture.refused(piece).await, GoodsFault::UnknownPiece.into());
    for change in [
        json!({ "do": "goods-set", "item": ITEM.to_string(), "change": { "price": 0 } }),
        json!({ "do": "goods-stock", "item": ITEM.to_string(), "left": 3 }),
    ] {
        let why = fixture.merchant.admin(change).await.unwrap_err();
        assert!(why.contains("is a stream"), "{why}");
    }
}

#[tokio::test]
async fn a_file_is_watched_to_its_end_credited_refunded_and_proven() {
    let mut fixture = MerchantFixture::new();
    let (_, data) = fixture.put_up_file(6).await;
    let mut watcher = fixture.watcher().await;
    let purchase = watcher.purchase();
    assert_eq!(fixture.ask(watcher.watch()).await.unwrap(), None);
    while !fixture.step(&mut watcher, 4).await {}
    assert_eq!(watcher.records.len(), 4, "the last two are not paid for");
    assert!(fixture.step(&mut watcher, 4).await);
    assert_eq!(watcher.records.concat(), data);
    assert_eq!(watcher.records[0].len(), CHUNK_BYTES as usize);
    // A wallet that has lost its place learns it.
    assert_eq!(
        fixture.ask(watcher.watch()).await.unwrap(),
        Some(watcher.voucher(6))
    );
    let outcome = fixture.ask(watcher.stop()).await.unwrap();
    assert_eq!(paid(&outcome), 6);
    fixture.restart();
    assert_eq!(fixture.ask(watcher.stop()).await.unwrap(), outcome);
    let refusal = fixture.refused(watcher.ticks(6, 4)).await;
    assert_eq!(refusal, PurchaseFault::Committed(purchase).into());

    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    assert!(matches!(
        state(&fixture, purchase),
        Some(SaleState::StreamCredited(..))
    ));
    let sales = fixture.listed_sales().await;
    assert_eq!(sales[0]["amount"], "0.18");
    assert_eq!(sales[0]["state"], "credited");
    let events = fixture.events(0).await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["amount"] == "0.18"), "{events:?}");
    let refund = |total: u64| json!({ "do": "refund", "sale": purchase.to_string(), "total": total });
    let why = fixture.merchant.admin(refund(19)).await.unwrap_err();
    assert!(why.contains("0.18 were paid"), "{why}");
    assert!(fixture.merchant.admin(refund(18)).await.is_ok());
    let papers = evidence(&fixture, purchase).await;
    assert!(papers.opened.is_some() && papers.voucher.is_some() && papers.settled.is_some());
    assert!(papers.hold.is_none() && papers.raised.is_none());
    assert!(judge(&[papers], 0).is_empty());
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_bytes_also_after_a_restart() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let mut watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    let first = fixture.ask(watcher.ticks(0, 3)).await.unwrap();
    assert_eq!(fixture.ask(watcher.ticks(0, 3)).await.unwrap(), first);
    let wider = fixture.ask(watcher.ticks(0, 5)).await.unwrap();
    assert_eq!(
        wider.batch.unwrap().ticks[..3],
        first.batch.as_ref().unwrap().ticks
    );
    watcher.hold(first.batch.clone().unwrap(), 3);
    let second = fixture.ask(watcher.ticks(3, 2)).await.unwrap();
    assert_eq!(fixture.ask(watcher.ticks(3, 2)).await.unwrap(), second);
    // An older voucher gets its key again, and no ticks, as they would not follow it.
    let older = fixture.ask(watcher.ticks(2, 2)).await.unwrap();
    assert!(older.key.is_some() && older.batch.is_none());

    fixture.restart();
    assert_eq!(fixture.ask(watcher.ticks(0, 3)).await.unwrap(), first);
    assert_eq!(fixture.ask(watcher.ticks(3, 2)).await.unwrap(), second);
    watcher.open(3, second.key.as_ref().unwrap());
    watcher.hold(second.batch.unwrap(), 2);
    while !fixture.step(&mut watcher, 4).await {}
    assert_eq!(
        paid(&fixture.ask(watcher.stop()).await.unwrap()),
        watcher.records.len() as u32
    );
}

#[tokio::test]
async fn keys_are_given_for_vouchers_of_this_purchase_only() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let other = fixture.watcher().await;
    let watcher = fixture.watcher().await;
    // Before the watch nothing is known of the purchase.
    let refusal = fixture.refused(watcher.ticks(0, 2)).await;
    assert_eq!(refusal, PurchaseFault::Unknown(watcher.purchase()).into());
    fixture.ask(other.watch()).await.unwrap();
    fixture.ask(watcher.watch()).await.unwrap();
    assert_eq!(fixture.ask(watcher.ticks(0, 2)).await.unwrap().key, None);
    let good = watcher.voucher(2);
    let mut too_high = watcher.voucher(TICKS).body;
    too_high.ticks += 1;
    let mut too_cheap = good.body;
    too_cheap.amount.0 -= 1;
    for bad in [
        Signed::sign(good.body, &stranger()),
        Signed::sign(too_high, &watcher.key),
        Signed::sign(too_cheap, &watcher.key),
        other.voucher(2),
    ] {
        let request = TicksRequest {
            voucher: Some(bad),
            ..watcher.ticks(0, 2)
        };
        fixture.refused(request).await;
    }
    assert_eq!(fixture.ask(watcher.watch()).await.unwrap(), None);
    // A stop of somebody else ends nothing.
    let mut stop = other.stop();
    stop.purchase = watcher.purchase();
    fixture.refused(stop).await;
    assert!(fixture.ask(watcher.ticks(2, 2)).await.unwrap().key.is_some());
}

#[tokio::test]
async fn a_stream_of_another_merchant_or_of_a_forger_is_not_watched() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    let mut forged = watcher.watch();
    forged.opened = Signed::sign(forged.opened.body, &stranger());
    fixture.refused(forged).await;
    let mut other = watcher.watch();
    other.contract.terms.merchant = stranger().public();
    assert_eq!(fixture.refused(other).await, GoodsFault::UnknownOffer.into());
    // A node with the same identity and another secret does not have the keys.
    let other_home = MerchantFixture::new();
    std::fs::remove_file(fixture.home.path().join("merchant.key")).unwrap();
    farthing_merchant::secret::MerchantSecret::generate(&farthing_store::entropy::SeededEntropy::new(77))
        .save(fixture.home.path())
        .unwrap();
    fixture.restart();
    assert_eq!(
        fixture.refused(watcher.watch()).await,
        GoodsFault::UnknownOffer.into()
    );
    drop(other_home);
}

#[tokio::test]
async fn a_stream_without_a_voucher_is_closed_and_the_coins_come_back() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.ask(watcher.ticks(0, 4)).await.unwrap();
    let outcome = fixture.ask(watcher.stop()).await.unwrap();
    let Outcome::Aborted(abort) = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(matches!(abort.body.reason, AbortReason::Closed(_)));
    assert!(abort.body.reason.check(&watcher.order.contract.terms).is_ok());
    fixture.restart();
    assert_eq!(fixture.ask(watcher.stop()).await.unwrap(), outcome);
    let refusal = fixture.refused(watcher.watch()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(watcher.purchase()).into());
    assert!(evidence(&fixture, watcher.purchase()).await.abort.is_some());
}

#[tokio::test]
async fn keys_are_kept_back_while_the_escrow_is_silent() {
    let mut fixture = MerchantFixture::new();
    fixture.set(Settings {
        raise_above: Amount(4),
        ..Settings::new("FTH".into())
    });
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    let purchase = watcher.purchase();
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.ask(watcher.ticks(0, 8)).await.unwrap();
    fixture.silence_escrow(true);
    // 3 and 6 are below twice the bound, 9 is not.
    for ticks in [1, 2] {
        assert!(fixture.ask(watcher.ticks(ticks, 8)).await.unwrap().key.is_some());
    }
    assert!(is_busy(&fixture.refused(watcher.ticks(3, 8)).await));
    assert_eq!(fixture.merchant.raise_round(Which::Due).await, 1);
    assert!(is_busy(&fixture.refused(watcher.ticks(3, 8)).await));
    // The voucher is money, so it is kept although its key was not given.
    fixture.silence_escrow(false);
    assert_eq!(fixture.merchant.raise_round(Which::Due).await, 0);
    assert_eq!(fixture.escrow.raised(&purchase), 3);
    assert!(fixture.ask(watcher.ticks(3, 8)).await.unwrap().key.is_some());
    // What is below the bound is shown when the node stops.
    assert!(fixture.ask(watcher.ticks(4, 8)).await.unwrap().key.is_some());
    assert_eq!(fixture.merchant.raise_round(Which::Due).await, 0);
    assert_eq!(fixture.escrow.raised(&purchase), 3);
    assert_eq!(fixture.merchant.raise_round(Which::All).await, 0);
    assert_eq!(fixture.escrow.raised(&purchase), 4);
}

#[tokio::test]
async fn a_stop_with_a_silent_escrow_is_repeated_and_gives_no_further_key() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.ask(watcher.ticks(2, 4)).await.unwrap();
    fixture.silence_escrow(true);
    let refusal = fixture.ask(watcher.stop()).await.unwrap_err();
    assert_eq!(refusal, Later::PeerSilent("escrow".into()).into());
    assert!(is_busy(&fixture.refused(watcher.ticks(3, 4)).await));
    let waiting = Looked { open: 1, waiting: 1 };
    assert_eq!(fixture.merchant.close_round().await.unwrap(), waiting);
    fixture.silence_escrow(false);
    assert_eq!(fixture.merchant.close_round().await.unwrap(), CLOSED);
    assert_eq!(paid(&fixture.ask(watcher.stop()).await.unwrap()), 2);
}

#[tokio::test]
async fn a_merchant_that_dies_while_it_closes_goes_on_at_once() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let (watcher, unpaid, later) = (
        fixture.watcher().await,
        fixture.watcher().await,
        fixture.watcher().await,
    );
    for watcher in [&watcher, &unpaid, &later] {
        fixture.ask(watcher.watch()).await.unwrap();
    }
    for watcher in [&watcher, &later] {
        fixture.ask(watcher.ticks(2, 4)).await.unwrap();
    }
    fixture.silence_escrow(true);
    for watcher in [&watcher, &unpaid, &later] {
        let refusal = fixture.ask(watcher.stop()).await.unwrap_err();
        assert_eq!(refusal, Later::PeerSilent("escrow".into()).into());
    }
    let sales = fixture.listed_sales().await;
    assert!(sales.iter().all(|sale| sale["state"] == "closing"), "{sales:?}");

    fixture.restart();
    // It gives no further key, and still knows the voucher.
    let voucher = fixture.ask(watcher.watch()).await.unwrap();
    assert_eq!(voucher, Some(watcher.voucher(2)));
    assert!(is_busy(&fixture.refused(watcher.ticks(3, 4)).await));
    // A customer may bring a higher voucher, and no lower one takes its place.
    for ticks in [3, 1] {
        let stop = StopRequest {
            voucher: Some(later.voucher(ticks)),
            ..later.stop()
        };
        fixture.ask(stop).await.unwrap_err();
        fixture.restart();
    }
    fixture.silence_escrow(false);
    assert_eq!(fixture.merchant.close_round().await.unwrap(), CLOSED);
    for (watcher, ticks) in [(&watcher, 2), (&later, 3)] {
        match state(&fixture, watcher.purchase()) {
            Some(SaleState::Streamed(stream)) => assert_eq!(stream.voucher.body.ticks, ticks),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        state(&fixture, unpaid.purchase()),
        Some(SaleState::Aborted(_))
    ));
}

#[tokio::test]
async fn every_stream_that_is_to_end_is_written_down_although_its_escrow_is_silent() {
    const STREAMS: usize = 12;
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let mut watchers = Vec::new();
    for _ in 0..STREAMS {
        let watcher = fixture.watcher().await;
        fixture.ask(watcher.watch()).await.unwrap();
        fixture.ask(watcher.ticks(2, 4)).await.unwrap();
        watchers.push(watcher);
    }
    fixture.silence_escrow(true);
    fixture.clock.advance(IDLE_CLOSE_MS);
    let waiting = Looked {
        open: STREAMS,
        waiting: STREAMS,
    };
    assert_eq!(fixture.merchant.close_round().await.unwrap(), waiting);
    // The node is stopped, and shows what it has, also of streams that end.
    fixture.silence_escrow(false);
    let last = watchers.pop().unwrap();
    assert_eq!(fixture.merchant.raise_round(Which::All).await, 0);
    assert_eq!(fixture.escrow.raised(&last.purchase()), 2);
    fixture.restart();
    assert_eq!(fixture.merchant.close_round().await.unwrap(), CLOSED);
    for watcher in watchers {
        assert_eq!(paid(&fixture.ask(watcher.stop()).await.unwrap()), 2);
    }
}

#[tokio::test]
async fn a_customer_who_comes_back_after_a_restart_can_bring_a_voucher_first() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_live().await;
    let mut watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.feed(&["one"]).await;
    fixture.step(&mut watcher, 1).await;
    let open = Looked { open: 1, waiting: 0 };
    // The records are lost. The stream does not end before its customer has brought a voucher, or ten minutes are over.
    fixture.restart();
    fixture.ask(watcher.watch()).await.unwrap();
    assert_eq!(fixture.merchant.close_round().await.unwrap(), open);
    fixture.clock.set(pay_until_ms(&watcher.order.contract.terms));
    fixture.restart();
    assert_eq!(fixture.merchant.close_round().await.unwrap(), open);
    let stop = StopRequest {
        voucher: Some(watcher.voucher(1)),
        ..watcher.stop()
    };
    assert_eq!(paid(&fixture.ask(stop).await.unwrap()), 1);
}

#[tokio::test]
async fn live_records_go_to_everyone_who_watches_and_end_with_the_data() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_live().await;
    fixture.feed(&["too early"]).await;
    let mut watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    // A request waits for the first record.
    let waiting = TicksRequest {
        wait_ms: 2_000,
        ..watcher.ticks(0, 8)
    };
    let merchant = fixture.merchant.clone();
    let (mut turn, mut second_turn) = (Some(Caller::any()), Some(Caller::any()));
    let feeding = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let second = merchant.ticks(waiting.clone(), &mut second_turn).await.unwrap();
        assert_eq!(second.batch, None);
        fixture.feed(&["one", "two"]).await;
    };
    let (reply, ()) = tokio::join!(merchant.ticks(waiting.clone(), &mut turn), feeding);
    assert!(turn.is_none(), "others from its address wait for it");
    assert!(second_turn.is_some(), "two requests of one stream wait");
    let Ticks { key, batch, ended } = reply.unwrap();
    assert!(key.is_none() && !ended);
    watcher.hold(batch.unwrap(), 8);
    assert!(!fixture.step(&mut watcher, 8).await);
    // Without a record it answers without one.
    assert!(!fixture.step(&mut watcher, 8).await);
    fixture.feed(&["three"]).await;
    fixture.end_feed().await;
    assert!(fixture.step(&mut watcher, 8).await);
    let open = Looked { open: 1, waiting: 0 };
    assert_eq!(
        fixture.merchant.close_round().await.unwrap(),
        open,
        "the last record is not paid for"
    );
    assert!(fixture.step(&mut watcher, 8).await);
    assert_eq!(
        watcher.records,
        [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]
    );
    assert_eq!(fixture.merchant.close_round().await.unwrap(), CLOSED);
    assert_eq!(paid(&fixture.ask(watcher.stop()).await.unwrap()), 3);
    let refusal = fixture.refused(fixture.offer_request()).await;
    assert_eq!(refusal, GoodsFault::UnknownItem.into());
}

#[tokio::test]
async fn an_open_live_stream_ends_with_the_process() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_live().await;
    let (mut watcher, mut unpaid) = (fixture.watcher().await, fixture.watcher().await);
    let unwatched = fixture.watcher().await;
    for watcher in [&mut watcher, &mut unpaid] {
        fixture.ask(watcher.watch()).await.unwrap();
    }
    fixture.feed(&["one", "two"]).await;
    fixture.step(&mut unpaid, 8).await;
    fixture.step(&mut watcher, 1).await;
    fixture.step(&mut watcher, 1).await;
    fixture.merchant.raise_round(Which::All).await;
    fixture.restart();
    // Nobody feeds it, so nobody buys it.
    assert!(matches!(
        fixture.refused(fixture.offer_request()).await,
        Refusal::Later(Later::Unavailable(_))
    ));
    fixture.feed(&["another"]).await;
    // No key of the earlier run encrypts another record, and a voucher for the tick that they hold is taken.
    assert!(fixture.step(&mut watcher, 8).await);
    assert_eq!(watcher.records, [b"one".to_vec(), b"two".to_vec()]);
    // Also if the store is an older copy, which does not have the sale.
    fixture.ask(unwatched.watch()).await.unwrap();
    let reply = fixture.ask(unwatched.ticks(0, 8)).await.unwrap();
    assert!(reply.ended && reply.batch.is_none());
    // The merchant waits for customers that may bring their last voucher.
    fixture.merchant.close_round().await.unwrap();
    assert_eq!(paid(&fixture.ask(watcher.stop()).await.unwrap()), 2);
    for watcher in [unpaid, unwatched] {
        let outcome = fixture.ask(watcher.stop()).await.unwrap();
        assert!(matches!(outcome, Outcome::Aborted(_)));
    }
}

#[tokio::test]
async fn nobody_pays_or_gets_keys_from_pay_until_on() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.ask(watcher.ticks(1, 4)).await.unwrap();
    let late = fixture.watcher().await;
    let until_ms = pay_until_ms(&watcher.order.contract.terms);
    assert_eq!(until_ms, fixture.clock.now_ms() + STREAM_LIFE_MS - HOUR_MS);
    fixture.clock.set(until_ms - 1);
    assert!(fixture.ask(watcher.ticks(2, 4)).await.unwrap().key.is_some());
    fixture.clock.set(until_ms);
    let passed = |purchase| Refusal::from(PurchaseFault::DeadlinePassed(purchase));
    let refusal = fixture.refused(watcher.ticks(3, 4)).await;
    assert_eq!(refusal, passed(watcher.purchase()));
    assert_eq!(fixture.refused(late.watch()).await, passed(late.purchase()));
    // The merchant waits for customers that may bring their last voucher.
    fixture.merchant.close_round().await.unwrap();
    assert_eq!(paid(&fixture.ask(watcher.stop()).await.unwrap()), 2);
}

#[tokio::test]
async fn a_stream_ends_when_its_customer_is_silent_also_after_a_restart() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    let open = Looked { open: 1, waiting: 0 };
    fixture.clock.advance(IDLE_CLOSE_MS - 1);
    assert_eq!(fixture.merchant.close_round().await.unwrap(), open);
    fixture.ask(watcher.ticks(1, 4)).await.unwrap();
    fixture.clock.advance(IDLE_CLOSE_MS - 1);
    assert_eq!(fixture.merchant.close_round().await.unwrap(), open);
    fixture.merchant.raise_round(Which::All).await;
    fixture.restart();
    fixture.clock.advance(IDLE_CLOSE_MS - 1);
    assert_eq!(fixture.merchant.close_round().await.unwrap(), open);
    fixture.clock.advance(1);
    assert_eq!(fixture.merchant.close_round().await.unwrap(), CLOSED);
    assert_eq!(paid(&fixture.ask(watcher.stop()).await.unwrap()), 1);
}

#[tokio::test]
async fn a_file_that_has_changed_is_sold_no_further() {
    let mut fixture = MerchantFixture::new();
    let (path, mut data) = fixture.put_up_file(TICKS).await;
    let mut watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.step(&mut watcher, 2).await;
    // A file that is away for a while is no reason to end it.
    fs::rename(&path, path.with_extension("away")).unwrap();
    let refusal = fixture.ask(watcher.ticks(2, 2)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Later(Later::Unavailable(_))));
    data[3 * CHUNK_BYTES as usize] ^= 1;
    fs::write(&path, &data).unwrap();
    assert!(fixture.step(&mut watcher, 2).await);
    assert_eq!(watcher.records.concat(), data[..2 * CHUNK_BYTES as usize]);
    // The merchant waits for customers that may bring their last voucher.
    fixture.merchant.close_round().await.unwrap();
    assert_eq!(paid(&fixture.ask(watcher.stop()).await.unwrap()), 2);
}

#[tokio::test]
async fn an_escrow_that_breaks_its_promise_is_proven_guilty() {
    for dies in [false, true] {
        proven_guilty(dies).await;
    }
}

/// An escrow promises to commit ticks, and aborts. The merchant may die while it ends the stream.
async fn proven_guilty(dies: bool) {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    let purchase = watcher.purchase();
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.ask(watcher.ticks(0, 4)).await.unwrap();
    fixture.ask(watcher.ticks(4, 4)).await.unwrap();
    fixture.merchant.raise_round(Which::All).await;
    if dies {
        fixture.silence_escrow(true);
        fixture.ask(watcher.stop()).await.unwrap_err();
        fixture.restart();
        fixture.silence_escrow(false);
    }
    fixture.escrow.abort(&watcher.order.contract);
    let outcome = fixture.ask(watcher.stop()).await.unwrap();
    assert!(matches!(outcome, Outcome::Aborted(_)));
    let kept = BROKEN_PROMISES.peek(&fixture.store.view(), &purchase).unwrap();
    assert_eq!(kept.unwrap().body.ticks, 4);
    let papers = evidence(&fixture, purchase).await;
    assert!(papers.raised.is_some() && papers.abort.is_some());
    let convictions = judge(&[papers], 0);
    assert!(
        convictions
            .iter()
            .any(|found| matches!(found.charge, Charge::RaisedNotKept)),
        "{convictions:?}"
    );
}

#[tokio::test]
async fn a_dear_stream_shows_fewer_vouchers_than_an_escrow_stores() {
    let mut fixture = MerchantFixture::new();
    fixture.set(Settings {
        raise_above: Amount(0),
        ..Settings::new("FTH".into())
    });
    fixture.put_up_file(TICKS).await;
    let watcher = fixture.watcher().await;
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.ask(watcher.ticks(0, 8)).await.unwrap();
    // The bound is the price divided by the number of vouchers, rounded up: 1 of 24.
    assert!(is_busy(&fixture.refused(watcher.ticks(1, 8)).await));
    assert_eq!(fixture.merchant.raise_round(Which::Due).await, 0);
    assert!(fixture.ask(watcher.ticks(1, 8)).await.unwrap().key.is_some());
    assert_eq!(PRICE, Amount(24));
}
