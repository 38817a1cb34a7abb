//! Lost replies, and a lost wallet.

use crate::testbed;
use farthing_kit::{faults::Faults, line::Way, points::Party};
use farthing_node::card::{
    Card,
    RoleName::{Bank, Escrow, Merchant},
};
use farthing_tests::processes::{
    buyer::PurchaseRequest,
    goods::POSTCARD,
    run::{Wait, until},
};
use serde_json::json;
use std::{fs, thread, time::Duration};

#[test]
fn a_withdrawal_whose_reply_is_lost_is_debited_once() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    // Requests are slow, so it is certain which reply is lost.
    let slow = Faults {
        delay_ms: 300,
        ..Faults::default()
    };
    alice.lines.to(Bank).set_faults(Way::ToServer, slow);
    let mut withdrawing = alice.start(&["--patience", "3", "withdraw", "10.00"]);
    withdrawing.until_says(r#"question: "withdraw, finish""#).wait();
    alice.lines.lose_answers_of(&[Bank]);
    withdrawing.end().wait().must_end_with(10);
    // The bank has acted, and the reply is lost.
    assert_eq!(testbed.account(&alice.account), 2000);
    assert_eq!(alice.balance(), [2000, 0, 0]);
    alice.into_silence(&["resume"]);
    alice.lines.heal();
    for _ in 0..2 {
        alice.done(&["resume"]);
        assert_eq!(alice.balance(), [3000, 0, 0]);
        assert_eq!(testbed.account(&alice.account), 2000);
    }
    testbed.check(&[&alice]);
}

#[test]
fn a_wallet_is_restored_from_its_words_in_the_middle_of_a_purchase() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    alice.done(&["exchange", "--all"]);
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(POSTCARD, "other goods");
    alice.lines.heal();
    alice.lines.lose_requests_to(&[Merchant]);
    alice.into_silence(&["resume", "1"]);
    assert_eq!(alice.status(1), "held");
    let before = alice.balance();
    alice.lines.heal();

    fs::remove_dir_all(alice.dir()).unwrap();
    let dir = testbed.dir().join("alice-again");
    let (alice, restored) = alice.restored(&dir, [testbed.bank.card(), testbed.escrow.card()]);
    assert_eq!(restored["banks"][0]["found"]["purchases"], 2);
    assert_eq!(alice.balance(), [before[0], 0, 0]);
    // The purchase under way has ended. Goods of past purchases are fetched on demand.
    let purchases = alice.purchases();
    let on_demand: Vec<_> = purchases
        .iter()
        .filter(|purchase| purchase["delivery"] == "on_demand")
        .collect();
    assert_eq!(on_demand.len(), 1);
    alice.done(&["resume", &on_demand[0]["number"].to_string()]);
    testbed.check(&[&alice]);
}

#[test]
fn a_restore_names_the_parties_whose_cards_are_lacking_and_an_exported_file_has_them() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.waits_with_a_hold();
    let shop = alice
        .lines
        .card(Party::Wallet, testbed.merchant.card())
        .to_string();
    alice.done(&["network", "add", &shop, "--as", "corner"]);
    let file = testbed.dir().join("cards.json");
    let file = file.to_str().unwrap();
    alice.done(&["export", "-o", file]);

    // The words and the bank's card alone.
    fs::remove_dir_all(alice.dir()).unwrap();
    let alice = alice.with_words_only(&testbed.dir().join("alice-again"));
    let restored = alice.restores(&[testbed.bank.card()], "60").json(1);
    let lacking = restored["lacking"].as_array().unwrap();
    assert_eq!(lacking.len(), 2, "{restored}");
    let escrow = testbed.escrow.card();
    assert_eq!(lacking[0]["identity"], escrow.identity_hex(), "{restored}");
    assert_eq!(
        (&lacking[0]["role"], &lacking[0]["purchases"]),
        (&json!("escrow"), &json!([0]))
    );
    assert_eq!(lacking[0]["then"], "farthing resume");
    assert_eq!(
        (&lacking[1]["role"], &lacking[1]["card"]),
        (&json!("merchant"), &json!(shop))
    );
    alice.done(&[
        "network",
        "add",
        &alice.lines.card(Party::Wallet, escrow).to_string(),
    ]);
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");

    // The words and the exported file.
    fs::remove_dir_all(alice.dir()).unwrap();
    let dir = testbed.dir().join("alice-once-more");
    let alice = alice.with_words_only(&dir);
    let words = dir.with_extension("words");
    fs::write(&words, &alice.words).unwrap();
    let restored = alice.done(&[
        "restore",
        "--phrase-file",
        words.to_str().unwrap(),
        "--import",
        file,
    ]);
    assert_eq!(restored["lacking"], json!([]), "{restored}");
    assert_eq!(alice.purchases()[0]["merchant"], "corner");
    alice.fetches_what_was_restored();
    testbed.check(&[&alice]);
}

#[test]
fn a_restore_from_two_banks_says_which_one_is_not_complete() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    fs::remove_dir_all(alice.dir()).unwrap();
    let alice = alice.with_words_only(&testbed.dir().join("alice-again"));
    // Nobody has these keys.
    let other = Card {
        name: "other".into(),
        identity: testbed.merchant.card().identity,
        fingerprint: testbed.merchant.card().fingerprint,
        ..testbed.bank.card().clone()
    };
    let restored = alice.restores(&[testbed.bank.card(), &other], "60").json(1);
    assert_eq!(restored["banks"].as_array().unwrap().len(), 1, "{restored}");
    let error = restored["incomplete"][0]["error"].as_str().unwrap();
    assert!(error.contains("bank `other` is not complete"), "{error}");
    testbed.check(&[&alice]);
}

#[test]
fn a_payment_that_the_escrow_sees_after_the_restore_of_its_wallet_delivers_the_goods() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let before = alice.balance();
    // The request is under way when the escrow freezes, and waits in its socket.
    let slow = Faults {
        delay_ms: 2000,
        ..Faults::default()
    };
    alice.lines.to(Escrow).set_faults(Way::ToServer, slow);
    let mut buying = alice.starts_buying(POSTCARD, "goods", "20");
    buying.until_says(PurchaseRequest::Hold.logged()).wait();
    testbed.escrow.freeze().unwrap();
    thread::sleep(Duration::from_secs(3));
    buying.kill().wait();
    alice.lines.heal();

    fs::remove_dir_all(alice.dir()).unwrap();
    let dir = testbed.dir().join("alice-again");
    let (alice, restored) = alice.restored(&dir, [testbed.bank.card(), testbed.escrow.card()]);
    assert_eq!(restored["banks"][0]["found"]["purchases"], 0);
    assert!(restored["resumed"]["late_until_ms"].is_u64());
    assert_eq!(alice.balance(), before, "no coin is in a purchase yet");

    testbed.escrow.thaw().unwrap();
    until("the coins are held", || (testbed.held() > 0).then_some(()));
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    testbed.check(&[&alice]);
}
