//! What a store finds on its disk when it is opened: a record that was cut off, an index of another journal.

use farthing_node::{
    disk::MemoryDisk,
    store::{Store, StoreOptions, Table},
};
use std::path::Path;

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const DIR: &str = "/store";

/// How many seeds a record is cut off with.
const CUTS: u64 = 60;

/// Bytes without a zero among them.
fn value(number: u64) -> Vec<u8> {
    (0..3_000u64)
        .map(|at| ((at * 7 + number * 13) % 255) as u8 + 1)
        .collect()
}

fn put(store: &Store, number: u64) -> bool {
    store
        .transact_blocking(move |tx| ROWS.put(tx, &number, &value(number)))
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

/// An operator puts the index of another store beside the journal of this one.
pub async fn an_index_of_another_journal() {
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
