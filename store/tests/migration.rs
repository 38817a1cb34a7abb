//! Migrations. A directory of an older version is migrated, also after a power failure. A directory of a newer version is
//! refused and not changed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::MemoryDisk;
use farthing_store::{Migration, Reads, SCHEMA_VERSION, Store, StoreError, StoreOptions, Table, verify};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
/// The table that the test's step fills: an index of the rows by their length.
const BY_LENGTH: Table<(u64, u64), ()> = Table::new(2, "rows by length");
const DIR: &str = "/store";
/// More rows than fit into one transaction of a migration.
const COUNT: u64 = 600;

fn journal() -> PathBuf {
    Path::new(DIR).join("journal")
}

fn open(disk: &MemoryDisk) -> Result<Store, StoreError> {
    let mut options = StoreOptions::simulated(disk.clone(), 7);
    options.preallocate_bytes = 4096;
    Store::open(Path::new(DIR), options).map(|(store, _)| store)
}

/// Writes another version into the journal's own header.
fn set_version(disk: &MemoryDisk, version: u32) {
    let mut bytes = disk.bytes(&journal()).unwrap();
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    disk.put(&journal(), bytes);
}

fn version(disk: &MemoryDisk) -> u32 {
    let bytes = disk.bytes(&journal()).unwrap();
    u32::from_le_bytes(bytes[8..12].try_into().unwrap())
}

fn row(number: u64) -> Vec<u8> {
    vec![7; (number % 50) as usize]
}

/// A store that a program of version 1 has left. It has no version row.
fn old(closed: bool) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    for first in (0..COUNT).step_by(100) {
        let write = move |tx: &mut farthing_store::Transaction<'_>| {
            (first..first + 100).try_for_each(|number| ROWS.put(tx, &number, &row(number)))
        };
        store.transact_blocking(Reads::none(), write).unwrap();
    }
    if closed {
        store.close().unwrap();
    } else {
        drop(store);
        disk.kill();
    }
    set_version(&disk, 1);
    disk
}

fn step(migration: &Migration<'_>) -> Result<(), StoreError> {
    assert_eq!(migration.from(), 1);
    migration.each_row(&ROWS, |tx, number, row| {
        BY_LENGTH.put(tx, &(row.len() as u64, *number), &())
    })
}

/// Checks all rows and their index.
fn check(store: &Store) {
    let view = store.view();
    let rows = ROWS.scan(&view, Bound::Unbounded, 4096).unwrap();
    let expected: Vec<_> = (0..COUNT).map(|number| (number, row(number))).collect();
    assert_eq!(rows, expected);
    let index = BY_LENGTH.scan(&view, Bound::Unbounded, 4096).unwrap();
    let index: BTreeSet<_> = index.into_iter().map(|(key, ())| key).collect();
    let expected = expected.iter().map(|(number, row)| (row.len() as u64, *number));
    assert_eq!(index, expected.collect());
    assert_eq!(store.schema_version(), Ok(SCHEMA_VERSION));
}

#[test]
fn an_old_store_is_migrated_once() {
    for closed in [true, false] {
        let disk = old(closed);
        let before = verify(Path::new(DIR), &disk, &|_| {}).unwrap();
        let store = open(&disk).unwrap();
        assert_eq!(version(&disk), SCHEMA_VERSION, "raised before any row is written");
        assert_eq!(
            (store.head(), store.schema_version()),
            (before.head, Ok(1)),
            "the history is the same"
        );
        store.migrate(step).unwrap();
        check(&store);
        store.close().unwrap();
        let store = open(&disk).unwrap();
        let head = store.head();
        store.migrate(|_| panic!("it is up to date")).unwrap();
        assert_eq!(store.head(), head);
        check(&store);
    }
}

#[test]
fn a_power_failure_at_any_point_leaves_a_store_that_opens_and_is_migrated() {
    let old = old(true);
    let (mut raised, mut half_raised) = (0, 0);
    for seed in 0..120u64 {
        let disk = old.copy();
        // The third sync is the sync of the journal's header.
        disk.fail_sync_after(seed % 5);
        let migrated = open(&disk).and_then(|store| store.migrate(step));
        disk.crash(seed);
        let header = disk.bytes(&journal()).unwrap();
        let crc = crc32fast::hash(&header[..28]).to_le_bytes();
        half_raised += u32::from(header[28..32] != crc);
        raised += u32::from(migrated.is_err() && version(&disk) == SCHEMA_VERSION);
        let store = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        store.migrate(step).unwrap();
        check(&store);
        assert_eq!(version(&disk), SCHEMA_VERSION);
    }
    // Without these cases, the test proves nothing.
    assert!(raised > 20 && half_raised > 1, "{raised} {half_raised}");
}

#[test]
fn a_failing_step_does_not_change_the_version_of_the_rows() {
    let disk = old(true);
    let store = open(&disk).unwrap();
    let fails = |migration: &Migration<'_>| {
        step(migration)?;
        Err(StoreError::Refused("no".into()))
    };
    assert_eq!(store.migrate(fails), Err(StoreError::Refused("no".into())));
    assert_eq!(store.schema_version(), Ok(1));
    store.migrate(step).unwrap();
    check(&store);
}

#[test]
fn a_new_store_and_each_namespace_have_their_own_version() {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    assert_eq!(version(&disk), SCHEMA_VERSION);
    store.migrate(|_| Ok(())).unwrap();
    assert_eq!(store.schema_version(), Ok(SCHEMA_VERSION));
    let namespace = store.namespace(5);
    assert_eq!(namespace.schema_version(), Ok(1));
    namespace.migrate(|_| Ok(())).unwrap();
    assert_eq!(namespace.schema_version(), Ok(SCHEMA_VERSION));
    assert_eq!(store.namespace(6).schema_version(), Ok(1));
}

#[test]
fn a_newer_store_is_refused_with_its_version_and_not_changed() {
    let disk = old(true);
    set_version(&disk, SCHEMA_VERSION + 1);
    let names = ["journal", "state"].map(|name| Path::new(DIR).join(name));
    let before = names.clone().map(|name| disk.bytes(&name));
    let refused = [
        open(&disk).map(|_| ()),
        verify(Path::new(DIR), &disk, &|_| {}).map(|_| ()),
    ];
    let expected = StoreError::Newer {
        path: Some(journal()),
        found: SCHEMA_VERSION + 1,
        known: SCHEMA_VERSION,
    };
    for refused in refused {
        assert_eq!(refused, Err(expected.clone()));
    }
    assert_eq!(names.map(|name| disk.bytes(&name)), before);
    let text = expected.to_string();
    assert_eq!(
        text,
        "the journal /store/journal was last used by a newer program: its format version is 3, this program knows up to \
         2; nothing was changed; use the newer program again"
    );
}
