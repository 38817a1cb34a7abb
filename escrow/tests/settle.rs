//! Settlement: every decision reaches its bank despite restarts and silence, and the acknowledgement is stored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_escrow::admin::{DecidedAs, purchases};
use farthing_escrow::rows::{ACKNOWLEDGED, OUTBOX};
use farthing_node::process::stop_pair;
use farthing_node::serve::Role;
use farthing_protocol::{
    documents::SettledAs,
    limits::SETTLE_MAX,
    money::Amount,
    refusal::{Later, Refusal},
};
use std::ops::Bound;
use std::time::Duration;
use support::bank::Mood;
use support::{Bought, EscrowFixture};

fn waiting(fixture: &EscrowFixture) -> usize {
    OUTBOX
        .scan(&fixture.store.view(), Bound::Unbounded, 100)
        .unwrap()
        .len()
}

/// A committed purchase and a cancelled one.
async fn decided(fixture: &mut EscrowFixture) -> (Bought, Bought) {
    let (sold, cancelled) = (fixture.order(), fixture.order());
    let hold = fixture.held(&sold).await;
    fixture.ask(fixture.release(&sold, &hold)).await.unwrap();
    fixture.ask(cancelled.cancel()).await.unwrap();
    (sold, cancelled)
}

#[tokio::test]
async fn the_outbox_survives_a_restart_and_is_pushed_until_acknowledged() {
    let mut fixture = EscrowFixture::new();
    let (sold, cancelled) = decided(&mut fixture).await;
    fixture.wire.detach(&fixture.bank.key());
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 2);
    fixture.restart();
    assert_eq!(waiting(&fixture), 2);
    fixture.wire.attach(fixture.bank.key(), fixture.bank.clone());
    assert_eq!(
        fixture.escrow.settle_round().await.unwrap(),
        1,
        "nothing is written yet"
    );
    fixture.witnessed().await;

    let refusal: Refusal = Later::Unavailable("not today".into()).into();
    for mood in [Mood::Refusing(refusal), Mood::Lying] {
        fixture.bank.set_mood(mood);
        assert_eq!(fixture.escrow.settle_round().await.unwrap(), 2);
        assert_eq!(waiting(&fixture), 2);
    }
    fixture.bank.set_mood(Mood::Honest);
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 0);
    assert_eq!(waiting(&fixture), 0);
    let settled = fixture.bank.settled();
    assert!(settled.contains(&sold.id()) && settled.contains(&cancelled.id()));

    // The bank's acknowledgement is stored, and nothing is pushed again.
    for (bought, committed) in [(&sold, true), (&cancelled, false)] {
        let kept = ACKNOWLEDGED
            .peek(&fixture.store.view(), &bought.id())
            .unwrap()
            .unwrap();
        kept.verify(&fixture.bank.key()).unwrap();
        assert_eq!(kept.body.outcome != SettledAs::Aborted, committed);
    }
    let head = fixture.head();
    fixture.ask(sold.cancel()).await.unwrap();
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 0);
    assert_eq!((fixture.bank.settled(), fixture.head()), (settled, head));
}

#[tokio::test]
async fn many_decisions_are_pushed_in_one_request_and_a_refused_one_does_not_delay_the_rest() {
    let mut fixture = EscrowFixture::new();
    let mut denied = None;
    for _ in 0..SETTLE_MAX + 2 {
        let cancelled = fixture.order();
        fixture.ask(cancelled.cancel()).await.unwrap();
        denied = Some(cancelled.id());
    }
    let denied = denied.unwrap();
    fixture.bank.set_mood(Mood::Denying(denied));
    let head = fixture.head().sequence;
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 1);
    assert_eq!(fixture.bank.brought(), [SETTLE_MAX, 2]);
    assert_eq!(waiting(&fixture), 1);
    assert_eq!(fixture.bank.settled().len(), SETTLE_MAX + 1);
    assert_eq!(
        fixture.head().sequence,
        head + 2,
        "what one request brings is one write"
    );
    fixture.bank.set_mood(Mood::Honest);
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 0);
    assert_eq!(fixture.bank.settled().last(), Some(&denied));
}

#[tokio::test]
async fn a_new_decision_is_pushed_soon() {
    let mut fixture = EscrowFixture::new();
    let (stopper, stop) = stop_pair();
    let background = tokio::spawn(fixture.escrow.clone().background(stop));
    tokio::time::sleep(Duration::from_millis(20)).await;
    decided(&mut fixture).await;
    for _ in 0..500 {
        if waiting(&fixture) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waiting(&fixture), 0);
    stopper.stop();
    background.await.unwrap();
}

#[tokio::test]
async fn the_operator_sees_decided_and_settled_purchases() {
    let mut fixture = EscrowFixture::new();
    let (sold, _) = decided(&mut fixture).await;
    let page = purchases(&fixture.store.view(), None).unwrap();
    assert!(!page.more);
    assert_eq!(page.purchases.len(), 2);
    assert!(
        page.purchases
            .iter()
            .all(|line| !line.settled && line.amount == Amount(24))
    );
    fixture.escrow.settle_round().await.unwrap();
    let page = purchases(&fixture.store.view(), None).unwrap();
    assert!(page.purchases.iter().all(|line| line.settled));
    let line = page.purchases.iter().find(|line| line.purchase == sold.id());
    assert_eq!(line.unwrap().outcome, DecidedAs::Committed);
    let last = page.purchases.last().unwrap().purchase;
    assert!(
        purchases(&fixture.store.view(), Some(&last))
            .unwrap()
            .purchases
            .is_empty()
    );
}
