//! Replies that are lost, and a wallet that is.

use crate::world;
use farthing_client::demo::{faults::Faults, relay::Way};
use farthing_node::card::RoleName::{Bank, Escrow, Merchant};
use farthing_tests::processes::world::POSTCARD;
use std::fs;

#[test]
fn a_withdrawal_whose_reply_is_lost_is_debited_once() {
    let world = world();
    let alice = world.customer("alice");
    // Requests take a while, so that it is certain which reply is lost.
    let slow = Faults {
        delay_ms: 300,
        ..Faults::default()
    };
    alice.lines.to(Bank).set_faults(Way::ToServer, slow);
    let mut withdrawing = alice.start(&["--patience", "3", "withdraw", "10.00"]);
    withdrawing.until_says(r#"question: "withdraw, finish""#);
    alice.lines.lose_answers_of(&[Bank]);
    withdrawing.end().must_end_with(10);
    // It was acted on, and she was not told.
    assert_eq!(world.account(&alice.account), 2000);
    assert_eq!(alice.balance(), [2000, 0, 0]);
    alice.into_silence(&["resume"]);
    alice.lines.heal();
    for _ in 0..2 {
        alice.done(&["resume"]);
        assert_eq!(alice.balance(), [3000, 0, 0]);
        assert_eq!(world.account(&alice.account), 2000);
    }
    world.check(&[&alice]);
}

#[test]
fn a_wallet_is_restored_from_its_words_in_the_middle_of_a_purchase() {
    let world = world();
    let alice = world.customer("alice");
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
    let dir = world.dir().join("alice-again");
    let (alice, restored) = alice.restored(&dir, [world.bank.card(), world.escrow.card()]);
    assert_eq!(restored["banks"][0]["found"]["purchases"], 2);
    assert_eq!(alice.balance(), [before[0], 0, 0]);
    // The one that was under way has ended; goods of the past are fetched when they are asked for.
    let purchases = alice.purchases();
    let on_demand: Vec<_> = purchases
        .iter()
        .filter(|purchase| purchase["delivery"] == "on_demand")
        .collect();
    assert_eq!(on_demand.len(), 1);
    alice.done(&["resume", &on_demand[0]["number"].to_string()]);
    world.check(&[&alice]);
}
