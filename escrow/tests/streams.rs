//! Streams: opened once, and raised to the highest voucher that the escrow was shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use async_trait::async_trait;
use farthing_coin::Signed;
use farthing_escrow::rows::{SINGLE_SALES, STREAMS};
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::Call,
    contract::check_opened,
    decision::Outcome,
    documents::AbortReason,
    goods::GoodsKey,
    limits::RAISES_PER_CUSTOMER_MAX,
    money::Amount,
    refusal::{ContractFault, Later, PurchaseFault, Refusal},
    sealed::{PayRequest, shows_wrong_key},
    stream::{Voucher, chain},
};
use std::ops::Bound;
use std::sync::Arc;
use support::bank::TestBank;
use support::stream::{
    TICKS, close, close_by, commits, key_of, last_key, not_signed, open, opened, order, raise, raise_as, row,
    sealing, stored, stream, voucher,
};
use support::{EscrowFixture, HOUR_MS};

// ---- open -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_stream_is_opened_once_and_repeats_byte_for_byte() {
    let mut fixture = EscrowFixture::new();
    let bought = stream(&mut fixture);
    let (first, outcome) = fixture.ask_raw(open(&bought)).await;
    let Outcome::Streaming(opened) = outcome.unwrap() else {
        panic!("it is not open")
    };
    assert_eq!(check_opened(&bought.order.contract.terms, &opened), Ok(()));
    let kept = row(&fixture, &bought).unwrap();
    assert_eq!((kept.ticks, kept.voucher, kept.raises), (TICKS, None, 0));
    assert_eq!(kept.last_key, last_key());

    let head = fixture.head();
    assert_eq!(fixture.ask_raw(open(&bought)).await.0, first);
    fixture.restart();
    // The repetition needs no valid deadline and no trusted clock. The bank is not asked again.
    fixture.witnessed().await;
    fixture.wire.detach(&fixture.bank.key());
    fixture.clock.advance(40 * 24 * HOUR_MS);
    assert_eq!(fixture.ask_raw(open(&bought)).await.0, first);
    assert_eq!(fixture.head(), head, "a repetition writes nothing");
    let rows = STREAMS.scan(&fixture.store.view(), Bound::Unbounded, 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(fixture.bank.held(), [bought.id()]);
}

#[tokio::test]
async fn a_customer_cannot_cancel_an_open_stream() {
    let mut fixture = EscrowFixture::new();
    let bought = stream(&mut fixture);
    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), Outcome::Undecided);
    let streaming = fixture.ask(open(&bought)).await.unwrap();
    let head = fixture.head();
    assert_eq!(fixture.ask(bought.cancel()).await.unwrap(), streaming);
    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), streaming);
    fixture.restart();
    assert_eq!(fixture.ask(bought.cancel()).await.unwrap(), streaming);
    assert_eq!(fixture.head(), head);
    // Another key is not told that it is open.
    let mut other = bought.outcome();
    other.signature = bought.cancel().signature;
    not_signed(fixture.refused(other).await);
}

#[tokio::test]
async fn a_stream_that_was_cancelled_first_is_not_opened() {
    let mut fixture = EscrowFixture::new();
    let bought = stream(&mut fixture);
    let cancelled = fixture.ask(bought.cancel()).await.unwrap();
    assert!(matches!(cancelled, Outcome::Aborted(_)));
    let head = fixture.head();
    assert_eq!(fixture.ask(open(&bought)).await.unwrap(), cancelled);
    assert_eq!(fixture.head(), head);
    assert_eq!(row(&fixture, &bought), None);
    assert!(fixture.bank.held().is_empty());
}

/// A bank whose answer to a hold takes as long as a cancel at the escrow.
struct SlowBank {
    bank: Arc<TestBank>,
    escrow: Arc<dyn Service>,
    cancel: Vec<u8>,
}

#[async_trait]
impl Service for SlowBank {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let held = self.bank.held().len();
        let reply = self.bank.call(lane, request).await;
        if self.bank.held().len() > held {
            self.escrow.call(Lane::Anonymous, self.cancel.clone()).await;
        }
        reply
    }
}

