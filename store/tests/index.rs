//! The index: both kinds behave alike, and one that is damaged is rebuilt from the journal.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::{DirectoryLock, Disk, DiskFile, FileDisk};
use farthing_store::entropy::{Entropy, SeededEntropy};
use farthing_store::{
    BufferedIndex, Head, Index, IndexError, IndexFound, IndexKind, MemoryIndex, OpenReport, Reads, Row,
    SledIndex, Store, StoreError, StoreOptions, Table, Writes,
};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");

fn head(sequence: u64) -> Head {
    Head {
        sequence,
        hash: [sequence as u8; 32],
    }
}

/// What every index does, whatever it is made of.
fn conforms(index: &dyn Index) {
    let put = |key: &[u8], value: u8| (key.to_vec(), Some(vec![value]));
    let scan = |prefix: &[u8], from: Bound<&[u8]>, limit| -> Vec<u8> {
        let rows = index.scan(prefix, from, limit).unwrap();
        rows.into_iter().map(|(_, value)| value[0]).collect()
    };
    assert_eq!(index.get(&[1]).unwrap(), None);
    assert_eq!(scan(&[1], Bound::Unbounded, 9), [0u8; 0]);
    let first = [
        put(&[1], 10),
        put(&[1, 0], 11),
        put(&[1, 255], 12),
        put(&[2], 20),
        put(&[255, 255], 90),
    ];
    index.apply(&Writes::from(first), head(1)).unwrap();
    assert_eq!(index.applied().unwrap(), Some(head(1)));
    assert_eq!(index.get(&[1, 0]).unwrap(), Some(vec![11]));
    assert_eq!(scan(&[1], Bound::Unbounded, 9), [10, 11, 12]);
    assert_eq!(scan(&[1], Bound::Unbounded, 2), [10, 11]);
    assert_eq!(scan(&[1], Bound::Unbounded, 0), [0u8; 0], "none were asked for");
    assert_eq!(scan(&[1], Bound::Included(&[1, 0]), 9), [11, 12]);
    assert_eq!(scan(&[1], Bound::Excluded(&[1, 0]), 9), [12]);
    assert_eq!(
        scan(&[1], Bound::Excluded(&[1, 255]), 9),
        [0u8; 0],
        "behind the last"
    );
    let from_before = scan(&[2], Bound::Included(&[1, 0]), 9);
    assert_eq!(from_before, [20], "from before the prefix");
    let from_behind = scan(&[1], Bound::Excluded(&[3]), 9);
    assert_eq!(from_behind, [0u8; 0], "from behind the prefix");
    assert_eq!(scan(&[255], Bound::Unbounded, 9), [90]);
    assert_eq!(scan(&[3], Bound::Unbounded, 9), [0u8; 0]);
    let second = [
        (vec![1], None),
        put(&[1, 0], 99),
        (vec![7], None),
        (vec![1, 1], Some(vec![])),
    ];
    index.apply(&Writes::from(second), head(2)).unwrap();
    assert_eq!(index.get(&[1]).unwrap(), None);
    assert_eq!(index.get(&[1, 0]).unwrap(), Some(vec![99]));
    assert_eq!(index.get(&[1, 1]).unwrap(), Some(vec![]));
    index.apply(&Writes::new(), head(3)).unwrap();
    assert_eq!(index.applied().unwrap(), Some(head(3)));
}

/// The longest key and value that the random batches write (bytes).
const KEY_MOST: u64 = 40;
const VALUE_MOST: u64 = 5_000;

/// Any batch, over few enough keys that they are overwritten and removed all the time.
fn batch(dice: &Dice) -> Writes {
    let write = |_| {
        let key = dice.key(1 + dice.below(KEY_MOST));
        let value = (dice.below(3) > 0).then(|| vec![dice.below(256) as u8; dice.below(VALUE_MOST) as usize]);
        (key, value)
    };
    (0..dice.below(20)).map(write).collect()
}

