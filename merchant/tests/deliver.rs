//! Delivery: a held purchase is released and credited, through restarts at every step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::Signed;
use farthing_merchant::rows::{OPEN_SALES, SALES, SaleState};
use farthing_merchant::secret::MerchantSecret;
use farthing_node::admin::AdminHandler;
use farthing_node::process::stop_pair;
use farthing_node::serve::Role;
use farthing_protocol::{
    documents::{Abort, AbortReason, PurchaseId, PurchaseKeyUse},
    evidence::{Charge, Culprit, Judge, Papers, Verdict, judge},
    ids::SaleId,
    money::Amount,
    offer::DeliverRequest,
    refusal::{ContractFault, GoodsFault, Later, PurchaseFault, Refusal},
};
use farthing_store::clock::Clock;
use farthing_store::entropy::SeededEntropy;
use serde_json::{Value, json};
use std::ops::Bound;
use std::time::Duration;
use support::bank::{Mood, secret_key};
use support::{HOUR_MS, ITEM, MerchantFixture};

fn state(fixture: &MerchantFixture, request: &DeliverRequest) -> Option<SaleState> {
    let purchase = request.contract.terms.purchase_id();
    let sale = SALES.peek(&fixture.store.view(), &purchase).unwrap();
    sale.map(|sale| sale.state)
}

fn open_sales(fixture: &MerchantFixture) -> usize {
    OPEN_SALES
        .scan(&fixture.store.view(), Bound::Unbounded, 100)
        .unwrap()
        .len()
}

#[tokio::test]
async fn a_sale_is_delivered_proven_and_credited() {
    let mut fixture = MerchantFixture::new();
    let goods = fixture.rng_bytes(100_000);
    fixture.add(ITEM, &goods).await;
    let offer = fixture.offer().await;
    let sealed = fixture.fetch(&offer.body).await;
    let request = fixture.held(offer);
    let receipt = fixture.ask(request.clone()).await.unwrap();
    receipt.verify(&fixture.escrow.identity.public()).unwrap();

    // A repetition after a restart, with a dead escrow, returns the same receipt.
    fixture.restart();
    fixture.wire.detach(&fixture.escrow.identity.public());
    assert_eq!(fixture.ask(request.clone()).await.unwrap(), receipt);
    assert_eq!(fixture.escrow.asked(), 1);

    let purchase = request.contract.terms.purchase_id();
    let ask = json!({ "do": "evidence", "sale": purchase.to_string()[..9] });
    let answer = fixture.merchant.admin(ask.clone()).await.unwrap();
    // The exported evidence is in the format that a judge reads from a customer, too.
    let papers: Papers = serde_json::from_value(answer["evidence"].clone()).unwrap();
    assert_eq!(papers.settled, None);
    let mut judge = Judge::new(&papers).unwrap();
    let mut opened = Vec::new();
    judge.update(&sealed, &mut opened);
    assert_eq!(judge.verdict(&mut opened).unwrap(), Verdict::Delivered);
    assert!(opened == goods);

    for mood in [Mood::Lying, Mood::Refusing(Later::NotYet.into())] {
        fixture.bank.set_mood(mood);
        assert_eq!(fixture.merchant.sales_round().await.unwrap(), 1);
    }
    fixture.bank.set_mood(Mood::Honest);
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    assert_eq!(open_sales(&fixture), 0);
    let answer = fixture.merchant.admin(ask).await.unwrap();
    let file: Papers = serde_json::from_value(answer["evidence"].clone()).unwrap();
    file.settled.unwrap().verify(&fixture.bank.key()).unwrap();
    let sales = fixture.listed_sales().await;
    assert_eq!(sales[0]["state"], "credited");
    assert_eq!(sales[0]["amount"], "0.24");
}

#[tokio::test]
async fn a_restart_between_hold_and_delivery_still_releases() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    fixture.restart();
    fixture.ask(request).await.unwrap();
}

