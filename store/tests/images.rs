//! Power failures on real files, across the files of the journal and the index.
//!
//! A test records every write to the journal, and the content of sled's files at that time. From the recording it builds
//! disks that a power failure could have left. Writes that were not synced are whole, torn or missing, in any order. sled's
//! files are not synced before the close, so they are any mixture of old and new sectors. On each disk the store opens
//! without help. It has all acknowledged rows, and no row that was not written.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_store::{
    OpenReport, Reads, Store, StoreError, StoreOptions, Table, Transaction,
    disk::{DirectoryLock, Disk, DiskFile, FileDisk, SECTOR_BYTES},
    entropy::{Entropy, SeededEntropy},
};
use std::{
    collections::BTreeMap,
    fs, io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const SECTOR: usize = SECTOR_BYTES as usize;

/// The files of a folder by name.
type Files = BTreeMap<String, Vec<u8>>;

/// An operation on the store's own files, by name.
#[derive(Debug, Clone)]
enum Op {
    Create(String),
    Write(String, u64, Vec<u8>),
    Resize(String, u64),
    Rename(String, String),
    Remove(String),
    Sync(String),
    SyncDir,
}

/// An operation, sled's files right before it, and the number of rows that were acknowledged by then.
struct Recorded {
    op: Op,
    index: Arc<Files>,
    acknowledged: u64,
}

/// The operations since all files were last durable.
#[derive(Default)]
struct Recording {
    /// The files at first, all durable.
    base: Files,
    base_index: Files,
    ops: Vec<Recorded>,
    acknowledged: u64,
}

/// A disk that records its operations and passes them to the real disk.
#[derive(Clone)]
struct RecordingDisk {
    dir: PathBuf,
    recording: Arc<Mutex<Recording>>,
    boot: u32,
}

impl RecordingDisk {
    fn note(&self, op: Op) {
        let now = files(&self.dir.join("index"));
        let mut recording = self.recording.lock().unwrap();
        let before = recording.ops.last().map(|recorded| recorded.index.clone());
        let index = before
            .filter(|before| **before == now)
            .unwrap_or_else(|| Arc::new(now));
        let acknowledged = recording.acknowledged;
        recording.ops.push(Recorded {
            op,
            index,
            acknowledged,
        });
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn files(dir: &Path) -> Files {
    let Ok(entries) = fs::read_dir(dir) else {
        return Files::new();
    };
    let paths = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    paths
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect()
}

impl Disk for RecordingDisk {
    fn share(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = FileDisk.open(path)?;
        Ok(Box::new(RecordingFile(self.clone(), name(path), file)))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.note(Op::Create(name(path)));
        let file = FileDisk.create(path)?;
        Ok(Box::new(RecordingFile(self.clone(), name(path), file)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        FileDisk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        FileDisk.create_dir(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Op::Remove(name(path)));
        FileDisk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Op::Rename(name(from), name(to)));
        FileDisk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        FileDisk.sync_dir(dir)?;
        self.note(Op::SyncDir);
        Ok(())
    }
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        FileDisk.lock(dir)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        FileDisk.free_bytes(dir)
    }
    fn boot_id(&self) -> Option<String> {
        Some(format!("boot {}", self.boot))
    }
}

struct RecordingFile(RecordingDisk, String, Box<dyn DiskFile>);

impl DiskFile for RecordingFile {
    fn len(&self) -> io::Result<u64> {
        self.2.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.2.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.note(Op::Write(self.1.clone(), offset, bytes.to_vec()));
        self.2.write_at(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.2.sync_data()?;
        self.0.note(Op::Sync(self.1.clone()));
        Ok(())
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.note(Op::Resize(self.1.clone(), len));
        self.2.truncate(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        if self.2.len()? < len {
            self.0.note(Op::Resize(self.1.clone(), len));
        }
        self.2.preallocate(len)
    }
}

fn directory() -> tempfile::TempDir {
    // The test writes and syncs hundreds of disks, so it uses a file system in memory if there is one.
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.unwrap()
}

fn open(
    dir: &Path,
    recording: &Arc<Mutex<Recording>>,
    boot: u32,
    segment_bytes: u64,
) -> Result<(Store, OpenReport), StoreError> {
    let disk = RecordingDisk {
        dir: dir.to_owned(),
        recording: recording.clone(),
        boot,
    };
    let options = StoreOptions {
        disk: Arc::new(disk),
        preallocate_bytes: 16 * 1024,
        segment_bytes,
        cache_bytes: 1 << 20,
        // Small, so that rows often move to sled.
        buffer_bytes: 4 * 1024,
        entropy: Arc::new(SeededEntropy::new(5)),
        ..StoreOptions::default()
    };
    Store::open(dir, options)
}

fn row(number: u64) -> Vec<u8> {
    vec![number as u8 | 1; (number * 37 % 1500) as usize + 1]
}

fn write(store: &Store, recording: &Mutex<Recording>, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let put = move |tx: &mut Transaction<'_>| ROWS.put(tx, &number, &row(number));
        store.transact_blocking(Reads::none(), put).unwrap();
        recording.lock().unwrap().acknowledged = number;
    }
}

/// The number of rows. Checks that all are right, without a gap.
fn count(store: &Store) -> Result<u64, StoreError> {
    let rows = ROWS.scan(&store.view(), Bound::Unbounded, 4096)?;
    for (at, (number, value)) in rows.iter().enumerate() {
        assert_eq!((*number, value), (at as u64 + 1, &row(at as u64 + 1)));
    }
    Ok(rows.len() as u64)
}

/// Records a store that is created and written to. With `closed_before`, it is first closed and opened again.
fn recorded(closed_before: bool, segment_bytes: u64) -> Recording {
    let dir = directory();
    let recording = Arc::new(Mutex::new(Recording::default()));
    let mut first = 1;
    if closed_before {
        let (store, _) = open(dir.path(), &recording, 1, segment_bytes).unwrap();
        write(&store, &recording, 1..=40);
        store.close().unwrap();
        let mut recording = recording.lock().unwrap();
        recording.base = files(dir.path());
        recording.base_index = files(&dir.path().join("index"));
        recording.ops.clear();
        first = 41;
    }
    let (store, _) = open(dir.path(), &recording, 1, segment_bytes).unwrap();
    write(&store, &recording, first..=first + 39);
    drop(store);
    Arc::into_inner(recording).unwrap().into_inner().unwrap()
}

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % bound.max(1) as u64) as usize
    }
}

/// A disk of a machine that lost power right before `recording.ops[at]`.
fn image(recording: &Recording, at: usize, dice: &Dice) -> (Files, Files) {
    // Contents have numbers. Names refer to them: the current names, and the durable names.
    let mut contents: Vec<(Vec<u8>, Vec<Op>)> = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (name, bytes) in &recording.base {
        names.insert(name.clone(), contents.len());
        contents.push((bytes.clone(), Vec::new()));
    }
    let mut durable_names = names.clone();
    for Recorded { op, .. } in &recording.ops[..at] {
        match op {
            Op::Create(name) => {
                names.insert(name.clone(), contents.len());
                contents.push(Default::default());
            }
            Op::Write(name, ..) | Op::Resize(name, _) => contents[names[name]].1.push(op.clone()),
            Op::Rename(from, to) => {
                let moved = names.remove(from).unwrap();
                names.insert(to.clone(), moved);
            }
            Op::Remove(name) => drop(names.remove(name)),
            Op::Sync(name) => {
                let (bytes, pending) = &mut contents[names[name]];
                pending.drain(..).for_each(|op| apply(bytes, &op));
            }
            Op::SyncDir => durable_names.clone_from(&names),
        }
    }
    let kept_names = if dice.below(2) == 0 { names } else { durable_names };
    let torn = |(bytes, pending): &(Vec<u8>, Vec<Op>)| {
        let mut bytes = bytes.clone();
        let mut pending: Vec<&Op> = pending.iter().collect();
        while !pending.is_empty() {
            // In any order.
            let op = pending.swap_remove(dice.below(pending.len()));
            tear(op, dice).iter().for_each(|op| apply(&mut bytes, op));
        }
        bytes
    };
    let journal = kept_names
        .into_iter()
        .map(|(name, at)| (name, torn(&contents[at])))
        .collect();
    (journal, mixed(recording, at, dice))
}

/// sled's files. Each sector is from any moment since the last sync.
fn mixed(recording: &Recording, at: usize, dice: &Dice) -> Files {
    let moments = &recording.ops[..=at.min(recording.ops.len() - 1)];
    // The names are from one moment. A mixture of whole files from different moments would be no possible disk.
    let some = &moments[dice.below(moments.len())].index;
    let mut mixed = if some.is_empty() {
        recording.base_index.clone()
    } else {
        some.as_ref().clone()
    };
    for (name, bytes) in &mut mixed {
        let often = 1 + dice.below(8);
        for (number, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            if dice.below(often) != 0 {
                continue;
            }
            let other = moments[dice.below(moments.len())].index.get(name);
            let from = number * SECTOR;
            match other.and_then(|other| other.get(from..from + sector.len())) {
                Some(other) => sector.copy_from_slice(other),
                None => sector.fill(0),
            }
        }
    }
    mixed
}

/// The part of one operation that reaches the platter: of a write, a prefix or some sectors.
fn tear(op: &Op, dice: &Dice) -> Vec<Op> {
    let Op::Write(name, offset, bytes) = op else {
        return if dice.below(2) == 0 {
            vec![]
        } else {
            vec![op.clone()]
        };
    };
    match dice.below(4) {
        0 => vec![],
        1 => vec![op.clone()],
        2 => vec![Op::Write(
            name.clone(),
            *offset,
            bytes[..dice.below(bytes.len())].to_vec(),
        )],
        _ => {
            // The sectors of the file, not of the write.
            let first = (SECTOR - *offset as usize % SECTOR).min(bytes.len());
            let (head, rest) = bytes.split_at(first);
            let sectors = [head].into_iter().chain(rest.chunks(SECTOR));
            let mut at = *offset;
            let mut kept = Vec::new();
            for sector in sectors {
                if dice.below(2) == 0 {
                    kept.push(Op::Write(name.clone(), at, sector.to_vec()));
                }
                at += sector.len() as u64;
            }
            kept
        }
    }
}

fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(_, offset, new) => {
            let (from, end) = (*offset as usize, *offset as usize + new.len());
            bytes.resize(bytes.len().max(end), 0);
            bytes[from..end].copy_from_slice(new);
        }
        Op::Resize(_, len) => bytes.resize(*len as usize, 0),
        Op::Create(_) | Op::Rename(..) | Op::Remove(_) | Op::Sync(_) | Op::SyncDir => {
            unreachable!("no change of bytes")
        }
    }
}

