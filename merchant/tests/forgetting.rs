//! Forgetting: what is of closed epochs goes once it has ended, is counted, and never comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::{DenominationSecret, EpochKeys, KeyList, MasterSecret, Signed};
use farthing_merchant::forgotten::{CLOSED_BEFORE, FORGOTTEN_SALES, PURGE};
use farthing_merchant::rows::{
    BROKEN_PROMISES, EVENT_COUNT, EVENTS, Event, EventKind, KEY_LISTS, KNOWN_SALES, OPEN_SALES, REFUNDS,
    SALE_DATES, SALES, Sale,
};
use farthing_node::admin::AdminHandler;
use farthing_node::purge::{ROUND_MAX, Round};
use farthing_node::serve::Role;
use farthing_protocol::{
    documents::PurchaseId,
    money::Amount,
    offer::DeliverRequest,
    refusal::{Later, PurchaseFault, Refusal},
    stream::Raised,
};
use serde_json::{Value, json};
use std::ops::Bound;
use support::bank::{EPOCH, EPOCH_MS, Mood, START_MS, TestBank, VALUES};
use support::{HOUR_MS, ITEM, MerchantFixture};

const DAY_MS: u64 = 24 * HOUR_MS;

/// The end of the first epoch.
const END_MS: u64 = EPOCH_MS * (EPOCH as u64 + 1);

/// When the first epoch is closed. Its coins are taken for 90 days, and then for 30. A year and four epochs follow.
const CLOSED_MS: u64 = END_MS + (90 + 30 + 365 + 4 * 30) * DAY_MS;

/// The number of epochs on a list whose newest epoch begins after that.
const EPOCHS: u32 = 23;

/// The list of a bank with so many epochs.
fn list(bank: &TestBank, epochs: u32) -> Signed<KeyList> {
    let mut list = bank.book.list().clone();
    let master = MasterSecret::from_bytes([8; 32]);
    list.epochs.extend((EPOCH + 1..EPOCH + epochs).map(|epoch| {
        EpochKeys {
            epoch,
            keys: VALUES
                .iter()
                .map(|value| DenominationSecret::derive(&master, *value, epoch).public())
                .collect(),
        }
    }));
    Signed::sign(list, &bank.identity)
}

/// Lets the merchant know a bank's list with so many epochs, and starts it again.
async fn learn_list(fixture: &mut MerchantFixture, bank: &TestBank, epochs: u32) {
    let list = list(bank, epochs);
    let reads = [KEY_LISTS.save_reads(&list.body.bank)];
    let saved = fixture.store.transact(reads, move |tx| KEY_LISTS.save(tx, &list));
    saved.await.unwrap();
    fixture.restart();
}

/// The first epoch is closed by the clock and the bank's list.
async fn close_epoch(fixture: &mut MerchantFixture) {
    let bank = fixture.bank.clone();
    learn_list(fixture, &bank, EPOCHS).await;
    fixture.clock.set(CLOSED_MS);
}

/// A further epoch is closed.
async fn close_next_epoch(fixture: &mut MerchantFixture) {
    let bank = fixture.bank.clone();
    learn_list(fixture, &bank, EPOCHS + 1).await;
    fixture.clock.set(CLOSED_MS + EPOCH_MS);
}

/// Runs a pass to its end. Returns how many sales and events were forgotten.
async fn purge(fixture: &MerchantFixture) -> usize {
    let mut all = 0;
    loop {
        let Round { forgotten, more } = fixture.merchant.purge_round().await.unwrap();
        all += forgotten;
        if !more {
            return all;
        }
    }
}

/// Nothing is forgotten, and nothing is written.
async fn purges_nothing(fixture: &MerchantFixture) {
    let before = fixture.head();
    let (forgotten, more) = (0, false);
    assert_eq!(
        fixture.merchant.purge_round().await.unwrap(),
        Round { forgotten, more }
    );
    assert_eq!(fixture.head(), before);
}

/// A merchant with goods.
async fn shop() -> MerchantFixture {
    let fixture = MerchantFixture::new();
    fixture.put_up(ITEM, b"goods", true).await;
    fixture
}

/// A purchase with this deadline, whose coins are held.
async fn held_until(fixture: &mut MerchantFixture, deadline_ms: u64) -> DeliverRequest {
    let offer = fixture.offer().await;
    let order = fixture.order_until(offer, &[16, 8], deadline_ms);
    let hold = fixture.hold(&order);
    let contract = order.contract;
    DeliverRequest { contract, hold }
}

