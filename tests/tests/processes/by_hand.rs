//! A purchase with the commands of the README, the evidence of each party, and tampered goods.

use crate::{coins, testbed};
use farthing_protocol::money::Amount;
use farthing_tests::processes::{
    buyer::Buyer,
    goods::{POSTCARD, PRICE},
    run::{Wait, until},
    testbed::{Testbed, WITHDRAWN},
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn a_purchase_by_hand_and_everything_that_proves_it() {
    let testbed = testbed();
    let alice = testbed.newcomer("alice");
    assert_eq!(alice.done(&["account"])["balance"]["units"], 5000);
    assert_eq!(
        alice.done(&["account", "--key"])["account"],
        alice.account.as_str()
    );
    assert_eq!(alice.done(&["withdraw", WITHDRAWN])["withdrawn"]["units"], 2000);
    assert_eq!(alice.done(&["account"])["balance"]["units"], 3000);

    // Anyone can verify the coins with a program of their own.
    let bank = testbed.bank.card().identity.to_string();
    let listed = alice.done(&["coins"]);
    let coins = listed["coins"].as_array().unwrap();
    assert_eq!(
        coins.iter().map(|coin| coins::verify(coin, &bank)).sum::<u64>(),
        2000
    );

    let catalog = alice.done(&["catalog", "studio"]);
    assert_eq!(catalog["items"][0]["title"], POSTCARD);
    assert_eq!(catalog["items"][0]["price"]["units"], PRICE);
    let bought = alice.buys(POSTCARD, "card.txt");
    assert_eq!(bought["purchase"]["delivery"], "delivered");
    let same = fs::read(alice.goods("card.txt")).unwrap() == fs::read(testbed.original(POSTCARD)).unwrap();
    assert!(same, "the goods are another file");
    assert_eq!(alice.balance(), [2000 - PRICE, 0, 0]);
    // The coins of the change verify like the withdrawn ones.
    let listed = alice.done(&["coins", "--all"]);
    for coin in listed["coins"].as_array().unwrap() {
        coins::verify(coin, &bank);
    }

    let history = alice.done(&["history"]);
    let matters: Vec<&str> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry["begun_ms"].as_u64().is_some(), "{entry}");
            entry["matter"].as_str().unwrap()
        })
        .collect();
    assert_eq!(matters[0], "withdrawal");
    assert!(matters.contains(&"purchase"), "{matters:?}");
    assert_eq!(history["history"][0]["amount"]["units"], 2000);

    // The evidence of the customer and of the merchant proves the delivery, without a wallet and without the network.
    let documents = alice.goods("receipt.json");
    let documents = documents.to_str().unwrap();
    let receipt = shown_receipt(&alice, documents);
    let [sealed] = alice.sealed().try_into().unwrap();
    assert_named_otherwise(&sealed, &receipt);
    let sealed_text = sealed.to_str().unwrap();
    let verdict = alice.done(&["receipt", "verify", documents, sealed_text]);
    assert_eq!(verdict["verdict"], "delivered");
    let purchase = bought["purchase"]["purchase_id"].as_str().unwrap();
    let exported = exported_sale(&testbed, purchase);
    let exported = exported.to_str().unwrap();
    let verdict = alice.done(&["receipt", "verify", exported, sealed_text]);
    assert_eq!(verdict["purchase_id"], purchase);

    // Tampered goods prove nothing against any party.
    let tampered = tampered(&alice, &sealed);
    let tampered = tampered.to_str().unwrap();
    for documents in [documents, exported] {
        let verdict = alice.run(&["receipt", "verify", documents, tampered]).json(6);
        assert_eq!(verdict["verdict"], "proves_nothing");
    }

    assert_eq!(alice.done(&["resume"])["open"], json!([]));
    testbed.check(&[&alice]);
}

