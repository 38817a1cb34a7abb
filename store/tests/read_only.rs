//! A store that is read while another process has it open.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::{FileDisk, MemoryDisk};
use farthing_store::{Reads, Store, StoreError, StoreOptions, Table, lock_note};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const DIR: &str = "/store";

fn journal() -> PathBuf {
    Path::new(DIR).join("journal")
}

fn options(disk: &MemoryDisk) -> StoreOptions {
    StoreOptions {
        preallocate_bytes: 4096,
        ..StoreOptions::simulated(disk.clone(), 7)
    }
}

fn put(store: &Store, number: u64) {
    let len = usize::try_from(number % 3 * 700 + 1).unwrap();
    let written = store.transact_blocking(Reads::none(), move |tx| ROWS.put(tx, &number, &vec![7; len]));
    written.unwrap();
}

fn read(disk: &MemoryDisk) -> Result<Store, StoreError> {
    Ok(Store::open_read_only(Path::new(DIR), &options(disk))?.unwrap())
}

/// Number of rows, which must be the first ones.
fn rows(store: &Store) -> u64 {
    let rows = ROWS
        .scan(&store.view(), std::ops::Bound::Unbounded, 4096)
        .unwrap();
    assert!((0..).zip(&rows).all(|(number, (key, _))| number == *key));
    rows.len() as u64
}

#[test]
fn a_reader_sees_all_records_of_an_open_store_and_writes_nothing() {
    let disk = MemoryDisk::new();
    assert!(
        Store::open_read_only(Path::new(DIR), &options(&disk))
            .unwrap()
            .is_none()
    );
    let (store, _) = Store::open(Path::new(DIR), options(&disk)).unwrap();
    for number in 0..10 {
        assert_eq!(rows(&read(&disk).unwrap()), number);
        put(&store, number);
    }
    let (syncs, bytes) = (disk.syncs(), disk.bytes(&journal()));
    let reader = read(&disk).unwrap();
    assert!(reader.is_read_only() && !store.is_read_only());
    assert_eq!(reader.head(), store.head());
    assert_eq!(reader.hash_at(5).unwrap(), store.hash_at(5).unwrap());
    let refused = reader.transact_blocking(Reads::none(), |tx| ROWS.put(tx, &99, &vec![1]));
    assert_eq!(refused, Err(StoreError::ReadOnly));
    reader.close().unwrap();
    assert_eq!((disk.syncs(), disk.bytes(&journal())), (syncs, bytes));
    put(&store, 10);
}

#[test]
fn a_record_that_is_half_written_counts_as_absent_wherever_it_ends() {
    let disk = MemoryDisk::new();
    let (store, _) = Store::open(Path::new(DIR), options(&disk)).unwrap();
    (0..3).for_each(|number| put(&store, number));
    let before = disk.bytes(&journal()).unwrap();
    put(&store, 3);
    let after = disk.bytes(&journal()).unwrap();
    let differs = |at: &usize| before.get(*at).unwrap_or(&0) != &after[*at];
    let changed: Vec<usize> = (0..after.len()).filter(differs).collect();
    let (first, last) = (changed[0], changed[changed.len() - 1]);
    for written in first..=last {
        let mut half = after.clone();
        half[written..=last].fill(0);
        disk.put(&journal(), half);
        assert_eq!(rows(&read(&disk).unwrap()), 3, "{written} of {first} to {last}");
    }
    disk.put(&journal(), after);
    assert_eq!(rows(&read(&disk).unwrap()), 4);
}

#[test]
fn a_reader_refuses_a_damaged_or_shortened_journal() {
    let disk = MemoryDisk::new();
    let (store, _) = Store::open(Path::new(DIR), options(&disk)).unwrap();
    (0..3).for_each(|number| put(&store, number));
    store.close().unwrap();
    let whole = disk.bytes(&journal()).unwrap();
    let flipped: Vec<u8> = (0..)
        .zip(&whole)
        .map(|(at, byte)| byte ^ u8::from(at == 700))
        .collect();
    let empty: Vec<u8> = (0..)
        .zip(&whole)
        .map(|(at, byte)| if at < 512 { *byte } else { 0 })
        .collect();
    for bytes in [flipped, empty] {
        disk.put(&journal(), bytes);
        assert!(matches!(read(&disk).map(drop), Err(StoreError::Damaged { .. })));
    }
    disk.put(&journal(), whole);
    assert_eq!(rows(&read(&disk).unwrap()), 3);
}

#[test]
fn readers_beside_a_busy_writer_see_every_record_that_was_durable_before() {
    let dir = tempfile::tempdir().unwrap();
    let note = Some("busy".to_owned());
    let options = StoreOptions {
        lock_note: note.clone(),
        ..StoreOptions::default()
    };
    let (store, _) = Store::open(dir.path(), options.clone()).unwrap();
    assert_eq!(lock_note(dir.path(), &FileDisk), note);
    let durable = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..400 {
                put(&store, number);
                durable.store(number + 1, Ordering::SeqCst);
            }
        });
        let mut seen = 0;
        while seen < 400 {
            let least = durable.load(Ordering::SeqCst);
            let reader = Store::open_read_only(dir.path(), &options).unwrap().unwrap();
            seen = rows(&reader);
            assert!(seen >= least, "{seen} of {least}");
        }
    });
}
