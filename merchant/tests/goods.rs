//! Goods and offers: the goods on the shelf are served whole, and an offer describes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_merchant::admin::{AdminRequest, answer};
use farthing_merchant::merchant::{OFFER_LIFE_MAX_MS, Settings};
use farthing_merchant::secret::MerchantSecret;
use farthing_node::admin::AdminHandler;
use farthing_node::bank_keys::KEYS_FAILED_MS;
use farthing_protocol::ids::{EncryptedDigest, ItemId};
use farthing_protocol::{
    documents::SaleLimit,
    goods::{Decryptor, RunningDigest, encrypted_len},
    limits::{CATALOG_PAGE_MAX, DEADLINE_HORIZON_MS, DEADLINE_LEAST_MS, GOODS_PIECE_BYTES},
    money::Amount,
    offer::{CatalogRequest, OfferRequest, PieceRequest},
    refusal::{GoodsFault, Later, Refusal},
    seal::{opens, unwrap},
};
use farthing_store::clock::Clock;
use serde_json::{Value, json};
use std::time::Duration;
use support::bank::secret_key;
use support::{ITEM, MerchantFixture};

#[tokio::test]
async fn pieces_add_up_to_the_goods_that_the_offer_describes() {
    let fixture = MerchantFixture::new();
    let goods = fixture.rng_bytes(2 * GOODS_PIECE_BYTES + 1234);
    let summary = fixture.add(ITEM, &goods).await;
    // The first offer stores the bank's key list.
    fixture.offer().await;
    let head = fixture.head();
    let offer = fixture.offer().await;
    offer.verify(&fixture.merchant.self_id()).unwrap();
    let offer = offer.body;
    offer.check_bounds().unwrap();
    assert_eq!(fixture.head(), head, "an offer writes nothing");
    assert_eq!(offer.size_bytes, goods.len() as u64);
    assert_eq!(offer.encrypted_bytes, encrypted_len(offer.size_bytes));
    assert_eq!(offer.encrypted_digest, summary.encrypted_digest);
    assert_eq!(offer.banks[0].account, fixture.merchant.account());
    assert_eq!(offer.banks[0].key_list_digest, fixture.bank.book.digest());
    assert_eq!(offer.sales, SaleLimit::Once);
    assert_eq!((offer.banks.len(), offer.escrows.len()), (1, 1));

    let sealed = fixture.fetch(&offer).await;
    let mut digest = RunningDigest::new();
    digest.update(&sealed);
    assert_eq!(digest.finish(), offer.encrypted_digest);

    let secret = MerchantSecret::load(fixture.home.path()).unwrap();
    let goods_key = secret.goods_key(&offer.sale_id);
    assert!(opens(&offer.key_commitment, &goods_key));
    let content_key = unwrap(&goods_key, &offer.sale_id, &offer.wrapped_key).unwrap();
    let mut decryptor = Decryptor::new(&content_key);
    let mut opened = Vec::new();
    decryptor.update(&sealed, &mut opened).unwrap();
    assert_eq!(decryptor.finish(&mut opened).unwrap().digest, offer.goods_digest);
    assert!(opened == goods);
}

#[tokio::test]
async fn no_offer_is_open_longer_than_its_escrow_accepts() {
    let mut settings = Settings::new("FTH".into());
    settings.check().unwrap();
    for (life_ms, is_good) in [
        (0, false),
        (DEADLINE_LEAST_MS, true),
        (OFFER_LIFE_MAX_MS, true),
        (OFFER_LIFE_MAX_MS + 1, false),
    ] {
        settings.offer_life_ms = life_ms;
        assert_eq!(settings.check().is_ok(), is_good, "{life_ms}");
    }
    settings.offer_life_ms = u64::MAX;
    let mut fixture = MerchantFixture::new();
    fixture.set(settings);
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await.body;
    assert_eq!(offer.expires_ms, fixture.clock.now_ms() + OFFER_LIFE_MAX_MS);
    assert!(offer.expires_ms < fixture.clock.now_ms() + DEADLINE_HORIZON_MS);
}

#[tokio::test]
async fn every_offer_has_its_own_sale_id() {
    let fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let (one, other) = (fixture.offer().await, fixture.offer().await);
    assert_ne!(one.body.sale_id, other.body.sale_id);
    assert_ne!(one.body.key_commitment, other.body.key_commitment);
}

