//! Forgetting: purchases that are long past leave no row at the bank, and nothing contradicts what it said of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_bank::rows::{CONTRADICTIONS, PURCHASES, REFUNDS};
use farthing_coin::Signed;
use farthing_protocol::{
    api::SettleOne,
    documents::{BankHold, Settled, SettledAs},
    evidence::{Charge, Culprit, Papers, judge},
    limits::{CLOSED_AFTER_EPOCHS, CLOSED_AFTER_MS, RELEASED_GRACE_MS},
    refusal::PurchaseFault,
    settle::BankPurchase,
};
use farthing_store::limits::SCAN_MAX_ROWS;
use std::ops::Bound;
use support::payments::{bought, refund};
use support::{BankFixture, Bought, EPOCH_MS};

/// Lets time pass until the epoch of the first coins is closed, and `more_ms` longer. The bank is off meanwhile.
async fn years_pass(fixture: &mut BankFixture, more_ms: i64) {
    let book = fixture.book();
    let first = book
        .denominations()
        .map(|(_, key)| key.redeem_until_ms)
        .min()
        .unwrap();
    let kept_ms = RELEASED_GRACE_MS + CLOSED_AFTER_MS + u64::from(CLOSED_AFTER_EPOCHS) * EPOCH_MS;
    fixture
        .clock
        .set((first + kept_ms).saturating_add_signed(more_ms));
    fixture.restart().await;
    fixture.bank.accept_clock().await.unwrap();
}

/// Runs rounds until nothing more is to be done. Returns how many rows were forgotten.
async fn purged(fixture: &BankFixture) -> usize {
    let mut forgotten = 0;
    loop {
        let round = fixture.bank.purge_round().await.unwrap();
        forgotten += round.forgotten;
        if !round.more {
            return forgotten;
        }
    }
}

fn purchases(fixture: &BankFixture) -> Vec<BankPurchase> {
    let rows = PURCHASES.scan(&fixture.bank.store().view(), Bound::Unbounded, SCAN_MAX_ROWS);
    rows.unwrap().into_iter().map(|(_, row)| row).collect()
}

/// What a customer and a merchant have kept of a purchase, with what the bank says of it now.
fn papers(bought: &Bought, decisions: &[SettleOne], settled: &Signed<Settled>) -> Vec<Papers> {
    let terms = &bought.order.contract.terms;
    let decided = |one: &SettleOne| Papers::decided(one.escrow, Some(terms.clone()), one.decision.clone());
    let said = Papers {
        terms: Some(terms.clone()),
        settled: Some(settled.clone()),
        ..Papers::default()
    };
    decisions.iter().map(decided).chain([said]).collect()
}

#[tokio::test]
async fn an_abort_before_its_hold_says_only_that_no_coins_are_held() {
    let mut fixture = BankFixture::new().await;
    let purse = fixture.withdraw(&[8]).await;
    let bought = fixture.order(&purse);
    let settled = fixture.ask(fixture.abort(&bought)).await.unwrap();
    assert_eq!(settled.body.outcome, SettledAs::NotHeld);
    let refusal = fixture.refused(bought.hold()).await;
    assert_eq!(refusal, PurchaseFault::Aborted(bought.order.purchase()).into());
    fixture.restart().await;
    let head = fixture.head();
    assert_eq!(fixture.ask(fixture.abort(&bought)).await.unwrap(), settled);
    assert_eq!(fixture.head(), head, "a repetition writes nothing");
    fixture.exchanged(&purse, &[8]).await.unwrap();
}

