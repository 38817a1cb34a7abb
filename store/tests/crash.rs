//! Power failures and damage, on a simulated disk. All acknowledged rows survive, and every change is found and named.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::MemoryDisk;
use farthing_store::{
    Damage, DamageKind, Job, Reads, Store, StoreError, StoreOptions, Table, Transaction, VerifyReport, verify,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc::channel};

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const LAST: Table<(), u64> = Table::new(2, "last");
const DIR: &str = "/store";

fn journal() -> PathBuf {
    Path::new(DIR).join("journal")
}

fn options(disk: &MemoryDisk) -> StoreOptions {
    let mut options = StoreOptions::simulated(disk.clone(), 7);
    options.preallocate_bytes = 4096;
    options
}

fn open(disk: &MemoryDisk) -> Result<Store, StoreError> {
    Store::open(Path::new(DIR), options(disk)).map(|(store, _)| store)
}

/// As [`open`], with files of this length.
fn open_in_segments(disk: &MemoryDisk, segment_bytes: u64) -> Result<Store, StoreError> {
    let options = StoreOptions {
        segment_bytes,
        ..options(disk)
    };
    Store::open(Path::new(DIR), options).map(|(store, _)| store)
}

/// Pseudorandom bytes from two numbers. None is zero.
fn noise(a: u64, b: u64, len: usize) -> Vec<u8> {
    let mut state = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xD1B5_4A32_D192_ED03) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 255) as u8 + 1
        })
        .collect()
}

/// Writes row `number`, which must be the next one.
fn write(number: u64, len: usize) -> impl Fn(&mut Transaction<'_>) -> Result<u64, StoreError> {
    move |tx| {
        assert_eq!(LAST.get(tx, &())?.unwrap_or(0) + 1, number);
        ROWS.put(tx, &number, &noise(number, 1, len))?;
        LAST.put(tx, &(), &number)?;
        Ok(number)
    }
}

/// Checks that rows 1 to the last are there, and none after it. Returns the last number.
fn check(store: &Store) -> u64 {
    let view = store.view();
    let last = LAST.peek(&view, &()).unwrap().unwrap_or(0);
    for number in 1..=last {
        let row = ROWS.peek(&view, &number).unwrap().unwrap();
        assert_eq!(row, noise(number, 1, row.len()), "row {number}");
    }
    assert_eq!(ROWS.peek(&view, &(last + 1)).unwrap(), None);
    last
}

#[test]
fn after_any_crash_all_acknowledged_rows_and_a_prefix_of_the_others_are_there() {
    let mut kept_unacknowledged = 0;
    let mut lost_unacknowledged = 0;
    for seed in 0..400u64 {
        let disk = MemoryDisk::new();
        let mut acknowledged = 0;
        for life in 0..4u64 {
            // One file, and files of few records and of one.
            let segment_bytes = [u64::MAX, u64::MAX, 9000, 700][(seed % 4) as usize];
            let store = open_in_segments(&disk, segment_bytes)
                .unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
            let found = check(&store);
            assert!(
                found >= acknowledged,
                "seed {seed}, life {life}: {found} of {acknowledged}"
            );
            assert!(found <= acknowledged + 3, "seed {seed}, life {life}");
            if found > acknowledged {
                kept_unacknowledged += 1
            } else {
                lost_unacknowledged += 1
            }
            let dice = noise(seed, life, 64);
            disk.fail_sync_after(u64::from(dice[0] % 12));
            let last = Arc::new(AtomicU64::new(found));
            let mut next = found;
            // Batches of one to three rows, until the sync fails. Rows have a few bytes to several sectors.
            for size in &dice[1..] {
                let jobs = (0..size % 3 + 1).map(|_| {
                    next += 1;
                    let last = Arc::clone(&last);
                    let len = usize::from(*size) * usize::from(dice[1] % 20) + 1;
                    Job::new([LAST.key(&())], write(next, len), move |result| {
                        if let Ok(number) = result {
                            last.store(number, Ordering::SeqCst);
                        }
                    })
                });
                store.commit(jobs.collect()).unwrap();
                if last.load(Ordering::SeqCst) < next {
                    break;
                }
            }
            acknowledged = last.load(Ordering::SeqCst);
            disk.crash(seed * 10 + life);
        }
    }
    // Without many of both cases, the test proves nothing.
    assert!(kept_unacknowledged > 50 && lost_unacknowledged > 50);
}