/// Both say the same to any question.
fn agree(one: &dyn Index, other: &dyn Index, dice: &Dice) {
    assert_eq!(one.applied().unwrap(), other.applied().unwrap());
    for _ in 0..20 {
        let key = dice.key(1 + dice.below(KEY_MOST));
        assert_eq!(one.get(&key).unwrap(), other.get(&key).unwrap(), "{key:?}");
        let prefix = dice.key(1 + dice.below(3));
        let from = match dice.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(key.as_slice()),
            _ => Bound::Excluded(key.as_slice()),
        };
        let limit = dice.below(30) as usize;
        let rows = one.scan(&prefix, from, limit).unwrap();
        assert_eq!(
            rows,
            other.scan(&prefix, from, limit).unwrap(),
            "{prefix:?} from {from:?}"
        );
        assert!(rows.len() <= limit && rows.is_sorted());
        assert!(rows.iter().all(|(key, _)| key.starts_with(&prefix)));
    }
}

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    }

    /// A key of bytes from the ends of the range and a few between, none of which begins with the byte that the store
    /// keeps for itself.
    fn key(&self, len: u64) -> Vec<u8> {
        let first = [1, 2, 254, 255];
        let other = [0, 1, 127, 128, 255];
        (0..len)
            .map(|at| match at {
                0 => first[self.below(4) as usize],
                1..4 => other[self.below(5) as usize],
                _ => 7,
            })
            .collect()
    }
}

/// `index` with a buffer before it that is full after a few rows, or never.
fn buffered(index: Arc<dyn Index>, at: Head, full_bytes: usize) -> BufferedIndex {
    BufferedIndex::new(index, at, full_bytes)
}

#[test]
fn every_kind_conforms_and_sled_keeps_what_it_was_told() {
    for full_bytes in [1, 200, usize::MAX] {
        let dir = tempfile::tempdir().unwrap();
        let sled = SledIndex::open(dir.path(), 1 << 20).unwrap();
        let index = buffered(Arc::new(sled), head(0), full_bytes);
        assert_eq!(index.applied().unwrap(), Some(head(0)));
        conforms(&index);
        index.close().unwrap();
        let again = SledIndex::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(again.applied().unwrap(), Some(head(3)));
        assert_eq!(again.get(&[1, 0]).unwrap(), Some(vec![99]));
    }
    let memory = MemoryIndex::new();
    assert_eq!(memory.applied().unwrap(), None);
    conforms(&memory);
    let dir = tempfile::tempdir().unwrap();
    let index = SledIndex::open(dir.path(), 1 << 20).unwrap();
    assert_eq!(index.applied().unwrap(), None);
    conforms(&index);
    index.close().unwrap();
    assert!(index.get(&[1]).is_err(), "it is closed");
    assert!(index.apply(&Writes::new(), head(4)).is_err(), "it is closed");
    let again = SledIndex::open(dir.path(), 1 << 20).unwrap();
    assert_eq!(again.applied().unwrap().unwrap().sequence, 3);
    assert_eq!(again.get(&[1, 0]).unwrap(), Some(vec![99]));
}

#[test]
fn every_kind_says_the_same_after_any_batches_and_sled_after_any_restart_too() {
    for (seed, full_bytes) in [
        (0, None),
        (1, None),
        (2, Some(1)),
        (3, Some(20_000)),
        (4, Some(200_000)),
    ] {
        let dice = Dice(SeededEntropy::new(seed));
        let memory = MemoryIndex::new();
        let dir = tempfile::tempdir().unwrap();
        // Less memory than it takes, so that pages come and go.
        let open = |at| -> Box<dyn Index> {
            let sled = SledIndex::open(dir.path(), 1 << 16).unwrap();
            match full_bytes {
                None => Box::new(sled),
                Some(full_bytes) => Box::new(buffered(Arc::new(sled), at, full_bytes)),
            }
        };
        let mut sled = open(head(0));
        for sequence in 1..=150 {
            let writes = batch(&dice);
            memory.apply(&writes, head(sequence)).unwrap();
            sled.apply(&writes, head(sequence)).unwrap();
            agree(&memory, sled.as_ref(), &dice);
            if dice.below(25) == 0 {
                sled.close().unwrap();
                // Its lock is given back when it is dropped.
                drop(sled);
                sled = open(head(sequence));
                agree(&memory, sled.as_ref(), &dice);
            }
        }
    }
}

