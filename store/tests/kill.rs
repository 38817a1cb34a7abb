//! A real process is killed while it writes. All rows that it acknowledged are there afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails"
)]

use farthing_store::{Store, StoreOptions, Table};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const NEXT: Table<(), u64> = Table::new(2, "next");
/// The variable with the directory of the process that will be killed.
const VICTIM_DIR: &str = "FARTHING_STORE_VICTIM_DIR";

/// The code of the killed process. It is no test: without the variable it does nothing.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(VICTIM_DIR) else {
        return;
    };
    let options = StoreOptions {
        // Small, so that the kill comes while rows move to sled.
        buffer_bytes: 16 * 1024,
        // Small, so that the kill comes while a file of the journal ends and a snapshot is written.
        segment_bytes: 64 * 1024,
        ..StoreOptions::default()
    };
    let (store, _) = Store::open(Path::new(&dir), options).unwrap();
    let out = std::sync::Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = store
                        .transact_blocking([NEXT.key(&())], |tx| {
                            let number = NEXT.get(tx, &())?.unwrap_or(1);
                            NEXT.put(tx, &(), &(number + 1))?;
                            ROWS.put(tx, &number, &vec![number as u8; (number % 500) as usize])?;
                            Ok(number)
                        })
                        .unwrap();
                    let mut out = out.lock().unwrap();
                    writeln!(out, "acknowledged {number}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

/// Runs the victim for this time and kills it. Returns the highest number that it acknowledged.
fn run_and_kill(dir: &Path, run: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--nocapture"])
        .env(VICTIM_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        let numbers = lines.filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok());
        numbers.max().unwrap_or(0)
    });
    std::thread::sleep(run);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn all_rows_that_a_killed_process_acknowledged_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    // Short runs kill it while it opens, longer runs while it writes.
    for run_ms in [3, 700, 8, 300, 15, 450, 30, 60, 20, 500] {
        acknowledged = acknowledged.max(run_and_kill(dir.path(), Duration::from_millis(run_ms)));
        let (store, report) = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let view = store.view();
        let next = NEXT.peek(&view, &()).unwrap().unwrap_or(1);
        println!(
            "{run_ms} ms: {acknowledged} acknowledged, {} there, {report:?}",
            next - 1
        );
        assert!(
            next > acknowledged,
            "{acknowledged} was acknowledged, {} is there",
            next - 1
        );
        for number in 1..next {
            let row = ROWS.peek(&view, &number).unwrap().unwrap();
            assert_eq!(row, vec![number as u8; (number % 500) as usize], "row {number}");
        }
        assert_eq!(ROWS.peek(&view, &next).unwrap(), None);
    }
    assert!(acknowledged > 100, "only {acknowledged} were acknowledged");
    let names = std::fs::read_dir(dir.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let segments = names.filter(|name| name.starts_with("journal.0")).count();
    assert!(segments > 2, "only {segments} files were ended");
}
