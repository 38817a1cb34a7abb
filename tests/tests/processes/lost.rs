//! Lost replies, and a lost wallet.

use crate::testbed;
use farthing_kit::{faults::Faults, relay::Way};
use farthing_node::card::RoleName::{Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::PurchaseRequest,
    goods::POSTCARD,
    run::{Wait, until},
};
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
