//! Events: each change of a sale is told once, in order, and posted to the web shop until it is taken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use farthing_merchant::webhook_secret::WebhookSecret;
use farthing_node::admin::AdminHandler;
use farthing_node::process::stop_pair;
use farthing_node::serve::Role;
use serde_json::{Value, json};
use std::time::Duration;
use support::{ITEM, MerchantFixture};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn kinds(events: &[Value]) -> Vec<(u64, String)> {
    let kind = |event: &Value| {
        (
            event["number"].as_u64().unwrap(),
            event["type"].as_str().unwrap().to_owned(),
        )
    };
    events.iter().map(kind).collect()
}

fn numbered(from: u64, kinds: &[&str]) -> Vec<(u64, String)> {
    (from..)
        .zip(kinds.iter().map(|kind| (*kind).to_owned()))
        .collect()
}

#[tokio::test]
async fn each_change_of_a_sale_is_one_event_and_a_restart_adds_none() {
    let mut fixture = MerchantFixture::new();
    fixture.put_up_counted(false, 1).await;
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    fixture.ask(request.clone()).await.unwrap();
    fixture.restart();
    fixture.ask(request.clone()).await.unwrap();
    assert_eq!(fixture.merchant.sales_round().await.unwrap(), 0);
    let all = fixture.events(0).await;
    let expected = ["sale.committed", "stock.out", "sale.credited"];
    assert_eq!(kinds(&all), numbered(1, &expected));
    let purchase = request.contract.terms.purchase_id().to_string();
    assert_eq!(all[0]["purchase"], purchase);
    assert_eq!(
        (&all[0]["amount"], &all[0]["currency"]),
        (&json!("0.24"), &json!("FTH"))
    );
    assert_eq!(
        (&all[1]["item_id"], &all[1]["left"]),
        (&json!(ITEM.to_string()), &json!(0))
    );
    assert_eq!(fixture.events(2).await, all[2..]);
    // An event has nothing that a coin, an order or a customer is known by.
    let mut fields: Vec<&str> = all[0].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = [
        "amount", "at_ms", "currency", "id", "item_id", "number", "purchase", "title", "type",
    ];
    assert_eq!(fields, expected);
}

/// One request that the web shop has received: its head and its body.
struct Posted {
    head: String,
    body: String,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        let found = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}

/// Takes one request, and answers with `status`.
async fn take(shop: &TcpListener, status: &str) -> Posted {
    let taken = async {
        let (mut stream, _) = shop.accept().await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let mut some = [0; 1024];
            let count = stream.read(&mut some).await.unwrap();
            bytes.extend_from_slice(&some[..count]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let (head, body) = (head.to_owned(), body.to_owned());
            let posted = Posted { head, body };
            if posted.header("content-length") == posted.body.len().to_string() {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                return posted;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), taken)
        .await
        .expect("a request")
}

#[tokio::test]
async fn events_are_posted_signed_in_order_and_again_until_they_are_taken() {
    let mut fixture = MerchantFixture::new();
    fixture.add(ITEM, b"goods").await;
    let shop = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/farthing?shop=1", shop.local_addr().unwrap());
    fixture.post_events_to(&url, fixture.clock.clone()).await;
    let secret = WebhookSecret::load(fixture.home.path()).unwrap();
    let (stopper, stop) = stop_pair();
    let background = tokio::spawn(fixture.merchant.clone().background(stop));
    let offer = fixture.offer().await;
    let request = fixture.held(offer);
    // The sale does not wait for the shop, which has not answered anything yet.
    fixture.ask(request).await.unwrap();
    let refused = take(&shop, "503 Service Unavailable").await;
    let first = take(&shop, "204 No Content").await;
    let second = take(&shop, "200 OK").await;
    assert_eq!(refused.body, first.body);
    assert_eq!(refused.header("webhook-id"), first.header("webhook-id"));
    for (number, posted) in [(1, &first), (2, &second)] {
        assert!(
            posted.head.starts_with("POST /farthing?shop=1 HTTP/1.1"),
            "{}",
            posted.head
        );
        let (id, seconds) = (posted.header("webhook-id"), posted.header("webhook-timestamp"));
        let signature = secret.sign(id, seconds.parse().unwrap(), &posted.body);
        assert_eq!(posted.header("webhook-signature"), signature);
        let event: Value = serde_json::from_str(&posted.body).unwrap();
        assert_eq!(event["number"], number);
        assert_eq!(event, fixture.events(number - 1).await[0]);
    }
    // An event can be posted again, and is the same.
    let again = json!({ "do": "webhook-redeliver", "number": 1 });
    fixture.merchant.admin(again).await.unwrap();
    let posted = take(&shop, "200 OK").await;
    assert_eq!(posted.body, first.body);
    let none = json!({ "do": "webhook-redeliver", "number": 3 });
    fixture.merchant.admin(none).await.unwrap_err();
    for _ in 0..100 {
        let show = json!({ "do": "webhook-show" });
        let state = fixture.merchant.admin(show).await.unwrap();
        if (&state["delivered"], &state["again"]) == (&json!(2), &json!(0)) {
            stopper.stop();
            background.await.unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the deliveries were not stored");
}