/// Writes the receipt of purchase 0 to `documents` and returns it. Without `--force` no file is replaced, and no file
/// beside it is touched.
fn shown_receipt(alice: &Buyer, documents: &str) -> Vec<u8> {
    alice.done(&["receipt", "show", "0", "-o", documents]);
    let receipt = fs::read(documents).unwrap();
    let beside = alice.goods("receipt.new");
    fs::write(&beside, "own file").unwrap();
    let refused = alice.run(&["receipt", "show", "0", "-o", documents]).json(1);
    assert!(
        refused["error"].as_str().unwrap().contains("--force"),
        "{refused}"
    );
    fs::write(documents, "old").unwrap();
    alice.done(&["receipt", "show", "0", "-o", documents, "--force"]);
    assert_eq!(fs::read(documents).unwrap(), receipt);
    assert_eq!(fs::read(&beside).unwrap(), b"own file");
    receipt
}

/// Asserts that the file name of the encrypted goods does not contain their digest.
fn assert_named_otherwise(sealed: &Path, receipt: &[u8]) {
    let contract: serde_json::Value = serde_json::from_slice(receipt).unwrap();
    let digest = contract["contract"]["offer"]["body"]["encrypted_digest"]
        .as_str()
        .unwrap();
    let name = sealed.file_stem().unwrap().to_str().unwrap();
    assert!(
        !digest.contains(name),
        "the file name contains the digest of the goods"
    );
}

/// The merchant's evidence of a purchase, once the sale is credited.
fn exported_sale(testbed: &Testbed, purchase: &str) -> PathBuf {
    until("the sale is credited", || {
        let sales = testbed.merchant.admin(&["sales"], &[]).wait();
        (sales["sales"][0]["state"] == "credited").then_some(())
    });
    let exported = testbed.dir().join("sale.json");
    testbed
        .merchant
        .admin(
            &["evidence"],
            &[&purchase[..12], "-o", exported.to_str().unwrap()],
        )
        .wait();
    exported
}

#[test]
fn a_link_buys_an_item_for_no_more_than_it_says_and_none_pins_a_card_by_itself() {
    let testbed = testbed();
    let alice = testbed.newcomer("alice");
    alice.done(&["withdraw", WITHDRAWN]);
    alice.done(&["network", "remove", "merchant", "studio"]);
    let listed = testbed.merchant.admin(&["goods", "list"], &[]).wait();
    let item = listed["items"].as_array().unwrap();
    let item = item.iter().find(|item| item["title"] == POSTCARD).unwrap();
    let item = item["item_id"].as_str().unwrap();
    let link = |args: &[&str]| testbed.merchant.admin(&["goods", "link"], args).wait()["uri"].clone();
    let offer = link(&[&item[..8]]);
    let offer = offer.as_str().unwrap();
    let file = alice.goods("linked.txt");
    let output = file.to_str().unwrap();

    let unknown = alice.run(&["open", offer, "-o", output, "--yes"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    let card = testbed.merchant.card().to_string();
    for args in [&["open", &card][..], &["open", &card, "--yes"]] {
        let refused = alice.run(args);
        assert_eq!(
            refused.code,
            Some(1),
            "a card is pinned without a person: {refused:?}"
        );
    }
    let pinned = alice.done(&["network", "add", &card]);
    assert_eq!(pinned["card"]["name"], "studio");

    // A link of yesterday does not buy at the price of today.
    let dearer = Amount(PRICE + 1).to_string();
    testbed
        .merchant
        .admin(&["goods", "set"], &[item, "--price", &dearer])
        .wait();
    let refused = alice.run(&["open", offer, "-o", output, "--yes"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(alice.balance(), [2000, 0, 0]);
    let offer = link(&[item]);
    let bought = alice.done(&["open", offer.as_str().unwrap(), "-o", output, "--yes"]);
    assert_eq!(bought["purchase"]["delivery"], "delivered");
    assert_eq!(
        fs::read(&file).unwrap(),
        fs::read(testbed.original(POSTCARD)).unwrap()
    );
    testbed.check(&[&alice]);
}

/// A copy of the sealed goods with one bit changed.
fn tampered(alice: &Buyer, sealed: &Path) -> PathBuf {
    let tampered = alice.goods("tampered.sealed");
    let mut bytes = fs::read(sealed).unwrap();
    bytes[40] ^= 1;
    fs::write(&tampered, bytes).unwrap();
    tampered
}
