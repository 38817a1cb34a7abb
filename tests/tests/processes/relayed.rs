//! A relay between wallets and nodes: it carries everything anonymous, and its faults cost nobody money.

use crate::PROGRAM;
use farthing_kit::{
    line::Way,
    market::{Layout, WalletRoute},
};
use farthing_node::{
    card::RoleName::{Bank, Escrow, Merchant, Relay},
    home::ENCRYPTION_KEYS_FILE,
};
use farthing_tests::processes::{
    buyer::{Buyer, SILENT},
    goods::{FILM, POSTCARD},
    run::Wait,
    testbed::Testbed,
};
use serde_json::json;
use std::fs;
use std::time::Duration;

pub(crate) fn testbed() -> Testbed {
    let layout = Layout {
        route: WalletRoute::Relayed,
        ..Layout::default()
    };
    Testbed::laid_out(PROGRAM, layout)
}

/// The datagrams that a wallet has sent to bank, escrow and merchant directly.
fn direct(customer: &Buyer) -> [u64; 3] {
    [Bank, Escrow, Merchant].map(|role| customer.lines.to(role).counts(Way::ToServer).passed)
}

/// The number of requests that the relay was asked.
fn carried(testbed: &Testbed) -> u64 {
    let status = testbed.node(Relay).admin(&["status"], &[]).wait();
    status["network"]["requests"].as_u64().unwrap()
}

#[test]
fn only_withdrawals_go_around_the_relay() {
    let testbed = testbed();
    testbed.sell_film();
    let alice = testbed.newcomer("alice");
    alice.done(&["withdraw", "20.00"]);
    let [withdrawing, escrow, merchant] = direct(&alice);
    assert!(withdrawing > 0);
    assert_eq!([escrow, merchant], [0, 0]);

    alice.done(&["catalog"]);
    alice.buys(POSTCARD, "postcard");
    alice.buys(FILM, "film");
    alice.done(&["exchange", "--all"]);
    assert_eq!(direct(&alice), [withdrawing, 0, 0]);
    for (title, name) in [(POSTCARD, "postcard"), (FILM, "film")] {
        let original = fs::read(testbed.original(title)).unwrap();
        assert_eq!(fs::read(alice.goods(name)).unwrap(), original);
    }
    testbed.check(&[&alice]);

    // A restore from the words asks the bank for records, which identifies nobody.
    let cards = [testbed.bank.card(), testbed.relay.as_ref().unwrap().card()];
    let before = direct(&alice);
    let carried_before = carried(&testbed);
    let (again, _) = alice.restored(&testbed.dir().join("again"), cards);
    let after = direct(&again);
    assert!(carried(&testbed) >= carried_before + 4, "a bucket of each shelf");
    assert!(
        after[0] > before[0],
        "the account's record is asked for as its owner"
    );
    for card in [testbed.escrow.card(), testbed.merchant.card()] {
        again.knows(card).wait();
    }
    again.fetches_what_was_restored();
    assert_eq!(direct(&again)[1..], [0, 0]);
    testbed.check(&[&again]);
}

#[test]
fn a_relay_that_dies_or_freezes_leaves_every_purchase_to_be_carried_on() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let relay = testbed.node(Relay);

    relay.kill().wait();
    alice.buys_into_silence(POSTCARD, "one");
    relay.start().wait();
    alice.done(&["resume"]);
    assert_eq!(fs::read(alice.goods("one")).ok(), None);

    // The relay dies in the middle of a purchase, and is there again before the wallet loses its patience.
    alice.lines.lose_answers_of(&[Relay]);
    let buying = alice.starts_buying(POSTCARD, "two", "60");
    std::thread::sleep(Duration::from_secs(1));
    relay.kill().wait();
    alice.lines.heal();
    relay.start().wait();
    buying.end().wait().must_end_with(0);

    relay.freeze().unwrap();
    alice.buys_into_silence(POSTCARD, "three");
    relay.thaw().unwrap();
    alice.done(&["resume"]);
    testbed.check(&[&alice]);
}

#[test]
fn a_wallet_goes_around_its_relay_only_when_it_is_told_to() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    testbed.node(Relay).kill().wait();
    alice.run(&["--patience", "2", "catalog"]).must_end_with(SILENT);
    assert_eq!(direct(&alice)[2], 0);
    alice.done(&["--direct", "catalog"]);
    assert!(direct(&alice)[2] > 0);
    let other = alice.run(&["--relay", "unknown", "catalog"]);
    other.must_end_with(1);
}

/// The merchant loses its encryption keys a second time in one day, so it signs two keys for one day.
#[test]
fn two_keys_of_one_day_stop_the_wallet_and_their_export_convicts_the_server() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "one");
    assert_eq!(alice.done(&["receipt", "keys"]), json!([]));
    let merchant = testbed.node(Merchant);
    merchant.kill().wait();
    fs::remove_file(merchant.dir().join(ENCRYPTION_KEYS_FILE)).unwrap();
    merchant.start().wait();
    // The relay has a copy of the first key as long as it runs.
    let relay = testbed.node(Relay);
    relay.kill().wait();
    relay.start().wait();
    let why = alice.buy(POSTCARD, "two").error(8);
    assert!(why.contains("farthing receipt keys -o FILE"), "{why}");

    let file = alice.goods("keys.json");
    let file = file.to_str().unwrap();
    let written = alice.done(&["receipt", "keys", "-o", file]);
    assert_eq!(written["documents"], file);
    let judged = alice.run(&["receipt", "verify", file]).json(8);
    assert_eq!(judged["verdict"], "server_broke_protocol");
    let conviction = &judged["convictions"][0];
    assert_eq!(conviction["charge"], "two_encryption_keys");
    assert_eq!(conviction["key"], merchant.card().identity.to_string());
    testbed.check(&[&alice]);
}
