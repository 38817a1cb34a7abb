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
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    documents::PurchaseId,
    evidence::{Judge, Papers, Verdict},
    offer::DeliverRequest,
    seal::{open_goods_key, opens, reopen_goods_key},
};
use serde_json::json;
use support::bank::{Mood, secret_key};
use support::{ITEM, MerchantFixture};

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
