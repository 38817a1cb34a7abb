//! Holds: a good hold is signed by the bank and the escrow, each bad one has its own refusal, and nothing is written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::{EncodedScalar, Signed};
use farthing_escrow::admin::purchases;
use farthing_node::network::{Lane, Service};
use farthing_protocol::{
    api::Call,
    contract::check_hold,
    decision::Outcome,
    hold::HoldRequest,
    limits::{DEADLINE_HORIZON_MS, DEADLINE_LEAST_MS},
    money::Amount,
    refusal::{CoinFault, CoinsFault, ContractFault, Later, PurchaseFault, Refusal, RequestFault},
};
use support::bank::{Mood, TestBank, secret_key};
use support::{EscrowFixture, HOUR_MS};

#[tokio::test]
async fn a_good_hold_can_be_repeated_and_writes_nothing() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    fixture.witnessed().await;
    let head = fixture.head();
    let (first, hold) = fixture.ask_raw(bought.hold()).await;
    let contract = bought.order.contract.clone().verified().unwrap();
    check_hold(contract.contract(), &hold.unwrap()).unwrap();
    assert_eq!(fixture.head(), head);
    fixture.restart();
    fixture.witnessed().await;
    let head = fixture.head();
    assert_eq!(fixture.ask_raw(bought.hold()).await.0, first);
    assert_eq!(fixture.head(), head);
    assert_eq!(fixture.bank.held(), [bought.id(), bought.id()]);
}

/// A name, a change to a good request, and the check of its refusal.
type Bad = (&'static str, fn(&mut HoldRequest), fn(&Refusal) -> bool);

fn contract_fault(refusal: &Refusal) -> &ContractFault {
    match refusal {
        Refusal::Contract(fault) => fault,
        other => panic!("{other:?}"),
    }
}

fn coin_fault(refusal: &Refusal, at: usize) -> &CoinFault {
    match refusal {
        Refusal::Coins(fault) if fault.index == at => &fault.what,
        other => panic!("{other:?}"),
    }
}

const BAD: [Bad; 13] = [
    (
        "a forged offer",
        |r| r.contract.offer.body.title = "two pictures".into(),
        |e| matches!(contract_fault(e), ContractFault::OfferForged(_)),
    ),
    (
        "an offer out of bounds",
        |r| r.contract.offer.body.title = "x".repeat(200),
        |e| matches!(e, Refusal::Request(RequestFault::Malformed(_))),
    ),
    (
        "a changed price",
        |r| r.contract.terms.price = Amount(1),
        |e| *contract_fault(e) == ContractFault::DoesNotFit("price".into()),
    ),
    (
        "a changed account",
        |r| r.contract.terms.account = secret_key(66).public(),
        |e| *contract_fault(e) == ContractFault::DoesNotFit("account".into()),
    ),
    (
        "terms that were changed after they were signed",
        |r| r.contract.terms.deadline_ms += 1,
        |e| matches!(contract_fault(e), ContractFault::Forged(_)),
    ),
    (
        "a forged purchase signature",
        |r| r.contract.signature = r.contract.offer.signature,
        |e| matches!(contract_fault(e), ContractFault::Forged(_)),
    ),
    (
        "another escrow",
        |r| r.contract.terms.escrow = secret_key(66).public(),
        |e| matches!(e, Refusal::Request(RequestFault::NotForMe { .. })),
    ),
    (
        "swapped authorizations",
        |r| r.payment.authorizations.swap(0, 1),
        |e| matches!(coin_fault(e, 0), CoinFault::Authorization(_)),
    ),
    (
        "an authorization too few",
        |r| r.payment.authorizations.truncate(1),
        |e| {
            matches!(
                e,
                Refusal::Request(RequestFault::ListMismatch {
                    got: 1,
                    expected: 2,
                    ..
                })
            )
        },
    ),
    (
        "a forged coin",
        |r| r.payment.coins[1].z = EncodedScalar([0; 32]),
        |e| matches!(coin_fault(e, 1), CoinFault::Invalid(_)),
    ),
    (
        "coins in another order",
        |r| r.payment.coins.swap(0, 1),
        |e| *contract_fault(e) == ContractFault::OtherCoins,
    ),
    (
        "another note",
        |r| r.payment.note[0] ^= 1,
        |e| *contract_fault(e) == ContractFault::OtherNote,
    ),
    (
        "a short note",
        |r| r.payment.note.truncate(100),
        |e| matches!(e, Refusal::Request(RequestFault::ListMismatch { .. })),
    ),
];

#[tokio::test]
async fn every_bad_hold_has_its_own_refusal_and_never_reaches_the_bank() {
    let mut fixture = EscrowFixture::new();
    let good = fixture.order().hold();
    for (what, spoil, expected) in BAD {
        let mut request = good.clone();
        spoil(&mut request);
        let refusal = fixture.refused(request).await;
        assert!(expected(&refusal), "{what}: {refusal:?}");
    }
    assert!(fixture.bank.held().is_empty());
    fixture.ask(good).await.unwrap();
}

#[tokio::test]
async fn coins_must_be_worth_the_price_and_come_from_the_terms_bank() {
    let mut fixture = EscrowFixture::new();
    let deadline_ms = fixture.now_ms() + HOUR_MS;
    let short = fixture.order_of(fixture.offer(24), &[16, 4], deadline_ms);
    let refusal = fixture.refused(short.hold()).await;
    let expected = ContractFault::Worth {
        worth: Amount(20),
        price: Amount(24),
    };
    assert_eq!(refusal, expected.into());

    // Coins of another bank with the same keys have other ids.
    let own = std::mem::replace(&mut fixture.bank, TestBank::new(9));
    let mut offer = fixture.offer(24);
    offer.banks[0].bank = own.key();
    let foreign = fixture.order_of(offer, &[16, 8], deadline_ms);
    fixture.bank = own;
    let refusal = fixture.refused(foreign.hold()).await;
    assert_eq!(*coin_fault(&refusal, 0), CoinFault::UnknownKey);
    assert!(fixture.bank.held().is_empty());
}

#[tokio::test]
async fn a_deadline_is_neither_too_soon_nor_too_far() {
    let mut fixture = EscrowFixture::new();
    let now_ms = fixture.now_ms();
    for (deadline_ms, expected) in [
        (
            now_ms + DEADLINE_LEAST_MS - 1,
            Some(ContractFault::DeadlineTooSoon),
        ),
        (now_ms + DEADLINE_LEAST_MS, None),
        (now_ms + DEADLINE_HORIZON_MS, None),
        (
            now_ms + DEADLINE_HORIZON_MS + 1,
            Some(ContractFault::DeadlineTooFar),
        ),
    ] {
        let bought = fixture.order_of(fixture.offer(24), &[16, 8], deadline_ms);
        match expected {
            Some(fault) => assert_eq!(fixture.refused(bought.hold()).await, fault.into()),
            None => assert!(fixture.ask(bought.hold()).await.is_ok()),
        }
    }
}

#[tokio::test]
async fn a_cancel_needs_no_card_of_a_bank_whose_coins_are_known() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    fixture.held(&bought).await;
    fixture.restart_without_card();
    let (first, outcome) = fixture.ask_raw(bought.cancel()).await;
    let Outcome::Aborted(abort) = outcome.unwrap() else {
        panic!("it was open")
    };
    fixture.signed_here(&abort);
    assert_eq!(fixture.ask_raw(bought.cancel()).await.0, first);
    // The escrow has no connection to this purchase's bank, so it cannot settle there.
    assert_eq!(fixture.escrow.settle_round().await.unwrap(), 0);
    let line = &purchases(&fixture.store.view(), None).unwrap().purchases[0];
    assert_eq!((line.settled, line.waiting), (false, false));
}

