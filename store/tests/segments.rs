//! Journals of several files, with snapshots. Crashes at every step, damage, and archived segments.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_protocol::ids::RecordHash;
use farthing_store::disk::{DirectoryLock, Disk, DiskFile, MemoryDisk};
use farthing_store::{
    DamageKind, IndexFound, JournalExtract, OpenReport, Reads, Store, StoreError, StoreOptions, Table,
    Threading, Transaction, archive_segments, verify, verify_with_archives,
};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const DIR: &str = "/store";
const AWAY: &str = "/archive";

fn dir() -> &'static Path {
    Path::new(DIR)
}

/// A store whose files end after some ten records.
fn options(disk: &MemoryDisk) -> StoreOptions {
    StoreOptions {
        preallocate_bytes: 1024,
        segment_bytes: 2048,
        ..StoreOptions::simulated(disk.clone(), 7)
    }
}

fn open(disk: &MemoryDisk) -> Result<(Store, OpenReport), StoreError> {
    Store::open(dir(), options(disk))
}

/// The transaction `number`. It writes row `number`, and it changes and deletes older rows.
fn change(number: u64) -> impl Fn(&mut Transaction<'_>) -> Result<(), StoreError> {
    move |tx| {
        ROWS.put(tx, &number, &vec![number as u8 | 1; 20 + (number % 300) as usize])?;
        if number.is_multiple_of(3) {
            ROWS.put(tx, &(number / 2), &vec![number as u8 | 1; 50])?;
        }
        if number.is_multiple_of(5) {
            ROWS.delete(tx, &(number * 2 / 3))?;
        }
        Ok(())
    }
}

fn write(store: &Store, numbers: std::ops::RangeInclusive<u64>) -> Result<(), StoreError> {
    numbers
        .into_iter()
        .try_for_each(|number| store.transact_blocking(Reads::none(), change(number)))
}

fn rows(store: &Store) -> Vec<(u64, Vec<u8>)> {
    ROWS.scan(&store.view(), Bound::Unbounded, 4096).unwrap()
}

/// The rows after the first `count` transactions, in a store of one file.
fn expected(count: u64) -> Vec<(u64, Vec<u8>)> {
    let (store, _) = Store::open(dir(), StoreOptions::simulated(MemoryDisk::new(), 7)).unwrap();
    write(&store, 1..=count).unwrap();
    rows(&store)
}

fn names(disk: &MemoryDisk, at: &str, stem: &str) -> Vec<String> {
    let names = disk.list(Path::new(at)).unwrap();
    names.into_iter().filter(|name| name.starts_with(stem)).collect()
}

/// A disk that dies after some operations that change it.
struct DyingDisk {
    disk: MemoryDisk,
    left: Arc<AtomicU64>,
}

struct DyingFile(Box<dyn DiskFile>, Arc<AtomicU64>);

fn live(left: &AtomicU64) -> io::Result<()> {
    let less = |left: u64| left.checked_sub(1);
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::other("the machine is dead, as the test asked")),
    }
}

impl Disk for DyingDisk {
    fn share(&self) -> Arc<dyn Disk> {
        Arc::new(DyingDisk {
            disk: self.disk.clone(),
            left: Arc::clone(&self.left),
        })
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(path)?;
        Ok(Box::new(DyingFile(file, Arc::clone(&self.left))))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        live(&self.left)?;
        let file = self.disk.create(path)?;
        Ok(Box::new(DyingFile(file, Arc::clone(&self.left))))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        live(&self.left)?;
        self.disk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        live(&self.left)?;
        self.disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        live(&self.left)?;
        self.disk.sync_dir(dir)
    }
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        self.disk.lock(dir)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }
    fn boot_id(&self) -> Option<String> {
        self.disk.boot_id()
    }
}

impl DiskFile for DyingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        live(&self.1)?;
        self.0.write_at(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        live(&self.1)?;
        self.0.sync_data()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        live(&self.1)?;
        self.0.truncate(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        live(&self.1)?;
        self.0.preallocate(len)
    }
}

