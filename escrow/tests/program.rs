//! The program: an escrow with a journal time spoiled by a wrong clock starts only with the operator's confirmation.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use farthing_escrow::cli::STORE_DIR;
use farthing_escrow::rows::LATEST_MS;
use farthing_store::clock::{Clock, SystemClock};
use farthing_store::{Reads, Store, StoreOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const YEAR_MS: u64 = 365 * 24 * 3_600_000;

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-escrow"));
    command.args(args);
    command
}

fn store(dir: &str) -> Store {
    Store::open(&Path::new(dir).join(STORE_DIR), StoreOptions::default())
        .unwrap()
        .0
}

/// Starts the escrow, waits until it replies, kills it, and returns its journal's time.
fn latest_after(args: &[&str], dir: &str) -> u64 {
    let mut child = program(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .next()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first.unwrap().starts_with("farthing-escrow serving 127.0.0.1:"));
    let store = store(dir);
    let latest_ms = LATEST_MS.peek(&store.view(), &()).unwrap().unwrap();
    store.close().unwrap();
    latest_ms
}

#[test]
fn cards_are_pinned_and_removed_in_the_directory_of_an_escrow_that_does_not_run() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("fair").to_str().unwrap().to_owned();
    let made = program(&["init", &dir, "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    let card = text
        .lines()
        .last()
        .unwrap()
        .replace("escrow:fair", "bank:central");
    for (args, says) in [
        (vec!["network", "list", &dir], "no cards are pinned"),
        (
            vec!["network", "add", &dir, &card],
            "bank `central` is known from now on",
        ),
        (
            vec!["network", "list", &dir],
            "farthing-card:bank:central@127.0.0.1:",
        ),
        (
            vec!["network", "remove", &dir, "bank", "central"],
            "bank `central` is not known any more",
        ),
        (vec!["verify", &dir], "the journal is whole"),
        (vec!["purchases", &dir], "no purchase is decided yet"),
    ] {
        let said = program(&args).output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        assert!(said.status.success() && text.contains(says), "{args:?}: {text}");
    }
    let undecided = program(&["evidence", &dir, &"07".repeat(32)]).output().unwrap();
    assert!(
        String::from_utf8(undecided.stderr)
            .unwrap()
            .contains("is not decided")
    );
    assert_eq!(undecided.status.code(), Some(1));
    let unknown = program(&["network", "remove", &dir, "bank", "central", "--json"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&unknown.stdout).unwrap();
    let error = report["error"].as_str().unwrap();
    assert!(error.starts_with("no bank `central` is known"), "{report}");
    assert_eq!(report["code"], 1);
}

#[test]
fn the_journals_time_is_set_back_only_when_the_operator_confirms() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("fair").to_str().unwrap().to_owned();
    let made = program(&["init", &dir, "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(made.status.success());
    let spoiled_ms = SystemClock.now_ms() + YEAR_MS;
    let spoiled = store(&dir);
    spoiled
        .transact_blocking(Reads::none(), move |tx| LATEST_MS.put(tx, &(), &spoiled_ms))
        .unwrap();
    spoiled.close().unwrap();
    assert_eq!(latest_after(&["serve", &dir], &dir), spoiled_ms);
    let accepted_ms = latest_after(&["serve", &dir, "--accept-clock"], &dir);
    assert!(accepted_ms <= SystemClock.now_ms());
    let help = String::from_utf8(program(&["serve", "--help"]).output().unwrap().stdout).unwrap();
    assert!(help.contains("--accept-clock"), "{help}");
}

#[test]
fn a_card_has_the_addresses_that_init_advertises() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("fair").to_str().unwrap().to_owned();
    let advertise = "fair.example:7002,[2001:db8::1]:7002";
    let arguments = ["--listen", "0.0.0.0:0", "--advertise", advertise];
    let made = program(&[["init", &dir].as_slice(), &arguments].concat())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let card = program(&["card", &dir]).output().unwrap();
    let card = String::from_utf8(card.stdout).unwrap();
    assert!(card.contains(&format!(":fair@{advertise}/")), "{card}");
}

/// The two lines that a serving escrow prints: its address and its card.
fn serving(args: &[&str], environment: &[(&str, &str)]) -> [String; 2] {
    let mut command = program(args);
    command.envs(environment.iter().copied());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = [(); 2].map(|()| lines.next().unwrap().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

#[test]
fn a_flag_goes_before_the_environment_and_both_before_the_file() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("fair").to_str().unwrap().to_owned();
    let file = ["--listen", "127.0.0.1:0", "--advertise", "file.example:7002"];
    let made = program(&[["init", &dir].as_slice(), &file].concat())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let card_of = |args: &[&str], environment: &[(&str, &str)]| {
        let [address, card] = serving(&[&["serve", dir.as_str()], args].concat(), environment);
        (address, card)
    };
    let environment = [
        ("FARTHING_ADVERTISE", "environment.example:7002"),
        ("FARTHING_LISTEN", "127.0.0.2:0"),
    ];
    assert!(card_of(&[], &[]).1.contains("@file.example:7002/"));
    let (address, card) = card_of(&[], &environment);
    assert!(card.contains("@environment.example:7002/"), "{card}");
    assert!(address.contains("serving 127.0.0.2:"), "{address}");
    let flags = ["--advertise", "flag.example:7002", "--listen", "127.0.0.3:0"];
    let (address, card) = card_of(&flags, &environment);
    assert!(card.contains("@flag.example:7002/"), "{card}");
    assert!(address.contains("serving 127.0.0.3:"), "{address}");
    // The file stays as it is.
    assert!(card_of(&[], &[]).1.contains("@file.example:7002/"));
    let wrong = program(&["serve", &dir])
        .env("FARTHING_CACHE_MIB", "much")
        .output();
    assert_eq!(wrong.unwrap().status.code(), Some(2));
}