#[tokio::test]
async fn a_silent_escrow_means_a_retry_and_the_sale_is_finished_later() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    let escrow = fixture.escrow.identity.public();
    fixture.wire.detach(&escrow);
    let silent: Refusal = Later::PeerSilent("escrow".into()).into();
    assert_eq!(fixture.ask(request.clone()).await.unwrap_err(), silent);
    assert_eq!(state(&fixture, &request), Some(SaleState::Releasing));

    // The wallet does not return. The merchant finishes alone, after a restart as well.
    fixture.restart();
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 1);
    fixture.wire.attach(escrow, fixture.escrow.clone());
    let (stopper, stop) = stop_pair();
    let background = tokio::spawn(fixture.merchant.clone().background(stop));
    for _ in 0..500 {
        if open_sales(&fixture) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(matches!(state(&fixture, &request), Some(SaleState::Credited(..))));
    stopper.stop();
    background.await.unwrap();
}

#[tokio::test]
async fn an_escrows_refusal_is_passed_on_and_ends_the_sale_until_a_new_request() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    let purchase = request.contract.terms.purchase_id();
    let aborted: Refusal = PurchaseFault::Aborted(purchase).into();
    fixture.escrow.refuse(Some(aborted.clone()));
    assert_eq!(fixture.ask(request.clone()).await.unwrap_err(), aborted);
    assert!(matches!(state(&fixture, &request), Some(SaleState::Ended(_))));
    assert_eq!(open_sales(&fixture), 0);
    let ask = json!({ "do": "evidence", "sale": purchase.to_string() });
    assert!(
        fixture
            .merchant
            .admin(ask)
            .await
            .unwrap_err()
            .contains("nothing to prove")
    );

    let busy: Refusal = Later::Busy { retry_after_ms: 1 }.into();
    fixture.escrow.refuse(Some(busy.clone()));
    assert_eq!(fixture.ask(request.clone()).await.unwrap_err(), busy);
    assert_eq!(state(&fixture, &request), Some(SaleState::Releasing));
    fixture.escrow.refuse(None);
    fixture.ask(request).await.unwrap();
}

fn evidence_of(purchase: PurchaseId) -> Value {
    json!({ "do": "evidence", "sale": purchase.to_string() })
}

#[tokio::test]
async fn an_abort_that_answers_a_release_is_kept_and_convicts_an_escrow_without_a_cause() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let customer = secret_key(101);
    let escrow = (
        Culprit::Escrow(fixture.escrow.identity.public()),
        Charge::AbortedWithoutCause,
    );
    for (signs, expected) in [(false, vec![escrow]), (true, vec![])] {
        let offer = fixture.offer().await;
        let request = fixture.held(offer);
        let terms = request.contract.terms.clone();
        let purchase = terms.purchase_id();
        let statement = PurchaseKeyUse::Cancel.statement(&terms.purchase_key, &purchase);
        let key = match signs {
            true => secret_key(102),
            false => secret_key(66),
        };
        let abort = Abort {
            purchase,
            bank: terms.bank,
            reason: AbortReason::CancelledBy(key.sign(&statement)),
        };
        let forged: Refusal =
            PurchaseFault::AbortedBy(Box::new(Signed::sign(abort.clone(), &customer))).into();
        let abort = Signed::sign(abort, &fixture.escrow.identity);
        // An abort that another party signed ends nothing.
        fixture.escrow.refuse(Some(forged));
        assert!(matches!(
            fixture.ask(request.clone()).await.unwrap_err(),
            Refusal::Later(Later::Unavailable(_))
        ));
        assert_eq!(state(&fixture, &request), Some(SaleState::Releasing));
        fixture
            .escrow
            .refuse(Some(PurchaseFault::AbortedBy(Box::new(abort.clone())).into()));
        let aborted: Refusal = PurchaseFault::Aborted(purchase).into();
        assert_eq!(fixture.ask(request.clone()).await.unwrap_err(), aborted);
        assert_eq!(
            state(&fixture, &request),
            Some(SaleState::Aborted(Box::new(abort)))
        );
        assert_eq!(open_sales(&fixture), 0);
        fixture.escrow.refuse(None);
        // The sale has ended: the merchant does not send its goods key again.
        let asked = fixture.escrow.asked();
        assert_eq!(fixture.refused(request).await, aborted);
        assert_eq!(fixture.escrow.asked(), asked);
        let answer = fixture.merchant.admin(evidence_of(purchase)).await.unwrap();
        let papers: Papers = serde_json::from_value(answer["evidence"].clone()).unwrap();
        let convicted: Vec<_> = judge(&[papers], 0)
            .iter()
            .map(|it| (it.culprit, it.charge))
            .collect();
        assert_eq!(convicted, expected);
    }
}

