//! The memory of a scan does not grow with the rows that it reads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use farthing_node::usage::Usage;
use farthing_protocol::ids::RecordHash;
use farthing_store::limits::SCAN_MAX_ROWS;
use farthing_store::{Head, Index, SledIndex, Writes};
use std::ops::Bound;
use std::path::Path;
use std::process::Command;

const ROWS: u32 = 40_000;
const ROW_BYTES: usize = 4096;
const CACHE_BYTES: u64 = 1024 * 1024;
/// The variable with the index's directory, for the scanning process.
const READER_DIR: &str = "FARTHING_STORE_READER_DIR";

fn fill(dir: &Path) {
    let index = SledIndex::open(dir, CACHE_BYTES).unwrap();
    for first in (0..ROWS).step_by(64) {
        let keys = first..ROWS.min(first + 64);
        let rows = keys.map(|key| (key.to_be_bytes().to_vec(), Some(vec![1; ROW_BYTES])));
        let head = Head {
            sequence: u64::from(first),
            hash: RecordHash([0; 32]),
        };
        index.apply(&rows.collect::<Writes>(), head).unwrap();
    }
    index.close().unwrap();
}

/// Not a test: the body of the scanning process. Without the variable it does nothing.
#[test]
fn reader() {
    let Some(dir) = std::env::var_os(READER_DIR) else {
        return;
    };
    let index = SledIndex::open(Path::new(&dir), CACHE_BYTES).unwrap();
    let before = Usage::of_this_process().memory_peak_bytes;
    let (mut from, mut rows) = (Bound::Unbounded, 0);
    loop {
        let page = index.scan(&[], from.as_ref().map(Vec::as_slice), SCAN_MAX_ROWS / 16);
        let page = page.unwrap();
        rows += page.len();
        let Some((last, _)) = page.into_iter().last() else {
            break;
        };
        from = Bound::Excluded(last);
    }
    assert_eq!(rows, ROWS as usize + 1, "all, and the place in the journal");
    println!("took {}", Usage::of_this_process().memory_peak_bytes - before);
}

#[test]
fn a_scan_of_large_rows_does_not_leave_them_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    // In a separate process, which has no free memory left from filling the store.
    let scanned = Command::new(std::env::current_exe().unwrap())
        .args(["reader", "--exact", "--nocapture"])
        .env(READER_DIR, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&scanned.stdout);
    let took = said
        .lines()
        .find_map(|line| line.rsplit_once("took ")?.1.parse::<u64>().ok());
    let took = took.unwrap_or_else(|| panic!("it did not say: {said}"));
    let all = u64::from(ROWS) * ROW_BYTES as u64;
    assert!(took < all / 2, "a scan of {all} bytes took {took} of memory");
}