/// A sale that is credited.
async fn sell(fixture: &mut MerchantFixture) -> DeliverRequest {
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    let purchase_key = request.contract.terms.purchase_key;
    fixture.bank.refund_to(purchase_key);
    fixture.ask(request.clone()).await.unwrap();
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    request
}

fn id(request: &DeliverRequest) -> PurchaseId {
    request.contract.terms.purchase_id()
}

fn sale(fixture: &MerchantFixture, purchase: PurchaseId) -> Option<Sale> {
    SALES.peek(&fixture.store.view(), &purchase).unwrap()
}

fn sales(fixture: &MerchantFixture) -> usize {
    let all = SALES.scan(&fixture.store.view(), Bound::Unbounded, 1_000);
    all.unwrap().len()
}

fn numbers(events: &[Value]) -> Vec<u64> {
    let number = |event: &Value| event["number"].as_u64().unwrap();
    events.iter().map(number).collect()
}

async fn refund(fixture: &MerchantFixture, purchase: PurchaseId, total: &str) -> Result<Value, String> {
    let total: Amount = total.parse().unwrap();
    let request = json!({ "do": "refund", "sale": purchase.to_string(), "total": total });
    fixture.merchant.admin(request).await
}

/// The books, as the metrics have them.
async fn books(fixture: &MerchantFixture) -> (u64, Vec<(&'static str, u64)>) {
    let books = fixture.merchant.books().await.unwrap().unwrap();
    let figures = books.figures.iter().map(|figure| (figure.name, figure.value));
    (books.acts, figures.collect())
}

/// Stores an event of an item, as a change of its stock does.
async fn add_stock_event(fixture: &MerchantFixture) {
    let (store, at_ms) = (fixture.store.clone(), START_MS);
    let appending = store.transact([EVENT_COUNT.key(&())], move |tx| {
        farthing_merchant::events::append(tx, at_ms, EventKind::StockOut(ITEM))
    });
    appending.await.unwrap();
}

#[tokio::test]
async fn a_sale_goes_with_all_rows_about_it_when_its_epoch_is_closed_and_no_earlier() {
    let mut fixture = shop().await;
    fixture.clock.set(END_MS - HOUR_MS / 2);
    let old = held_until(&mut fixture, END_MS - 1).await;
    let young = held_until(&mut fixture, END_MS).await;
    for request in [&old, &young] {
        fixture.bank.refund_to(request.contract.terms.purchase_key);
        fixture.ask(request.clone()).await.unwrap();
        assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
        refund(&fixture, id(request), "0.10").await.unwrap();
        assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 0);
    }
    let purchase = id(&old);
    let raised = Signed::sign(Raised { purchase, ticks: 1 }, &fixture.escrow.identity);
    let keeping = fixture.store.transact([], move |tx| {
        BROKEN_PROMISES.put(tx, &raised.body.purchase, &raised)
    });
    keeping.await.unwrap();

    close_epoch(&mut fixture).await;
    fixture.clock.set(CLOSED_MS - 1);
    assert_eq!(purge(&fixture).await, 0);
    fixture.clock.set(CLOSED_MS);
    let events = fixture.events(0).await.len();
    assert_eq!(purge(&fixture).await, 1 + events / 2);
    let view = fixture.store.view();
    assert_eq!(SALES.peek(&view, &purchase).unwrap(), None);
    assert_eq!(SALE_DATES.peek(&view, &purchase).unwrap(), None);
    assert_eq!(REFUNDS.peek(&view, &purchase).unwrap(), None);
    assert_eq!(BROKEN_PROMISES.peek(&view, &purchase).unwrap(), None);
    let kept = id(&young);
    assert!(SALES.peek(&view, &kept).unwrap().is_some());
    assert!(SALE_DATES.peek(&view, &kept).unwrap().is_some());
    assert!(REFUNDS.peek(&view, &kept).unwrap().is_some());
    purges_nothing(&fixture).await;
}

