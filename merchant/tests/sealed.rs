//! Sealed offers: the offer holds the key, and the merchant learns, proves and collects what the escrow committed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_coin::Signed;
use farthing_merchant::rows::{KNOWN_SALES, SALES, SaleState};
use farthing_merchant::secret::MerchantSecret;
use farthing_merchant::stock::SEALED_GRACE_MS;
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    documents::PurchaseId,
    evidence::{Judge, Papers, Verdict},
    offer::DeliverRequest,
    refusal::GoodsFault,
    seal::{open_goods_key, opens, reopen_goods_key},
};
use farthing_store::clock::Clock;
use serde_json::json;
use support::bank::{Mood, secret_key};
use support::{HOUR_MS, ITEM, MerchantFixture};

fn state(fixture: &MerchantFixture, purchase: PurchaseId) -> Option<SaleState> {
    let sale = SALES.peek(&fixture.store.view(), &purchase).unwrap();
    sale.map(|sale| sale.state)
}

fn known(fixture: &MerchantFixture) -> Option<u64> {
    let escrow = fixture.escrow.identity.public();
    KNOWN_SALES.peek(&fixture.store.view(), &escrow).unwrap()
}

#[tokio::test]
async fn an_offer_of_a_sealed_item_seals_the_key_to_its_escrow_and_itself() {
    let fixture = MerchantFixture::new();
    fixture.put_up(ITEM, b"goods", true).await;
    let (one, other) = (fixture.offer().await.body, fixture.offer().await.body);
    let (offered, escrow) = (one.sealed_key.unwrap(), &fixture.escrow.identity);
    let sealed = offered.sealed;
    offered.check_proof(&one.sealing_context()).unwrap();
    assert!(offered.check_proof(&other.sealing_context()).is_err());
    let opened = open_goods_key(escrow, &one.sealing_context(), &sealed).unwrap();
    assert!(opens(&one.key_commitment, &opened));
    assert!(open_goods_key(escrow, &other.sealing_context(), &sealed).is_err());
    assert!(open_goods_key(&secret_key(9), &one.sealing_context(), &sealed).is_err());
    // The merchant can show that it sealed the right key.
    let ephemeral = MerchantSecret::load(fixture.home.path())
        .unwrap()
        .ephemeral(&one.sale_id);
    let shown = reopen_goods_key(&ephemeral, &escrow.public(), &one.sealing_context(), &sealed);
    assert_eq!(shown.unwrap(), opened);
}

#[tokio::test]
async fn sales_without_the_merchant_are_learnt_proven_and_credited() {
    let mut fixture = MerchantFixture::new();
    let goods = fixture.rng_bytes(1_000);
    fixture.put_up(ITEM, &goods, true).await;
    let mut sold = Vec::new();
    for _ in 0..5 {
        let offer = fixture.offer().await;
        sold.push(fixture.sold(offer).contract.terms.purchase_id());
    }
    let sealed = fixture.fetch(&fixture.offer().await.body).await;
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(known(&fixture), Some(5));
    // After a restart nothing is learnt twice and nothing is lost.
    fixture.restart();
    let head = fixture.head();
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(fixture.head(), head);
    // One request settles all sales. A sale that the bank refuses does not delay the others.
    fixture.bank.set_mood(Mood::Denying(sold[1]));
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 1);
    assert_eq!(fixture.bank.brought(), [5]);
    assert_eq!(
        fixture.head().sequence,
        head.sequence + 1,
        "what one request brings is one write"
    );
    fixture.bank.set_mood(Mood::Honest);
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    for purchase in &sold {
        assert!(matches!(
            state(&fixture, *purchase),
            Some(SaleState::Credited(..))
        ));
    }
    let ask = json!({ "do": "evidence", "sale": sold[3].to_string() });
    let answer = fixture.merchant.admin(ask).await.unwrap();
    let papers: Papers = serde_json::from_value(answer["evidence"].clone()).unwrap();
    assert!(papers.bank_hold.is_some() && papers.settled.is_some());
    let (mut judge, mut opened) = (Judge::new(&papers).unwrap(), Vec::new());
    judge.update(&sealed, &mut opened);
    assert_eq!(judge.verdict(&mut opened).unwrap(), Verdict::Delivered);
}

#[tokio::test]
async fn an_escrow_that_is_silent_or_reports_foreign_sales_is_asked_again() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up(ITEM, b"goods", true).await;
    let offer = fixture.offer().await;
    let good = fixture.sold(offer);
    let escrow = fixture.escrow.identity.public();
    fixture.wire.detach(&escrow);
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 1);
    fixture.wire.attach(escrow, fixture.escrow.clone());

    let mut others_merchant = good.clone();
    let mut offer = others_merchant.contract.offer.body.clone();
    offer.merchant = secret_key(9).public();
    others_merchant.contract.offer = Signed::sign(offer, &secret_key(9));
    let mut another_key = good.clone();
    another_key.committed.receipt.body.amount.0 += 1;
    let mut no_hold = good.clone();
    no_hold.hold = Signed::sign(no_hold.hold.body, &secret_key(9));
    for bad in [others_merchant, another_key, no_hold] {
        *fixture.escrow.sold.lock().unwrap() = vec![bad];
        let head = fixture.head();
        assert_eq!(fixture.merchant.learn_round().await.unwrap(), 1);
        assert_eq!(fixture.head(), head, "it was written");
    }
    *fixture.escrow.sold.lock().unwrap() = vec![good];
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(known(&fixture), Some(1));
}

