//! The index at a start. A damaged index, a lost one, and one of another store are rebuilt from the journal.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::{DirectoryLock, Disk, DiskFile, FileDisk};
use farthing_store::{IndexFound, OpenReport, Reads, SledEngine, Store, StoreError, StoreOptions, Table};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");

fn open(dir: &Path) -> Result<(Store, OpenReport), StoreError> {
    let options = StoreOptions {
        preallocate_bytes: 256 * 1024,
        ..StoreOptions::default()
    };
    Store::open(dir, options)
}

fn write(store: &Store, from: u64, to: u64) {
    for number in from..=to {
        let put =
            move |tx: &mut farthing_store::Transaction<'_>| ROWS.put(tx, &number, &vec![number as u8; 300]);
        store.transact_blocking(Reads::none(), put).unwrap();
    }
}

fn check(store: &Store, count: u64) {
    let rows = ROWS.scan(&store.view(), Bound::Unbounded, 4096).unwrap();
    assert_eq!(rows.len() as u64, count);
    for (at, (number, value)) in rows.iter().enumerate() {
        assert_eq!((*number, value[0]), (at as u64 + 1, *number as u8));
    }
}

/// A closed store of 300 rows.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, report) = open(dir.path()).unwrap();
    assert_eq!((report.index, report.was_clean), (IndexFound::Fresh, false));
    write(&store, 1, 300);
    store.close().unwrap();
    dir
}

fn index_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("index")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect()
}

#[test]
fn a_closed_store_opens_without_a_replay_or_rebuild() {
    let dir = closed();
    for _ in 0..3 {
        let (store, report) = open(dir.path()).unwrap();
        assert_eq!(
            report,
            OpenReport {
                // The first 256 are verified beside the work.
                verified: 44,
                replayed: 0,
                index: IndexFound::Kept,
                cut_torn_bytes: 0,
                was_clean: true
            }
        );
        check(&store, 300);
        store.close().unwrap();
    }
}

#[test]
fn an_unfinished_snapshot_of_a_killed_process_is_removed() {
    let dir = closed();
    let left = dir.path().join("index/snap.0000000000000ABC.generating");
    fs::write(&left, b"half").unwrap();
    let (store, report) = open(dir.path()).unwrap();
    assert_eq!(report.index, IndexFound::Kept);
    assert!(!left.exists());
    check(&store, 300);
}

#[test]
fn a_damaged_index_is_rebuilt_or_gives_the_right_rows() {
    let mut rebuilt = 0;
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    let garbage = |bytes: &mut Vec<u8>| {
        bytes
            .iter_mut()
            .enumerate()
            .for_each(|(n, b)| *b = (n * 7 + 3) as u8)
    };
    let clear = |bytes: &mut Vec<u8>| bytes.clear();
    let zeros = |bytes: &mut Vec<u8>| bytes.fill(0);
    type Harm<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let harms: [Harm<'_>; 4] = [
        ("cut", &cut),
        ("garbage", &garbage),
        ("clear", &clear),
        ("zeros", &zeros),
    ];
    for (name, harm) in harms {
        for kind in ["snap", "db", "conf", "blobs", ""] {
            let dir = closed();
            for file in index_files(dir.path()) {
                if file.file_name().unwrap().to_string_lossy().starts_with(kind) {
                    let mut bytes = fs::read(&file).unwrap();
                    harm(&mut bytes);
                    fs::write(&file, bytes).unwrap();
                }
            }
            let (store, report) = open(dir.path()).unwrap_or_else(|e| panic!("{name} {kind}: {e}"));
            println!("{name} {kind}: {report:?}");
            rebuilt += u32::from(report.rebuilt());
            check(&store, 300);
            write(&store, 301, 310);
            store.close().unwrap();
            let (store, report) = open(dir.path()).unwrap();
            assert_eq!(report.index, IndexFound::Kept, "{name} {kind}");
            check(&store, 310);
        }
    }
    assert!(rebuilt >= 8, "{rebuilt} were rebuilt");
}

#[test]
fn a_lost_index_is_rebuilt() {
    let dir = closed();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, report) = open(dir.path()).unwrap();
    assert_eq!((report.rebuilt(), report.replayed), (true, 300));
    check(&store, 300);
}

#[test]
fn an_index_of_another_store_is_rebuilt() {
    let (ours, theirs) = (closed(), closed());
    fs::remove_dir_all(ours.path().join("index")).unwrap();
    fs::rename(theirs.path().join("index"), ours.path().join("index")).unwrap();
    let (store, report) = open(ours.path()).unwrap();
    assert!(report.rebuilt(), "{report:?}");
    check(&store, 300);
}

