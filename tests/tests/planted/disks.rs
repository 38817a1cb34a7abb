//! What a store finds on its disk when it is opened: a record that was cut off, a file that was ended, a damaged snapshot, an index of another journal, rows of an
//! older version.

use farthing_store::{
    Migration, Reads, SCHEMA_VERSION, Store, StoreError, StoreOptions, Table,
    disk::{Disk, MemoryDisk},
};
use std::{ops::Bound, path::Path};

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const DIR: &str = "/store";

/// How many seeds the power fails with.
const CUTS: u64 = 60;

/// Bytes without a zero among them.
fn value(number: u64) -> Vec<u8> {
    (0..3_000u64)
        .map(|at| ((at * 7 + number * 13) % 255) as u8 + 1)
        .collect()
}

fn put(store: &Store, number: u64) -> bool {
    store
        .transact_blocking(Reads::none(), move |tx| ROWS.put(tx, &number, &value(number)))
        .is_ok()
}

/// The power fails while a record is written: it is there as it was written, or not at all.
pub async fn a_record_is_cut_off() {
    for seed in 0..CUTS {
        let disk = MemoryDisk::new();
        let open = || Store::open(Path::new(DIR), StoreOptions::simulated(disk.clone(), 7));
        let store = open().expect("a new store").0;
        assert!(put(&store, 1));
        disk.fail_sync_after(0);
        let acknowledged = put(&store, 2);
        drop(store);
        disk.crash(seed);
        let store = open()
            .unwrap_or_else(|_| panic!("progress: the store does not open"))
            .0;
        let row = |number| ROWS.peek(&store.view(), &number).expect("a row can be read");
        assert_eq!(row(1), Some(value(1)), "money: what was durable is lost");
        let second = row(2);
        let whole = second == Some(value(2)) || (second.is_none() && !acknowledged);
        assert!(whole, "money: half a record is taken for a whole one, or is gone");
    }
}

/// The options of a store whose files end after two or three rows.
fn short_files(disk: &MemoryDisk) -> StoreOptions {
    StoreOptions {
        segment_bytes: 6_000,
        ..StoreOptions::simulated(disk.clone(), 7)
    }
}

/// The power fails while a file of the journal ends, and a snapshot is damaged.
pub async fn a_file_of_the_journal_ends_and_a_snapshot_is_damaged() {
    for seed in 0..CUTS {
        let disk = MemoryDisk::new();
        let open = || Store::open(Path::new(DIR), short_files(&disk));
        let store = open().expect("a new store").0;
        disk.fail_sync_after(seed % 30);
        let acknowledged = (1..=20).take_while(|number| put(&store, *number)).count() as u64;
        drop(store);
        disk.crash(seed);
        let store = open()
            .unwrap_or_else(|_| panic!("progress: the store does not open"))
            .0;
        for number in 1..=acknowledged {
            let row = ROWS.peek(&store.view(), &number).expect("a row can be read");
            assert_eq!(row, Some(value(number)), "money: what was durable is lost");
        }
    }
    a_snapshot_is_damaged();
}

fn a_snapshot_is_damaged() {
    let disk = MemoryDisk::new();
    let open = || Store::open(Path::new(DIR), short_files(&disk));
    let store = open().expect("a new store").0;
    assert!((1..=20).all(|number| put(&store, number)));
    store.close().expect("the store closes");
    let names = disk.list(Path::new(DIR)).expect("the names");
    let newest = names.iter().rfind(|name| name.starts_with("snapshot."));
    let newest = Path::new(DIR).join(newest.expect("a snapshot"));
    // In the value of the first row.
    assert!(disk.flip(&newest, 1_000, 1));
    let store = open()
        .unwrap_or_else(|_| panic!("progress: the store does not open"))
        .0;
    for number in 1..=20 {
        let row = ROWS.peek(&store.view(), &number).expect("a row can be read");
        assert_eq!(row, Some(value(number)), "money: a row is as it never was");
    }
}

/// What lies in a directory is of another journal, or of an older version.
pub async fn an_index_of_another_journal_and_older_rows() {
    an_index_of_another_journal();
    an_old_directory_is_upgraded();
}

/// An operator puts the index of another store beside the journal of this one.
fn an_index_of_another_journal() {
    let [ours, theirs] = [(), ()].map(|()| tempfile::tempdir().expect("a directory"));
    for (dir, number) in [(&ours, 1), (&theirs, 2)] {
        let (store, _) = Store::open(dir.path(), StoreOptions::default()).expect("a new store");
        assert!(put(&store, number));
        store.close().expect("the store closes");
    }
    let index = ours.path().join("index");
    std::fs::remove_dir_all(&index).expect("the index is removed");
    std::fs::rename(theirs.path().join("index"), &index).expect("the other is put there");
    let (store, _) = Store::open(ours.path(), StoreOptions::default()).expect("the store opens");
    let row = |number| ROWS.peek(&store.view(), &number).expect("a row can be read");
    assert_eq!(
        (row(1), row(2)),
        (Some(value(1)), None),
        "money: the index is another journal's"
    );
}

/// What an upgrade adds to each row of [`ROWS`].
const LENGTHS: Table<u64, u64> = Table::new(2, "lengths");

fn upgrade(migration: &Migration<'_>) -> Result<(), StoreError> {
    migration.each_row(&ROWS, |tx, number, row| {
        LENGTHS.put(tx, number, &(row.len() as u64))
    })
}

/// The version in the journal's own header. An older program reads only this version.
fn version(disk: &MemoryDisk) -> u32 {
    let journal = disk.bytes(&Path::new(DIR).join("journal")).expect("a journal");
    u32::from_le_bytes(journal[8..12].try_into().expect("four bytes"))
}

/// The power fails while a directory of an older version is brought up to date.
fn an_old_directory_is_upgraded() {
    let old = MemoryDisk::new();
    let open = |disk: &MemoryDisk| {
        let options = StoreOptions::simulated(disk.clone(), 7);
        Store::open(Path::new(DIR), options).map(|(store, _)| store)
    };
    let store = open(&old).expect("a new store");
    assert!(put(&store, 1) && put(&store, 2));
    store.close().expect("the store closes");
    let path = Path::new(DIR).join("journal");
    let mut journal = old.bytes(&path).expect("a journal");
    journal[8..12].copy_from_slice(&1u32.to_le_bytes());
    let crc = crc32fast::hash(&journal[..28]);
    journal[28..32].copy_from_slice(&crc.to_le_bytes());
    old.put(&path, journal);
    for seed in 0..CUTS {
        let disk = old.copy();
        disk.fail_sync_after(seed % 10);
        let upgraded = open(&disk).and_then(|store| store.migrate(upgrade));
        disk.crash(seed);
        let store = open(&disk).unwrap_or_else(|_| panic!("progress: the store does not open"));
        let lengths = || LENGTHS.scan(&store.view(), Bound::Unbounded, 9).expect("rows");
        if upgraded.is_ok() || !lengths().is_empty() {
            let closed = version(&disk) == SCHEMA_VERSION;
            assert!(closed, "money: an older program opens what it would misread");
        }
        store.migrate(upgrade).expect("the store is upgraded");
        assert_eq!(lengths(), [(1, 3000), (2, 3000)], "money: a row is not upgraded");
    }
}