#[test]
fn a_store_opens_after_a_crash_at_any_moment_of_its_first_start() {
    for seed in 0..200 {
        let disk = MemoryDisk::new();
        disk.fail_sync_after(seed % 5);
        let acknowledged = open(&disk)
            .and_then(|store| store.transact_blocking([LAST.key(&())], write(1, 2000)))
            .is_ok();
        disk.crash(seed);
        let found = check(&open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}")));
        assert!(found >= u64::from(acknowledged), "seed {seed}");
    }
}

/// A disk with `count` rows, each in its own record, and the offset where each record ends.
fn written(count: u64, len: usize) -> (MemoryDisk, Vec<u64>) {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    let mut ends = vec![512];
    for number in 1..=count {
        store
            .transact_blocking([LAST.key(&())], write(number, len))
            .unwrap();
        let bytes = disk.bytes(&journal()).unwrap();
        ends.push(bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1);
    }
    drop(store);
    (disk, ends)
}

fn report(disk: &MemoryDisk) -> VerifyReport {
    verify(Path::new(DIR), disk, &|_| {}).unwrap()
}

fn damage(disk: &MemoryDisk) -> Option<Damage> {
    match open(disk) {
        Ok(_) => None,
        Err(StoreError::Damaged { damage, .. }) => Some(damage),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_last_record_that_was_cut_at_any_byte_is_removed_and_the_store_goes_on() {
    let (disk, ends) = written(3, 900);
    let whole = disk.bytes(&journal()).unwrap();
    for cut in ends[2]..ends[3] {
        for zeros in [true, false] {
            let mut bytes = whole[..cut as usize].to_vec();
            if zeros {
                bytes.resize(whole.len(), 0);
            }
            disk.put(&journal(), bytes);
            assert_eq!(
                report(&disk).torn_bytes.min(1),
                u64::from(cut > ends[2]),
                "cut at {cut}"
            );
            let (store, report) = Store::open(Path::new(DIR), options(&disk)).unwrap();
            assert!(report.cut_torn_bytes <= cut - ends[2]);
            assert_eq!(check(&store), 2, "cut at {cut}");
            store.transact_blocking([LAST.key(&())], write(3, 10)).unwrap();
            drop(store);
            disk.crash(cut);
            assert_eq!(check(&open(&disk).unwrap()), 3, "cut at {cut}");
            // The state now has three records, and the next round begins with two.
            disk.put(&Path::new(DIR).join("state"), Vec::new());
        }
    }
}

#[test]
fn a_flipped_bit_in_any_record_or_after_the_end_is_found_and_named() {
    let (disk, ends) = written(4, 700);
    for offset in 0..ends[4] {
        let mask = 1 << (offset % 8);
        assert!(disk.flip(&journal(), offset, mask));
        let sequence = ends.iter().filter(|end| **end <= offset).count() as u64;
        let found = damage(&disk).unwrap_or_else(|| panic!("byte {offset} was not found"));
        assert_eq!(found.sequence, sequence, "byte {offset}: {found}");
        if sequence > 0 {
            assert_eq!(found.offset, ends[sequence as usize - 1]);
            assert_eq!(report(&disk).damage, Some(found));
            assert_eq!(report(&disk).records, sequence - 1);
        }
        disk.flip(&journal(), offset, mask);
    }
    assert_eq!(check(&open(&disk).unwrap()), 4, "the unchanged journal opens");
    disk.flip(&journal(), ends[4] + 50, 4);
    assert!(damage(&disk).is_some(), "a bit after the end");
}

#[test]
fn whole_sectors_and_records_overwritten_in_the_middle_are_found() {
    let (disk, ends) = written(6, 700);
    let whole = disk.bytes(&journal()).unwrap();
    let from_to = [(ends[1], ends[2]), (ends[0], ends[5]), (1024, 1536), (1536, 3072)];
    for (from, to) in from_to {
        for fill in [0u8, 0xFF] {
            let mut bytes = whole.clone();
            bytes[from as usize..to as usize].fill(fill);
            disk.put(&journal(), bytes);
            let found = damage(&disk).unwrap_or_else(|| panic!("{from} to {to} filled with {fill}"));
            assert_eq!(found.kind, DamageKind::Changed);
        }
    }
}

#[test]
fn a_journal_without_its_last_acknowledged_record_is_refused() {
    let (disk, ends) = written(3, 100);
    let older = disk.bytes(&journal()).unwrap();
    let store = open(&disk).unwrap();
    store.transact_blocking([LAST.key(&())], write(4, 100)).unwrap();
    store.close().unwrap();
    disk.put(&journal(), older);
    let found = damage(&disk).unwrap();
    assert_eq!(
        found,
        Damage {
            offset: ends[3],
            sequence: 4,
            kind: DamageKind::Missing(4)
        }
    );
    disk.put(&journal(), Vec::new());
    assert_eq!(damage(&disk).unwrap().kind, DamageKind::Header);
}

#[test]
fn a_lost_journal_is_not_replaced_by_a_new_one() {
    use farthing_store::disk::Disk;
    let (disk, _) = written(3, 100);
    disk.remove(&journal()).unwrap();
    assert!(matches!(damage(&disk).unwrap().kind, DamageKind::Missing(_)));
}

#[test]
fn removed_repeated_and_swapped_records_are_found() {
    let (disk, ends) = written(4, 100);
    let whole = disk.bytes(&journal()).unwrap();
    let record = |n: usize| &whole[ends[n - 1] as usize..ends[n] as usize];
    let rest = vec![0; 2000];
    for order in [[1, 3, 4].as_slice(), &[1, 3, 2, 4], &[2], &[1, 1], &[1, 2, 4]] {
        let mut bytes = whole[..512].to_vec();
        order.iter().for_each(|n| bytes.extend_from_slice(record(*n)));
        bytes.extend_from_slice(&rest);
        disk.put(&journal(), bytes);
        assert_eq!(damage(&disk).unwrap().kind, DamageKind::Chain, "{order:?}");
    }
}

#[test]
fn a_value_with_the_bytes_of_a_record_is_not_taken_for_a_record() {
    // A value has the bytes of a later record of another journal, and the machine goes down during the write.
    let (other, ends) = written(9, 100);
    let spelled = other.bytes(&journal()).unwrap()[ends[8] as usize..ends[9] as usize].to_vec();
    let disk = MemoryDisk::new();
    let mut options = options(&disk);
    options.entropy = Arc::new(farthing_store::entropy::SeededEntropy::new(8));
    let open = || Store::open(Path::new(DIR), options.clone()).unwrap().0;
    for seed in 0..50 {
        let store = open();
        let (tell, told) = channel();
        disk.fail_sync_after(0);
        let value = spelled.repeat(20);
        let job = Job::new(
            Reads::none(),
            move |tx| ROWS.put(tx, &1, &value),
            move |result| tell.send(result).unwrap(),
        );
        store.commit(vec![job]).unwrap();
        assert!(told.recv().unwrap().is_err());
        disk.crash(seed);
    }
    open();
}

#[test]
fn verify_reports_the_records_and_refuses_while_the_store_is_open() {
    let (disk, ends) = written(5, 100);
    let report = report(&disk);
    assert_eq!((report.records, report.bytes, report.torn_bytes), (5, ends[5], 0));
    let store = open(&disk).unwrap();
    assert_eq!(store.head(), report.head);
    let refused = verify(Path::new(DIR), &disk, &|_| {});
    assert!(matches!(refused, Err(StoreError::InUse { .. })));
    let nothing = verify(Path::new("/elsewhere"), &disk, &|_| {});
    assert!(matches!(nothing, Err(StoreError::Absent { .. })));
}