#[tokio::test]
async fn requests_for_unknown_items_or_unaccepted_terms_are_refused() {
    let fixture = MerchantFixture::new();
    let summary = fixture.add(ITEM, b"goods").await;
    let (good, stranger) = (fixture.offer_request(), secret_key(66).public());
    let bad = |change: fn(&mut OfferRequest, farthing_coin::PublicKey)| {
        let mut request = good;
        change(&mut request, stranger);
        request
    };
    assert_eq!(
        fixture.refused(bad(|r, _| r.item_id = ItemId([0; 32]))).await,
        GoodsFault::UnknownItem.into()
    );
    assert_eq!(
        fixture.refused(bad(|r, s| r.bank = s)).await,
        GoodsFault::NotAccepted("bank".into()).into()
    );
    assert_eq!(
        fixture.refused(bad(|r, s| r.escrow = s)).await,
        GoodsFault::NotAccepted("escrow".into()).into()
    );
    let piece = |item_id, encrypted_digest, offset| PieceRequest {
        item_id,
        encrypted_digest,
        offset,
    };
    let digest = summary.encrypted_digest;
    for request in [
        piece(ItemId([0; 32]), digest, 0),
        piece(ITEM, EncryptedDigest([0; 32]), 0),
        piece(ITEM, digest, summary.encrypted_bytes + 1),
        piece(ITEM, digest, u64::MAX),
    ] {
        assert_eq!(fixture.refused(request).await, GoodsFault::UnknownPiece.into());
    }
    let end = fixture
        .ask(piece(ITEM, digest, summary.encrypted_bytes))
        .await
        .unwrap();
    assert!(end.bytes.is_empty());
}

#[tokio::test]
async fn an_offer_needs_the_banks_key_list_once() {
    let fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    fixture.wire.detach(&fixture.bank.key());
    assert_eq!(
        fixture.refused(fixture.offer_request()).await,
        Refusal::Later(Later::PeerSilent("bank".into()))
    );
    fixture.wire.attach(fixture.bank.key(), fixture.bank.clone());
    // The merchant remembers for a while that the bank was silent.
    assert_eq!(
        fixture.refused(fixture.offer_request()).await,
        Refusal::Later(Later::PeerSilent("bank".into()))
    );
    tokio::time::sleep(Duration::from_millis(KEYS_FAILED_MS)).await;
    fixture.offer().await;
    fixture.wire.detach(&fixture.bank.key());
    fixture.offer().await;
}

#[tokio::test]
async fn a_restarted_merchant_has_the_banks_key_list() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    fixture.offer().await;
    fixture.wire.detach(&fixture.bank.key());
    fixture.restart();
    fixture.offer().await;
}

#[tokio::test]
async fn the_catalog_comes_in_pages() {
    let fixture = MerchantFixture::new();
    for number in 0..=CATALOG_PAGE_MAX {
        fixture.add(ItemId([number as u8; 32]), b"goods").await;
    }
    let first = fixture.ask(CatalogRequest { after: None }).await.unwrap();
    assert_eq!((first.items.len(), first.more), (CATALOG_PAGE_MAX, true));
    let after = first.items.last().map(|item| item.item_id);
    let second = fixture.ask(CatalogRequest { after }).await.unwrap();
    assert_eq!((second.items.len(), second.more), (1, false));
    assert_eq!(second.items[0].title, "a picture");
}

#[tokio::test]
async fn a_removed_item_is_served_until_its_time_is_over_and_then_gone() {
    let fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let offer = fixture.offer().await.body;
    let remove = json!({
        "do": "goods-remove",
        "item": hex::encode(ITEM)[..7],
        "served_until_ms": offer.served_until_ms,
    });
    fixture.merchant.admin(remove.clone()).await.unwrap();
    assert!(
        fixture.merchant.admin(remove).await.is_err(),
        "it is not for sale any more"
    );
    assert_eq!(
        fixture.refused(fixture.offer_request()).await,
        GoodsFault::UnknownItem.into()
    );
    assert_eq!(fixture.merchant.tidy().await.unwrap(), 0);
    assert_eq!(fixture.fetch(&offer).await.len() as u64, offer.encrypted_bytes);

    fixture.clock.set(offer.served_until_ms);
    assert_eq!(fixture.merchant.tidy().await.unwrap(), 1);
    let piece = PieceRequest {
        item_id: ITEM,
        encrypted_digest: offer.encrypted_digest,
        offset: 0,
    };
    assert_eq!(fixture.refused(piece).await, GoodsFault::UnknownPiece.into());
    assert!(fixture.shelf().encrypted_bytes(&ITEM).is_err());
}