#[tokio::test]
async fn a_stream_that_is_cancelled_while_its_coins_are_held_is_aborted() {
    let mut fixture = EscrowFixture::new();
    let bought = stream(&mut fixture);
    fixture.witnessed().await;
    let slow = SlowBank {
        bank: fixture.bank.clone(),
        escrow: fixture.escrow.clone(),
        cancel: bought.cancel().encode().unwrap(),
    };
    fixture.wire.attach(fixture.bank.key(), Arc::new(slow));
    let outcome = fixture.ask(open(&bought)).await.unwrap();
    let Outcome::Aborted(abort) = &outcome else {
        panic!("{outcome:?}")
    };
    let by_customer = AbortReason::CancelledBy(bought.cancel().signature);
    assert_eq!(abort.body.reason, by_customer);
    assert_eq!(row(&fixture, &bought), None);
    assert_eq!(fixture.ask(open(&bought)).await.unwrap(), outcome);
}

#[tokio::test]
async fn an_open_and_a_cancel_at_once_agree() {
    for _ in 0..20 {
        let mut fixture = EscrowFixture::new();
        let bought = stream(&mut fixture);
        fixture.witnessed().await;
        let (opened, cancelled) = tokio::join!(fixture.ask(open(&bought)), fixture.ask(bought.cancel()));
        let opened = opened.unwrap();
        match cancelled {
            Ok(cancelled) => assert_eq!(cancelled, opened),
            Err(refusal) => assert_eq!(refusal, Later::NotYet.into()),
        }
        assert_eq!(fixture.ask(bought.cancel()).await.unwrap(), opened);
    }
}

#[tokio::test]
async fn a_wrong_sealed_key_aborts_a_stream_and_sells_nothing() {
    let mut fixture = EscrowFixture::new();
    for (key, ticks) in [
        (GoodsKey::from_bytes([9; 32]), TICKS),
        (key_of(TICKS - 1), TICKS),
        (last_key(), TICKS + 1),
        (last_key(), TICKS - 1),
    ] {
        let offer = sealing(&fixture, &key, ticks);
        let bought = order(&mut fixture, offer.clone());
        let (first, outcome) = fixture.ask_raw(open(&bought)).await;
        let outcome = outcome.unwrap();
        let Outcome::Aborted(abort) = &outcome else {
            panic!("{outcome:?}")
        };
        let AbortReason::WrongKey(shown) = &abort.body.reason else {
            panic!("{abort:?}")
        };
        assert!(shows_wrong_key(shown, &fixture.escrow.self_id(), &offer));
        assert_eq!(fixture.ask_raw(open(&bought)).await.0, first);
        assert_eq!(row(&fixture, &bought), None);
        let sale = (offer.merchant, offer.sale_id);
        assert_eq!(SINGLE_SALES.peek(&fixture.store.view(), &sale).unwrap(), None);
    }
}

#[tokio::test]
async fn a_stream_is_sold_once() {
    let mut fixture = EscrowFixture::new();
    let (bought, rival) = (stream(&mut fixture), stream(&mut fixture));
    fixture.ask(open(&bought)).await.unwrap();
    assert_eq!(fixture.refused(open(&rival)).await, PurchaseFault::Sold.into());
    fixture.ask(close(&fixture, &bought, Some(3))).await.unwrap();
    assert_eq!(fixture.refused(open(&rival)).await, PurchaseFault::Sold.into());
    // The rival gets the coins back.
    let cancelled = fixture.ask(rival.cancel()).await.unwrap();
    assert!(matches!(cancelled, Outcome::Aborted(_)));
}

#[tokio::test]
async fn a_stream_is_neither_held_nor_paid_nor_released_whole() {
    let mut fixture = EscrowFixture::new();
    let bought = stream(&mut fixture);
    let whole = fixture.order();
    let hold = fixture.held(&whole).await;
    let mut release = fixture.release(&bought, &hold);
    release.goods_key = last_key();
    let does_not_fit = |refusal: Refusal| {
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::DoesNotFit(_))),
            "{refusal}"
        );
    };
    does_not_fit(fixture.refused(bought.hold()).await);
    does_not_fit(fixture.refused(PayRequest(bought.hold())).await);
    does_not_fit(fixture.refused(release).await);
    does_not_fit(fixture.refused(open(&whole)).await);
    assert_eq!(fixture.bank.held(), [whole.id()]);
}

#[tokio::test]
async fn a_stream_is_not_opened_after_its_deadline() {
    let mut fixture = EscrowFixture::new();
    let bought = stream(&mut fixture);
    fixture.clock.set(bought.order.contract.terms.deadline_ms);
    fixture.refused(open(&bought)).await;
    assert_eq!(row(&fixture, &bought), None);
}

