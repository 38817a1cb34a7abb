//! Decisions: a purchase gets one decision, and every later request gets the same one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::{Coin, EncodedPoint, KeyId, Signed};
use farthing_protocol::{
    decide::{AuthorizedCoin, CancelRequest},
    decision::{Outcome, SignedDecision},
    documents::{AbortReason, Overdue, PurchaseKeyUse},
    ids::SealingContext,
    limits::CANCELS_PER_COIN_MAX,
    refusal::{CoinFault, CoinsFault, ContractFault, Later, PurchaseFault, Refusal, RequestFault},
    seal::open_goods_key,
};
use support::bank::secret_key;
use support::{EscrowFixture, HOUR_MS, goods_key, overdue};

#[tokio::test]
async fn a_release_commits_and_repeats_byte_for_byte() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    let hold = fixture.held(&bought).await;
    let release = fixture.release(&bought, &hold);
    let (first, committed) = fixture.ask_raw(release.clone()).await;
    let committed = committed.unwrap();
    fixture.signed_here(&committed.receipt);
    fixture.signed_here(&committed.commit);
    assert_eq!(committed.receipt.body.goods_key, goods_key());
    let sealed = &committed.commit.body.sealed_key;
    let opened = open_goods_key(&bought.purchase_key, &SealingContext(bought.id().0), sealed).unwrap();
    assert_eq!(opened, goods_key());

    let head = fixture.head();
    assert_eq!(fixture.ask_raw(release.clone()).await.0, first);
    fixture.restart();
    // The repetition needs no valid deadline and no trusted clock.
    fixture.clock.advance(40 * 24 * HOUR_MS);
    assert_eq!(fixture.ask_raw(release).await.0, first);
    assert_eq!(fixture.head(), head, "a repetition writes nothing");
    assert_eq!(
        fixture.ask(bought.outcome()).await.unwrap(),
        Outcome::Committed(Box::new(committed))
    );
}

#[tokio::test]
async fn a_restarted_escrow_commits_a_purchase_that_it_never_stored() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    let hold = fixture.held(&bought).await;
    fixture.restart();
    fixture.witnessed().await;
    fixture.wire.detach(&fixture.bank.key());
    fixture.ask(fixture.release(&bought, &hold)).await.unwrap();
}

#[tokio::test]
async fn a_release_after_the_deadline_is_refused_and_the_purchase_can_be_aborted() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    let hold = fixture.held(&bought).await;
    fixture.clock.set(bought.order.contract.terms.deadline_ms);
    assert_eq!(
        fixture.refused(fixture.release(&bought, &hold)).await,
        PurchaseFault::DeadlinePassed(bought.id()).into()
    );
    let Outcome::Aborted(abort) = fixture.ask(bought.cancel()).await.unwrap() else {
        panic!("it is open")
    };
    let by_customer = AbortReason::CancelledBy(bought.cancel().signature);
    assert_eq!(abort.body.reason, by_customer);
    assert_eq!(by_customer.check(&bought.order.contract.terms), Ok(()));
}

#[tokio::test]
async fn a_second_decision_request_gets_the_first_decision() {
    let mut fixture = EscrowFixture::new();
    let (sold, cancelled) = (fixture.order(), fixture.order());
    let hold = fixture.held(&sold).await;
    let committed = fixture.ask(fixture.release(&sold, &hold)).await.unwrap();
    let head = fixture.head();
    assert_eq!(
        fixture.ask(sold.cancel()).await.unwrap(),
        Outcome::Committed(Box::new(committed.clone()))
    );
    assert_eq!(
        fixture.ask(fixture.overdue(&sold)).await.unwrap().body,
        SignedDecision::Commit(committed.commit)
    );
    assert_eq!(fixture.head(), head);

    let hold = fixture.held(&cancelled).await;
    let (first, outcome) = fixture.ask_raw(cancelled.cancel()).await;
    let Outcome::Aborted(abort) = outcome.unwrap() else {
        panic!("it was open")
    };
    fixture.signed_here(&abort);
    assert_eq!(fixture.ask_raw(cancelled.cancel()).await.0, first);
    assert_eq!(
        fixture.refused(fixture.release(&cancelled, &hold)).await,
        PurchaseFault::AbortedBy(Box::new(abort)).into()
    );
    fixture.restart();
    assert_eq!(fixture.ask_raw(cancelled.cancel()).await.0, first);
}

