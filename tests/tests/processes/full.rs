//! Full disks of each party: a write that fails is refused for now, and nothing is lost.

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

/// A small disk and its directory. `None`, with a message, if this user may not mount one.
fn small_disk() -> Option<(SmallDisk, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    match SmallDisk::mount(dir.path()) {
        Ok(disk) => Some((disk, dir)),
        Err(why) => {
            tell(&format!(
                "SKIPPED, since this machine does not allow it: a small file system cannot be mounted; it needs root: {why}"
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
    Testbed::with_files(PROGRAM, layout)
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
    // A start needs a few bytes, which are still free. Nothing acknowledged is lost.
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

/// Asserts that the bank refuses for now each request that needs a write.
fn is_full(testbed: &Testbed, alice: &Buyer) {
    // The first reply may be that the escrow's connection to the killed bank has ended.
    until("the escrow passes the bank's refusal on", || {
        let refused = alice.into_silence(&["resume", "0"]);
        let says = refused["error"].as_str().unwrap();
        says.contains("its disk is full").then_some(())
    });
    // Each refused finish uses up its session, so the last refusal may name the session.
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

/// Runs a command that cannot end purchase 0. Asserts the purchase's status, and returns the error.
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
    // The escrow decides neither the purchase nor the cancel. Both customers are told why.
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
    // A cancel gets the coins back without the merchant.
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

    // One purchase finds the disk full before the payment, and one after it.
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
    // No command sends a request whose write failed, so nothing is spent.
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
    // The wallet does not even open, and says why.
    disk.fill_to_the_brim().unwrap();
    let says = alice.run(&["resume"]).error(1);
    assert!(says.contains("No space left"), "{says}");

    disk.free().unwrap();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    testbed.check(&[&alice]);
}
