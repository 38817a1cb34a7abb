//! Disks that are full, of each that writes: what cannot be written is refused for now, and nothing is lost.

use crate::PROGRAM;
use farthing_kit::{disk::SmallDisk, market::Layout};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::Buyer,
    goods::{POSTCARD, PRICE},
    run::{Wait, tell, until},
    testbed::Testbed,
};
use tempfile::TempDir;

/// A small disk, and the directory where it is; `None` where this user may not mount one, which it says.
fn small_disk() -> Option<(SmallDisk, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    match SmallDisk::mount(dir.path()) {
        Ok(disk) => Some((disk, dir)),
        Err(why) => {
            tell(&format!(
                "SKIPPED, since this machine does not allow it: a small file system cannot be mounted (it takes root): {why}"
            ));
            None
        }
    }
}

/// A testbed whose node of this role is on this disk.
fn testbed_on(disk: &SmallDisk, role: RoleName) -> Testbed {
    let layout = Layout {
        disks: [(role, disk.path().to_owned())].into(),
        ..Layout::default()
    };
    Testbed::laid_out(PROGRAM, layout)
}

#[test]
fn a_bank_whose_disk_is_full_says_so_and_goes_on_once_there_is_room() {
    let Some((disk, _dir)) = small_disk() else { return };
    let testbed = testbed_on(&disk, Bank);
    let alice = testbed.customer("alice");
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(POSTCARD, "goods");
    alice.lines.heal();
    let account = testbed.account(&alice.account);

    disk.fill().unwrap();
    is_full(&testbed, &alice);
    // To start again takes a few bytes, which are there: nothing that was acknowledged is lost.
    testbed.bank.restart().wait();
    is_full(&testbed, &alice);
    disk.fill_to_the_brim().unwrap();
    is_full(&testbed, &alice);
    assert_eq!(testbed.account(&alice.account), account);
    assert_eq!(alice.balance(), [2000 - PRICE, PRICE, 0]);
    let audit = testbed.bank.admin(&["audit"], &[]).wait();
    assert_eq!(audit["problems"], serde_json::json!([]));

    disk.free().unwrap();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    testbed.bank.restart().wait();
    testbed.check(&[&alice]);
    assert_eq!(alice.balance(), [2000 - PRICE + 100 * 3, 0, 0]);
}

/// What has to be written is refused for now, to each who asks.
fn is_full(testbed: &Testbed, alice: &Buyer) {
    // The first answer may be that the escrow's connection to a bank that was killed has ended.
    until("the escrow passes the bank's refusal on", || {
        let refused = alice.into_silence(&["resume", "0"]);
        let says = refused["error"].as_str().unwrap();
        says.contains("its disk is full").then_some(())
    });
    // Each finish that is refused costs its session, so that may be the last that she is told.
    let refused = alice.into_silence(&["withdraw", "1.00", "--again"]);
    let says = refused["error"].as_str().unwrap();
    assert!(
        says.contains("its disk is full") || says.contains("the session is gone"),
        "{refused}"
    );
    let credit = [alice.account.as_str(), "1.00"];
    let refused = testbed
        .bank
        .command(&["account", "credit"], &credit)
        .wait()
        .error(1);
    assert!(refused.contains("full"), "{refused}");
    assert_eq!(testbed.held(), 0);
}

/// A purchase is not brought to its end: what she is told of why, and how far it got.
fn gets_nowhere(alice: &Buyer, args: &[&str], status: &str) -> String {
    let told = alice.into_silence(args);
    assert_eq!(alice.status(0), status, "{told}");
    told["error"].as_str().unwrap().to_owned()
}

#[test]
fn an_escrow_whose_disk_is_full_decides_nothing_and_goes_on_once_there_is_room() {
    let Some((disk, _dir)) = small_disk() else { return };
    let testbed = testbed_on(&disk, Escrow);
    let [alice, bob] = ["alice", "bob"].map(|name| testbed.customer(name));
    alice.waits_with_a_hold();
    bob.waits_with_a_hold();

    disk.fill().unwrap();
    testbed.escrow.restart().wait();
    disk.fill_to_the_brim().unwrap();
    // Neither what she wants nor what he wants is decided, and both are told why.
    gets_nowhere(&alice, &["resume", "0"], "held");
    let why = gets_nowhere(&bob, &["cancel", "0"], "cancelling");
    assert!(why.contains("its disk is full"), "{why}");
    let carol = testbed.customer("carol");
    let refused = carol.buys_into_silence(POSTCARD, "goods");
    assert!(
        refused["error"].as_str().unwrap().contains("its disk is full"),
        "{refused}"
    );
    assert!(testbed.decisions().is_empty());

    disk.free().unwrap();
    for (customer, end) in [(&alice, "committed"), (&bob, "aborted"), (&carol, "committed")] {
        customer.done(&["resume"]);
        assert_eq!(customer.status(0), end);
    }
    testbed.check(&[&alice, &bob, &carol]);
}

