//! Damaged files: an index is rebuilt from the journal, and a damaged journal is never repaired by guessing.

use crate::{PROGRAM, in_parallel};
use farthing_kit::{market::Layout, nodes::Node, process::ProcessError};
use farthing_node::card::RoleName::Merchant;
use farthing_tests::processes::{
    goods::POSTCARD,
    run::{Wait, does_not_start, runtime, until},
    testbed::Testbed,
};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

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

/// Overwrites the middle half of a file.
fn spoil(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let rubbish = vec![0xa5; (length / 2) as usize];
    file.write_all_at(&rubbish, length / 4).unwrap();
}

type Damage = (&'static str, fn(&Path), &'static str);

/// Each damage of an index, and the text in the log.
const DAMAGES: [Damage; 6] = [
    (
        "an unfinished snapshot",
        |index| fs::write(index.join("snap.00000000000ABCDE.generating"), [7; 100]).unwrap(),
        "removed an unfinished index file of a killed process",
    ),
    (
        "a truncated snapshot",
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
        "an overwritten log",
        |index| spoil(&index.join("db")),
        "rebuilding the index",
    ),
    (
        "overwritten settings",
        |index| spoil(&index.join("conf")),
        "rebuilding the index",
    ),
    (
        "a truncated log",
        |index| {
            let file = OpenOptions::new().write(true).open(index.join("db")).unwrap();
            file.set_len(100).unwrap();
        },
        "",
    ),
    (
        "a missing index",
        |index| fs::remove_dir_all(index).unwrap(),
        "rebuilding the index",
    ),
];

#[test]
fn a_damaged_index_is_rebuilt_from_the_journal() {
    let testbed = Testbed::with_files(PROGRAM, Layout::default());
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    testbed.check(&[&alice]);
    for (number, (what, damage, says)) in (0..).zip(DAMAGES) {
        testbed.bank.kill().wait();
        damage(&index(&testbed.bank));
        let before = testbed.bank.log().len();
        testbed.bank.start().wait();
        let log = testbed.bank.log()[before..].to_owned();
        assert!(log.contains(says), "{what}: {log}");
        assert!(log.contains("the store is open"), "{what}: {log}");
        testbed.check(&[&alice]);
        // The bank works.
        alice.done(&["withdraw", "1.00"]);
        assert_eq!(testbed.account(&alice.account), 3000 - 100 * (number + 1));
        testbed.check(&[&alice]);
    }
    testbed.bank.stop().wait();
    let sound = testbed.bank.admin(&["verify"], &[]).wait();
    assert_eq!(sound["damage"], serde_json::Value::Null);
}

/// Flips one bit of the journal. A second call restores it.
fn flip(bank: &Node, offset: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(journal(bank))
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
}

#[test]
fn a_flipped_bit_in_the_journal_stops_the_bank_and_is_named() {
    let testbed = Testbed::with_files(PROGRAM, Layout::default());
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    testbed.check(&[&alice]);
    testbed.bank.kill().wait();
    let sound = testbed.bank.admin(&["verify"], &[]).wait();
    let (records, bytes) = (
        sound["records"].as_u64().unwrap(),
        sound["bytes"].as_u64().unwrap(),
    );
    for offset in [bytes / 3, bytes / 2] {
        flip(&testbed.bank, offset);
        let (code, log) = does_not_start(&testbed.bank);
        assert_eq!(code, Some(1));
        let found = testbed.bank.command(&["verify"], &[]).wait().json(1);
        let damage = found["damage"].as_str().unwrap();
        // The damaged record begins at or before the bit.
        let place = found["bytes"].as_u64().unwrap();
        assert!(place <= offset, "{damage}");
        assert!(found["records"].as_u64().unwrap() < records, "{damage}");
        assert!(damage.contains(&format!("at byte {place}, record ")), "{damage}");
        let last = log.lines().last().unwrap();
        assert!(last.contains("is damaged") && last.contains(damage), "{last}");
        assert!(last.contains("put no older copy in its place"), "{last}");
        flip(&testbed.bank, offset);
    }
    testbed.bank.start().wait();
    testbed.check(&[&alice]);
}