#[tokio::test]
async fn a_bank_that_is_not_pinned_is_refused() {
    let mut fixture = EscrowFixture::new();
    let stranger = secret_key(66).public();
    let mut offer = fixture.offer(24);
    offer.banks[0].bank = stranger;
    let bought = fixture.order_of(offer, &[16, 8], fixture.now_ms() + HOUR_MS);
    let unknown: Refusal = ContractFault::UnknownParty {
        role: "bank".into(),
        key: stranger,
    }
    .into();
    assert_eq!(fixture.refused(bought.hold()).await, unknown);
    let mut overdue = fixture.overdue(&bought);
    overdue.body.overdue = Signed::sign(overdue.body.overdue.body, &secret_key(66));
    assert_eq!(fixture.refused(overdue.clone()).await, unknown);
    // The escrow knows no coin of such a bank, and nothing was held for it. The customer exchanges the coins.
    let unknown_key = CoinsFault {
        index: 0,
        what: CoinFault::UnknownKey,
    };
    assert_eq!(fixture.refused(bought.cancel()).await, unknown_key.into());
    assert_eq!(fixture.ask(bought.outcome()).await.unwrap(), Outcome::Undecided);
}

#[tokio::test]
async fn a_silent_bank_means_a_retry_and_its_refusal_is_passed_on() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    fixture.witnessed().await;
    fixture.wire.detach(&fixture.bank.key());
    let silent: Refusal = Later::PeerSilent("bank".into()).into();
    // First the escrow does not know the bank's keys, then it does.
    assert_eq!(fixture.refused(bought.hold()).await, silent);
    fixture.wire.attach(fixture.bank.key(), fixture.bank.clone());
    fixture.held(&bought).await;
    fixture.wire.detach(&fixture.bank.key());
    assert_eq!(fixture.refused(bought.hold()).await, silent);

    fixture.wire.attach(fixture.bank.key(), fixture.bank.clone());
    let refusal: Refusal = ContractFault::DeadlineTooFar.into();
    fixture.bank.set_mood(Mood::Refusing(refusal.clone()));
    assert_eq!(fixture.refused(bought.hold()).await, refusal);
    fixture.bank.set_mood(Mood::Lying);
    assert!(matches!(
        fixture.refused(bought.hold()).await,
        Refusal::Later(Later::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_hold_of_a_decided_purchase_is_refused() {
    let mut fixture = EscrowFixture::new();
    let (sold, cancelled) = (fixture.order(), fixture.order());
    let hold = fixture.held(&sold).await;
    fixture.ask(fixture.release(&sold, &hold)).await.unwrap();
    fixture.ask(cancelled.cancel()).await.unwrap();
    let asked = fixture.bank.held().len();
    assert_eq!(
        fixture.refused(sold.hold()).await,
        PurchaseFault::Committed(sold.id()).into()
    );
    assert_eq!(
        fixture.refused(cancelled.hold()).await,
        PurchaseFault::Aborted(cancelled.id()).into()
    );
    assert_eq!(fixture.bank.held().len(), asked, "the bank was not asked");

    // The dates, the clock and the bank's keys do not matter after the decision.
    fixture.wire.detach(&fixture.bank.key());
    fixture.clock.advance(40 * 24 * HOUR_MS);
    for _ in 0..2 {
        assert_eq!(
            fixture.refused(sold.hold()).await,
            PurchaseFault::Committed(sold.id()).into()
        );
        assert_eq!(
            fixture.refused(cancelled.hold()).await,
            PurchaseFault::Aborted(cancelled.id()).into()
        );
        fixture.restart();
    }
    // A forged contract gets no answer about the purchase.
    let mut forged = sold.hold();
    forged.contract.signature = cancelled.order.contract.signature;
    assert!(matches!(
        contract_fault(&fixture.refused(forged).await),
        ContractFault::Forged(_)
    ));
}

#[tokio::test]
async fn every_request_has_its_lane() {
    let mut fixture = EscrowFixture::new();
    let bought = fixture.order();
    for lane in [Lane::Identified, Lane::Peer] {
        let reply = fixture.escrow.call(lane, bought.hold().encode().unwrap()).await;
        let refused = HoldRequest::decode_reply(&reply).unwrap();
        assert!(matches!(
            refused,
            Err(Refusal::Request(RequestFault::WrongLane(_)))
        ));
    }
    let reply = fixture.escrow.call(Lane::Anonymous, vec![0xff; 40]).await;
    let refused = HoldRequest::decode_reply(&reply).unwrap();
    assert!(matches!(
        refused,
        Err(Refusal::Request(RequestFault::Malformed(_)))
    ));
    let _: Signed<_> = fixture.held(&bought).await;
}

#[tokio::test]
async fn a_draining_escrow_holds_nothing_new_and_decides_what_is_held() {
    let mut fixture = EscrowFixture::new();
    let (sold, dropped, late) = (fixture.order(), fixture.order(), fixture.order());
    let hold = fixture.held(&sold).await;
    fixture.held(&dropped).await;
    fixture.escrow.drain().set(true, fixture.now_ms()).unwrap();
    let draining = Refusal::Later(Later::Draining);
    assert_eq!(fixture.refused(late.hold()).await, draining);
    let released = fixture.ask(fixture.release(&sold, &hold)).await;
    released.unwrap();
    // A decided purchase gets its own answer.
    let again = fixture.refused(sold.hold()).await;
    assert!(matches!(again, Refusal::Purchase(_)), "{again}");
    for bought in [&dropped, &late] {
        let outcome = fixture.ask(bought.cancel()).await.unwrap();
        assert!(matches!(outcome, Outcome::Aborted(_)));
        fixture.ask(bought.outcome()).await.unwrap();
    }
    let under_way = fixture.escrow.under_way().unwrap();
    assert_eq!(under_way.until_ms, Some(fixture.now_ms() + DEADLINE_HORIZON_MS));
    assert_eq!(under_way.open[0].count, 3, "three decisions wait for the bank");
    fixture.escrow.drain().set(false, 0).unwrap();
    let fresh = fixture.order();
    fixture.ask(fresh.hold()).await.unwrap();
}