/// Writes until the disk dies after `left` changes. Returns how many transactions were acknowledged, and whether it died.
fn live_for(disk: &MemoryDisk, left: u64, archives: bool) -> (u64, bool) {
    let dying = DyingDisk {
        disk: disk.clone(),
        left: Arc::new(AtomicU64::new(left)),
    };
    let shared = dying.share();
    let options = StoreOptions {
        disk: Arc::new(dying),
        ..options(disk)
    };
    let Ok((store, _)) = Store::open(dir(), options) else {
        return (0, true);
    };
    for number in 1..=60 {
        if write(&store, number..=number).is_err() {
            return (number - 1, true);
        }
        if archives && number == 55 && archive_segments(dir(), Path::new(AWAY), shared.as_ref()).is_err() {
            return (number, true);
        }
    }
    (60, store.close().is_err())
}

#[test]
fn after_a_crash_at_any_step_of_a_switch_a_snapshot_or_an_archival_all_acknowledged_rows_are_there() {
    let all: Vec<_> = (0..=66).map(expected).collect();
    let (mut steps, mut finished) = (0, 0);
    for seed in 0..4 {
        for left in 0.. {
            let disk = MemoryDisk::new();
            let (acknowledged, died) = live_for(&disk, left, true);
            match seed {
                0 => disk.kill(),
                seed => disk.crash(left * 10 + seed),
            }
            let what = format!("seed {seed}, {left} operations, {acknowledged} acknowledged");
            if names(&disk, DIR, "journal").is_empty() && acknowledged == 0 {
                continue;
            }
            finished += u64::from(!names(&disk, DIR, "journal").contains(&"journal".into()));
            let (store, _) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            let count = store.head().sequence;
            assert!(
                (acknowledged..=acknowledged + 1).contains(&count),
                "{what}: {count} are there"
            );
            assert!(rows(&store) == all[count as usize], "{what}");
            write(&store, count + 1..=count + 5).unwrap_or_else(|error| panic!("{what}: {error}"));
            store.close().unwrap();
            let (store, _) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(rows(&store) == all[count as usize + 5], "{what}");
            drop(store);
            let whole = verify_with_archives(dir(), &[Path::new(AWAY)], &disk, &|_| {}).unwrap();
            assert_eq!(
                (whole.records, whole.archived, whole.damage),
                (count + 5, 0, None),
                "{what}"
            );
            steps += 1;
            if !died {
                break;
            }
        }
    }
    println!("{steps} crashes, {finished} of them between two files");
    assert!(steps > 1000 && finished > 1, "{steps}, {finished}");
}

/// A closed store with this number of transactions, and the hashes of its heads.
fn written(count: u64) -> (MemoryDisk, Vec<RecordHash>) {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk).unwrap();
    write(&store, 1..=count).unwrap();
    let hashes = hashes(&store);
    store.close().unwrap();
    (disk, hashes)
}

fn hashes(store: &Store) -> Vec<RecordHash> {
    let all = 0..=store.head().sequence;
    all.map(|sequence| store.hash_at(sequence).unwrap().unwrap())
        .collect()
}

#[test]
fn a_journal_of_many_files_has_the_same_bytes_as_one_of_one_file() {
    let (disk, _) = written(100);
    assert!(names(&disk, DIR, "journal.").len() > 5);
    assert_eq!(names(&disk, DIR, "snapshot.").len(), 2);
    let one = MemoryDisk::new();
    let (store, _) = Store::open(dir(), StoreOptions::simulated(one.clone(), 7)).unwrap();
    write(&store, 1..=100).unwrap();
    let head = store.head();
    let bytes = bytes(&JournalExtract::beside(dir(), &[], &disk, 0, head).unwrap());
    let end = bytes.len();
    assert_eq!(one.bytes(&dir().join("journal")).unwrap()[..end], bytes);
    for after in 1..=100 {
        let part = JournalExtract::locked(dir(), &[], &disk, after).unwrap();
        assert_eq!((part.after().sequence, part.last()), (after, head));
        assert!(bytes.ends_with(&self::bytes(&part)), "after {after}");
    }
}

