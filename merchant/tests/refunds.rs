//! Refunds: what the operator sets is brought to the bank until the bank confirms it, and never twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use async_trait::async_trait;
use farthing_coin::PublicKey;
use farthing_merchant::merchant::Merchant;
use farthing_node::admin::AdminHandler;
use farthing_node::card::{Card, RoleName};
use farthing_node::network::{Channel, Lane, Network, NetworkError};
use farthing_protocol::{money::Amount, refusal::AccountFault};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;
use support::{
    ITEM, MerchantFixture,
    bank::{Mood, TestBank, Wire, card},
};

/// A merchant with one credited sale, and the id of its purchase.
async fn sold() -> (MerchantFixture, String) {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let purchase = sell(&mut fixture).await;
    (fixture, purchase)
}

/// Sells at the bank of the fixture, and returns the id of the purchase.
async fn sell(fixture: &mut MerchantFixture) -> String {
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    let terms = request.contract.terms.clone();
    fixture.bank.refund_to(terms.purchase_key);
    fixture.ask(request).await.unwrap();
    let purchase = terms.purchase_id().to_string();
    let early = refund(fixture, &purchase, None).await.unwrap_err();
    assert!(early.contains("`committed`"), "{early}");
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    purchase
}

async fn refund(fixture: &MerchantFixture, sale: &str, total: Option<&str>) -> Result<Value, String> {
    let total = total.map(|total| total.parse::<Amount>().unwrap());
    let request = json!({ "do": "refund", "sale": sale, "total": total });
    fixture.merchant.admin(request).await
}

/// What is refunded of the sale, and what the bank has confirmed of it.
async fn standing(fixture: &MerchantFixture, sale: &str, total: &str) -> (Value, Value) {
    let line = refund(fixture, sale, Some(total)).await.unwrap();
    (line["total"].clone(), line["confirmed"].clone())
}

#[tokio::test]
async fn a_refund_is_brought_to_the_bank_once_and_shown_with_its_sale() {
    let (mut fixture, sale) = sold().await;
    let before = fixture.head();
    for wrong in ["0.25", "0.00"] {
        assert!(refund(&fixture, &sale, Some(wrong)).await.is_err());
    }
    assert!(refund(&fixture, "00000000", None).await.is_err());
    assert_eq!(fixture.head(), before);
    assert_eq!(
        standing(&fixture, &sale, "0.10").await,
        (json!("0.10"), json!("0.00"))
    );
    // The row is durable before anything is sent.
    fixture.restart();
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 0);
    for _ in 0..2 {
        assert_eq!(
            standing(&fixture, &sale, "0.10").await,
            (json!("0.10"), json!("0.10"))
        );
        assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 0);
    }
    // The total only grows.
    assert!(refund(&fixture, &sale, Some("0.09")).await.is_err());
    let whole = refund(&fixture, &sale, None).await.unwrap();
    assert_eq!(
        (&whole["total"], &whole["confirmed"]),
        (&json!("0.24"), &json!("0.10"))
    );
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 0);
    assert_eq!(fixture.bank.refunds(), [Amount(10), Amount(24)]);
    let sales = fixture.listed_sales().await;
    assert_eq!(sales[0]["refunded"], "0.24");
    assert_eq!(sales[0]["state"], "credited");
    let events = fixture.events(0).await;
    let refunded = events.iter().filter(|event| event["type"] == "sale.refunded");
    let refunded: Vec<&Value> = refunded.map(|event| &event["refunded"]).collect();
    assert_eq!(refunded, [&json!("0.10"), &json!("0.24")]);
}

#[tokio::test]
async fn a_refund_that_the_bank_refuses_or_answers_wrongly_stays_open_and_says_why() {
    let (fixture, sale) = sold().await;
    let (balance, asked) = (Amount(3), Amount(10));
    let fault = AccountFault::Balance { balance, asked };
    fixture.bank.set_mood(Mood::Refusing(fault.clone().into()));
    refund(&fixture, &sale, Some("0.10")).await.unwrap();
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 1);
    let line = refund(&fixture, &sale, Some("0.10")).await.unwrap();
    assert_eq!(
        (&line["confirmed"], &line["why"]),
        (&json!("0.00"), &json!(fault.to_string()))
    );
    // The same refusal again is not written again.
    let before = fixture.head();
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 1);
    assert_eq!(fixture.head(), before);
    fixture.bank.set_mood(Mood::Lying);
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 1);
    assert_eq!(
        standing(&fixture, &sale, "0.10").await,
        (json!("0.10"), json!("0.00"))
    );
    fixture.bank.set_mood(Mood::Honest);
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 0);
    let line = refund(&fixture, &sale, Some("0.10")).await.unwrap();
    assert_eq!((&line["confirmed"], &line["why"]), (&json!("0.10"), &Value::Null));
}

/// A network in which one party never answers. It counts the requests to that party.
#[derive(Clone)]
struct SilentParty {
    wire: Wire,
    silent: PublicKey,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Network for SilentParty {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        match card.identity == self.silent {
            true => Ok(Arc::new(self.clone())),
            false => self.wire.connect(card, lane).await,
        }
    }
}

#[async_trait]
impl Channel for SilentParty {
    async fn call_into(&self, _: Vec<u8>, _: Duration, _: &mut Vec<u8>) -> Result<(), NetworkError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Err(NetworkError::Unreachable {
            peer: "bank".into(),
            reason: "it does not answer".into(),
        })
    }
}

#[tokio::test]
async fn a_silent_bank_is_asked_once_in_a_round_and_keeps_no_other_bank_waiting() {
    let (mut fixture, sale) = sold().await;
    let second = sell(&mut fixture).await;
    let (silent, other) = (Arc::clone(&fixture.bank), TestBank::new(7));
    fixture.wire.attach(other.key(), other.clone());
    let network = SilentParty {
        wire: fixture.wire.clone(),
        silent: silent.key(),
        asked: Arc::default(),
    };
    let cards = [
        card(RoleName::Bank, "central", &silent.key()),
        card(RoleName::Bank, "other", &other.key()),
        card(RoleName::Escrow, "fair", &fixture.escrow.identity.public()),
    ];
    let merchant = |fixture: &MerchantFixture, network: Arc<dyn Network>| {
        let mut parts = support::parts(
            &fixture.wire,
            fixture.home.path(),
            &fixture.store,
            &fixture.clock,
            1,
        );
        (parts.cards, parts.network) = (cards.to_vec(), network);
        Arc::new(Merchant::new(parts))
    };
    fixture.merchant = merchant(&fixture, Arc::new(fixture.wire.clone()));
    fixture.bank = Arc::clone(&other);
    let third = sell(&mut fixture).await;
    fixture.merchant = merchant(&fixture, Arc::new(network.clone()));
    for sale in [&sale, &second, &third] {
        refund(&fixture, sale, Some("0.10")).await.unwrap();
    }
    assert_eq!(fixture.merchant.refunds_round().await.unwrap(), 2);
    assert_eq!(network.asked.load(Ordering::Relaxed), 1);
    assert_eq!((silent.refunds(), other.refunds()), (vec![], vec![Amount(10)]));
}