#[tokio::test]
async fn the_operator_adds_only_shelved_goods_that_can_be_offered() {
    let fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let list = fixture
        .merchant
        .admin(json!({ "do": "goods-list", "after": null }))
        .await
        .unwrap();
    let item = list["lines"][0]["item"].clone();
    assert_eq!(list["lines"][0]["item_id"], hex::encode(ITEM));
    let add = |item_id: [u8; 32], item: Value| json!({ "do": "goods-add", "item_id": hex::encode(item_id), "item": item });
    for (request, expected) in [
        (add(ITEM.0, item.clone()), "taken"),
        (add([1; 32], item.clone()), "not on the shelf"),
        (add([1; 32], json!({ "title": "" })), "not understood"),
    ] {
        let error = fixture.merchant.admin(request).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    for (field, value, expected) in [
        ("title", json!("x".repeat(97)), "at most 96"),
        ("title", json!(" "), "--title"),
        ("description", json!("x".repeat(257)), "at most 256"),
        ("media_type", json!("x".repeat(65)), "at most 64"),
        ("currency", json!("x".repeat(13)), "not a currency"),
    ] {
        let mut changed = item.clone();
        changed[field] = value;
        let error = fixture.merchant.admin(add([1; 32], changed)).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    for prefix in ["2a", "zzzz", "0000"] {
        let request = AdminRequest::Evidence { sale: prefix.into() };
        assert!(
            answer(&fixture.store, &fixture.shelf(), request).is_err(),
            "{prefix}"
        );
    }
}

#[tokio::test]
async fn a_price_that_no_payment_can_have_is_refused_with_the_highest_one() {
    let fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let list = json!({ "do": "goods-list", "after": null });
    let list = fixture.merchant.admin(list).await.unwrap();
    let refused = async |price: u64, currency: &str| {
        let mut item = list["lines"][0]["item"].clone();
        item["price"] = json!(price);
        item["currency"] = json!(currency);
        let add = json!({ "do": "goods-add", "item_id": hex::encode([1; 32]), "item": item });
        fixture.merchant.admin(add).await.unwrap_err()
    };
    let largest = fixture.bank.book.values().last().unwrap();
    let highest = 64 * largest;
    // The bank's list of keys is not known yet.
    assert!(refused(highest + 1, "FTH").await.contains("not on the shelf"));
    fixture.offer().await;
    let error = refused(highest + 1, "FTH").await;
    let says = format!(
        "the highest price up to it that can be paid is {}",
        Amount(highest)
    );
    assert!(
        error.contains("no payment can be worth") && error.to_lowercase().contains(&says),
        "{error}"
    );
    assert!(refused(highest, "FTH").await.contains("not on the shelf"));
    assert!(refused(highest + 1, "EUR").await.contains("not on the shelf"));
}

#[tokio::test]
async fn a_changed_item_has_the_same_goods_and_offers_that_are_out_keep_their_price() {
    let fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let before = fixture.offer().await.body;
    let set = |change: Value| json!({ "do": "goods-set", "item": ITEM.to_string()[..8], "change": change });
    let change = set(json!({ "price": 26, "title": "a better picture" }));
    let answer = fixture.merchant.admin(change).await.unwrap();
    assert_eq!(answer["item"]["description"], "of a farthing");
    let after = fixture.offer().await.body;
    assert_eq!((after.price, before.price), (Amount(26), Amount(24)));
    assert_eq!(after.title, "a better picture");
    assert_eq!(after.encrypted_digest, before.encrypted_digest);
    assert_eq!(after.goods_digest, before.goods_digest);
    let head = fixture.head();
    for bad in [json!({ "price": 24, "title": "" }), json!({ "title": " " })] {
        fixture.merchant.admin(set(bad)).await.unwrap_err();
    }
    assert_eq!(fixture.head(), head, "a refused change was written");
}