#[test]
fn whoever_reads_beside_the_writer_sees_all_of_a_batch_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sled = SledIndex::open(dir.path(), 1 << 20).unwrap();
    let few = buffered(Arc::new(MemoryIndex::new()), head(0), 1);
    let more = buffered(Arc::new(MemoryIndex::new()), head(0), 20_000);
    for index in [&MemoryIndex::new() as &dyn Index, &sled, &few, &more] {
        const ROUNDS: u64 = 300;
        let all = |value: u8| -> Writes { (0..30).map(|key| (vec![1, key], Some(vec![value]))).collect() };
        index.apply(&all(0), head(1)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 2..=ROUNDS {
                    index.apply(&all(round as u8), head(round)).unwrap();
                }
            });
            let mut last = 0;
            while last < ROUNDS {
                let rows = index.scan(&[1], Bound::Unbounded, 99).unwrap();
                assert_eq!(rows.len(), 30);
                assert!(
                    rows.iter().all(|(_, value)| *value == rows[0].1),
                    "half of a batch"
                );
                let now = index.applied().unwrap().unwrap().sequence;
                assert!(now >= last, "it went back");
                last = now;
            }
        });
    }
}

/// An index that fails from the `left`th batch on.
struct Failing {
    inner: MemoryIndex,
    left: AtomicU64,
}

impl Index for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.inner.get(key)
    }
    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError> {
        let may = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        may.map_err(|_| IndexError("no more".into()))?;
        self.inner.apply(writes, at)
    }
    fn applied(&self) -> Result<Option<Head>, IndexError> {
        self.inner.applied()
    }
    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError> {
        self.inner.scan(prefix, from, limit)
    }
    fn close(&self) -> Result<(), IndexError> {
        self.inner.close()
    }
}

#[test]
fn an_index_that_fails_behind_a_buffer_is_noticed_and_its_rows_stay_readable() {
    let failing = Arc::new(Failing {
        inner: MemoryIndex::new(),
        left: AtomicU64::new(2),
    });
    let index = buffered(Arc::clone(&failing) as Arc<dyn Index>, head(0), 20_000);
    // More than goes to the index at once: its third part fails.
    let rows = |value: u8| -> Writes { (0..=255).map(|key| (vec![1, key], Some(vec![value]))).collect() };
    index.apply(&rows(1), head(1)).unwrap();
    let mut sequence = 1;
    let error = loop {
        sequence += 1;
        if let Err(error) = index.apply(&rows(2), head(sequence)) {
            break error;
        }
        assert!(sequence < 4, "it goes on for ever");
    };
    assert_eq!(error, IndexError("no more".into()));
    assert_eq!(index.scan(&[1], Bound::Unbounded, 999).unwrap().len(), 256);
    assert_eq!(failing.applied().unwrap(), Some(head(0)), "all of it is replayed");
    assert_eq!(index.close(), Err(error));
}

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
fn a_closed_store_opens_with_nothing_to_do() {
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
fn a_damaged_index_is_rebuilt_from_the_journal_or_read_right() {
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
fn an_index_that_is_gone_is_rebuilt() {
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
fn an_index_that_lags_is_brought_up_to_date_from_where_it_is() {
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
fn an_index_that_knows_more_than_the_journal_is_not_believed_and_not_forgotten() {
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
    println!("{rebuilt} were rebuilt at once, {stopped} stopped the store first");
    assert!(rebuilt + stopped > 0, "nothing that matters was changed");
}

/// The real disk of a machine that was started again.
struct Restarted(u32);

impl Disk for Restarted {
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
        index: IndexKind::Sled,
        ..Default::default()
    };
    Store::open(dir, options).unwrap()
}

#[test]
fn only_a_machine_that_went_down_with_the_store_open_costs_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open_after_boot(dir.path(), 1);
    write(&store, 1, 50);
    drop(store);
    let (store, report) = open_after_boot(dir.path(), 1);
    assert!(
        !report.was_clean && !report.rebuilt(),
        "only the process went: {report:?}"
    );
    drop(store);
    let (store, report) = open_after_boot(dir.path(), 2);
    assert!(
        report.rebuilt() && report.replayed == 50,
        "the machine went: {report:?}"
    );
    check(&store, 50);
    store.close().unwrap();
    let (store, report) = open_after_boot(dir.path(), 3);
    assert!(report.was_clean && !report.rebuilt(), "closed before: {report:?}");
    check(&store, 50);
}
