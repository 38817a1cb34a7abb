//! Free items: a receipt without coins, signed by merchant and purchase key.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use farthing_coin::{SecretKey, Signed};
use farthing_merchant::{merchant::Settings, rows::SALES};
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    documents::{FreeReceipt, SaleLimit},
    evidence::{Breach, Judge, NoVerdict, Papers, Verdict},
    free::TakeRequest,
    goods::GoodsKey,
    ids::ItemId,
    money::Amount,
    offer::{DeliverRequest, OfferRequest},
    purchase::{PurchaseError, check_free_receipt},
    refusal::{ContractFault, GoodsFault, Refusal},
    wire,
};
use serde_json::{Value, json};
use support::bank::secret_key;
use support::{HOUR_MS, ITEM, MerchantFixture};

async fn free_item(sealed: bool) -> MerchantFixture {
    let fixture = MerchantFixture::new();
    fixture.put_up_for(Amount(0), ITEM, b"a sample", sealed).await;
    fixture
}

/// What papers and encrypted goods prove.
fn verdict(papers: &Papers, sealed: &[u8]) -> Result<Verdict, NoVerdict> {
    let mut judge = Judge::new(papers)?;
    let mut goods = Vec::new();
    judge.update(sealed, &mut goods);
    judge.verdict(&mut goods)
}

#[tokio::test]
async fn a_free_item_is_given_without_coins_and_the_same_request_gets_the_same_receipt() {
    let mut fixture = free_item(false).await;
    let offer = fixture.offer().await;
    assert_eq!(offer.body.sales, SaleLimit::Unlimited);
    let sealed = fixture.fetch(&offer.body).await;
    let contract = fixture.order(offer, &[]).contract;
    let head = fixture.head();
    let receipt = fixture.ask(TakeRequest(contract.clone())).await.unwrap();
    check_free_receipt(&receipt, &contract).unwrap();
    // An hour later the offer has expired, and the goods are still served.
    fixture.clock.advance(HOUR_MS);
    fixture.restart();
    let again = fixture.ask(TakeRequest(contract.clone())).await.unwrap();
    assert_eq!(wire::encode(&again).unwrap(), wire::encode(&receipt).unwrap());
    assert_eq!(fixture.head(), head, "nothing is written");
    assert!(
        SALES
            .scan(&fixture.store.view(), std::ops::Bound::Unbounded, 1)
            .unwrap()
            .is_empty()
    );
    assert_eq!(fixture.escrow.asked(), 0);
    let papers = Papers {
        contract: Some(contract.clone()),
        free_receipt: Some(receipt.clone()),
        ..Papers::default()
    };
    assert_eq!(verdict(&papers, &sealed), Ok(Verdict::Delivered));
    // A merchant that signs another key is convicted. Another party's signature proves nothing.
    let wrong = FreeReceipt {
        goods_key: GoodsKey::from_bytes([7; 32]),
        ..receipt.body.clone()
    };
    let signed_by = |key: &SecretKey| Papers {
        free_receipt: Some(Signed::sign(wrong.clone(), key)),
        ..papers.clone()
    };
    let merchants = signed_by(&secret_key(3));
    assert_eq!(
        verdict(&merchants, &sealed),
        Ok(Verdict::MerchantBrokeContract(Breach::GoodsKey))
    );
    let others = verdict(&signed_by(&secret_key(9)), &sealed);
    assert!(
        matches!(
            others,
            Err(NoVerdict::Receipt(PurchaseError::MerchantSignature(_)))
        ),
        "{others:?}"
    );
    let without = Papers {
        free_receipt: None,
        ..papers
    };
    assert!(matches!(verdict(&without, &sealed), Err(NoVerdict::Missing(_))));
}

#[tokio::test]
async fn what_is_not_free_is_not_given_and_what_is_free_is_never_paid() {
    let mut fixture = free_item(false).await;
    let offer = fixture.offer().await;
    // With coins there is no free contract. An escrow would not hold them, and the merchant delivers nothing for them.
    let paid = fixture.order(offer.clone(), &[16]);
    let refused = fixture.refused(TakeRequest(paid.contract.clone())).await;
    assert_eq!(refused, ContractFault::DoesNotFit("list of coins".into()).into());
    let hold = fixture.hold(&paid);
    let refused = fixture
        .refused(DeliverRequest {
            contract: paid.contract,
            hold,
        })
        .await;
    assert_eq!(refused, ContractFault::OfferBounds("price".into()).into());
    // The customer's signature is needed.
    let mut forged = fixture.order(offer.clone(), &[]).contract;
    forged.signature = fixture.order(offer.clone(), &[]).contract.signature;
    let refused = fixture.refused(TakeRequest(forged)).await;
    assert!(
        matches!(refused, Refusal::Contract(ContractFault::Forged(_))),
        "{refused}"
    );
    // An offer at a price is not free, whatever its terms say.
    const SONG: ItemId = ItemId([43; 32]);
    fixture.put_up(SONG, b"a song", false).await;
    let request = OfferRequest {
        item_id: SONG,
        ..fixture.offer_request()
    };
    let priced = fixture.ask(request).await.unwrap().offer;
    let mut contract = fixture.order(priced, &[]).contract;
    contract.terms.price = Amount(0);
    let refused = fixture.refused(TakeRequest(contract)).await;
    assert_eq!(refused, ContractFault::OfferBounds("price".into()).into());
    // Another merchant's offer, and one whose goods are no longer served.
    let contract = fixture.order(offer, &[]).contract;
    let served_ms = Settings::new("FTH".into()).served_ms;
    fixture.clock.advance(served_ms);
    let refused = fixture.refused(TakeRequest(contract)).await;
    assert_eq!(refused, GoodsFault::UnknownOffer.into());
}

#[tokio::test]
async fn a_free_item_has_no_sealed_key() {
    let fixture = free_item(true).await;
    let offer = fixture.offer().await.body;
    assert!(offer.sealed_key.is_none());
    offer.check_bounds().unwrap();
}

#[tokio::test]
async fn a_free_item_has_no_count() {
    let fixture = free_item(false).await;
    let stock = |left: Value| json!({ "do": "goods-stock", "item": ITEM.to_string(), "left": left });
    let price =
        |price: u64| json!({ "do": "goods-set", "item": ITEM.to_string(), "change": { "price": price } });
    let error = fixture.merchant.admin(stock(json!(3))).await.unwrap_err();
    assert!(error.contains("a free item has no count"), "{error}");
    fixture.merchant.admin(price(24)).await.unwrap();
    fixture.merchant.admin(stock(json!(3))).await.unwrap();
    let error = fixture.merchant.admin(price(0)).await.unwrap_err();
    assert!(error.contains("a free item has no count"), "{error}");
    fixture.merchant.admin(stock(Value::Null)).await.unwrap();
    fixture.merchant.admin(price(0)).await.unwrap();
}