#[tokio::test]
async fn purchases_that_are_long_past_are_forgotten_and_nothing_contradicts_them() {
    let mut fixture = BankFixture::new().await;
    let [paid_with, released_with, held_with, never_with] = [
        fixture.withdraw(&[8]).await,
        fixture.withdraw(&[8]).await,
        fixture.withdraw(&[8]).await,
        fixture.withdraw(&[8]).await,
    ];
    let paid = bought(&mut fixture, &paid_with, 8).await;
    fixture.ask(refund(&fixture, &paid, 3)).await.unwrap();
    let released = fixture.order(&released_with);
    fixture.ask(released.hold()).await.unwrap();
    fixture.ask(fixture.abort(&released)).await.unwrap();
    let held = fixture.order(&held_with);
    fixture.ask(held.hold()).await.unwrap();
    let never = fixture.order(&never_with);
    fixture.ask(fixture.abort(&never)).await.unwrap();
    // The escrow signs the opposite of both.
    fixture.ask(fixture.abort(&paid)).await.unwrap_err();
    fixture.ask(fixture.commit(&released)).await.unwrap_err();
    assert_eq!(purchases(&fixture).len(), 4);

    years_pass(&mut fixture, -1).await;
    assert_eq!(purged(&fixture).await, 0, "a millisecond too early");
    years_pass(&mut fixture, 0).await;
    purged(&fixture).await;
    let left = purchases(&fixture);
    assert!(
        matches!(&left[..], [BankPurchase::Held { terms, .. }] if *terms == held.order.contract.terms),
        "{left:?}"
    );
    let view = fixture.bank.store().view();
    assert!(REFUNDS.scan(&view, Bound::Unbounded, 1).unwrap().is_empty());
    assert!(
        CONTRADICTIONS
            .scan(&view, Bound::Unbounded, 1)
            .unwrap()
            .is_empty()
    );
    fixture.audited().await;

    // Whatever comes now, the bank says nothing that contradicts it, and does nothing twice.
    let balance = fixture.balance(&fixture.merchant).await;
    for bought in [&paid, &released] {
        let unknown = PurchaseFault::Unknown(bought.order.purchase());
        assert_eq!(
            fixture.refused(fixture.commit(bought)).await,
            unknown.clone().into()
        );
        assert_eq!(fixture.refused(refund(&fixture, bought, 8)).await, unknown.into());
    }
    assert_eq!(fixture.balance(&fixture.merchant).await, balance);
    let (paid_terms, of_released) = (&paid.order.contract.terms, released.order.purchase());
    let credited = Settled::committed(paid_terms, paid_terms.price);
    contradicts_nothing(&fixture, &paid, credited).await;
    let aborted = Settled::aborted(of_released, fixture.escrow.public());
    contradicts_nothing(&fixture, &released, aborted).await;
}

/// The bank said `before` of a purchase that it has forgotten. An abort is brought again, and everybody shows what they have.
async fn contradicts_nothing(fixture: &BankFixture, bought: &Bought, before: Settled) {
    let (now_ms, signer) = (fixture.now_ms(), support::secret_key(1));
    let (commit, abort) = (fixture.commit(bought), fixture.abort(bought));
    let settled = fixture.ask(abort.clone()).await.unwrap();
    assert_eq!(settled.body.outcome, SettledAs::NotHeld);
    fixture.refused(bought.hold()).await;
    let said = Signed::sign(before.clone(), &signer);
    let mut shown = papers(bought, &[commit.clone(), abort.clone()], &settled);
    shown.extend(papers(bought, &[], &said));
    let convicted = judge(&shown, now_ms);
    assert_eq!(convicted.len(), 1, "{convicted:?}");
    assert_eq!(convicted[0].culprit, Culprit::Escrow(fixture.escrow.public()));
    assert_eq!(convicted[0].charge, Charge::DecidedTwice);
    // A hostile escrow hides the decision that the bank obeyed, and the bank has forgotten it.
    let other = match before.outcome {
        SettledAs::Aborted => commit,
        _ => abort,
    };
    let mut shown = papers(bought, &[other], &said);
    shown.push(Papers {
        bank_hold: Some(Signed::sign(BankHold::of(&bought.order.contract.terms), &signer)),
        ..Papers::default()
    });
    assert_eq!(judge(&shown, now_ms), [], "evidence: an honest bank is convicted");
    assert!(!judge(&shown, 0).is_empty(), "it could clear itself then");
}
