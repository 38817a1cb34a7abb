//! `stream add` of the program `farthing-merchant`, on a merchant that does not run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A new merchant in the directory `studio`.
fn merchant() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = run(dir.path(), &["init", "studio", "--listen", "127.0.0.1:0"]);
    assert!(made.status.success(), "{made:?}");
    dir
}

fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farthing-merchant"))
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs `stream add`, checks the exit code, and returns what it prints as JSON, or else its error.
fn add(dir: &Path, exit: i32, args: &[&str]) -> Value {
    let all = ["--json", "stream", "add", "studio", "--title", "A film"];
    let output = run(dir, &[all.as_slice(), args].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{error}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::String(error))
}

fn items(dir: &Path) -> Value {
    let output = run(dir, &["--json", "goods", "list", "studio"]);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list["items"].clone()
}

#[test]
fn a_file_has_a_tick_for_each_chunk_and_more_if_its_price_needs_them() {
    let dir = merchant();
    fs::write(dir.path().join("film.mkv"), vec![7; 1_050]).unwrap();
    let film = ["--file", "film.mkv", "--chunk", "100", "--price-per-tick"];
    let added = add(dir.path(), 0, &[film.as_slice(), &["0.02"]].concat());
    assert_eq!((&added["ticks"], &added["price"]), (&11.into(), &"0.22".into()));
    let added = add(dir.path(), 0, &[film.as_slice(), &["0.001"]].concat());
    assert_eq!((&added["ticks"], &added["price"]), (&20.into(), &"0.02".into()));
    let listed = items(dir.path());
    let ticks: Vec<u64> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["ticks"].as_u64().unwrap())
        .collect();
    assert_eq!(ticks.iter().sum::<u64>(), 31);
    assert_eq!(listed[0]["media_type"], "video/x-matroska");
    assert_eq!(listed[0]["size_bytes"], 1_050);
}

#[test]
fn what_cannot_be_sold_by_the_tick_is_refused_and_leaves_nothing() {
    let dir = merchant();
    fs::write(dir.path().join("film.mkv"), vec![7; 1_050]).unwrap();
    fs::write(dir.path().join("empty"), b"").unwrap();
    fs::write(dir.path().join("long"), vec![7; 70_000]).unwrap();
    for (args, expected) in [
        ("--price-per-tick 0.001 --ticks 1001", "give --ticks 1010"),
        ("--price-per-tick 0.0000001", "fewer decimals"),
        ("--price-per-tick 0", "never free"),
        ("--price-per-tick 0.02 --file empty", "empty"),
        ("--price-per-tick 0.02 --file gone", "cannot read gone"),
        ("--price-per-tick 0.02 --file studio", "not a file"),
        (
            "--price-per-tick 0.02 --file film.mkv --chunk 100 --ticks 5",
            "11 chunks",
        ),
        ("--price-per-tick 0.02 --file long --chunk 1", "larger --chunk"),
        // Live records need a running node.
        ("--price-per-tick 0.02", "farthing-merchant serve"),
        ("--price-per-tick 0.02 --command true", "no longer for sale"),
    ] {
        let refused = add(dir.path(), 1, &args.split(' ').collect::<Vec<_>>());
        assert!(
            refused["error"].as_str().unwrap().contains(expected),
            "{args}: {refused}"
        );
        assert_eq!(items(dir.path()), Value::Array(Vec::new()), "{args}");
    }
    assert_eq!(fs::read_dir(dir.path().join("studio/goods")).unwrap().count(), 0);
    for (args, expected) in [
        ("--price-per-tick 1e3", "is not a price"),
        ("--price-per-tick 1 --ticks 0", "--ticks"),
        ("--price-per-tick 1 --chunk 5", "--file"),
        ("--price-per-tick 1 --file film.mkv --chunk 300000", "--chunk"),
        (
            "--price-per-tick 1 --file film.mkv --command true",
            "cannot be used with",
        ),
    ] {
        let refused = add(dir.path(), 2, &args.split(' ').collect::<Vec<_>>());
        assert!(refused.to_string().contains(expected), "{args}: {refused}");
    }
}
