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
use support::{Bought, World};

fn waiting(world: &World) -> usize {
    OUTBOX
        .scan(&world.store.view(), Bound::Unbounded, 100)
        .unwrap()
        .len()
}

/// A committed purchase and a cancelled one.
async fn decided(world: &mut World) -> (Bought, Bought) {
    let (sold, cancelled) = (world.order(), world.order());
    let hold = world.held(&sold).await;
    world.ask(world.release(&sold, &hold)).await.unwrap();
    world.ask(cancelled.cancel()).await.unwrap();
    (sold, cancelled)
}

#[tokio::test]
async fn the_outbox_survives_a_restart_and_is_pushed_until_acknowledged() {
    let mut world = World::new();
    let (sold, cancelled) = decided(&mut world).await;
    world.wire.detach(&world.bank.key());
    assert_eq!(world.escrow.settle_round().await.unwrap(), 2);
    world.restart();
    assert_eq!(waiting(&world), 2);
    world.wire.attach(world.bank.key(), world.bank.clone());
    assert_eq!(
        world.escrow.settle_round().await.unwrap(),
        1,
        "nothing is written yet"
    );
    world.witnessed().await;

    let refusal: Refusal = Later::Unavailable("not today".into()).into();
    for mood in [Mood::Refusing(refusal), Mood::Lying] {
        world.bank.set_mood(mood);
        assert_eq!(world.escrow.settle_round().await.unwrap(), 2);
        assert_eq!(waiting(&world), 2);
    }
    world.bank.set_mood(Mood::Honest);
    assert_eq!(world.escrow.settle_round().await.unwrap(), 0);
    assert_eq!(waiting(&world), 0);
    let settled = world.bank.settled();
    assert!(settled.contains(&sold.id()) && settled.contains(&cancelled.id()));

    // The bank's acknowledgement is stored, and nothing is pushed again.
    for (bought, committed) in [(&sold, true), (&cancelled, false)] {
        let kept = ACKNOWLEDGED
            .peek(&world.store.view(), &bought.id())
            .unwrap()
            .unwrap();
        kept.verify(&world.bank.key()).unwrap();
        assert_eq!(kept.body.outcome != SettledAs::Aborted, committed);
    }
    let head = world.head();
    world.ask(sold.cancel()).await.unwrap();
    assert_eq!(world.escrow.settle_round().await.unwrap(), 0);
    assert_eq!((world.bank.settled(), world.head()), (settled, head));
}

#[tokio::test]
async fn many_decisions_are_pushed_in_one_request_and_a_refused_one_does_not_delay_the_rest() {
    let mut world = World::new();
    let mut denied = None;
    for _ in 0..SETTLE_MAX + 2 {
        let cancelled = world.order();
        world.ask(cancelled.cancel()).await.unwrap();
        denied = Some(cancelled.id());
    }
    let denied = denied.unwrap();
    world.bank.set_mood(Mood::Denying(denied));
    let head = world.head().sequence;
    assert_eq!(world.escrow.settle_round().await.unwrap(), 1);
    assert_eq!(world.bank.brought(), [SETTLE_MAX, 2]);
    assert_eq!(waiting(&world), 1);
    assert_eq!(world.bank.settled().len(), SETTLE_MAX + 1);
    assert_eq!(
        world.head().sequence,
        head + 2,
        "what one request brings is one write"
    );
    world.bank.set_mood(Mood::Honest);
    assert_eq!(world.escrow.settle_round().await.unwrap(), 0);
    assert_eq!(world.bank.settled().last(), Some(&denied));
}

#[tokio::test]
async fn a_new_decision_is_pushed_soon() {
    let mut world = World::new();
    let (stopper, stop) = stop_pair();
    let background = tokio::spawn(world.escrow.clone().background(stop));
    tokio::time::sleep(Duration::from_millis(20)).await;
    decided(&mut world).await;
    for _ in 0..500 {
        if waiting(&world) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waiting(&world), 0);
    stopper.stop();
    background.await.unwrap();
}

#[tokio::test]
async fn the_operator_sees_decided_and_settled_purchases() {
    let mut world = World::new();
    let (sold, _) = decided(&mut world).await;
    let page = purchases(&world.store.view(), None).unwrap();
    assert!(!page.more);
    assert_eq!(page.purchases.len(), 2);
    assert!(
        page.purchases
            .iter()
            .all(|line| !line.settled && line.amount == Amount(24))
    );
    world.escrow.settle_round().await.unwrap();
    let page = purchases(&world.store.view(), None).unwrap();
    assert!(page.purchases.iter().all(|line| line.settled));
    let line = page.purchases.iter().find(|line| line.purchase == sold.id());
    assert_eq!(line.unwrap().outcome, DecidedAs::Committed);
    let last = page.purchases.last().unwrap().purchase;
    assert!(
        purchases(&world.store.view(), Some(&last))
            .unwrap()
            .purchases
            .is_empty()
    );
}
