//! Streams end with the highest voucher that the escrow was shown: for the merchant, or for the bank.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::Signed;
use farthing_escrow::admin::{DecidedAs, purchases};
use farthing_escrow::rows::{ACKNOWLEDGED, DECISIONS, OUTBOX};
use farthing_escrow::transactions;
use farthing_node::{call::decide, network::Lane};
use farthing_protocol::{
    decide::verify_overdue,
    decision::{Outcome, SignedDecision},
    documents::{AbortReason, SettledAs},
    money::Amount,
    offered_key::OfferedKey,
    refusal::{Later, PurchaseFault, Refusal, RequestFault},
    stream::{Close, CloseRequest, PreparedEnding},
};
use std::ops::Bound;
use support::bank::secret_key;
use support::stream::{
    TICKS, close, close_by, commits, last_key, not_signed, open, opened, order, raise, raise_as, row,
    sealing, stream, voucher,
};
use support::{Bought, EscrowFixture, HOUR_MS};

#[tokio::test]
async fn a_close_commits_the_highest_voucher_that_was_stored_or_is_shown() {
    for (raised, shown, paid) in [
        (Some(5), Some(3), 5),
        (Some(3), Some(5), 5),
        (Some(4), None, 4),
        (None, Some(2), 2),
        (None, Some(TICKS), TICKS),
    ] {
        let mut fixture = EscrowFixture::new();
        let bought = opened(&mut fixture).await;
        if let Some(ticks) = raised {
            raise(&fixture, &bought, ticks).await;
        }
        let request = close(&fixture, &bought, shown);
        let (first, outcome) = fixture.ask_raw(request.clone()).await;
        let outcome = outcome.unwrap();
        let stream = commits(&fixture, &bought, outcome.clone(), paid);
        assert_eq!(row(&fixture, &bought), None);

        // Every later request gets this decision, whatever it shows.
        let head = fixture.head();
        fixture.restart();
        assert_eq!(fixture.ask_raw(request).await.0, first);
        assert_eq!(
            fixture.ask(close(&fixture, &bought, Some(TICKS))).await.unwrap(),
            outcome
        );
        assert_eq!(fixture.ask(open(&bought)).await.unwrap(), outcome);
        assert_eq!(fixture.ask(bought.cancel()).await.unwrap(), outcome);
        assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), outcome);
        assert_eq!(
            fixture.ask(fixture.overdue(&bought)).await.unwrap().body,
            SignedDecision::Stream(stream)
        );
        assert_eq!(fixture.head(), head);
    }
}

#[tokio::test]
async fn a_close_without_any_voucher_aborts_with_the_merchants_word() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    let request = close(&fixture, &bought, None);
    let (first, outcome) = fixture.ask_raw(request.clone()).await;
    let outcome = outcome.unwrap();
    let Outcome::Aborted(abort) = &outcome else {
        panic!("{outcome:?}")
    };
    fixture.signed_here(abort);
    assert_eq!(
        abort.body.reason,
        AbortReason::Closed(Box::new(request.close.clone()))
    );
    assert_eq!(abort.body.reason.check(&bought.order.contract.terms), Ok(()));
    assert_eq!(row(&fixture, &bought), None);
    fixture.restart();
    assert_eq!(fixture.ask_raw(request).await.0, first);
    // A voucher that comes later is not promised to be committed.
    let late = raise_as(&fixture, Lane::Peer, voucher(&bought, 1), false).await;
    assert_eq!(late, Err(PurchaseFault::Unknown(bought.id()).into()));
    assert_eq!(
        fixture.ask(close(&fixture, &bought, Some(1))).await.unwrap(),
        outcome
    );
}

/// Two requests find the stream open. Before the second one decides, the first has ended it, and its decision is forgotten.
#[tokio::test]
async fn an_end_that_comes_after_the_stream_was_forgotten_decides_nothing() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    let open = row(&fixture, &bought).unwrap();
    let asked = verify_overdue(fixture.overdue(&bought).body, &fixture.escrow.self_id()).unwrap();
    let late = PreparedEnding::overdue(&open, &asked, |_| secret_key(78)).unwrap();
    let outcome = fixture.ask(close(&fixture, &bought, Some(2))).await.unwrap();
    assert!(matches!(outcome, Outcome::Streamed(_)));
    let purchase = bought.id();
    let forgotten = fixture.store.transact([DECISIONS.key(&purchase)], move |tx| {
        DECISIONS.delete(tx, &purchase)
    });
    forgotten.await.unwrap();

    let head = fixture.head();
    let now_ms = bought.order.contract.terms.deadline_ms;
    let reads = transactions::end_reads(&bought.order.contract.terms);
    let ended = decide(&fixture.store, reads, move |tx| {
        transactions::end(tx, &late, &Ok(()), &Ok(now_ms))
    });
    assert_eq!(
        ended.await.unwrap_err(),
        PurchaseFault::Closed(bought.id()).into()
    );
    assert_eq!(fixture.head(), head);
}

