//! Disks that are full, of each that writes: what cannot be written is refused for now, and nothing is lost.

use crate::PROGRAM;
use farthing_kit::market::Layout;
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::Buyer,
    goods::{POSTCARD, PRICE},
    run::{Wait, tell, until},
    world::World,
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::Command,
};

/// A small disk in memory. It goes when this is dropped.
struct SmallDisk(tempfile::TempDir);

/// Room for a node or a wallet, and for what it keeps free.
const SMALL_DISK_BYTES: u64 = 120 * 1024 * 1024;

/// More than is left when one is on it and keeps free what it does.
const BALLAST_BYTES: u64 = 48 * 1024 * 1024;

impl SmallDisk {
    /// `None` where this user may not mount one, which it says.
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SMALL_DISK_BYTES}"), "tmpfs"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|said| said.status.success()) {
            return Some(SmallDisk(dir));
        }
        tell(
            "SKIPPED, since this machine does not allow it: a small file system cannot be mounted (it takes root)",
        );
        None
    }

    /// A world whose node of this role is on it.
    fn world_with(&self, role: RoleName) -> World {
        let layout = Layout {
            disks: [(role, self.0.path().to_owned())].into(),
            ..Layout::default()
        };
        World::laid_out(PROGRAM, layout)
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Leaves less than its user keeps free.
    fn fill(&self) {
        fs::write(self.ballast(), vec![1; BALLAST_BYTES as usize]).unwrap();
    }

    /// Leaves nothing at all.
    fn fill_to_the_brim(&self) {
        let mut file = OpenOptions::new().append(true).open(self.ballast()).unwrap();
        for bytes in [1024 * 1024, 4096, 1] {
            while file.write_all(&vec![1; bytes]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_bank_whose_disk_is_full_says_so_and_goes_on_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let world = disk.world_with(Bank);
    let alice = world.customer("alice");
    alice.lines.lose_requests_to(&[Escrow]);
    alice.buys_into_silence(POSTCARD, "goods");
    alice.lines.heal();
    let account = world.account(&alice.account);

    disk.fill();
    is_full(&world, &alice);
    // To start again takes a few bytes, which are there: nothing that was acknowledged is lost.
    world.bank.restart().wait();
    is_full(&world, &alice);
    disk.fill_to_the_brim();
    is_full(&world, &alice);
    assert_eq!(world.account(&alice.account), account);
    assert_eq!(alice.balance(), [2000 - PRICE, PRICE, 0]);
    let audit = world.bank.admin(&["audit"], &[]).wait();
    assert_eq!(audit["problems"], serde_json::json!([]));

    disk.free();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    world.bank.restart().wait();
    world.check(&[&alice]);
    assert_eq!(alice.balance(), [2000 - PRICE + 100 * 3, 0, 0]);
}

/// What has to be written is refused for now, to each who asks.
fn is_full(world: &World, alice: &Buyer) {
    // The first answer may be that the escrow's connection to a bank that was killed has ended.
    until("the escrow passes the bank's refusal on", || {
        let refused = alice.into_silence(&["resume", "0"]);
        let says = refused["error"].as_str().unwrap();
        says.contains("its disk is full").then_some(())
    });
    // Each finish that is refused costs its session, so that may be the last that she is told.
    let refused = alice.into_silence(&["withdraw", "1.00"]);
    let says = refused["error"].as_str().unwrap();
    assert!(
        says.contains("its disk is full") || says.contains("the session is gone"),
        "{refused}"
    );
    let credit = [alice.account.as_str(), "1.00"];
    let refused = world
        .bank
        .command(&["account", "credit"], &credit)
        .wait()
        .error(1);
    assert!(refused.contains("full"), "{refused}");
    assert_eq!(world.held(), 0);
}

/// A purchase is not brought to its end: what she is told of why, and how far it got.
fn gets_nowhere(alice: &Buyer, args: &[&str], status: &str) -> String {
    let told = alice.into_silence(args);
    assert_eq!(alice.status(0), status, "{told}");
    told["error"].as_str().unwrap().to_owned()
}

#[test]
fn an_escrow_whose_disk_is_full_decides_nothing_and_goes_on_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let world = disk.world_with(Escrow);
    let [alice, bob] = ["alice", "bob"].map(|name| world.customer(name));
    alice.waits_with_a_hold();
    bob.waits_with_a_hold();

    disk.fill();
    world.escrow.restart().wait();
    disk.fill_to_the_brim();
    // Neither what she wants nor what he wants is decided, and both are told why.
    gets_nowhere(&alice, &["resume", "0"], "held");
    let why = gets_nowhere(&bob, &["cancel", "0"], "cancelling");
    assert!(why.contains("its disk is full"), "{why}");
    let carol = world.customer("carol");
    let refused = carol.buys_into_silence(POSTCARD, "goods");
    assert!(
        refused["error"].as_str().unwrap().contains("its disk is full"),
        "{refused}"
    );
    assert!(world.decisions().is_empty());

    disk.free();
    for (customer, end) in [(&alice, "committed"), (&bob, "aborted"), (&carol, "committed")] {
        customer.done(&["resume"]);
        assert_eq!(customer.status(0), end);
    }
    world.check(&[&alice, &bob, &carol]);
}

#[test]
fn a_merchant_whose_disk_is_full_sells_nothing_and_goes_on_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let world = disk.world_with(Merchant);
    let [alice, bob] = ["alice", "bob"].map(|name| world.customer(name));
    alice.waits_with_a_hold();
    bob.waits_with_a_hold();

    disk.fill();
    world.merchant.restart().wait();
    disk.fill_to_the_brim();
    let why = gets_nowhere(&alice, &["resume", "0"], "held");
    assert!(why.contains("its disk is full"), "{why}");
    assert!(world.decisions().is_empty());
    // Who does not want to wait gets the coins back without him.
    bob.done(&["cancel", "0"]);
    assert_eq!(world.decisions(), ["aborted"]);

    disk.free();
    alice.done(&["resume"]);
    assert_eq!([alice.status(0), bob.status(0)], ["committed", "aborted"]);
    world.check(&[&alice, &bob]);
}

#[test]
fn a_wallet_whose_disk_is_full_says_so_and_goes_on_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let world = crate::world();
    let alice = world.newcomer_at(world.program(), &disk.0.path().join("alice"));
    alice.done(&["withdraw", "20.00"]);
    alice.waits_with_a_hold();

    disk.fill();
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
    assert_eq!(world.account(&alice.account), 3000);
    // Not even to open the wallet is there room, and that is said.
    disk.fill_to_the_brim();
    let says = alice.run(&["resume"]).error(1);
    assert!(says.contains("No space left"), "{says}");

    disk.free();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    world.check(&[&alice]);
}