fn bytes(extract: &JournalExtract) -> Vec<u8> {
    let mut all = Vec::new();
    extract
        .copy(|piece| {
            all.extend_from_slice(piece);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    all
}

#[test]
fn a_damaged_snapshot_is_only_a_loss_of_time() {
    let (disk, _) = written(60);
    let rows_then = expected(60);
    let snapshots = names(&disk, DIR, "snapshot.");
    let [older, newer] = snapshots.as_slice() else {
        panic!("{snapshots:?}");
    };
    let replayed = |disk: &MemoryDisk| {
        let (store, report) = open(disk).unwrap();
        assert!(rows(&store) == rows_then);
        report.replayed
    };
    let (newer, older) = (dir().join(newer), dir().join(older));
    let least = replayed(&disk);
    let without = |path: &Path| {
        let disk = disk.copy();
        disk.remove(path).unwrap();
        disk
    };
    let more = replayed(&without(&newer));
    assert!(least < more && more < 60, "{least}, {more}");
    let length = disk.bytes(&newer).unwrap().len() as u64;
    for offset in 0..length {
        disk.flip(&newer, offset, 1 << (offset % 8));
        assert_eq!(replayed(&disk), more, "byte {offset}");
        if offset.is_multiple_of(97) && disk.flip(&older, offset, 1) {
            assert_eq!(replayed(&disk), 60, "byte {offset} of both");
            disk.flip(&older, offset, 1);
        }
        disk.flip(&newer, offset, 1 << (offset % 8));
    }
    let whole = disk.bytes(&newer).unwrap();
    for cut in 0..whole.len() {
        disk.put(&newer, whole[..cut].to_vec());
        assert_eq!(replayed(&disk), more, "cut at {cut}");
    }
    disk.put(&newer, whole);
    assert_eq!(replayed(&disk), least);
}

#[test]
fn a_snapshot_of_another_journal_or_another_history_is_not_used() {
    let (disk, _) = written(60);
    let newest = names(&disk, DIR, "snapshot.").pop().unwrap();
    let path = dir().join(newest);
    // The same id, and other rows from the first record on.
    let other = MemoryDisk::new();
    let (store, _) = open(&other).unwrap();
    store
        .transact_blocking(Reads::none(), |tx| ROWS.put(tx, &999, &vec![9; 21]))
        .unwrap();
    write(&store, 2..=60).unwrap();
    store.close().unwrap();
    other.put(&path, disk.bytes(&path).unwrap());
    let (store, _) = open(&other).unwrap();
    assert_eq!(rows(&store).pop(), Some((999, vec![9; 21])));
    drop(store);
    // Another id.
    let other = MemoryDisk::new();
    let foreign = StoreOptions {
        entropy: Arc::new(farthing_store::entropy::SeededEntropy::new(8)),
        ..options(&other)
    };
    let (store, _) = Store::open(dir(), foreign).unwrap();
    write(&store, 1..=3).unwrap();
    drop(store);
    other.put(&path, disk.bytes(&path).unwrap());
    assert!(rows(&open(&other).unwrap().0) == expected(3));
}

#[test]
fn a_journal_that_ends_before_a_snapshot_does_has_lost_records() {
    let (disk, _) = written(60);
    let newest = names(&disk, DIR, "snapshot.").pop().unwrap();
    let from: u64 = newest.strip_prefix("snapshot.").unwrap().parse().unwrap();
    // The active file is an empty one, and nothing else knows of its records.
    disk.put(&dir().join("state"), Vec::new());
    let mut active = disk.bytes(&dir().join("journal")).unwrap();
    active[512..].fill(0);
    disk.put(&dir().join("journal"), active);
    match open(&disk).map(|_| ()) {
        Err(StoreError::Damaged { damage, .. }) => {
            assert!(damage.kind == DamageKind::Missing(from + 1), "{damage}");
        }
        Ok(()) => assert!(from < verify(dir(), &disk, &|_| {}).unwrap().records),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_archived_journal_opens_answers_for_its_whole_history_and_completes_a_backup() {
    let (disk, past) = written(100);
    let (all, away) = (expected(100), Path::new(AWAY));
    let before = names(&disk, DIR, "journal.");
    let moved = archive_segments(dir(), away, &disk).unwrap();
    assert!(!moved.is_empty() && moved[0].first == 1);
    for (one, next) in moved.iter().zip(&moved[1..]) {
        assert_eq!(next.first, one.last + 1);
    }
    let last = moved.last().unwrap().last;
    let after = [names(&disk, AWAY, "journal."), names(&disk, DIR, "journal.")].concat();
    assert_eq!(after, before, "each segment is in one place");
    assert_eq!(archive_segments(dir(), away, &disk).unwrap(), []);

    let (store, report) = open(&disk).unwrap();
    assert!(rows(&store) == all && report.replayed < 100 - last);
    assert_eq!(hashes(&store), past, "the history is known");
    let head = store.head();
    store.close().unwrap();

    let archived = StoreError::Archived {
        dir: dir().to_owned(),
        last,
    };
    let found = verify(dir(), &disk, &|_| {}).unwrap();
    assert_eq!((found.records, found.archived, found.damage), (100, last, None));
    let refused = JournalExtract::locked(dir(), &[], &disk, 0).err();
    assert_eq!(refused, Some(archived.clone()));
    let refused = JournalExtract::beside(dir(), &[], &disk, last - 1, head).err();
    assert_eq!(refused, Some(archived.clone()));
    let part = JournalExtract::beside(dir(), &[], &disk, last, head).unwrap();
    assert_eq!(part.after().hash, past[last as usize]);
    let refused = Store::open_read_only(dir(), &options(&disk)).err();
    assert_eq!(refused, Some(archived.clone()));

    // With the archive, all is there.
    let found = verify_with_archives(dir(), &[away], &disk, &|_| {}).unwrap();
    assert_eq!((found.records, found.archived, found.damage), (100, 0, None));
    let whole = bytes(&JournalExtract::beside(dir(), &[away], &disk, 0, head).unwrap());
    let restored = MemoryDisk::new();
    restored.put(&dir().join("journal"), whole);
    let (store, _) = open(&restored).unwrap();
    assert!(rows(&store) == all && hashes(&store) == past);
    drop(store);

    // Without the snapshots nothing can be rebuilt before the segments are back.
    for name in names(&disk, DIR, "snapshot.") {
        disk.flip(&dir().join(name), 90, 1);
    }
    assert_eq!(open(&disk).map(|_| ()).err(), Some(archived));
    for segment in &moved {
        let name = segment.path.file_name().unwrap();
        disk.put(&dir().join(name), disk.bytes(&segment.path).unwrap());
    }
    let (store, report) = open(&disk).unwrap();
    assert!(rows(&store) == all && report.replayed == 100);
}

#[test]
fn a_past_hash_whose_file_is_lost_is_unknown_and_not_absent() {
    let (disk, past) = written(100);
    let moved = archive_segments(dir(), Path::new(AWAY), &disk).unwrap();
    let hashes = names(&disk, DIR, "hashes.");
    assert_eq!(hashes.len(), moved.len());
    disk.remove(&dir().join(&hashes[0])).unwrap();
    let (store, _) = open(&disk).unwrap();
    let unknown = store.hash_at(moved[0].last);
    assert!(matches!(unknown, Err(StoreError::Archived { .. })), "{unknown:?}");
    assert_eq!(store.stopped(), None, "this is no damage");
    let known = store.hash_at(moved[1].first).unwrap();
    assert_eq!(known, Some(past[moved[1].first as usize]));
    assert_eq!(store.hash_at(101), Ok(None));
}

#[test]
fn nothing_is_archived_without_two_whole_snapshots_or_to_a_directory_of_another_store() {
    let (disk, _) = written(100);
    let newest = dir().join(names(&disk, DIR, "snapshot.").pop().unwrap());
    disk.flip(&newest, 90, 1);
    assert_eq!(archive_segments(dir(), Path::new(AWAY), &disk), Ok(Vec::new()));
    disk.flip(&newest, 90, 1);
    for to in [DIR, "/other"] {
        disk.put(&Path::new("/other").join("journal"), Vec::new());
        let refused = archive_segments(dir(), Path::new(to), &disk);
        assert!(matches!(refused, Err(StoreError::Disk { .. })), "{refused:?}");
    }
    let (first, other) = (&names(&disk, DIR, "journal.")[0], MemoryDisk::new());
    let foreign = StoreOptions {
        entropy: Arc::new(farthing_store::entropy::SeededEntropy::new(8)),
        ..options(&other)
    };
    drop(Store::open(dir(), foreign).unwrap());
    let bytes = other.bytes(&dir().join("journal")).unwrap();
    disk.put(&Path::new(AWAY).join(first), bytes);
    let refused = archive_segments(dir(), Path::new(AWAY), &disk);
    assert!(matches!(refused, Err(StoreError::Disk { .. })), "{refused:?}");
    // A damaged segment stays.
    let path = dir().join(first);
    assert!(disk.remove(&Path::new(AWAY).join(first)).is_ok() && disk.flip(&path, 600, 1));
    let refused = archive_segments(dir(), Path::new(AWAY), &disk);
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    assert!(disk.bytes(&path).is_some());
}

#[test]
fn a_lost_or_foreign_file_is_found_and_named() {
    let (disk, _) = written(100);
    let files = names(&disk, DIR, "journal.");
    let damage = |disk: &MemoryDisk| match open(disk).map(|_| ()) {
        Err(StoreError::Damaged { path, damage }) => (path, damage),
        other => panic!("{other:?}"),
    };
    let lost = disk.copy();
    lost.remove(&dir().join("journal")).unwrap();
    assert!(matches!(damage(&lost).1.kind, DamageKind::Missing(100)));
    // A segment in the middle.
    let lost = disk.copy();
    lost.remove(&dir().join(&files[2])).unwrap();
    let (path, found) = damage(&lost);
    assert_eq!(path, dir().join(&files[1]));
    let next: u64 = files[2].strip_prefix("journal.").unwrap().parse().unwrap();
    assert_eq!((found.sequence, found.kind), (next, DamageKind::Changed));
    // A cut segment, and one with a changed bit.
    for change in [
        |bytes: &mut Vec<u8>| bytes.truncate(700),
        |bytes: &mut Vec<u8>| bytes[700] ^= 1,
    ] {
        let lost = disk.copy();
        let path = dir().join(&files[2]);
        let mut bytes = lost.bytes(&path).unwrap();
        change(&mut bytes);
        lost.put(&path, bytes);
        assert_eq!(damage(&lost).0, path);
    }
    // The last segment is cut, the active file has no record yet, and nothing else knows how many there were.
    let lost = disk.copy();
    let path = dir().join(files.last().unwrap());
    let mut bytes = lost.bytes(&path).unwrap();
    let whole = bytes.len() as u64;
    bytes.truncate(700);
    lost.put(&path, bytes);
    let mut active = lost.bytes(&dir().join("journal")).unwrap();
    active[512..].fill(0);
    lost.put(&dir().join("journal"), active);
    names(&lost, DIR, "s")
        .iter()
        .for_each(|name| lost.remove(&dir().join(name)).unwrap());
    let (named, found) = damage(&lost);
    assert!(whole > 700 && named == path && found.offset <= 700, "{found}");
    // A segment that the active file does not continue.
    let foreign = disk.copy();
    let path = dir().join("journal.00000000000000000500");
    foreign.put(&path, disk.bytes(&dir().join("journal")).unwrap());
    let (named, found) = damage(&foreign);
    assert_eq!((named, found.kind), (path, DamageKind::Chain));
}

#[test]
fn every_bit_of_the_header_of_a_later_file_counts() {
    let (disk, _) = written(40);
    for file in ["journal".to_owned(), names(&disk, DIR, "journal.")[1].clone()] {
        let path = dir().join(file);
        for bit in 0..512 * 8 {
            disk.flip(&path, bit / 8, 1 << (bit % 8));
            assert!(open(&disk).is_err(), "{} bit {bit}", path.display());
            disk.flip(&path, bit / 8, 1 << (bit % 8));
        }
    }
    open(&disk).unwrap();
}

/// A store with its index in sled, in a directory of its own.
struct OnSled {
    disk: MemoryDisk,
    dir: tempfile::TempDir,
}

impl OnSled {
    fn new() -> Self {
        Self {
            disk: MemoryDisk::new(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn open(&self) -> Result<(Store, OpenReport), StoreError> {
        let options = StoreOptions {
            engine: Arc::new(farthing_store::SledEngine),
            threading: Threading::Thread,
            buffer_bytes: 4096,
            ..options(&self.disk)
        };
        Store::open(self.dir.path(), options)
    }

    /// A store of 1000 records with two snapshots, whose process has died, and the hashes of its records.
    fn with_two_snapshots() -> (OnSled, Vec<RecordHash>) {
        let store_dir = OnSled::new();
        let (store, _) = store_dir.open().unwrap();
        write(&store, 1..=1000).unwrap();
        wait_until("two snapshots", || store_dir.names("snapshot.0").len() == 2);
        let past = hashes(&store);
        drop(store);
        (store_dir, past)
    }

    fn names(&self, stem: &str) -> Vec<String> {
        names(&self.disk, self.dir.path().to_str().unwrap(), stem)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_start_after_a_kill_or_a_crash_reads_the_end_and_verifies_the_rest_beside_the_work() {
    let (store_dir, past) = OnSled::with_two_snapshots();
    let rows_then = expected(1000);

    // The process dies: the index is kept.
    let (store, report) = store_dir.open().unwrap();
    assert_eq!(report.index, IndexFound::Kept);
    assert!(report.verified < 100, "{report:?}");
    assert!(rows(&store) == rows_then && hashes(&store) == past);
    wait_until("the rest is verified", || store.counts().unverified == 0);
    assert!(hashes(&store) == past);
    drop(store);

    // The machine dies: the index is rebuilt from a snapshot.
    let newest = store_dir.names("snapshot.0").pop().unwrap();
    let from: u64 = newest.strip_prefix("snapshot.").unwrap().parse().unwrap();
    store_dir.disk.crash(1);
    let (store, report) = store_dir.open().unwrap();
    assert!(report.rebuilt());
    assert_eq!((report.verified, report.replayed), (1000 - from, 1000 - from));
    assert!(from > 300 && rows(&store) == rows_then && hashes(&store) == past);
    wait_until("the rest is verified", || store.counts().unverified == 0);
    store.close().unwrap();

    // Damage in a segment before that is found beside the work.
    let first = store_dir.path(&store_dir.names("journal.0")[0]);
    store_dir.disk.crash(2);
    assert!(store_dir.disk.flip(&first, 600, 1));
    let (store, _) = store_dir.open().unwrap();
    wait_until("the damage is found", || store.stopped().is_some());
    let damaged = store.transact_blocking(Reads::none(), change(1)).unwrap_err();
    let StoreError::Damaged { path, damage } = damaged else {
        panic!("{damaged}");
    };
    assert_eq!((path, damage.kind), (first, DamageKind::Changed));
}

#[test]
fn segments_are_archived_from_under_a_running_store() {
    let (store_dir, past) = OnSled::with_two_snapshots();
    let (store, _) = store_dir.open().unwrap();
    let moved = archive_segments(store_dir.dir.path(), Path::new(AWAY), &store_dir.disk).unwrap();
    assert!(moved.len() > 3);
    write(&store, 1001..=1100).unwrap();
    assert!(hashes(&store)[..=1000] == past);
    wait_until("the rest is verified", || store.counts().unverified == 0);
    store.close().unwrap();
    let (store, report) = store_dir.open().unwrap();
    assert!(report.was_clean && report.index == IndexFound::Kept, "{report:?}");
    assert!(hashes(&store)[..=1000] == past && rows(&store) == expected(1100));
    wait_until("the rest is verified", || store.counts().unverified == 0);
    drop(store);
    store_dir.disk.crash(3);
    let (store, report) = store_dir.open().unwrap();
    assert!(report.rebuilt() && rows(&store) == expected(1100));
}

#[test]
fn a_full_disk_lets_the_active_file_grow_on() {
    let disk = MemoryDisk::new();
    let (store, _) = open(&disk).unwrap();
    write(&store, 1..=9).unwrap();
    let used: usize = ["journal", "state", "lock"]
        .iter()
        .filter_map(|name| Some(disk.bytes(&dir().join(name))?.len()))
        .sum();
    disk.set_capacity(Some(used as u64 + 700));
    let before = (1..)
        .take_while(|more| write(&store, 9 + more..=9 + more).is_ok())
        .count() as u64;
    assert_eq!(store.stopped(), None, "it goes on when there is room");
    disk.set_capacity(None);
    write(&store, 10 + before..=60).unwrap();
    assert!(rows(&store) == expected(60));
    drop(store);
    assert!(rows(&open(&disk).unwrap().0) == expected(60));
}

#[test]
fn oldest_files_that_were_not_archived_are_missed() {
    let (disk, _) = written(120);
    let oldest = names(&disk, DIR, "journal.").remove(0);
    disk.remove(&dir().join(oldest)).unwrap();
    match open(&disk).map(|_| ()) {
        Err(StoreError::Damaged { damage, .. }) => assert!(matches!(damage.kind, DamageKind::Missing(1..))),
        other => panic!("{other:?}"),
    }
}
