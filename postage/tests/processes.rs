//! The program itself, killed while it prints and while it scans.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_postage::indicium::{decode, verify};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use support::{account, bank, proof};

/// Letters of the batch.
const LETTERS: u64 = 60;

fn program(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-postage"));
    command.current_dir(dir).arg("--json").args(args);
    command
}

/// Runs a command to its end. Returns its value and its exit code.
fn run(dir: &Path, args: &[&str]) -> (Value, i32) {
    let output = program(dir, args).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let value =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{args:?}: {said} {:?}", output.stderr));
    (value, output.status.code().unwrap())
}

fn done(dir: &Path, args: &[&str]) -> Value {
    let (value, exit) = run(dir, args);
    assert_eq!(exit, 0, "{args:?}: {value}");
    value
}

/// Starts a command and kills it after `ms`.
fn killed(dir: &Path, args: &[&str], ms: u64) {
    let mut child = program(dir, args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(ms));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// An office, a meter with 100.00 and a station in a new directory, and a list of letters.
fn world(dir: &Path) {
    let bank = bank().public().to_string();
    let office = done(
        dir,
        &[
            "office",
            "init",
            "post",
            "--bank",
            &bank,
            "--account",
            &account().to_string(),
        ],
    );
    let made = done(dir, &["meter", "init", "franking", "--from", "10115"]);
    done(dir, &["meter", "request", "franking", "-o", "request"]);
    done(
        dir,
        &["office", "certify", "post", "request", "-o", "certificate"],
    );
    done(dir, &["meter", "certify", "franking", "certificate"]);
    let meter = made["meter"].as_str().unwrap().parse().unwrap();
    let paid = serde_json::to_vec(&proof(&meter, 10_000, 1)).unwrap();
    fs::write(dir.join("paid.json"), paid).unwrap();
    done(dir, &["office", "refill", "post", "paid.json", "-o", "refill"]);
    done(dir, &["meter", "refill", "franking", "refill"]);
    done(
        dir,
        &[
            "sort",
            "init",
            "station",
            "--office",
            office["office"].as_str().unwrap(),
            "--area",
            "51",
        ],
    );
    done(dir, &["office", "list", "post", "-o", "list"]);
    done(dir, &["sort", "learn", "station", "list"]);
    let mut list = String::from("to\n");
    for letter in 0..LETTERS {
        writeln!(list, "\"Erika Mustermann / Heidestraße {letter} / 51147 Köln\"").unwrap();
    }
    fs::write(dir.join("letters.csv"), list).unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|it| it == "bin"))
        .collect();
    files.sort();
    files
}

#[test]
fn a_batch_that_is_killed_again_and_again_pays_each_letter_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    let batch = [
        "print",
        "franking",
        "--csv",
        "letters.csv",
        "--into",
        "mail",
        "--files",
        "bin",
    ];
    let (mut stopped_inside, mut ms) = (0, 5);
    for _ in 0..60 {
        killed(dir, &batch, ms);
        match files(&dir.join("mail")).len() as u64 {
            // This machine is slower than the kill.
            0 => ms = ms * 3 / 2,
            LETTERS => break,
            _ => stopped_inside += 1,
        }
        if stopped_inside == 12 {
            break;
        }
        ms += 7;
    }
    assert!(stopped_inside > 0, "no kill hit the middle of the batch");
    done(dir, &batch);
    let mut numbers = BTreeSet::new();
    for path in files(&dir.join("mail")) {
        let signed = verify(decode(&fs::read(path).unwrap()).unwrap()).unwrap();
        numbers.insert(signed.body().sequence);
    }
    assert_eq!(numbers, (1..=LETTERS).collect());
    let shown = done(dir, &["meter", "show", "franking"]);
    assert_eq!(shown["ascending"], "66.00");
    assert_eq!(shown["descending"], "34.00");

    // The station accepts each letter once, however often it is killed.
    let mail: Vec<String> = files(&dir.join("mail"))
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut accepted = 0;
    for (number, path) in mail.iter().enumerate().take(12) {
        let address = format!("Erika Mustermann / Heidestraße {number} / 51147 Köln");
        let scan = ["sort", "scan", "station", path, "--address", &address];
        killed(dir, &scan, 1 + 2 * number as u64);
        let results = [run(dir, &scan).0, run(dir, &scan).0].map(|it| it["letters"][0]["result"].clone());
        accepted += u64::from(results[0] == "accepted");
        assert!(
            results[0] == "accepted" || results[0] == "duplicate",
            "{results:?}"
        );
        assert_eq!(results[1], "duplicate");
    }
    assert!(accepted > 0, "each scan was over before its kill");
    let report = done(dir, &["sort", "report", "station", "-o", "report"]);
    assert_eq!(report["indicia"], 12);
    done(dir, &["office", "report", "post", "report"]);
    done(dir, &["meter", "audit", "franking", "-o", "registers"]);
    done(dir, &["office", "take", "post", "registers"]);
    let books = done(dir, &["audit", "post"])["books"].clone();
    assert_eq!(
        (&books["printed"], &books["carried"]),
        (&6600.into(), &1320.into()),
        "{books}"
    );
}

#[test]
fn one_letter_that_is_interrupted_is_repeated_and_a_wrong_address_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    let to = "Erika Mustermann / Heidestraße 17 / 51147 Köln";
    let print = [
        "print",
        "franking",
        "--to",
        to,
        "--from",
        "Press / 10115 Berlin",
        "-o",
        "letter.pdf",
    ];
    for ms in [5, 20, 40, 60, 80, 100] {
        killed(dir, &print, ms);
        if dir.join("letter.pdf").exists() {
            break;
        }
    }
    if !dir.join("letter.pdf").exists() || dir.join("letter.pdf.job").exists() {
        done(dir, &print);
    }
    assert_eq!(done(dir, &["meter", "show", "franking"])["sequence"], 1);
    assert!(!dir.join("letter.pdf.job").exists());
    let (refused, exit) = run(dir, &print);
    assert_eq!(exit, 1, "the file exists: {refused}");
    let result = |args: &[&str]| run(dir, args).0["letters"][0]["result"].clone();
    let changed = to.replace("17", "18");
    assert_eq!(
        result(&["sort", "scan", "station", "letter.pdf", "--address", &changed]),
        "altered_address"
    );
    assert_eq!(result(&["sort", "scan", "station", "letter.pdf"]), "accepted");
    assert_eq!(result(&["sort", "scan", "station", "letter.pdf"]), "duplicate");
    done(dir, &["judge", "paid.json", "certificate", "refill"]);
}