fn lay_out(dir: &Path, journal: &Files, index: &Files) {
    fs::create_dir_all(dir.join("index")).unwrap();
    journal
        .iter()
        .for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
    index
        .iter()
        .for_each(|(name, bytes)| fs::write(dir.join("index").join(name), bytes).unwrap());
    if index.is_empty() {
        fs::remove_dir(dir.join("index")).unwrap();
    }
}

/// Number of disks that are built from each recording.
const IMAGES: u64 = 150;
/// Lengths of the journal's files. Files of the second length end after some ten records, and snapshots follow.
const ONE_FILE: u64 = u64::MAX;
const SHORT_FILES: u64 = 8 * 1024;

#[test]
fn after_a_power_failure_at_any_moment_the_store_opens_with_all_acknowledged_rows() {
    for (closed_before, segment_bytes) in [
        (false, ONE_FILE),
        (true, ONE_FILE),
        (false, SHORT_FILES),
        (true, SHORT_FILES),
    ] {
        let open = |dir: &Path, recording: &_, boot: u32| open(dir, recording, boot, segment_bytes);
        let recording = recorded(closed_before, segment_bytes);
        let mut rebuilt = 0;
        for seed in 0..IMAGES {
            let dice = Dice(SeededEntropy::new(seed));
            let at = dice.below(recording.ops.len());
            let (journal, index) = image(&recording, at, &dice);
            // If the store's own folder was not durable yet, the machine has no file of it.
            if journal.is_empty() && recording.ops[at].acknowledged == 0 {
                continue;
            }
            let dir = directory();
            lay_out(dir.path(), &journal, &index);
            let what = format!(
                "closed before: {closed_before}, files of {segment_bytes}, seed {seed}, at {at} of {}",
                recording.ops.len()
            );
            let ignored = Arc::default();
            let (store, report) =
                open(dir.path(), &ignored, 2).unwrap_or_else(|error| panic!("{what}: {error}"));
            let there = count(&store).unwrap_or_else(|error| panic!("{what}: {error}"));
            let acknowledged = recording.ops[at].acknowledged;
            assert!(
                there == acknowledged || there == acknowledged + 1,
                "{what}: {there} rows, {acknowledged} were acknowledged"
            );
            rebuilt += u32::from(report.rebuilt());
            // The store goes on, closes, and opens again with all its rows.
            write(&store, &ignored, there + 1..=there + 3);
            store.close().unwrap();
            let (store, report) = open(dir.path(), &ignored, 3).unwrap();
            assert!(!report.rebuilt(), "{what}: {report:?}");
            assert_eq!(count(&store).unwrap(), there + 3, "{what}");
        }
        println!(
            "closed before: {closed_before}, files of {segment_bytes}: {IMAGES} disks, {rebuilt} indexes rebuilt"
        );
        assert!(
            rebuilt > IMAGES as u32 / 2,
            "an index that was open at a power failure is not trusted"
        );
    }
}

