//! Sealed offers: after the offer, the purchase does not need the merchant, who learns of the sale later.

use crate::testbed;
use farthing_node::card::RoleName::Escrow;
use farthing_tests::processes::{
    buyer::units,
    run::{Wait, until},
};
use serde_json::json;
use std::fs;

const SEALED: &str = "A sealed postcard";

#[test]
fn a_sealed_offer_is_bought_while_its_merchant_is_down_and_the_merchant_gets_the_receipt_later() {
    let testbed = testbed();
    testbed.sell_sealed(SEALED, b"Greetings from nobody in particular");
    let alice = testbed.customer("alice");
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(SEALED, "card.txt");
    assert_eq!(alice.status(0), "holding");
    testbed.merchant.kill().wait();
    alice.lines.heal();
    alice.carries_on(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    let same = fs::read(alice.goods("card.txt")).unwrap() == fs::read(testbed.original(SEALED)).unwrap();
    assert!(same, "the goods are another file");

    testbed.merchant.start().wait();
    let sale = until("the merchant learns of the sale, and is credited", || {
        let sales = testbed.merchant.admin(&["sales"], &[]).wait();
        let sale = sales["sales"][0].clone();
        (sale["state"] == "credited").then_some(sale)
    });
    let purchase = &alice.purchases()[0];
    assert_eq!(sale["purchase"], purchase["purchase_id"]);
    assert_eq!(
        testbed.account(&testbed.merchant_account),
        units(&purchase["price"])
    );

    // Customer and merchant both have evidence that convinces a judge.
    let [customers, merchants] = ["customer.json", "merchant.json"].map(|name| alice.goods(name));
    alice.done(&["receipt", "show", "0", "-o", customers.to_str().unwrap()]);
    let [sealed] = alice.sealed().try_into().unwrap();
    let of = sale["purchase"].as_str().unwrap();
    testbed
        .merchant
        .admin(&["evidence"], &[of, "-o", merchants.to_str().unwrap()])
        .wait();
    for documents in [&customers, &merchants] {
        let files = [documents, &sealed].map(|file| file.to_str().unwrap());
        let verdict = alice.done(&["receipt", "verify", files[0], files[1]]);
        assert_eq!(verdict["verdict"], "delivered");
    }

    // The merchant can open the sealed key to a judge, by the sale id in the customer's documents.
    let documents: serde_json::Value = serde_json::from_slice(&fs::read(&customers).unwrap()).unwrap();
    let sale_id = documents["contract"]["offer"]["body"]["sale_id"]
        .as_str()
        .unwrap();
    let secret = testbed.merchant.admin(&["sealing-secret"], &[sale_id]).wait();
    assert_eq!(secret["sealing_secret"].as_str().map(str::len), Some(64));
    testbed.check(&[&alice]);
}

/// A wallet with the whole id of the item sends one request to the merchant and one to the escrow.
#[test]
fn a_sealed_offer_of_a_known_item_takes_one_request_to_its_merchant_and_costs_at_most_the_limit() {
    let testbed = testbed();
    testbed.sell_sealed(SEALED, b"Greetings from nobody in particular");
    let alice = testbed.customer("alice");
    let catalog = alice.done(&["catalog", "studio"]);
    let items = catalog["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["title"] == SEALED).unwrap();
    let (item_id, price) = (
        item["item_id"].as_str().unwrap(),
        item["price"]["text"].as_str().unwrap(),
    );
    let goods = alice.goods("card.txt");
    let buying = [
        "buy",
        "studio",
        item_id,
        "-o",
        goods.to_str().unwrap(),
        "--at-most",
    ];
    let asked = || {
        testbed.merchant.admin(&["status"], &[]).wait()["network"]["requests"]
            .as_u64()
            .unwrap()
    };

    let before = asked();
    let says = alice.run(&[&buying[..], &["0.01"]].concat()).error(1);
    assert!(says.contains("at most 0.01 was to be paid"), "{says}");
    assert_eq!(alice.purchases(), [json!(null); 0]);
    assert_eq!(asked() - before, 1);
    alice.done(&[&buying[..], &[price]].concat());
    assert_eq!(asked() - before, 2);
    let same = fs::read(goods).unwrap() == fs::read(testbed.original(SEALED)).unwrap();
    assert!(same, "the goods are another file");
    testbed.check(&[&alice]);
}