#[tokio::test]
async fn a_merchant_without_sealed_items_asks_no_escrow() {
    let fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    fixture.wire.detach(&fixture.escrow.identity.public());
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
}

#[tokio::test]
async fn a_delivery_request_for_a_sealed_offer_is_released_like_any_other() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up(ITEM, b"goods", true).await;
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    let purchase = request.contract.terms.purchase_id();
    let receipt = fixture.ask(request.clone()).await.unwrap();
    // A sale that the merchant knows does not start again when the escrow reports it.
    let sale = farthing_protocol::sealed::SealedSale {
        contract: request.contract.clone(),
        hold: request.hold.clone(),
        committed: state(&fixture, purchase).unwrap().committed().unwrap().clone(),
    };
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    fixture.escrow.sold.lock().unwrap().push(sale);
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert!(matches!(state(&fixture, purchase), Some(SaleState::Credited(..))));
    let DeliverRequest { contract, hold } = request;
    assert_eq!(
        fixture.ask(DeliverRequest { contract, hold }).await.unwrap(),
        receipt
    );
}

#[tokio::test]
async fn silence_never_frees_the_place_of_a_sealed_offer() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_counted(true, 2).await;
    let sold = fixture.offer().await;
    let _unsold = fixture.offer().await;
    fixture.sold(sold);
    let escrow = fixture.escrow.identity.public();
    // The escrow has sold one, and is silent: both places stay, as the merchant cannot know.
    fixture.wire.detach(&escrow);
    fixture.let_expire(48 * HOUR_MS).await;
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 1);
    assert_eq!(fixture.stock(), (2, 2));
    assert_eq!(
        fixture.refused(fixture.offer_request()).await,
        GoodsFault::SoldOut.into()
    );
    // Its list decides: one is sold, the other one is free.
    fixture.wire.attach(escrow, fixture.escrow.clone());
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(fixture.stock(), (1, 0));
    // A list from before the end of an offer, or soon after it, frees nothing.
    fixture.offer().await;
    for wait_ms in [HOUR_MS, SEALED_GRACE_MS - 1] {
        fixture.let_expire(wait_ms).await;
        assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
        assert_eq!(fixture.stock(), (1, 1));
    }
    fixture.let_expire(1).await;
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(fixture.stock(), (1, 0));
}

#[tokio::test]
async fn a_sealed_item_gets_its_count_when_it_is_added_or_never() {
    let fixture = MerchantFixture::new();
    fixture.put_up(ITEM, b"goods", true).await;
    let set = |left| json!({ "do": "goods-stock", "item": ITEM.to_string(), "left": left });
    let why = fixture.merchant.admin(set(3)).await.unwrap_err();
    assert!(why.contains("goods add --sealed --stock"), "{why}");
}

#[tokio::test]
async fn sealed_offers_are_not_oversold_and_nothing_leaks() {
    const LEFT: u64 = 4;
    let mut fixture = MerchantFixture::new();
    fixture.put_up_counted(true, LEFT).await;
    let escrow = fixture.escrow.identity.public();
    let mut offers = Vec::new();
    for step in fixture.rng_bytes(150) {
        match step % 6 {
            0 | 1 => {
                if let Ok(offered) = fixture.ask(fixture.offer_request()).await {
                    offers.push(offered.offer);
                }
            }
            2 => {
                let deadline_ms = fixture.clock.now_ms() + HOUR_MS / 2;
                if offers
                    .last()
                    .is_some_and(|offer| offer.body.expires_ms >= deadline_ms)
                {
                    let offer = offers.pop().unwrap();
                    fixture.sold(offer);
                }
            }
            3 => match step % 2 {
                0 => fixture.wire.detach(&escrow),
                _ => fixture.wire.attach(escrow, fixture.escrow.clone()),
            },
            4 => {
                fixture.let_expire(HOUR_MS / 3).await;
                fixture.merchant.learn_round().await.unwrap();
            }
            _ => fixture.restart(),
        }
        let (left, reserved) = fixture.stock();
        let sold = fixture.escrow.sold.lock().unwrap().len() as u64;
        assert!(sold <= LEFT, "{sold} were sold");
        assert!(reserved <= left, "more is promised than there is");
        assert!(LEFT - sold <= left, "a sale took two places");
    }
    fixture.wire.attach(escrow, fixture.escrow.clone());
    fixture.let_expire(2 * HOUR_MS).await;
    assert_eq!(fixture.merchant.learn_round().await.unwrap(), 0);
    let sold = fixture.escrow.sold.lock().unwrap().len() as u64;
    assert_eq!(fixture.stock(), (LEFT - sold, 0));
    assert!(sold > 0);
}