#[tokio::test]
async fn nothing_is_released_on_a_new_contract_of_version_1() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await;
    let mut request = fixture.held(offer);
    let terms = &request.contract.terms;
    let statement = PurchaseKeyUse::AgreeV1.statement(&terms.purchase_key, &terms.purchase_id());
    request.contract.signature = secret_key(101).sign(&statement);
    assert_eq!(
        fixture.refused(request).await,
        ContractFault::WithoutCauses.into()
    );
    assert_eq!(fixture.escrow.asked(), 0);
}

/// A name, a change to a good request, and the check of its refusal.
type Bad = (&'static str, fn(&mut DeliverRequest), fn(&Refusal) -> bool);

const BAD: [Bad; 6] = [
    (
        "another merchant's offer",
        |r| r.contract.terms.merchant = secret_key(66).public(),
        |e| *e == GoodsFault::UnknownOffer.into(),
    ),
    (
        "an altered price",
        |r| {
            r.contract.offer.body.price = Amount(1);
            r.contract.terms.price = Amount(1);
        },
        |e| matches!(e, Refusal::Contract(ContractFault::OfferForged(_))),
    ),
    (
        "altered terms",
        |r| r.contract.terms.account = secret_key(66).public(),
        |e| *e == ContractFault::DoesNotFit("account".into()).into(),
    ),
    (
        "terms that the customer did not sign",
        |r| r.contract.terms.deadline_ms += 1,
        |e| matches!(e, Refusal::Contract(ContractFault::Forged(_))),
    ),
    (
        "a hold by somebody else",
        |r| r.hold = Signed::sign(r.hold.body.clone(), &secret_key(66)),
        |e| matches!(e, Refusal::Contract(ContractFault::Hold(_))),
    ),
    (
        "a hold for less",
        |r| r.hold.body.bank_hold.body.total = Amount(1),
        |e| matches!(e, Refusal::Contract(ContractFault::Hold(_))),
    ),
];

#[tokio::test]
async fn every_bad_delivery_has_its_own_refusal_and_never_reaches_the_escrow() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await;
    let good = fixture.held(offer.clone());
    for (what, spoil, expected) in BAD {
        let mut request = good.clone();
        spoil(&mut request);
        let refusal = fixture.refused(request).await;
        assert!(expected(&refusal), "{what}: {refusal:?}");
    }

    // The offers have the merchant's signature, but the merchant did not make them and could not deliver.
    let mut made_up = offer.body.clone();
    made_up.sale_id = SaleId([0; 32]);
    let foreign = fixture.held(Signed::sign(made_up, &secret_key(3)));
    assert_eq!(fixture.refused(foreign).await, GoodsFault::UnknownOffer.into());
    let mut elsewhere = offer.body;
    elsewhere.banks[0].account = secret_key(66).public();
    let elsewhere = fixture.held(Signed::sign(elsewhere, &secret_key(3)));
    assert_eq!(fixture.refused(elsewhere).await, GoodsFault::UnknownOffer.into());
    assert_eq!(fixture.escrow.asked(), 0);
    fixture.ask(good).await.unwrap();
}

#[tokio::test]
async fn a_merchant_with_another_secret_delivers_nothing() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    std::fs::remove_file(fixture.home.path().join("merchant.key")).unwrap();
    MerchantSecret::generate(&SeededEntropy::new(99))
        .save(fixture.home.path())
        .unwrap();
    fixture.restart();
    assert_eq!(fixture.refused(request).await, GoodsFault::UnknownOffer.into());
}