#[tokio::test]
async fn only_the_merchant_closes_a_stream() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    for other in [&bought.purchase_key, &fixture.bank.identity, &secret_key(66)] {
        let shown = Some(voucher(&bought, 2));
        not_signed(fixture.refused(close_by(&fixture, other, &bought, shown)).await);
    }
    let elsewhere = Close {
        purchase: bought.id(),
        escrow: fixture.bank.key(),
    };
    let elsewhere = CloseRequest {
        close: Signed::sign(elsewhere, &fixture.merchant),
        voucher: None,
    };
    let refusal = fixture.refused(elsewhere).await;
    assert!(matches!(refusal, Refusal::Request(RequestFault::NotForMe { .. })));
    let unknown = stream(&mut fixture);
    assert_eq!(
        fixture.refused(close(&fixture, &unknown, None)).await,
        PurchaseFault::Unknown(unknown.id()).into()
    );
}

#[tokio::test]
async fn from_the_deadline_on_the_bank_ends_a_stream() {
    for raised in [Some(4), None] {
        let mut fixture = EscrowFixture::new();
        let bought = opened(&mut fixture).await;
        if let Some(ticks) = raised {
            raise(&fixture, &bought, ticks).await;
        }
        let deadline_ms = bought.order.contract.terms.deadline_ms;
        fixture.clock.set(deadline_ms - 1);
        assert_eq!(
            fixture.refused(fixture.overdue(&bought)).await,
            Later::NotYet.into()
        );
        fixture.clock.set(deadline_ms);
        let (first, decision) = fixture.ask_raw(fixture.overdue(&bought)).await;
        let outcome = fixture.ask(bought.outcome()).await.unwrap();
        match (raised, decision.unwrap().body) {
            (Some(ticks), SignedDecision::Stream(stream)) => {
                assert_eq!(commits(&fixture, &bought, outcome, ticks), stream);
            }
            (None, SignedDecision::Abort(abort)) => {
                assert!(matches!(abort.body.reason, AbortReason::Overdue(_)), "{abort:?}");
                assert_eq!(outcome, Outcome::Aborted(abort));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(row(&fixture, &bought), None);
        assert_eq!(fixture.latest_ms(), Some(deadline_ms));
        fixture.restart();
        assert_eq!(fixture.ask_raw(fixture.overdue(&bought)).await.0, first);
    }
}

/// The time after the deadline is still the merchant's, as long as the bank has not asked.
#[tokio::test]
async fn a_stream_is_raised_and_closed_after_its_deadline_until_the_bank_asks() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    fixture.clock.advance(2 * HOUR_MS);
    raise(&fixture, &bought, 2).await;
    let outcome = fixture.ask(close(&fixture, &bought, Some(6))).await.unwrap();
    commits(&fixture, &bought, outcome, 6);
}

#[tokio::test]
async fn the_bank_is_told_what_the_voucher_pays() {
    let mut fixture = EscrowFixture::new();
    let (bought, closed) = (opened(&mut fixture).await, {
        let mut offer = sealing(&fixture, &last_key(), TICKS);
        offer.sale_id.0[0] ^= 1;
        let key = OfferedKey::seal(
            &secret_key(78),
            &fixture.escrow.self_id(),
            &offer.sealing_context(),
            &last_key(),
        );
        offer.sealed_key = Some(OfferedKey {
            ticks: Some(TICKS),
            ..key.unwrap()
        });
        order(&mut fixture, offer)
    });
    fixture.ask(open(&closed)).await.unwrap();
    fixture.ask(close(&fixture, &bought, Some(7))).await.unwrap();
    fixture.ask(close(&fixture, &closed, None)).await.unwrap();
    fixture.restart();
    fixture.witnessed().await;
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 0);
    let view = fixture.store.view();
    assert!(OUTBOX.scan(&view, Bound::Unbounded, 10).unwrap().is_empty());
    let settled = |bought: &Bought| ACKNOWLEDGED.peek(&view, &bought.id()).unwrap().unwrap();
    let account = bought.order.contract.terms.account;
    assert_eq!(
        settled(&bought).body.outcome,
        SettledAs::Committed {
            account,
            amount: Amount(7)
        }
    );
    assert_eq!(settled(&closed).body.outcome, SettledAs::Aborted);
    let listed = purchases(&view, None).unwrap().purchases;
    let line = listed.iter().find(|line| line.purchase == bought.id()).unwrap();
    assert_eq!((line.amount, line.settled), (Amount(7), true));
    assert!(matches!(line.outcome, DecidedAs::Committed));
}

#[tokio::test]
async fn a_stream_is_closed_while_its_bank_is_silent() {
    let mut fixture = EscrowFixture::new();
    let bought = opened(&mut fixture).await;
    fixture.witnessed().await;
    fixture.wire.detach(&fixture.bank.key());
    let outcome = fixture.ask(close(&fixture, &bought, Some(1))).await.unwrap();
    commits(&fixture, &bought, outcome.clone(), 1);
    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), outcome);
}