#[tokio::test]
async fn only_the_purchase_key_cancels_and_collects() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    let hold = fixture.held(&bought).await;
    let mut cancel = bought.cancel();
    let terms = cancel.terms.clone();
    let statement = PurchaseKeyUse::Cancel.statement(&terms.purchase_key, &bought.id());
    cancel.signature = secret_key(66).sign(&statement);
    let not_the_key = |refusal: Refusal| matches!(refusal, Refusal::Request(RequestFault::Signature { .. }));
    assert!(not_the_key(fixture.refused(cancel).await));
    // A signature for one use is not valid for another.
    let mut cancel = bought.cancel();
    cancel.signature = bought.outcome().signature;
    assert!(not_the_key(fixture.refused(cancel).await));

    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), Outcome::Undecided);
    fixture.ask(fixture.release(&bought, &hold)).await.unwrap();
    let mut outcome = bought.outcome();
    outcome.signature = bought.cancel().signature;
    assert!(not_the_key(fixture.refused(outcome).await));
}

#[tokio::test]
async fn a_cancel_aborts_a_purchase_with_any_deadline_that_a_hold_could_have() {
    let mut fixture = EscrowFixture::new();
    for deadline_ms in [0, fixture.now_ms(), fixture.now_ms() + 25 * HOUR_MS] {
        let mut offer = fixture.offer(24);
        offer.expires_ms = u64::MAX;
        let bought = fixture.order_of(offer, &[16, 8], deadline_ms);
        let (first, outcome) = fixture.ask_raw(bought.cancel()).await;
        let Outcome::Aborted(abort) = outcome.unwrap() else {
            panic!("it was open")
        };
        fixture.signed_here(&abort);
        fixture.restart();
        assert_eq!(fixture.ask_raw(bought.cancel()).await.0, first);
        assert_eq!(
            fixture.refused(bought.hold()).await,
            PurchaseFault::Aborted(bought.id()).into()
        );
    }
    assert_eq!(fixture.latest_ms(), None, "a cancel rests on no time");
}

#[tokio::test]
async fn the_cancel_of_an_undecided_purchase_shows_a_coin() {
    let mut fixture = EscrowFixture::new();
    let (bought, other) = (fixture.order(), fixture.order());
    fixture.witnessed().await;
    let good = bought.cancel().coin.unwrap();
    let shows = |coin| CancelRequest {
        coin,
        ..bought.cancel()
    };
    let other_key = KeyId([7; 32]);
    let unknown = Coin {
        key_id: other_key,
        ..good.coin
    };
    let forged = Coin {
        r: EncodedPoint(good.coin.public.0),
        ..good.coin
    };
    let authorized = |coin| Some(AuthorizedCoin { coin, ..good });
    let head = fixture.head();
    let mut faults = Vec::new();
    // The coin of another purchase has signed something else.
    for coin in [None, authorized(unknown), authorized(forged), other.cancel().coin] {
        match fixture.refused(shows(coin)).await {
            Refusal::Coins(CoinsFault { index: 0, what }) => faults.push(what),
            refusal => panic!("{refusal}"),
        }
    }
    assert_eq!(faults[..2], [CoinFault::Missing, CoinFault::UnknownKey]);
    assert!(matches!(
        faults[2..],
        [CoinFault::Invalid(_), CoinFault::Authorization(_)]
    ));
    assert_eq!(fixture.head(), head, "nothing is written");

    let (first, outcome) = fixture.ask_raw(bought.cancel()).await;
    assert!(matches!(outcome, Ok(Outcome::Aborted(_))));
    // A decided purchase needs none.
    assert_eq!(fixture.ask_raw(shows(None)).await.0, first);
}

#[tokio::test]
async fn a_coin_cancels_only_so_many_purchases() {
    let mut fixture = EscrowFixture::new();
    let minted = [fixture.bank.mint(16), fixture.bank.mint(8)];
    let mut bought = Vec::new();
    for hours in 0..=CANCELS_PER_COIN_MAX {
        let deadline_ms = fixture.now_ms() + (hours + 1) * HOUR_MS;
        bought.push(fixture.order_with(fixture.offer(24), &minted, deadline_ms));
    }
    let last = bought.pop().unwrap();
    for bought in &bought {
        fixture.ask(bought.cancel()).await.unwrap();
        fixture.ask(bought.cancel()).await.unwrap();
    }
    fixture.restart();
    let too_often = CoinsFault {
        index: 0,
        what: CoinFault::CancelledTooOften,
    };
    assert_eq!(fixture.refused(last.cancel()).await, too_often.into());
    // What was decided is still told, and another coin cancels.
    fixture.ask(bought[0].cancel()).await.unwrap();
    let other = fixture.order();
    fixture.ask(other.cancel()).await.unwrap();
}

