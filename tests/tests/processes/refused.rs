//! Every command that asks a party, against a party that refuses or is silent: it exits with its code, and no money
//! moves.

use crate::testbed;
use farthing_kit::{customer::Customer, lines::Lines};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::{Buyer, SILENT, units},
    goods::POSTCARD,
    run::{Wait, does_not_start, tell},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The money of a wallet, wherever it is.
fn total(buyer: &Buyer) -> u64 {
    units(&buyer.done(&["balance"])["balances"][0]["total"])
}

#[test]
fn a_command_that_a_party_refuses_says_why_and_moves_nothing() {
    let testbed = testbed();
    let lines = Arc::new(Lines::default());
    let dir = testbed.dir().join("stranger");
    let stranger = Customer::new(testbed.program(), &dir, lines, testbed.cards());
    let stranger = Buyer::from(stranger.wait());
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "card");
    let before = total(&alice);
    let output = alice.goods("file");
    let output = output.to_str().unwrap();
    let taken = alice.goods("taken");
    fs::write(&taken, "mine").unwrap();
    let taken = taken.to_str().unwrap();

    let refusals: &[(&Buyer, &[&str], &str)] = &[
        (&stranger, &["account"], "account"),
        (&stranger, &["withdraw", "1.00"], "account"),
        (&stranger, &["buy", "studio", POSTCARD, "-o", output], "0.00"),
        (&alice, &["withdraw", "900.00"], "the balance is 30.00"),
        (&alice, &["withdraw", "0"], "nothing to withdraw"),
        (&alice, &["withdraw", "1.00", "--bank", "nobody"], "nobody"),
        (&alice, &["account", "--bank", "nobody"], "nobody"),
        (&alice, &["catalog", "nobody"], "nobody"),
        (&alice, &["buy", "studio", "nothing", "-o", output], "nothing"),
        (
            &alice,
            &["buy", "studio", POSTCARD, "-o", output, "--at-most", "0.01"],
            "0.01",
        ),
        (&alice, &["buy", "studio", POSTCARD, "-o", taken], "--force"),
        (
            &alice,
            &["buy", "studio", POSTCARD, "-o", output, "--escrow", "nobody"],
            "nobody",
        ),
        (&alice, &["resume", "7"], "no purchase"),
        (&alice, &["resume", "0", "-o", taken], "--force"),
        (&alice, &["cancel", "7"], "no purchase"),
        (&alice, &["cancel", "0"], ""),
        (&alice, &["receipt", "show", "7"], "no purchase"),
    ];
    for (buyer, args, says) in refusals {
        let said = buyer.run(args);
        said.must_end_with(1);
        assert!(said.out.contains(says), "{args:?}: {}", said.out);
        assert_eq!(
            buyer.purchases().len(),
            usize::from(buyer.dir() == alice.dir()),
            "{args:?}"
        );
    }
    assert_eq!(total(&alice), before);
    assert_eq!(fs::read(taken).unwrap(), b"mine");
    testbed.check(&[&alice]);
}

#[test]
fn a_command_whose_party_is_silent_is_not_finished_and_is_carried_on() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    // The coins and keys of a wallet that has bought before.
    alice.buys(POSTCARD, "first");
    let before = total(&alice);
    let output = |name: &str| alice.goods(name).to_str().unwrap().to_owned();
    let (second, third) = (output("second"), output("third"));
    let silences: &[(RoleName, &[&str])] = &[
        (Merchant, &["catalog"]),
        (Merchant, &["buy", "studio", POSTCARD, "-o", &second]),
        (Escrow, &["buy", "studio", POSTCARD, "-o", &third]),
        (Escrow, &["resume"]),
        (Escrow, &["resume", "1"]),
        (Bank, &["account"]),
        (Bank, &["withdraw", "1.00"]),
        (Bank, &["exchange", "--all"]),
    ];
    for (silent, args) in silences {
        alice.lines.lose_requests_to(&[*silent]);
        let said = alice.run(&[&["--patience", "2"], *args].concat());
        alice.lines.heal();
        said.must_end_with(SILENT);
        assert_eq!(total(&alice), before, "{args:?}");
    }
    alice.lines.lose_requests_to(&[Bank, Escrow]);
    alice
        .run(&["--patience", "2", "cancel", "1"])
        .must_end_with(SILENT);
    alice.lines.heal();
    alice.done(&["exchange"]);
    alice.done(&["cancel", "1"]);
    alice.done(&["resume"]);
    testbed.check(&[&alice]);
}

/// All files and directories below `dir`, and `dir` itself.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// A user who has no other files.
const OTHER_USER: u32 = 4321;

#[test]
fn a_command_in_a_directory_of_another_user_is_refused_and_leaves_no_file() {
    let testbed = testbed();
    let alice = testbed.customer("alice");
    let give = |dir: &Path, user| {
        tree(dir)
            .iter()
            .try_for_each(|path| chown(path, Some(user), None))
    };
    let commands: [&[&str]; 3] = [&["account", "list"], &["purchases"], &["sales"]];
    let me = rustix::process::geteuid().as_raw();
    for (node, command) in testbed.nodes().into_iter().zip(commands) {
        node.stop().wait();
        if give(node.dir(), OTHER_USER).is_err() {
            tell("only root can give a directory to another user; nothing is tested");
            return;
        }
        let before = tree(node.dir());
        for words in [command, &["verify"], &["card"], &["network", "list"]] {
            let why = node.command(words, &[]).wait().error(1);
            assert!(why.contains("sudo -u '#4321'"), "{words:?}: {why}");
        }
        let (code, log) = does_not_start(node);
        assert_eq!(code, Some(1));
        assert!(log.contains("belongs to another user"), "{log}");
        let after = tree(node.dir());
        assert_eq!(after, before);
        for path in after {
            assert_eq!(
                fs::metadata(&path).unwrap().uid(),
                OTHER_USER,
                "{}",
                path.display()
            );
        }
        give(node.dir(), me).unwrap();
        node.start().wait();
    }
    give(alice.dir(), OTHER_USER).unwrap();
    let before = tree(alice.dir());
    for words in [&["balance"][..], &["withdraw", "1.00"], &["network", "list"]] {
        let said = alice.run(words);
        said.must_end_with(1);
        assert!(said.out.contains("sudo -u '#4321'"), "{words:?}: {}", said.out);
    }
    assert_eq!(tree(alice.dir()), before);
    give(alice.dir(), me).unwrap();
    testbed.check(&[&alice]);
}
