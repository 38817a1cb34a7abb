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
use support::{EscrowFixture, HOUR_MS};

/// Longer than any test takes: real time also passes during a test.
const SLACK_MS: u64 = 60_000;

fn unavailable(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Later(Later::Unavailable(_)))
}

#[tokio::test]
async fn the_time_never_goes_back_before_a_decision() {
    let mut fixture = EscrowFixture::new();
    let (bought, late) = (fixture.order(), fixture.order());
    let hold = fixture.held(&bought).await;
    let deadline_ms = bought.order.contract.terms.deadline_ms;
    fixture.clock.set(deadline_ms);
    fixture.ask(fixture.overdue(&late)).await.unwrap();
    fixture.clock.set(deadline_ms - BEHIND_MAX_MS);
    fixture.restart();
    assert_eq!(
        fixture.refused(fixture.release(&bought, &hold)).await,
        PurchaseFault::DeadlinePassed(bought.id()).into()
    );
    assert!(matches!(
        fixture.ask(fixture.overdue(&bought)).await.unwrap().body,
        SignedDecision::Abort(_)
    ));
}

#[tokio::test]
async fn a_decision_writes_only_the_time_that_it_needs() {
    let mut fixture = EscrowFixture::new();
    let (sold, late) = (fixture.order(), fixture.order());
    let hold = fixture.held(&sold).await;
    fixture.ask(fixture.release(&sold, &hold)).await.unwrap();
    assert_eq!(fixture.latest_ms(), Some(fixture.now_ms()));

    // An overdue abort with a clock that is ten years ahead writes only the deadline.
    let right_ms = fixture.now_ms();
    fixture.clock.advance(10 * 365 * 24 * HOUR_MS);
    fixture.restart();
    fixture.ask(fixture.overdue(&late)).await.unwrap();
    assert_eq!(fixture.latest_ms(), Some(late.order.contract.terms.deadline_ms));
    // A cancel with the same clock writes no time.
    let cancelled = fixture.order();
    fixture.ask(cancelled.cancel()).await.unwrap();
    assert_eq!(fixture.latest_ms(), Some(late.order.contract.terms.deadline_ms));

    // The corrected clock is therefore accepted at once.
    fixture.clock.set(right_ms + 1);
    fixture.restart();
    let next = fixture.order_of(fixture.offer(24), &[16, 8], right_ms + 2 * HOUR_MS);
    let hold = fixture.held(&next).await;
    let refused = fixture.refused(fixture.release(&next, &hold)).await;
    assert_eq!(
        refused,
        PurchaseFault::Sold.into(),
        "it is a sale of the same offer"
    );
}

#[tokio::test]
async fn a_clock_that_leaps_allows_only_cancels_until_a_restart() {
    let mut fixture = EscrowFixture::new();
    let (bought, cancelled) = (fixture.order(), fixture.order());
    let hold = fixture.held(&bought).await;
    let right_ms = fixture.now_ms();
    for wrong_ms in [right_ms + LEAP_MAX_MS + SLACK_MS, right_ms - LEAP_MAX_MS - 1] {
        fixture.clock.set(wrong_ms);
        assert!(unavailable(&fixture.refused(fixture.overdue(&bought)).await));
        assert!(unavailable(&fixture.refused(bought.hold()).await));
        assert!(unavailable(
            &fixture.refused(fixture.release(&bought, &hold)).await
        ));
        let outcome = fixture.ask(cancelled.cancel()).await.unwrap();
        assert!(matches!(outcome, Outcome::Aborted(_)));
    }
    fixture.clock.set(right_ms);
    fixture.ask(fixture.release(&bought, &hold)).await.unwrap();

    let other = fixture.order_of(fixture.offer(24), &[16, 8], right_ms + HOUR_MS);
    fixture.held(&other).await;
    fixture.clock.advance(7 * 24 * HOUR_MS);
    assert!(unavailable(&fixture.refused(fixture.overdue(&other)).await));
    fixture.restart();
    assert!(matches!(
        fixture.ask(fixture.overdue(&other)).await.unwrap().body,
        SignedDecision::Abort(_)
    ));
}

#[tokio::test]
async fn a_clock_far_behind_the_journal_decides_no_deadline_until_it_is_accepted() {
    let mut fixture = EscrowFixture::new();
    let (bought, late, cancelled) = (fixture.order(), fixture.order(), fixture.order());
    let hold = fixture.held(&bought).await;
    let right_ms = fixture.now_ms();
    fixture.clock.set(late.order.contract.terms.deadline_ms);
    let aborted = fixture.ask(fixture.overdue(&late)).await.unwrap().body;
    fixture.clock.set(right_ms - 1);
    fixture.restart();
    assert!(unavailable(
        &fixture.refused(fixture.release(&bought, &hold)).await
    ));
    assert!(unavailable(&fixture.refused(fixture.overdue(&bought)).await));
    assert!(unavailable(&fixture.refused(bought.hold()).await));
    // Requests that need no time still work.
    assert_eq!(fixture.ask(fixture.overdue(&late)).await.unwrap().body, aborted);
    assert!(matches!(
        fixture.ask(cancelled.cancel()).await.unwrap(),
        Outcome::Aborted(_)
    ));
    assert_eq!(
        fixture.escrow.accept_clock().await,
        Ok(Some(right_ms + HOUR_MS)),
        "the time that it was"
    );
    assert_eq!(fixture.escrow.accept_clock().await, Ok(None));
    fixture.ask(fixture.release(&bought, &hold)).await.unwrap();
    assert_eq!(fixture.ask(fixture.overdue(&late)).await.unwrap().body, aborted);
}
