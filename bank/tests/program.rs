//! The program: its output, its exit codes, and its commands with and without a running bank.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use farthing_bank::{node::STORE_DIR, rows::TOTALS};
use farthing_protocol::money::Amount;
use farthing_store::{Store, StoreOptions};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const KEY: &str = "60f2f10046afb7ea66abdf2017c868fdace3c1f869d2bccbf2cefed1eeaaad32";

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-bank"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

/// Runs a command that must succeed, and returns its JSON.
fn json(args: &[&str]) -> Value {
    let output = run(&[args, &["--json"]].concat());
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a command that must fail with this exit code, and returns its message.
fn failure(args: &[&str], code: i32) -> String {
    let output = run(args);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
    err
}

/// A running bank. Dropping it kills the process, as a crash would.
struct Running(Child);

impl Running {
    fn start(dir: &str) -> (Running, String, String) {
        let mut child = program(&["serve", dir])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (first, card) = (lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap());
        (Running(child), first, card)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn made(dir: &Path) -> (String, String) {
    let dir = dir.join("mint").to_str().unwrap().to_owned();
    let output = run(&["init", &dir, "--listen", "127.0.0.1:0"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let card = text.lines().last().unwrap().to_owned();
    assert!(
        card.starts_with("farthing-card:bank:central@127.0.0.1:"),
        "{card}"
    );
    (dir, card)
}

#[test]
fn commands_work_while_the_bank_runs_and_after_it_was_killed() {
    let temporary = tempfile::tempdir().unwrap();
    let (dir, card) = made(temporary.path());
    assert_eq!(
        json(&["account", "open", &dir, KEY, "--name", "amy"])["new"],
        true
    );
    {
        let (_running, first, shown) = Running::start(&dir);
        assert!(first.starts_with("farthing-bank serving 127.0.0.1:"), "{first}");
        assert_eq!(shown, card);
        assert_eq!(json(&["card", &dir])["card"], card.as_str());
        let credit = ["account", "credit", &dir, KEY, "20", "--reference", "a"];
        assert_eq!(json(&credit)["balance"], "20.00");
        let escrow = card.replace("bank:central", "escrow:fair");
        assert_eq!(json(&["network", "add", &dir, &escrow])["added"], "new");
        assert_eq!(json(&["network", "add", &dir, &escrow])["added"], "known");
        assert_eq!(
            json(&["network", "remove", &dir, "escrow", "fair"])["removed"],
            escrow.as_str()
        );
        assert!(failure(&["network", "remove", &dir, "escrow", "fair"], 1).contains("no escrow `fair`"));
        assert_eq!(json(&["network", "add", &dir, &escrow])["added"], "new");
        assert_eq!(json(&["audit", &dir])["accounts"], "20.00");
        let busy = failure(&["verify", &dir], 1);
        assert!(busy.contains("in use by another process"), "{busy}");
    }
    // The bank was killed: its socket file is still there, but no process listens.
    let credit = ["account", "credit", &dir, KEY, "20.00", "--reference", "a"];
    let waits = failure(&credit, 1);
    assert!(
        waits.contains("waits for a peer to tell what it remembers"),
        "{waits}"
    );
    json(&["network", "remove", &dir, "escrow", "fair"]);
    assert_eq!(json(&credit)["new"], false);
    let refused = failure(&["account", "payout", &dir, KEY, "20.01"], 1);
    assert!(refused.contains("the balance is 20.00"), "{refused}");
    assert_eq!(json(&["account", "payout", &dir, KEY, "0.5"])["balance"], "19.50");
    let accounts = json(&["account", "list", &dir]);
    assert_eq!(accounts["accounts"][0]["name"], "amy");
    assert_eq!(
        json(&["network", "list", &dir])["cards"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let report = json(&["audit", &dir]);
    assert_eq!(
        (&report["paid_in"], &report["paid_out"]),
        (&"20.00".into(), &"0.50".into())
    );
    assert_eq!(json(&["verify", &dir])["damage"], Value::Null);
    assert_eq!(json(&["keys", &dir])["currency"], "FTH");
}

#[test]
fn books_that_do_not_balance_have_their_own_exit_code() {
    let temporary = tempfile::tempdir().unwrap();
    let (dir, _) = made(temporary.path());
    let (store, _) = Store::open(&Path::new(&dir).join(STORE_DIR), StoreOptions::default()).unwrap();
    store
        .transact_blocking([TOTALS.key(&())], |tx| {
            let mut totals = TOTALS.get(tx, &())?.unwrap_or_default();
            totals.paid_in = Amount(1);
            TOTALS.put(tx, &(), &totals)
        })
        .unwrap();
    store.close().unwrap();
    let output = run(&["audit", &dir]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("THE BOOKS DO NOT BALANCE"), "{text}");
}

#[test]
fn invalid_arguments_and_missing_files_are_reported() {
    let temporary = tempfile::tempdir().unwrap();
    let (dir, _) = made(temporary.path());
    assert!(failure(&["init", &dir], 1).contains("is not empty"));
    assert!(failure(&["audit", temporary.path().to_str().unwrap()], 1).contains("there is no bank in"));
    assert!(failure(&["account", "open", &dir, "zz"], 2).contains("64 hexadecimal digits"));
    assert!(failure(&["account", "credit", &dir, KEY, "1.234"], 2).contains("write it like 20"));
    assert!(failure(&["account", "credit", &dir, KEY, "1"], 1).contains("there is no account"));
    assert!(failure(&["dance"], 2).contains("dance"));
    std::fs::remove_file(Path::new(&dir).join("issuing.key")).unwrap();
    assert!(failure(&["keys", &dir], 1).contains("restore it from your backup"));
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("farthing-bank init mint"), "{help}");
}

/// The credits that a bank gets while it is backed up.
const CREDITS: u32 = 30;

#[test]
fn a_backup_under_load_is_restored_and_its_segment_completes_it() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let (dir, _) = made(temporary.path());
    json(&["account", "open", &dir, KEY]);
    let (full, segment, last) = (path("full"), path("segment"), path("last"));
    let running = Running::start(&dir);
    let credit = |number: u32| {
        let reference = number.to_string();
        json(&["account", "credit", &dir, KEY, "1", "--reference", &reference]);
    };
    credit(0);
    let (backup, part) = std::thread::scope(|scope| {
        let load = scope.spawn(|| (1..CREDITS).for_each(credit));
        let backup = json(&["backup", &dir, "--to", &full]);
        let since = backup["last"].to_string();
        let part = json(&["backup", &dir, "--to", &segment, "--since", &since]);
        load.join().unwrap();
        (backup, part)
    });
    assert_eq!(part["after"], backup["last"]);
    let refused = failure(&["backup", &dir, "--to", &full], 1);
    assert!(refused.contains("exists; nothing was written"), "{refused}");
    let archived = json(&["archive", &dir, "--to", &path("archive")]);
    assert_eq!(archived["bytes"], 0, "every start needs all of a short journal");
    let misplaced = failure(&["archive", &dir, "--to", &format!("{dir}/store")], 1);
    assert!(misplaced.contains("a store is in it"), "{misplaced}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&full).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    drop(running);
    // The killed bank is backed up from its directory.
    let since = part["last"].to_string();
    let stopped = json(&["backup", &dir, "--to", &last, "--since", &since]);
    let beyond = failure(&["backup", &dir, "--to", &path("beyond"), "--since", "999999"], 1);
    assert!(beyond.contains("no record 999999"), "{beyond}");

    let (old, new) = (path("old"), path("new"));
    let text = run(&["restore-backup", &old, &full]);
    let text = String::from_utf8(text.stdout).unwrap();
    for said in [
        "hold it *behind*",
        "is the newest only if",
        &format!("--since {}", backup["last"]),
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let restored = json(&["restore-backup", &new, &full, &segment, &last]);
    assert_eq!(restored["records"], stopped["last"]);
    assert_eq!(restored["hash"], stopped["hash"]);
    let refused = failure(&["restore-backup", &new, &full], 1);
    assert!(refused.contains("is not empty"), "{refused}");
    let books = json(&["audit", &dir]);
    assert_eq!(books["paid_in"], format!("{CREDITS}.00"));
    let (_running, _, _) = Running::start(&new);
    assert_eq!(json(&["audit", &new]), books);
    let older = json(&["audit", &old]);
    assert_eq!(older["problems"], Value::Array(Vec::new()));
    assert_eq!(older["accounts"], older["paid_in"]);
}

#[test]
fn a_damaged_backup_or_one_with_a_gap_is_refused_and_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let (dir, _) = made(temporary.path());
    json(&["account", "open", &dir, KEY]);
    let (full, first, second) = (path("full"), path("first"), path("second"));
    let since = json(&["backup", &dir, "--to", &full])["last"].to_string();
    json(&["account", "credit", &dir, KEY, "1"]);
    let next = json(&["backup", &dir, "--to", &first, "--since", &since])["last"].to_string();
    json(&["account", "credit", &dir, KEY, "1"]);
    json(&["backup", &dir, "--to", &second, "--since", &next]);
    let new = path("new");
    let refused = |files: &[&str], said: &str| {
        let why = failure(&[&["restore-backup", &new], files].concat(), 1);
        assert!(why.contains(said), "{said}: {why}");
        assert!(!Path::new(&new).exists(), "{said}");
    };
    refused(&[&first], "is an archived segment");
    refused(&[&full, &second], "does not continue the files before it");
    refused(&[&full, &full], "does not continue the files before it");
    let whole = std::fs::read(&full).unwrap();
    let bad = path("bad");
    let lengths = [0, 7, 20, 600, whole.len() / 2, whole.len() - 1];
    for length in lengths {
        std::fs::write(&bad, &whole[..length]).unwrap();
        refused(&[&bad], "nothing was restored");
    }
    for at in [0, 12, 100, whole.len() / 2, whole.len() - 40, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&bad, bytes).unwrap();
        refused(&[&bad], "nothing was restored");
    }
    // The other bank's directory of the same role.
    let other = temporary.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let (other, _) = made(&other);
    let strange = path("strange");
    json(&["backup", &other, "--to", &strange]);
    refused(&[&full, &strange], "does not continue");
}

#[test]
fn a_node_drains_through_restarts_until_it_is_turned_off() {
    let temporary = tempfile::tempdir().unwrap();
    let (dir, _) = made(temporary.path());
    {
        let (_running, _, _) = Running::start(&dir);
        assert_eq!(json(&["drain", &dir, "--status"])["since_ms"], Value::Null);
        let drained = json(&["drain", &dir]);
        assert_eq!(drained["done"], true);
        assert_eq!(json(&["drain", &dir]), drained);
    }
    assert!(json(&["drain", &dir, "--status"])["since_ms"].is_u64());
    let (_running, _, _) = Running::start(&dir);
    assert_eq!(json(&["status", &dir])["draining"], true);
    let text = String::from_utf8(run(&["drain", &dir]).stdout).unwrap();
    assert!(text.contains("nothing that began before is left"), "{text}");
    assert_eq!(json(&["drain", &dir, "--off"])["since_ms"], Value::Null);
    assert_eq!(json(&["status", &dir])["draining"], false);
}

#[test]
fn statements_and_reports_are_printed_as_text_json_and_comma_separated_values() {
    let temporary = tempfile::tempdir().unwrap();
    let (dir, _) = made(temporary.path());
    let policy = Path::new(&dir).join("reporting.toml");
    let text = "currency = \"FTH\"\nperiod_hours = 24\n[cash_in]\nreport_above = \"10.00\"\n";
    std::fs::write(&policy, format!("{text}colour = 1\n")).unwrap();
    let refused = failure(&["account", "open", &dir, KEY], 1);
    assert!(refused.contains("reporting.toml, line 5"), "{refused}");
    std::fs::write(&policy, text).unwrap();
    json(&["account", "open", &dir, KEY, "--name", "=amy"]);
    json(&["account", "credit", &dir, KEY, "6", "--reference", "a"]);
    json(&["account", "credit", &dir, KEY, "6", "--reference", "=b,c"]);
    let movements = json(&["statement", &dir, "--account", KEY]);
    assert_eq!(movements["movements"][1]["balance"], "12.00");
    let printed = |args: &[&str]| String::from_utf8(run(args).stdout).unwrap();
    let table = printed(&["statement", &dir]);
    assert!(table.contains("cash in"), "{table}");
    let csv = printed(&["statement", &dir, "--csv", "--since", "2026-01-01"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.ends_with("cash in,6.00,12.00,\"'=b,c\"\n"), "{csv}");
    let none = printed(&["statement", &dir, "--until", "2026-01-01"]);
    assert!(none.contains("no movement is on record"), "{none}");
    let reports = json(&["reports", &dir]);
    assert_eq!(reports["reports"].as_array().unwrap().len(), 1);
    assert_eq!(reports["reports"][0]["sum"], "12.00");
    let csv = printed(&["reports", &dir, "--csv"]);
    assert!(csv.contains("'=amy,cash in,6.00,12.00,10.00"), "{csv}");
    let audit = json(&["audit", &dir, "--since", "2026-01-01"]);
    assert_eq!(
        (&audit["cash_in"], &audit["movements"]),
        (&"12.00".into(), &2.into())
    );
    assert!(failure(&["audit", &dir, "--since", "yesterday"], 2).contains("is no date"));
}