#[tokio::test]
async fn terms_with_an_invalid_currency_are_refused() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    let is_refused = |refusal: &Refusal, word: &str| matches!(refusal, Refusal::Request(RequestFault::Malformed(why)) if why.contains(word));
    let shown_to_nobody = ["", " ", "F H", "\u{1b}[2J", "\u{9b}2J", "F\u{202e}H", "€"];
    let shown_to_nobody = shown_to_nobody.map(|currency| (currency.to_owned(), "currency"));
    let too_long = [
        ("x".repeat(13), "13 bytes of text"),
        ("x".repeat(100_000), "100000 bytes of text"),
    ];
    for (currency, word) in shown_to_nobody.into_iter().chain(too_long) {
        let mut cancel = bought.cancel();
        cancel.terms.currency = currency.clone();
        let key = cancel.terms.purchase_key;
        let statement = PurchaseKeyUse::Cancel.statement(&key, &cancel.terms.purchase_id());
        cancel.signature = bought.purchase_key.sign(&statement);
        let refused = fixture.refused(cancel).await;
        assert!(is_refused(&refused, word), "{currency:?}: {refused}");
        let mut overdue = fixture.overdue(&bought);
        overdue.body.terms.currency = currency.clone();
        overdue.body.terms.deadline_ms = 0;
        let refused = fixture.refused(overdue).await;
        assert!(is_refused(&refused, word), "{currency:?}: {refused}");
    }
}

#[tokio::test]
async fn an_overdue_hold_is_aborted_once_the_deadline_has_passed_here() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    fixture.held(&bought).await;
    assert_eq!(
        fixture.refused(fixture.overdue(&bought)).await,
        Later::NotYet.into()
    );
    fixture.clock.set(bought.order.contract.terms.deadline_ms);
    let SignedDecision::Abort(abort) = fixture.ask(fixture.overdue(&bought)).await.unwrap().body else {
        panic!("nobody has released it")
    };
    fixture.signed_here(&abort);
    let overdue = fixture.overdue(&bought).body.overdue;
    assert_eq!(abort.body.reason, AbortReason::Overdue(Box::new(overdue)));
    assert_eq!(abort.body.reason.check(&bought.order.contract.terms), Ok(()));
    assert_eq!(
        fixture.ask(bought.outcome()).await.unwrap(),
        Outcome::Aborted(abort)
    );

    let mut elsewhere = fixture.overdue(&bought);
    elsewhere.body.terms.escrow = secret_key(66).public();
    assert!(matches!(
        fixture.refused(elsewhere).await,
        Refusal::Request(RequestFault::NotForMe { .. })
    ));
}

#[tokio::test]
async fn only_the_banks_statement_after_the_deadline_makes_a_purchase_overdue() {
    let mut fixture = EscrowFixture::new();
    let (bought, other) = (fixture.order(), fixture.order());
    let terms = &bought.order.contract.terms;
    fixture.held(&bought).await;
    fixture.clock.set(terms.deadline_ms);
    let good = overdue(terms);
    let signed = |change: fn(&mut Overdue)| {
        let mut overdue = good;
        change(&mut overdue);
        Signed::sign(overdue, &fixture.bank.identity)
    };
    let bad = [
        Signed::sign(good, &secret_key(66)),
        Signed::sign(overdue(&other.order.contract.terms), &fixture.bank.identity),
        signed(|it| it.escrow = secret_key(66).public()),
        signed(|it| it.deadline_ms -= 1),
        signed(|it| it.at_ms = it.deadline_ms - 1),
    ];
    for overdue in bad {
        let mut asked = fixture.overdue(&bought);
        asked.body.overdue = overdue;
        let refusal = fixture.refused(asked).await;
        assert!(
            matches!(refusal, Refusal::Contract(ContractFault::Cause(_))),
            "{refusal}"
        );
    }
    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), Outcome::Undecided);
    fixture.ask(fixture.overdue(&bought)).await.unwrap();
}

#[tokio::test]
async fn an_offer_for_one_sale_is_sold_once() {
    let mut fixture = EscrowFixture::new();
    let (first, second) = (fixture.order(), fixture.order());
    assert_ne!(first.id(), second.id());
    let holds = (fixture.held(&first).await, fixture.held(&second).await);
    fixture.ask(fixture.release(&first, &holds.0)).await.unwrap();
    let too_late = fixture.release(&second, &holds.1);
    assert_eq!(
        fixture.refused(too_late.clone()).await,
        PurchaseFault::Sold.into()
    );
    fixture.restart();
    assert_eq!(fixture.refused(too_late).await, PurchaseFault::Sold.into());
    assert!(matches!(
        fixture.ask(second.cancel()).await.unwrap(),
        Outcome::Aborted(_)
    ));
    fixture.ask(fixture.release(&first, &holds.0)).await.unwrap();
}