#[tokio::test]
async fn what_has_not_ended_stays_until_it_has() {
    let mut fixture = shop().await;
    let refunding = id(&sell(&mut fixture).await);
    refund(&fixture, refunding, "0.10").await.unwrap();
    // The bank credits nothing, and then the escrow is silent.
    fixture.bank.set_mood(Mood::Refusing(Later::NotYet.into()));
    let offer = fixture.offer().await;
    let committed = fixture.held(offer);
    fixture.ask(committed.clone()).await.unwrap();
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 1);
    fixture.silence_escrow(true);
    let offer = fixture.offer().await;
    let releasing = fixture.held(offer);
    fixture.ask(releasing.clone()).await.unwrap_err();

    close_epoch(&mut fixture).await;
    assert_eq!(purge(&fixture).await, 0);
    for purchase in [refunding, id(&committed), id(&releasing)] {
        assert!(sale(&fixture, purchase).is_some());
    }
    fixture.bank.set_mood(Mood::Honest);
    fixture.silence_escrow(false);
    let aborted = PurchaseFault::Aborted(id(&releasing));
    fixture.escrow.refuse(Some(aborted.into()));
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 0);
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    purges_nothing(&fixture).await;
    close_next_epoch(&mut fixture).await;
    purge(&fixture).await;
    assert_eq!(sales(&fixture), 0);
    assert!(
        OPEN_SALES
            .scan(&fixture.store.view(), Bound::Unbounded, 1)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn without_a_list_or_by_a_clock_that_is_years_ahead_nothing_goes() {
    let mut fixture = shop().await;
    fixture.clock.set(u64::MAX / 2);
    purges_nothing(&fixture).await;
    fixture.clock.set(START_MS);
    let purchase = id(&sell(&mut fixture).await);
    // The newest epoch on the list begins before the first one is closed.
    let bank = fixture.bank.clone();
    learn_list(&mut fixture, &bank, EPOCHS - 1).await;
    for now_ms in [CLOSED_MS, u64::MAX / 2, u64::MAX] {
        fixture.clock.set(now_ms);
        assert_eq!(purge(&fixture).await, 0);
        purges_nothing(&fixture).await;
    }
    assert!(sale(&fixture, purchase).is_some());
    // The list of another bank says nothing of this one.
    let other = TestBank::new(7);
    learn_list(&mut fixture, &other, EPOCHS).await;
    assert_eq!(purge(&fixture).await, 0);
    assert!(sale(&fixture, purchase).is_some());
    learn_list(&mut fixture, &bank, EPOCHS).await;
    assert!(purge(&fixture).await > 0);
    assert_eq!(sale(&fixture, purchase), None);
}

#[tokio::test]
async fn events_go_with_their_sales_and_no_number_is_used_again() {
    let mut fixture = shop().await;
    sell(&mut fixture).await;
    add_stock_event(&fixture).await;
    fixture.clock.set(END_MS);
    sell(&mut fixture).await;
    let before = fixture.events(0).await;
    assert_eq!(numbers(&before), [1, 2, 3, 4, 5]);
    // Another bank is known, none of whose epochs is closed.
    let other = TestBank::new(7);
    learn_list(&mut fixture, &other, 1).await;
    close_epoch(&mut fixture).await;
    assert_eq!(purge(&fixture).await, 1);
    let kept = fixture.events(0).await;
    assert_eq!(numbers(&kept), [1, 2, 3, 4, 5]);
    assert_eq!(
        (&kept[0]["purchase"], &kept[0]["title"]),
        (&before[0]["purchase"], &Value::Null)
    );
    assert_eq!(kept[2..], before[2..]);
    // Once its epoch is closed too, the events go.
    learn_list(&mut fixture, &other, EPOCHS).await;
    assert_eq!(purge(&fixture).await, 3);
    for after in [0, 1, 3] {
        assert_eq!(fixture.events(after).await, before[3..]);
    }
    fixture.restart();
    add_stock_event(&fixture).await;
    assert_eq!(numbers(&fixture.events(0).await), [4, 5, 6]);
}

#[tokio::test]
async fn while_the_webhook_has_an_event_to_post_nothing_goes() {
    let mut fixture = shop().await;
    let clock = fixture.clock.clone();
    fixture.post_events_to("http://127.0.0.1:9/", clock).await;
    let purchase = id(&sell(&mut fixture).await);
    close_epoch(&mut fixture).await;
    let (forgotten, more) = (0, true);
    let before = fixture.head();
    for _ in 0..2 {
        assert_eq!(
            fixture.merchant.purge_round().await.unwrap(),
            Round { forgotten, more }
        );
    }
    assert_eq!(fixture.head(), before);
    assert!(sale(&fixture, purchase).is_some());
    // An event that is to be posted again counts as well.
    let delivered = fixture.store.transact([], |tx| {
        farthing_merchant::rows::DELIVERED.put(tx, &(), &2)?;
        farthing_merchant::rows::REDELIVERIES.put(tx, &1, &())
    });
    delivered.await.unwrap();
    assert_eq!(
        fixture.merchant.purge_round().await.unwrap(),
        Round { forgotten, more }
    );
    let posted = fixture
        .store
        .transact([], |tx| farthing_merchant::rows::REDELIVERIES.delete(tx, &1));
    posted.await.unwrap();
    assert_eq!(purge(&fixture).await, 3);
    let again = json!({ "do": "webhook-redeliver", "number": 1 });
    let why = fixture.merchant.admin(again).await.unwrap_err();
    assert!(why.contains("forgotten"), "{why}");
}

#[tokio::test]
async fn the_sums_of_the_books_stay() {
    let mut fixture = shop().await;
    let refunded = id(&sell(&mut fixture).await);
    refund(&fixture, refunded, "0.10").await.unwrap();
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 0);
    sell(&mut fixture).await;
    let offer = fixture.offer().await;
    let ended = fixture.held(offer);
    fixture
        .escrow
        .refuse(Some(PurchaseFault::Aborted(id(&ended)).into()));
    fixture.ask(ended).await.unwrap_err();
    let before = books(&fixture).await;
    assert!(before.1.contains(&("credited", 48)) && before.1.contains(&("not_sold", 1)));
    close_epoch(&mut fixture).await;
    purge(&fixture).await;
    assert_eq!(sales(&fixture), 0);
    assert_eq!(books(&fixture).await, before);
    let page = fixture
        .merchant
        .admin(json!({ "do": "sales", "after": null }))
        .await
        .unwrap();
    let line = |state: &str, sales: u64, amount: &str, refunded: &str| json!({ "state": state, "currency": "FTH", "sales": sales, "amount": amount, "refunded": refunded });
    let expected = json!([
        line("credited", 2, "0.48", "0.10"),
        line("ended", 1, "0.24", "0.00")
    ]);
    assert_eq!(page["forgotten"], expected);
}