// ---- raise ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_highest_voucher_is_stored_and_never_lowered() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    let third = raise(&fixture, &bought, 3).await;
    fixture.signed_here(&third.raised);
    assert_eq!(
        (third.raised.body.purchase, third.raised.body.ticks),
        (bought.id(), 3)
    );
    assert_eq!(stored(&fixture, &bought), Some(3));
    let head = fixture.head();
    for ticks in [1, 2, 3] {
        assert_eq!(raise(&fixture, &bought, ticks).await.raised.body.ticks, ticks);
    }
    assert_eq!(raise(&fixture, &bought, 3).await, third);
    assert_eq!(
        fixture.head(),
        head,
        "a voucher that is not higher is not written"
    );
    fixture.restart();
    assert_eq!(stored(&fixture, &bought), Some(3));
    raise(&fixture, &bought, 7).await;
    assert_eq!(stored(&fixture, &bought), Some(7));

    let outcome = fixture.ask(close(&fixture, &bought, None)).await.unwrap();
    commits(&fixture, &bought, outcome, 7);
    // A repetition gets the same answer after the end. A higher voucher comes too late.
    assert_eq!(raise(&fixture, &bought, 3).await, third);
    let late = raise_as(&fixture, Lane::Peer, voucher(&bought, 8), false).await;
    assert_eq!(late, Err(PurchaseFault::Committed(bought.id()).into()));
}

#[tokio::test]
async fn a_voucher_that_does_not_pay_for_its_ticks_is_refused() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    let head = fixture.head();
    let body = voucher(&bought, 3).body;
    let signed = |body: Voucher| Signed::sign(body, &bought.purchase_key);
    let bad = [
        signed(Voucher { ticks: 4, ..body }),
        signed(Voucher {
            amount: Amount(2),
            ..body
        }),
        signed(Voucher {
            ticks: 0,
            amount: Amount(0),
            ..body
        }),
        signed(Voucher {
            ticks: TICKS + 1,
            amount: Amount(24),
            ..body
        }),
        Signed::sign(body, &fixture.merchant),
    ];
    for voucher in bad {
        let close = close_by(&fixture, &fixture.merchant, &bought, Some(voucher.clone()));
        fixture.refused(close).await;
        for lane in [Lane::Anonymous, Lane::Peer] {
            let refused = raise_as(&fixture, lane, voucher.clone(), true).await;
            assert!(
                matches!(refused, Err(Refusal::Contract(_) | Refusal::Request(_))),
                "{refused:?}"
            );
        }
    }
    assert_eq!(fixture.head(), head);
    let unknown = stream(&mut fixture);
    let refused = raise_as(&fixture, Lane::Peer, voucher(&unknown, 1), false).await;
    assert_eq!(refused, Err(PurchaseFault::Unknown(unknown.id()).into()));
}

#[tokio::test]
async fn a_customer_stores_few_vouchers_and_the_merchant_any_number() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    let last = u32::from(RAISES_PER_CUSTOMER_MAX);
    for ticks in 1..=last {
        raise_as(&fixture, Lane::Anonymous, voucher(&bought, ticks), true)
            .await
            .unwrap();
    }
    let too_many = raise_as(&fixture, Lane::Anonymous, voucher(&bought, last + 1), true).await;
    assert!(
        matches!(too_many, Err(Refusal::Contract(ContractFault::DoesNotFit(_)))),
        "{too_many:?}"
    );
    assert_eq!(stored(&fixture, &bought), Some(last));
    // What is stored is answered as before, and the merchant stores more.
    let again = raise_as(&fixture, Lane::Anonymous, voucher(&bought, last), true).await;
    assert_eq!(again.unwrap().key, Some(key_of(last)));
    for ticks in last + 1..=TICKS {
        raise(&fixture, &bought, ticks).await;
        assert_eq!(stored(&fixture, &bought), Some(ticks));
    }
}

#[tokio::test]
async fn a_customer_gets_the_key_of_what_was_paid_for_and_of_no_later_tick() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    let ask = |ticks| raise_as(&fixture, Lane::Anonymous, voucher(&bought, ticks), true);
    let reply = ask(5).await.unwrap();
    let key = reply.key.clone().unwrap();
    assert_eq!(key, key_of(5));
    let commitment = bought.order.contract.offer.body.key_commitment;
    assert!(chain::fits(&commitment, &key, 5));
    assert!(!chain::fits(&commitment, &key, 6));
    assert_eq!(ask(2).await.unwrap().key, Some(key_of(2)));
    let none = raise_as(&fixture, Lane::Anonymous, voucher(&bought, 5), false).await;
    assert_eq!(none.unwrap().key, None);
    fixture.ask(close(&fixture, &bought, None)).await.unwrap();
    assert_eq!(ask(5).await.unwrap(), reply);
    assert_eq!(ask(2).await.unwrap().key, Some(key_of(2)));
}
