//! Disks that are full, and files that are damaged.

use crate::{PROGRAM, world};
use farthing_tests::processes::{
    customer::Customer,
    node::Node,
    run::until,
    world::{POSTCARD, PRICE, World},
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

// ---- full ---------------------------------------------------------------------------------------------------------

/// A small disk in memory. It goes when this is dropped.
struct SmallDisk(tempfile::TempDir);

/// Room for a bank and for what it keeps free.
const SMALL_DISK_BYTES: u64 = 120 * 1024 * 1024;

/// More than is left when the bank is on it and keeps free what it does.
const BALLAST_BYTES: u64 = 48 * 1024 * 1024;

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SMALL_DISK_BYTES}"), "tmpfs"])
            .arg(dir.path())
            .output();
        mounted
            .is_ok_and(|said| said.status.success())
            .then_some(SmallDisk(dir))
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Leaves less than the bank keeps free.
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
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: a small file system cannot be mounted here (it takes root)");
        return;
    };
    let world = World::with_bank_in(PROGRAM, Some(disk.0.path()));
    let alice = world.customer("alice");
    alice
        .lines
        .lose_requests_to(&[farthing_node::card::RoleName::Escrow]);
    alice.buys_into_silence(POSTCARD, "goods");
    alice.lines.heal();
    let account = world.account(&alice.account);

    disk.fill();
    is_full(&world, &alice);
    // To start again takes a few bytes, which are there: nothing that was acknowledged is lost.
    world.bank.restart();
    is_full(&world, &alice);
    disk.fill_to_the_brim();
    is_full(&world, &alice);
    assert_eq!(world.account(&alice.account), account);
    assert_eq!(alice.balance(), [2000 - PRICE, PRICE, 0]);
    let audit = world.bank.ask(&["audit"], &[]);
    assert_eq!(audit["problems"], serde_json::json!([]));

    disk.free();
    alice.done(&["resume"]);
    assert_eq!(alice.status(0), "committed");
    world.bank.restart();
    world.check(&[&alice]);
    assert_eq!(alice.balance(), [2000 - PRICE + 100 * 3, 0, 0]);
}

/// What has to be written is refused for now, to each who asks.
fn is_full(world: &World, alice: &Customer) {
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
    let refused = world.bank.command(&["account", "credit"], &credit).error(1);
    assert!(refused.contains("full"), "{refused}");
    assert_eq!(world.held(), 0);
}

// ---- damaged ------------------------------------------------------------------------------------------------------

fn index(bank: &Node) -> PathBuf {
    bank.dir().join("store/index")
}

fn journal(bank: &Node) -> PathBuf {
    bank.dir().join("store/journal")
}

fn files(dir: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            path.is_file() && name.starts_with(beginning)
        })
        .collect()
}

/// Writes rubbish over a file's middle.
fn spoil(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let rubbish = vec![0xa5; (length / 2) as usize];
    file.write_all_at(&rubbish, length / 4).unwrap();
}

type Damage = (&'static str, fn(&Path), &'static str);

/// What may befall an index, and what the log says of it.
const DAMAGES: [Damage; 6] = [
    (
        "a snapshot that was not finished",
        |index| fs::write(index.join("snap.00000000000ABCDE.generating"), [7; 100]).unwrap(),
        "removed what a killed process left of the index",
    ),
    (
        "a snapshot that is cut off",
        |index| {
            let mut snapshots = files(index, "snap.");
            if snapshots.is_empty() {
                snapshots.push(index.join("snap.0000000000000000"));
                fs::write(&snapshots[0], [7; 100]).unwrap();
            }
            for snapshot in snapshots {
                let file = OpenOptions::new().write(true).open(snapshot).unwrap();
                file.set_len(9).unwrap();
            }
        },
        "",
    ),
    (
        "rubbish in its log",
        |index| spoil(&index.join("db")),
        "rebuilding the index",
    ),
    (
        "rubbish in its settings",
        |index| spoil(&index.join("conf")),
        "rebuilding the index",
    ),
    (
        "a log that is cut off",
        |index| {
            let file = OpenOptions::new().write(true).open(index.join("db")).unwrap();
            file.set_len(100).unwrap();
        },
        "",
    ),
    (
        "no index at all",
        |index| fs::remove_dir_all(index).unwrap(),
        "rebuilding the index",
    ),
];

#[test]
fn a_damaged_index_is_mended_from_the_journal_by_itself() {
    let world = world();
    let alice = world.customer("alice");
    alice.buys(POSTCARD, "goods");
    world.check(&[&alice]);
    for (number, (what, damage, says)) in (0..).zip(DAMAGES) {
        world.bank.kill();
        damage(&index(&world.bank));
        let before = world.bank.log().len();
        world.bank.start();
        let log = world.bank.log()[before..].to_owned();
        assert!(log.contains(says), "{what}: {log}");
        assert!(log.contains("the store is open"), "{what}: {log}");
        world.check(&[&alice]);
        // And it works.
        alice.done(&["withdraw", "1.00"]);
        assert_eq!(world.account(&alice.account), 3000 - 100 * (number + 1));
        world.check(&[&alice]);
    }
    world.bank.stop();
    let sound = world.bank.ask(&["verify"], &[]);
    assert_eq!(sound["damage"], serde_json::Value::Null);
}

#[test]
fn a_flipped_bit_in_the_journal_stops_the_bank_and_is_named() {
    let world = world();
    let alice = world.customer("alice");
    alice.buys(POSTCARD, "goods");
    world.check(&[&alice]);
    world.bank.kill();
    let sound = world.bank.ask(&["verify"], &[]);
    let (records, bytes) = (
        sound["records"].as_u64().unwrap(),
        sound["bytes"].as_u64().unwrap(),
    );
    let flip = |offset: u64| {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(journal(&world.bank))
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
    };
    for offset in [bytes / 3, bytes / 2] {
        flip(offset);
        let (code, log) = world.bank.try_start().unwrap_err();
        assert_eq!(code, Some(1));
        let found = world.bank.command(&["verify"], &[]).json(1);
        let damage = found["damage"].as_str().unwrap();
        // It begins at or before the bit, in a record that is there.
        let place = found["bytes"].as_u64().unwrap();
        assert!(place <= offset, "{damage}");
        assert!(found["records"].as_u64().unwrap() < records, "{damage}");
        assert!(damage.contains(&format!("at byte {place}, record ")), "{damage}");
        let last = log.lines().last().unwrap();
        assert!(last.contains("is damaged") && last.contains(damage), "{last}");
        assert!(last.contains("put no older copy in its place"), "{last}");
        flip(offset);
    }
    world.bank.start();
    world.check(&[&alice]);
}