#[tokio::test]
async fn no_forgotten_sale_begins_again_whatever_the_clock_says() {
    let mut fixture = shop().await;
    let request = sell(&mut fixture).await;
    let purchase = id(&request);
    // It was sold by the escrow too, which lists it as long as it likes.
    let offer = fixture.offer().await;
    let listed = fixture.sold(offer);
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    close_epoch(&mut fixture).await;
    // What is kept is answered as ever.
    fixture.ask(request.clone()).await.unwrap();
    purge(&fixture).await;
    let escrow = fixture.escrow.identity.public();
    let escrow_forgot = fixture
        .store
        .transact([], move |tx| KNOWN_SALES.delete(tx, &escrow));
    escrow_forgot.await.unwrap();
    let closed: Refusal = PurchaseFault::Closed(purchase).into();
    for now_ms in [CLOSED_MS, START_MS] {
        fixture.clock.set(now_ms);
        fixture.restart();
        assert_eq!(fixture.refused(request.clone()).await, closed);
        purges_nothing(&fixture).await;
    }
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(KNOWN_SALES.peek(&fixture.store.view(), &escrow).unwrap(), Some(1));
    assert_eq!(sales(&fixture), 0);
    assert_eq!(sale(&fixture, listed.contract.terms.purchase_id()), None);
    for command in ["evidence", "refund"] {
        let ask = json!({ "do": command, "sale": purchase.to_string() });
        let why = fixture.merchant.admin(ask).await.unwrap_err();
        assert!(why.contains("forgotten"), "{why}");
    }
    // Purchases of later epochs are sold.
    fixture.clock.set(END_MS);
    sell(&mut fixture).await;
    assert_eq!(sales(&fixture), 1);
}