#[test]
fn a_merchant_whose_disk_is_full_sells_nothing_and_goes_on_once_there_is_room() {
    let Some((disk, _dir)) = small_disk() else { return };
    let testbed = testbed_on(&disk, Merchant);
    let [alice, bob] = ["alice", "bob"].map(|name| testbed.customer(name));
    alice.waits_with_a_hold();
    bob.waits_with_a_hold();

    disk.fill().unwrap();
    testbed.merchant.restart().wait();
    disk.fill_to_the_brim().unwrap();
    let why = gets_nowhere(&alice, &["resume", "0"], "held");
    assert!(why.contains("its disk is full"), "{why}");
    assert!(testbed.decisions().is_empty());
    // Who does not want to wait gets the coins back without him.
    bob.done(&["cancel", "0"]);
    assert_eq!(testbed.decisions(), ["aborted"]);

    disk.free().unwrap();
    alice.done(&["resume"]);
    assert_eq!([alice.status(0), bob.status(0)], ["committed", "aborted"]);
    testbed.check(&[&alice, &bob]);
}

#[test]
fn goods_whose_disk_is_full_are_not_paid_for_or_go_to_another_disk() {
    let Some((disk, _dir)) = small_disk() else { return };
    let testbed = crate::testbed();
    let alice = testbed.customer("alice");
    let output = disk.path().join("goods");
    let path = output.to_str().unwrap();
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(POSTCARD, path);
    alice.lines.heal();

    // Full before the payment, and full after it.
    disk.fill_to_the_brim().unwrap();
    let other = disk.path().join("other");
    let refused = alice.buy(POSTCARD, other.to_str().unwrap()).error(1);
    assert!(refused.contains("disk is full"), "{refused}");
    assert!(refused.contains("Nothing was paid"), "{refused}");
    assert_eq!(alice.purchases().len(), 1);
    let says = alice.run(&["resume", "0"]).error(1);
    assert!(says.contains(path), "{says}");
    assert!(says.contains("`farthing resume 0 -o FILE`"), "{says}");
    assert_eq!(alice.status(0), "committed");
    let elsewhere = alice.goods("goods");
    alice.done(&["resume", "0", "-o", elsewhere.to_str().unwrap()]);
    testbed.check(&[&alice]);
}

#[test]
fn a_wallet_whose_disk_is_full_says_so_and_goes_on_once_there_is_room() {
    let Some((disk, _dir)) = small_disk() else { return };
    let testbed = crate::testbed();
    let alice = testbed.newcomer_at(testbed.program(), &disk.path().join("alice"));
    alice.done(&["withdraw", "20.00"]);
    alice.waits_with_a_hold();

    disk.fill().unwrap();
    // She learns nothing that she could not write down first, and spends nothing.
    for args in [&["resume", "0"][..], &["cancel", "0"], &["withdraw", "1.00"]] {
        let says = alice.run(args).error(1);
        assert!(says.contains("disk is full"), "{args:?}: {says}");
    }
    let exchanged = alice.run(&["exchange", "--all"]).json(1);
    let says = exchanged["failed"][0]["error"].as_str().unwrap();
    assert!(says.contains("disk is full"), "{exchanged}");
    let says = alice.buy(POSTCARD, "other goods").error(1);
    assert!(says.contains("disk is full"), "{says}");
    assert_eq!(alice.status(0), "held");
    assert_eq!(alice.balance(), [2000 - PRICE, PRICE, 0]);
    assert_eq!(testbed.account(&alice.account), 3000);
    // Not even to open the wallet is there room, and that is said.
    disk.fill_to_the_brim().unwrap();
    let says = alice.run(&["resume"]).error(1);
    assert!(says.contains("No space left"), "{says}");

    disk.free().unwrap();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    testbed.check(&[&alice]);
}