#[test]
fn a_lagging_index_gets_only_the_missing_records() {
    let dir = closed();
    let old = dir.path().join("old");
    let (index, kept) = (dir.path().join("index"), tempfile::tempdir().unwrap());
    for file in index_files(dir.path()) {
        fs::copy(&file, kept.path().join(file.file_name().unwrap())).unwrap();
    }
    let (store, _) = open(dir.path()).unwrap();
    write(&store, 301, 350);
    drop(store);
    fs::rename(&index, &old).unwrap();
    fs::create_dir(&index).unwrap();
    for file in fs::read_dir(kept.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), index.join(file.file_name())).unwrap();
    }
    let (store, report) = open(dir.path()).unwrap();
    assert_eq!((report.index, report.replayed), (IndexFound::Kept, 50));
    check(&store, 350);
}

#[test]
fn a_journal_that_is_older_than_its_index_is_refused() {
    let dir = closed();
    let journal = dir.path().join("journal");
    let older = fs::read(&journal).unwrap();
    let (store, _) = open(dir.path()).unwrap();
    write(&store, 301, 302);
    store.close().unwrap();
    fs::write(&journal, older).unwrap();
    fs::remove_file(dir.path().join("state")).unwrap();
    let refused = open(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn changed_bytes_in_the_index_never_give_a_wrong_row() {
    let template = closed();
    let len = fs::metadata(template.path().join("index/db")).unwrap().len() as usize;
    let (mut rebuilt, mut stopped) = (0, 0);
    for at in (0..len).step_by(len / 64) {
        let dir = tempfile::tempdir().unwrap();
        copy(template.path(), dir.path());
        let db = dir.path().join("index/db");
        let mut bytes = fs::read(&db).unwrap();
        bytes[at..].iter_mut().take(300).for_each(|byte| *byte ^= 0x55);
        fs::write(&db, bytes).unwrap();
        let (store, report) = open(dir.path()).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        rebuilt += u32::from(report.rebuilt());
        let touch = |number| store.transact_blocking([ROWS.key(&number)], move |tx| ROWS.get(tx, &number));
        if let Some(failed) = (1..=300).find_map(|number| touch(number).err()) {
            assert!(matches!(failed, StoreError::Halted { .. }), "byte {at}: {failed}");
            stopped += 1;
            drop(store);
            let (store, report) = open(dir.path()).unwrap();
            assert!(report.rebuilt(), "byte {at}: {report:?}");
            check(&store, 300);
        } else {
            check(&store, 300);
        }
    }
    println!("{rebuilt} were rebuilt at once, {stopped} halted the store first");
    assert!(rebuilt + stopped > 0, "no changed byte was in use");
}

/// The real disk, with the boot number of the machine as its boot id.
struct Restarted(u32);

impl Disk for Restarted {
    fn share(&self) -> Arc<dyn Disk> {
        Arc::new(Restarted(self.0))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        FileDisk.open(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        FileDisk.create(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        FileDisk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        FileDisk.create_dir(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        FileDisk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileDisk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        FileDisk.sync_dir(dir)
    }
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        FileDisk.lock(dir)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        FileDisk.free_bytes(dir)
    }
    fn boot_id(&self) -> Option<String> {
        Some(format!("boot {}", self.0))
    }
}

fn open_after_boot(dir: &Path, boot: u32) -> (Store, OpenReport) {
    let options = StoreOptions {
        disk: Arc::new(Restarted(boot)),
        engine: Arc::new(SledEngine),
        ..Default::default()
    };
    Store::open(dir, options).unwrap()
}

#[test]
fn only_a_restart_of_the_machine_with_the_store_open_causes_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open_after_boot(dir.path(), 1);
    write(&store, 1, 50);
    drop(store);
    let (store, report) = open_after_boot(dir.path(), 1);
    assert!(
        !report.was_clean && !report.rebuilt(),
        "only the process ended: {report:?}"
    );
    drop(store);
    let (store, report) = open_after_boot(dir.path(), 2);
    assert!(
        report.rebuilt() && report.replayed == 50,
        "the machine restarted: {report:?}"
    );
    check(&store, 50);
    store.close().unwrap();
    let (store, report) = open_after_boot(dir.path(), 3);
    assert!(report.was_clean && !report.rebuilt(), "closed before: {report:?}");
    check(&store, 50);
}