#[tokio::test]
async fn the_list_of_sales_has_dates_and_filters() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let begun_ms = fixture.clock.now_ms();
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    fixture.ask(request).await.unwrap();
    fixture.clock.advance(60_000);
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    let listed = async |filter: Value| {
        let ask = json!({ "do": "sales", "after": null, "filter": filter });
        fixture.merchant.admin(ask).await.unwrap()
    };
    let page = listed(json!({})).await;
    assert_eq!(page["lines"][0]["begun_ms"], begun_ms);
    assert_eq!(page["lines"][0]["changed_ms"], begun_ms + 60_000);
    assert_eq!(page["last"], page["lines"][0]["purchase"]);
    let fitting = [
        json!({ "since_ms": begun_ms, "until_ms": begun_ms + 1 }),
        json!({ "states": ["credited"], "item": ITEM.to_string()[..6] }),
    ];
    for filter in fitting {
        assert_eq!(listed(filter).await, page);
    }
    let others = [
        json!({ "since_ms": begun_ms + 1 }),
        json!({ "until_ms": begun_ms }),
        json!({ "states": ["aborted"] }),
        json!({ "item": "ffff" }),
    ];
    for filter in others {
        assert_eq!(listed(filter).await["lines"], json!([]));
    }
}

#[tokio::test]
async fn an_offer_reserves_one_until_it_is_sold_aborted_or_expired() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_counted(false, 2).await;
    let sold_out: Refusal = GoodsFault::SoldOut.into();
    let (first, second) = (fixture.offer().await, fixture.offer().await);
    assert_eq!(fixture.stock(), (2, 2));
    assert_eq!(fixture.refused(fixture.offer_request()).await, sold_out);
    // The first is sold. It takes one from the count and frees nothing.
    let request = fixture.held(first);
    fixture.ask(request.clone()).await.unwrap();
    fixture.ask(request).await.unwrap();
    assert_eq!(fixture.stock(), (1, 1));
    assert_eq!(fixture.refused(fixture.offer_request()).await, sold_out);
    // The second is aborted. Its place is free again.
    let request = fixture.held(second);
    let abort = Abort {
        purchase: request.contract.terms.purchase_id(),
        bank: request.contract.terms.bank,
        reason: AbortReason::DeadlinePassed,
    };
    let abort = Signed::sign(abort, &fixture.escrow.identity);
    fixture
        .escrow
        .refuse(Some(PurchaseFault::AbortedBy(Box::new(abort)).into()));
    fixture.ask(request).await.unwrap_err();
    assert_eq!(fixture.stock(), (1, 0));
    // An offer that expires frees its place too, but not before its time.
    fixture.escrow.refuse(None);
    let late = fixture.offer().await;
    let late = fixture.held(late);
    fixture.let_expire(HOUR_MS - 1).await;
    assert_eq!(fixture.stock(), (1, 1));
    fixture.let_expire(1).await;
    assert_eq!(fixture.stock(), (1, 0));
    // A late delivery gets a free place, and is refused if there is none.
    let other = fixture.offer().await;
    assert_eq!(fixture.refused(late.clone()).await, sold_out);
    fixture.let_expire(HOUR_MS).await;
    assert_eq!(fixture.escrow.asked(), 2);
    let _expired = other;
    fixture.ask(late).await.unwrap_err();
    assert_eq!(fixture.escrow.asked(), 3, "a free place lets the escrow decide");
    fixture.let_expire(0).await;
    assert_eq!(fixture.stock(), (1, 0));
}

#[tokio::test]
async fn a_release_without_an_answer_keeps_its_place_and_a_refused_one_until_the_offer_expires() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_counted(false, 1).await;
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    let escrow = fixture.escrow.identity.public();
    fixture.wire.detach(&escrow);
    fixture.ask(request.clone()).await.unwrap_err();
    fixture.let_expire(5 * HOUR_MS).await;
    fixture.restart();
    assert_eq!(fixture.stock(), (1, 1), "the escrow may have committed it");
    fixture.wire.attach(escrow, fixture.escrow.clone());
    let purchase = request.contract.terms.purchase_id();
    fixture
        .escrow
        .refuse(Some(PurchaseFault::DeadlinePassed(purchase).into()));
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    assert!(matches!(state(&fixture, &request), Some(SaleState::Ended(_))));
    assert_eq!(fixture.stock(), (1, 1));
    fixture.let_expire(0).await;
    assert_eq!(fixture.stock(), (1, 0));
}

