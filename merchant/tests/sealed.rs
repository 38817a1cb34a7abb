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
use support::{ITEM, World};

fn state(world: &World, purchase: PurchaseId) -> Option<SaleState> {
    let sale = SALES.peek(&world.store.view(), &purchase).unwrap();
    sale.map(|sale| sale.state)
}

fn known(world: &World) -> Option<u64> {
    let escrow = world.escrow.identity.public();
    KNOWN_SALES.peek(&world.store.view(), &escrow).unwrap()
}

#[tokio::test]
async fn an_offer_of_a_sealed_item_seals_the_key_to_its_escrow_and_itself() {
    let world = World::new();
    world.put_up(ITEM, b"goods", true).await;
    let (one, other) = (world.offer().await.body, world.offer().await.body);
    let (offered, escrow) = (one.sealed_key.unwrap(), &world.escrow.identity);
    let sealed = offered.sealed;
    offered.check_proof(&one.sealing_context()).unwrap();
    assert!(offered.check_proof(&other.sealing_context()).is_err());
    let opened = open_goods_key(escrow, &one.sealing_context(), &sealed).unwrap();
    assert!(opens(&one.key_commitment, &opened));
    assert!(open_goods_key(escrow, &other.sealing_context(), &sealed).is_err());
    assert!(open_goods_key(&secret_key(9), &one.sealing_context(), &sealed).is_err());
    // The merchant can show that it sealed the right key.
    let ephemeral = MerchantSecret::load(world.home.path())
        .unwrap()
        .ephemeral(&one.sale_id);
    let shown = reopen_goods_key(&ephemeral, &escrow.public(), &one.sealing_context(), &sealed);
    assert_eq!(shown.unwrap(), opened);
}

#[tokio::test]
async fn sales_without_the_merchant_are_learnt_proven_and_credited() {
    let mut world = World::new();
    let goods = world.rng_bytes(1_000);
    world.put_up(ITEM, &goods, true).await;
    let mut sold = Vec::new();
    for _ in 0..5 {
        let offer = world.offer().await;
        sold.push(world.sold(offer).contract.terms.purchase_id());
    }
    let sealed = world.fetch(&world.offer().await.body).await;
    assert_eq!(world.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(known(&world), Some(5));
    // After a restart nothing is learnt twice and nothing is lost.
    world.restart();
    let head = world.head();
    assert_eq!(world.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(world.head(), head);
    // One request settles all sales. A sale that the bank refuses does not delay the others.
    world.bank.set_mood(Mood::Denying(sold[1]));
    assert_eq!(world.merchant.sales_round().await.unwrap(), 1);
    assert_eq!(world.bank.brought(), [5]);
    assert_eq!(
        world.head().sequence,
        head.sequence + 1,
        "what one request brings is one write"
    );
    world.bank.set_mood(Mood::Honest);
    assert_eq!(world.merchant.sales_round().await.unwrap(), 0);
    for purchase in &sold {
        assert!(matches!(state(&world, *purchase), Some(SaleState::Credited(..))));
    }
    let ask = json!({ "do": "evidence", "sale": sold[3].to_string() });
    let answer = world.merchant.admin(ask).await.unwrap();
    let papers: Papers = serde_json::from_value(answer["evidence"].clone()).unwrap();
    assert!(papers.bank_hold.is_some() && papers.settled.is_some());
    let (mut judge, mut opened) = (Judge::new(&papers).unwrap(), Vec::new());
    judge.update(&sealed, &mut opened);
    assert_eq!(judge.verdict(&mut opened).unwrap(), Verdict::Delivered);
}

#[tokio::test]
async fn an_escrow_that_is_silent_or_reports_foreign_sales_is_asked_again() {
    let mut world = World::new();
    world.put_up(ITEM, b"goods", true).await;
    let offer = world.offer().await;
    let good = world.sold(offer);
    let escrow = world.escrow.identity.public();
    world.wire.detach(&escrow);
    assert_eq!(world.merchant.learn_round().await.unwrap(), 1);
    world.wire.attach(escrow, world.escrow.clone());

    let mut others_merchant = good.clone();
    let mut offer = others_merchant.contract.offer.body.clone();
    offer.merchant = secret_key(9).public();
    others_merchant.contract.offer = Signed::sign(offer, &secret_key(9));
    let mut another_key = good.clone();
    another_key.committed.receipt.body.amount.0 += 1;
    let mut no_hold = good.clone();
    no_hold.hold = Signed::sign(no_hold.hold.body, &secret_key(9));
    for bad in [others_merchant, another_key, no_hold] {
        *world.escrow.sold.lock().unwrap() = vec![bad];
        let head = world.head();
        assert_eq!(world.merchant.learn_round().await.unwrap(), 1);
        assert_eq!(world.head(), head, "it was written");
    }
    *world.escrow.sold.lock().unwrap() = vec![good];
    assert_eq!(world.merchant.learn_round().await.unwrap(), 0);
    assert_eq!(known(&world), Some(1));
}

#[tokio::test]
async fn a_merchant_without_sealed_items_asks_no_escrow() {
    let world = World::new();
    world.add(ITEM, b"goods").await;
    world.wire.detach(&world.escrow.identity.public());
    assert_eq!(world.merchant.learn_round().await.unwrap(), 0);
}

#[tokio::test]
async fn a_delivery_request_for_a_sealed_offer_is_released_like_any_other() {
    let mut world = World::new();
    world.put_up(ITEM, b"goods", true).await;
    let offer = world.offer().await;
    let request = world.held(offer);
    let purchase = request.contract.terms.purchase_id();
    let receipt = world.ask(request.clone()).await.unwrap();
    // A sale that the merchant knows does not start again when the escrow reports it.
    let sale = farthing_protocol::sealed::SealedSale {
        contract: request.contract.clone(),
        hold: request.hold.clone(),
        committed: state(&world, purchase).unwrap().committed().unwrap().clone(),
    };
    assert_eq!(world.merchant.sales_round().await.unwrap(), 0);
    world.escrow.sold.lock().unwrap().push(sale);
    assert_eq!(world.merchant.learn_round().await.unwrap(), 0);
    assert!(matches!(state(&world, purchase), Some(SaleState::Credited(..))));
    let DeliverRequest { contract, hold } = request;
    assert_eq!(
        world.ask(DeliverRequest { contract, hold }).await.unwrap(),
        receipt
    );
}
