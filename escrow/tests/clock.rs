//! The clock: which decisions depend on it, which errors are tolerated, and which decisions need no clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_escrow::time::{BEHIND_MAX_MS, LEAP_MAX_MS};
use farthing_protocol::{
    decision::{Outcome, SignedDecision},
    refusal::{Later, PurchaseFault, Refusal},
};
use support::{HOUR_MS, World};

/// Longer than any test takes: real time also passes during a test.
const SLACK_MS: u64 = 60_000;

fn unavailable(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Later(Later::Unavailable(_)))
}

#[tokio::test]
async fn the_time_never_goes_back_before_a_decision() {
    let mut world = World::new();
    let (bought, late) = (world.order(), world.order());
    let hold = world.held(&bought).await;
    let deadline_ms = bought.order.contract.terms.deadline_ms;
    world.clock.set(deadline_ms);
    world.ask(world.overdue(&late)).await.unwrap();
    world.clock.set(deadline_ms - BEHIND_MAX_MS);
    world.restart();
    assert_eq!(
        world.refused(world.release(&bought, &hold)).await,
        PurchaseFault::DeadlinePassed(bought.id()).into()
    );
    assert!(matches!(
        world.ask(world.overdue(&bought)).await.unwrap().body,
        SignedDecision::Abort(_)
    ));
}

#[tokio::test]
async fn a_decision_writes_only_the_time_that_it_needs() {
    let mut world = World::new();
    let (sold, late) = (world.order(), world.order());
    let hold = world.held(&sold).await;
    world.ask(world.release(&sold, &hold)).await.unwrap();
    assert_eq!(world.latest_ms(), Some(world.now_ms()));

    // An overdue abort with a clock that is ten years ahead writes only the deadline.
    let right_ms = world.now_ms();
    world.clock.advance(10 * 365 * 24 * HOUR_MS);
    world.restart();
    world.ask(world.overdue(&late)).await.unwrap();
    assert_eq!(world.latest_ms(), Some(late.order.contract.terms.deadline_ms));
    // A cancel with the same clock writes no time.
    let cancelled = world.order();
    world.ask(cancelled.cancel()).await.unwrap();
    assert_eq!(world.latest_ms(), Some(late.order.contract.terms.deadline_ms));

    // The corrected clock is therefore accepted at once.
    world.clock.set(right_ms + 1);
    world.restart();
    let next = world.order_of(world.offer(24), &[16, 8], right_ms + 2 * HOUR_MS);
    let hold = world.held(&next).await;
    let refused = world.refused(world.release(&next, &hold)).await;
    assert_eq!(
        refused,
        PurchaseFault::Sold.into(),
        "it is a sale of the same offer"
    );
}

#[tokio::test]
async fn a_clock_that_leaps_allows_only_cancels_until_a_restart() {
    let mut world = World::new();
    let (bought, cancelled) = (world.order(), world.order());
    let hold = world.held(&bought).await;
    let right_ms = world.now_ms();
    for wrong_ms in [right_ms + LEAP_MAX_MS + SLACK_MS, right_ms - LEAP_MAX_MS - 1] {
        world.clock.set(wrong_ms);
        assert!(unavailable(&world.refused(world.overdue(&bought)).await));
        assert!(unavailable(&world.refused(bought.hold()).await));
        assert!(unavailable(&world.refused(world.release(&bought, &hold)).await));
        let outcome = world.ask(cancelled.cancel()).await.unwrap();
        assert!(matches!(outcome, Outcome::Aborted(_)));
    }
    world.clock.set(right_ms);
    world.ask(world.release(&bought, &hold)).await.unwrap();

    let other = world.order_of(world.offer(24), &[16, 8], right_ms + HOUR_MS);
    world.held(&other).await;
    world.clock.advance(7 * 24 * HOUR_MS);
    assert!(unavailable(&world.refused(world.overdue(&other)).await));
    world.restart();
    assert!(matches!(
        world.ask(world.overdue(&other)).await.unwrap().body,
        SignedDecision::Abort(_)
    ));
}

#[tokio::test]
async fn a_clock_far_behind_the_journal_decides_no_deadline_until_it_is_accepted() {
    let mut world = World::new();
    let (bought, late, cancelled) = (world.order(), world.order(), world.order());
    let hold = world.held(&bought).await;
    let right_ms = world.now_ms();
    world.clock.set(late.order.contract.terms.deadline_ms);
    let aborted = world.ask(world.overdue(&late)).await.unwrap().body;
    world.clock.set(right_ms - 1);
    world.restart();
    assert!(unavailable(&world.refused(world.release(&bought, &hold)).await));
    assert!(unavailable(&world.refused(world.overdue(&bought)).await));
    assert!(unavailable(&world.refused(bought.hold()).await));
    // Requests that need no time still work.
    assert_eq!(world.ask(world.overdue(&late)).await.unwrap().body, aborted);
    assert!(matches!(
        world.ask(cancelled.cancel()).await.unwrap(),
        Outcome::Aborted(_)
    ));
    assert_eq!(
        world.escrow.accept_clock().await,
        Ok(Some(right_ms + HOUR_MS)),
        "the time that it was"
    );
    assert_eq!(world.escrow.accept_clock().await, Ok(None));
    world.ask(world.release(&bought, &hold)).await.unwrap();
    assert_eq!(world.ask(world.overdue(&late)).await.unwrap().body, aborted);
}