#[tokio::test]
async fn offers_from_before_the_count_are_served_while_any_are_left() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offers = [fixture.offer().await, fixture.offer().await];
    let requests = offers.map(|offer| fixture.held(offer));
    let set = |left| json!({ "do": "goods-stock", "item": ITEM.to_string(), "left": left });
    fixture.merchant.admin(set(1)).await.unwrap();
    fixture.ask(requests[0].clone()).await.unwrap();
    let refusal = fixture.refused(requests[1].clone()).await;
    assert_eq!(refusal, GoodsFault::SoldOut.into());
    assert_eq!(fixture.stock(), (0, 0));
    let line = json!({ "do": "goods-list", "after": null });
    let line = fixture.merchant.admin(line).await.unwrap()["lines"][0].clone();
    assert_eq!(line["stock"], json!({ "left": 0, "reserved": 0 }));
    // Without a count any number is sold again.
    fixture.merchant.admin(set_any()).await.unwrap();
    fixture.ask(requests[1].clone()).await.unwrap();
}

fn set_any() -> Value {
    json!({ "do": "goods-stock", "item": ITEM.to_string(), "left": null })
}

#[tokio::test]
async fn whatever_happens_a_count_is_not_oversold_and_nothing_leaks() {
    const LEFT: u64 = 5;
    let mut fixture = MerchantFixture::new();
    fixture.put_up_counted(false, LEFT).await;
    let escrow = fixture.escrow.identity.public();
    let mut open = Vec::new();
    for step in fixture.rng_bytes(150) {
        match step % 6 {
            0 | 1 => {
                if let Ok(offered) = fixture.ask(fixture.offer_request()).await {
                    open.push(fixture.held(offered.offer));
                }
            }
            2 => {
                if let Some(request) = open.get(usize::from(step) % open.len().max(1)).cloned() {
                    let _decided_or_refused = fixture.ask(request).await;
                }
            }
            3 => match step % 2 {
                0 => fixture.wire.detach(&escrow),
                _ => fixture.wire.attach(escrow, fixture.escrow.clone()),
            },
            4 => fixture.let_expire(HOUR_MS / 4).await,
            _ => fixture.restart(),
        }
        let (left, reserved) = fixture.stock();
        assert_eq!(left + fixture.sales_made() as u64, LEFT);
        assert!(reserved <= left, "more is promised than there is");
    }
    fixture.wire.attach(escrow, fixture.escrow.clone());
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    fixture.let_expire(2 * HOUR_MS).await;
    let (left, reserved) = fixture.stock();
    assert_eq!((left + fixture.sales_made() as u64, reserved), (LEFT, 0));
    assert!(fixture.sales_made() > 0);
}

#[tokio::test]
async fn a_draining_merchant_makes_no_offer_and_delivers_the_earlier_ones() {
    let mut fixture = MerchantFixture::new();
    let goods = fixture.rng_bytes(100_000);
    fixture.add(ITEM, &goods).await;
    let offer = fixture.offer().await;
    let held = fixture.held(offer.clone());
    let now_ms = offer.body.expires_ms;
    fixture.merchant.drain().set(true, now_ms).unwrap();
    let refused = fixture.refused(fixture.offer_request()).await;
    assert_eq!(refused, Refusal::Later(Later::Draining));
    assert!(!fixture.fetch(&offer.body).await.is_empty());
    fixture.ask(held).await.unwrap();
    let under_way = fixture.merchant.under_way().unwrap();
    assert!(under_way.until_ms > Some(now_ms));
    assert_eq!(under_way.open[0].count, open_sales(&fixture));
    fixture.merchant.drain().set(false, now_ms).unwrap();
    fixture.ask(fixture.offer_request()).await.unwrap();
}
