//! A bank or an escrow that is started from an older copy of its directory, and the operator's repair.

use crate::PROGRAM;
use farthing_kit::{market::Layout, nodes::Node, scratch::copy_dir};
use farthing_node::{
    card::RoleName::{self, Bank, Escrow},
    history::witness::COMPARE_MS,
};
use farthing_tests::processes::{
    goods::POSTCARD,
    run::{Wait, until, until_log_says},
    testbed::Testbed,
};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

/// The output of `status`, and its exit code.
fn status(node: &Node) -> (Value, Option<i32>) {
    let said = node.command(&["status"], &[]).wait();
    let code = said.code;
    (said.json(code.expect("it ended")), code)
}

fn until_it_stands(node: &Node, standing: &str, code: i32) -> Value {
    until(&format!("the node is {standing}"), || {
        let (status, ended) = status(node);
        (status["history"]["standing"] == standing && ended == Some(code)).then_some(status)
    })
}

/// How the older copy is made, and the newest journal put back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Copies of the files of a stopped node.
    Copies,
    /// `backup`, an archived segment, and `restore-backup`.
    Backups,
}

/// Writes a backup of the running node, and returns the number of its last record.
fn back_up(node: &Node, to: &Path, since: Option<&str>) -> String {
    let (to, since) = (to.to_str().unwrap(), since.map(|since| ["--since", since]));
    let args = [["--to", to].as_slice(), since.as_ref().map_or(&[], |since| since)].concat();
    node.command(&["backup"], &args).wait().json(0)["last"].to_string()
}

/// Puts the directory of the stopped node aside, and restores backups in its place.
fn restore(node: &Node, aside: &Path, files: &[&Path]) {
    fs::rename(node.dir(), aside).expect("the directory is put aside");
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    node.command(&["restore-backup"], &files).wait().json(0);
}

fn older_copy(role: RoleName, by: By) {
    let testbed = Testbed::with_files(PROGRAM, Layout::default());
    let alice = testbed.customer("alice");
    let node = testbed.node(role);
    until_it_stands(node, "up", 0);
    let place = |name: &str| testbed.dir().join(name);
    let (store, old, newest) = (node.dir().join("store"), place("old"), place("newest"));
    let (full, segment) = (place("full"), place("segment"));
    let mut last = String::new();
    if by == By::Backups {
        last = back_up(node, &full, None);
    } else {
        node.stop().wait();
        copy_dir(&store, &old).unwrap();
        node.start().wait();
    }
    alice.buys(POSTCARD, "first");
    until("the bank has applied the decision, and the escrow knows", || {
        (testbed.held() == 0 && testbed.is_settled()).then_some(())
    });
    // Bank and escrow compare their journals, so each remembers the head of the other.
    std::thread::sleep(Duration::from_millis(2 * COMPARE_MS));

    if by == By::Backups {
        back_up(node, &segment, Some(&last));
        node.stop().wait();
        restore(node, &newest, &[&full]);
    } else {
        node.stop().wait();
        fs::rename(&store, &newest).expect("the store is put aside");
        copy_dir(&old, &store).unwrap();
    }
    node.start().wait();
    let status = until_it_stands(node, "behind", 4);
    assert!(status["history"]["missing"].as_u64().is_some(), "{status}");
    until_log_says(node, "this node runs from an older copy of its journal");
    alice.buys_into_silence(POSTCARD, "second");
    // The node stays behind after a restart, even while its peer is down.
    let other = testbed.node(if role == Bank { Escrow } else { Bank });
    other.kill().wait();
    node.restart().wait();
    until_it_stands(node, "behind", 4);
    other.start().wait();
    if role == Bank {
        let refused = node
            .command(&["account", "payout"], &[&testbed.merchant_account, "7.25"])
            .wait();
        let why = refused.error(1);
        assert!(why.contains("older copy"), "{why}");
    } else {
        assert_eq!(
            testbed.decisions(),
            Vec::<String>::new(),
            "the older copy has no decision, and decides nothing"
        );
    }

    // OPERATIONS.md, the repair: the newest journal alone, or the archived segment that completes the backup.
    node.stop().wait();
    if by == By::Backups {
        restore(node, &place("old-again"), &[&full, &segment]);
    } else {
        fs::rename(&store, place("old-again")).expect("the old store is put aside");
        fs::create_dir(&store).expect("a directory");
        fs::copy(newest.join("journal"), store.join("journal")).expect("the journal");
    }
    node.start().wait();
    until_it_stands(node, "up", 0);
    alice.done(&["resume"]);
    assert_eq!(alice.status(1), "committed");
    testbed.check(&[&alice]);
}

#[test]
fn a_bank_from_an_older_copy_pays_nothing_until_its_newest_journal_is_back() {
    older_copy(Bank, By::Copies);
}

#[test]
fn an_escrow_from_a_backup_decides_nothing_until_its_archived_segment_completes_it() {
    older_copy(Escrow, By::Backups);
}