#[test]
fn a_flipped_bit_that_the_start_does_not_read_is_found_in_the_background() {
    let testbed = Testbed::with_files(PROGRAM, Layout::default());
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    // More records than every start reads.
    let records = || {
        testbed.bank.admin(&["status"], &[]).wait()["store"]["records"]
            .as_u64()
            .unwrap()
    };
    while records() < 300 {
        in_parallel(&[(); 8], |()| testbed.pay_in(&alice.account, 1));
    }
    testbed.check(&[&alice]);
    assert!(testbed.bank.stop().wait().success());
    let offset = testbed.bank.admin(&["verify"], &[]).wait()["bytes"]
        .as_u64()
        .unwrap()
        / 3;
    flip(&testbed.bank, offset);
    let before = testbed.bank.log().len();
    let said = || testbed.bank.log()[before..].to_owned();
    // The bank opens the store, and finds the bit before or after its first answer.
    let code = match runtime().block_on(testbed.bank.start()) {
        Err(ProcessError::NotReady { code, .. }) => code,
        Err(other) => panic!("{other}"),
        Ok(()) => {
            until("the bit is found", || said().contains("is damaged").then_some(()));
            // Either the store or the wait for a witness refuses the request.
            let credit = testbed
                .bank
                .command(&["account", "credit"], &[&alice.account, "1.00"])
                .wait();
            credit.error(1);
            testbed.bank.stop().wait().code()
        }
    };
    let log = said();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the store is open"), "{log}");
    assert!(log.contains("the store stops accepting"), "{log}");
    let found = testbed.bank.command(&["verify"], &[]).wait().json(1);
    let damage = found["damage"].as_str().unwrap();
    let last = log.lines().last().unwrap();
    assert!(last.contains("is damaged") && last.contains(damage), "{last}");
    // The stop was not clean, so the bank does not start again.
    let (code, log) = does_not_start(&testbed.bank);
    assert_eq!(code, Some(1));
    assert!(log.lines().last().unwrap().contains(damage), "{log}");
    flip(&testbed.bank, offset);
    testbed.bank.start().wait();
    testbed.check(&[&alice]);
}

#[test]
fn a_node_whose_store_is_gone_does_not_begin_a_new_one() {
    let testbed = Testbed::with_files(PROGRAM, Layout::default());
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    until("the sale is settled", || testbed.is_settled().then_some(()));
    let commands: [&[&str]; 3] = [&["account", "list"], &["purchases"], &["sales"]];
    for (node, command) in testbed.nodes().into_iter().zip(commands) {
        let (store, away) = (node.dir().join("store"), node.dir().with_extension("away"));
        node.stop().wait();
        fs::rename(&store, &away).unwrap();
        let refused = |what: &str| {
            let before = node.log().len();
            let (code, log) = does_not_start(node);
            assert_eq!(code, Some(1), "{what}");
            assert!(log[before..].contains("there is no store in"), "{what}: {log}");
            for command in [command, &["verify"]] {
                let why = node.command(command, &[]).wait().error(1);
                assert!(why.contains("there is no store in"), "{what}: {why}");
                assert!(why.contains("`The store is gone`"), "{what}: {why}");
            }
        };
        refused("no folder");
        assert!(!store.exists(), "a refusal makes nothing");
        fs::create_dir(&store).unwrap();
        refused("an empty folder");
        fs::remove_dir(&store).unwrap();
        if node.role() == Merchant {
            let made = node.command(&["new-store"], &[]).wait();
            made.must_end_with(0);
            let again = node.command(&["new-store"], &[]).wait().error(1);
            assert!(again.contains("no new one is begun"), "{again}");
            node.start().wait();
            node.stop().wait();
            fs::remove_dir_all(&store).unwrap();
        }
        fs::rename(&away, &store).unwrap();
        node.start().wait();
    }
    testbed.check(&[&alice]);
}