#[test]
fn damage_after_a_power_failure_is_named_or_repaired_and_gives_no_wrong_row() {
    let recording = recorded(true, ONE_FILE);
    let (mut named, mut repaired) = (0, 0);
    for seed in 0..IMAGES {
        let dice = Dice(SeededEntropy::new(1000 + seed));
        let at = dice.below(recording.ops.len());
        let (mut journal, mut index) = image(&recording, at, &dice);
        let acknowledged = recording.ops[at].acknowledged;
        // A bit in an acknowledged record of the journal, or 300 bytes of sled's file.
        let in_journal = dice.below(2) == 0;
        if in_journal {
            let bytes = journal.get_mut("journal").unwrap();
            let written = recording.base["journal"]
                .iter()
                .rposition(|byte| *byte != 0)
                .unwrap();
            bytes[dice.below(written)] ^= 1 << dice.below(8);
        } else if let Some(bytes) = index.get_mut("db") {
            let from = dice.below(bytes.len());
            bytes[from..].iter_mut().take(300).for_each(|byte| *byte ^= 0x55);
        }
        let dir = directory();
        lay_out(dir.path(), &journal, &index);
        match open(dir.path(), &Arc::default(), 2, ONE_FILE) {
            Err(StoreError::Damaged { .. }) if in_journal => named += 1,
            Ok((store, _)) if !in_journal => {
                let there = count(&store).unwrap();
                assert!(there == acknowledged || there == acknowledged + 1, "seed {seed}");
                repaired += 1;
            }
            other => panic!(
                "seed {seed}, in the journal: {in_journal}: {:?}",
                other.map(|_| ())
            ),
        }
    }
    println!("{named} were named, {repaired} repaired");
}