#[tokio::test]
async fn no_forgotten_stream_begins_again() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_file(support::stream::TICKS).await;
    let watcher = fixture.watcher().await;
    let purchase = watcher.purchase();
    fixture.ask(watcher.watch()).await.unwrap();
    fixture.ask(watcher.stop()).await.unwrap();
    close_epoch(&mut fixture).await;
    purge(&fixture).await;
    assert_eq!(sale(&fixture, purchase), None);
    fixture.clock.set(START_MS);
    fixture.restart();
    let refused = fixture.refused(watcher.watch()).await;
    assert_eq!(refused, PurchaseFault::Closed(purchase).into());
    let unknown: Refusal = PurchaseFault::Unknown(purchase).into();
    assert_eq!(fixture.refused(watcher.stop()).await, unknown);
    assert_eq!(fixture.refused(watcher.ticks(1, 1)).await, unknown);
}

/// Stores copies of a sale under made-up ids that begin with `first`.
async fn copy_sale(fixture: &MerchantFixture, sale: &Sale, first: u8, copies: usize) {
    let sale = sale.clone();
    let copying = fixture.store.transact([], move |tx| {
        (0..copies).try_for_each(|number| {
            let mut purchase = PurchaseId([first; 32]);
            purchase.0[1..9].copy_from_slice(&(number as u64).to_be_bytes());
            SALES.put(tx, &purchase, &sale)
        })
    });
    copying.await.unwrap();
}

#[tokio::test]
async fn a_pass_goes_on_after_a_restart_and_writes_no_round_that_finds_nothing() {
    let mut fixture = shop().await;
    let purchase = id(&sell(&mut fixture).await);
    let old = sale(&fixture, purchase).unwrap();
    fixture.clock.set(END_MS);
    let purchase = id(&sell(&mut fixture).await);
    let young = sale(&fixture, purchase).unwrap();
    let deleting = fixture
        .store
        .transact([], |tx| (1..=4).try_for_each(|number| EVENTS.delete(tx, &number)));
    deleting.await.unwrap();
    copy_sale(&fixture, &young, 0, ROUND_MAX).await;
    for first in [100, 200] {
        copy_sale(&fixture, &old, first, ROUND_MAX).await;
    }
    close_epoch(&mut fixture).await;
    let head = fixture.head();
    let first = fixture.merchant.purge_round().await.unwrap();
    assert_eq!(
        (first, fixture.head()),
        (
            Round {
                forgotten: 0,
                more: true
            },
            head
        )
    );
    let second = fixture.merchant.purge_round().await.unwrap();
    assert!(second.forgotten >= ROUND_MAX - 2 && second.more, "{second:?}");
    // The pass goes on where it was, although the clock has gone back.
    fixture.clock.set(START_MS);
    fixture.restart();
    let place = |fixture: &MerchantFixture| PURGE.peek(&fixture.store.view(), &()).unwrap();
    assert!(place(&fixture).is_some());
    // The first deletion writes down what is closed, and nothing takes it back.
    let bank = fixture.bank.key();
    let closed = |fixture: &MerchantFixture| CLOSED_BEFORE.peek(&fixture.store.view(), &bank).unwrap();
    assert_eq!(closed(&fixture), Some(END_MS));
    let rest = purge(&fixture).await;
    assert_eq!(second.forgotten + rest, 2 * ROUND_MAX + 1);
    assert_eq!((place(&fixture), closed(&fixture)), (None, Some(END_MS)));
    assert_eq!(sales(&fixture), ROUND_MAX + 1);
    let sums = FORGOTTEN_SALES
        .peek(&fixture.store.view(), &"FTH".into())
        .unwrap()
        .unwrap();
    assert_eq!(sums.credited.sales as usize, 2 * ROUND_MAX + 1);
    assert_eq!(sums.credited.amount, Amount(24 * (2 * ROUND_MAX as u64 + 1)));
    purges_nothing(&fixture).await;
}

/// An event whose sale an earlier program has not stored has no sale, as one whose sale is forgotten.
#[tokio::test]
async fn an_old_event_without_a_sale_goes() {
    let mut fixture = shop().await;
    sell(&mut fixture).await;
    let kind = EventKind::Aborted(PurchaseId([9; 32]));
    let adding = fixture.store.transact([], move |tx| {
        let event = Event {
            at_ms: END_MS - 1,
            kind: kind.clone(),
        };
        EVENTS.put(tx, &8, &event)?;
        EVENTS.put(
            tx,
            &9,
            &Event {
                at_ms: END_MS,
                ..event
            },
        )
    });
    adding.await.unwrap();
    close_epoch(&mut fixture).await;
    purge(&fixture).await;
    assert_eq!(numbers(&fixture.events(0).await), [9]);
}
