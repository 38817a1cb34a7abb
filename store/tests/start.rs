//! Starts after a clean stop. Such a start reads only the end of the journal, if state, index and journal agree. Damage before
//! the end is found beside the work.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_protocol::ids::RecordHash;
use farthing_store::disk::{Disk, FileDisk, MemoryDisk};
use farthing_store::{
    Damage, DamageKind, IndexFound, MemoryEngine, OpenReport, Reads, SledEngine, Store, StoreError,
    StoreOptions, Table, Threading, verify,
};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");

/// Number of records in each store.
const RECORDS: u64 = 1000;
/// Records after the last checkpoint. Every 256th record is a checkpoint.
const AT_END: u64 = 232;

/// A store with its journal on a simulated disk, and its index on a real one.
struct Fixture {
    disk: MemoryDisk,
    dir: TempDir,
    seed: u64,
}

impl Fixture {
    /// A closed store with this number of records. The journal's id depends on `seed`.
    fn closed(seed: u64, records: u64) -> Fixture {
        let fixture = Fixture {
            disk: MemoryDisk::new(),
            dir: tempfile::tempdir().unwrap(),
            seed,
        };
        let (store, _) = fixture.open().unwrap();
        write(&store, 1, records);
        store.close().unwrap();
        fixture
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            engine: Arc::new(SledEngine),
            threading: Threading::Thread,
            ..StoreOptions::simulated(self.disk.clone(), self.seed)
        }
    }

    fn open(&self) -> Result<(Store, OpenReport), StoreError> {
        Store::open(self.dir.path(), self.options())
    }

    /// Opens the store. Returns the number of records that were verified first, and whether the index was kept.
    fn opens(&self) -> (u64, bool) {
        let (store, report) = self.open().unwrap();
        check(&store);
        (report.verified, report.index == IndexFound::Kept)
    }

    /// The damage for which the store does not open.
    fn refuses(&self) -> Damage {
        match self.open().map(|_| ()) {
            Err(StoreError::Damaged { path, damage }) => {
                assert_eq!(path, self.file("journal"));
                damage
            }
            other => panic!("{other:?}"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.disk.bytes(&self.file(name)).unwrap()
    }

    fn put(&self, name: &str, bytes: Vec<u8>) {
        self.disk.put(&self.file(name), bytes);
    }

    /// The offset where the journal's last record ends.
    fn end(&self) -> u64 {
        let bytes = self.bytes("journal");
        bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
    }

    fn flip(&self, offset: u64) {
        assert!(self.disk.flip(&self.file("journal"), offset, 4));
    }

    fn verified(&self) -> Option<Damage> {
        verify(self.dir.path(), &self.disk, &|_| {}).unwrap().damage
    }

    /// Changes the lines of the state file, and writes their checksum.
    fn restate(&self, change: impl FnOnce(&mut Vec<String>)) {
        let text = String::from_utf8(self.bytes("state")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.pop();
        change(&mut lines);
        let text = lines.join("\n") + "\n";
        let sum = crc32fast::hash(text.as_bytes());
        self.put("state", format!("{text}{sum:08x}\n").into_bytes());
    }

    fn without_index(&self) {
        fs::remove_dir_all(self.file("index")).unwrap();
    }

    fn with_index_of(&self, other: &Fixture) {
        self.without_index();
        fs::rename(other.file("index"), self.file("index")).unwrap();
    }
}

fn write(store: &Store, from: u64, to: u64) {
    for number in from..=to {
        let value = vec![number as u8; 100 + (number % 90) as usize];
        store
            .transact_blocking(Reads::none(), move |tx| ROWS.put(tx, &number, &value))
            .unwrap();
    }
}

fn check(store: &Store) {
    let view = store.view();
    for number in 1..=RECORDS {
        assert_eq!(ROWS.peek(&view, &number).unwrap().unwrap()[0], number as u8);
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn hashes(store: &Store) -> Vec<Option<RecordHash>> {
    let all = 0..=store.head().sequence;
    all.map(|sequence| store.hash_at(sequence).unwrap()).collect()
}

#[test]
fn after_a_clean_stop_the_end_is_verified_before_the_open_and_the_rest_beside_the_work() {
    let fixture = Fixture::closed(1, RECORDS);
    let inline = StoreOptions {
        threading: Threading::Inline,
        ..fixture.options()
    };
    let (store, report) = Store::open(fixture.dir.path(), inline).unwrap();
    assert_eq!(
        report.verified, RECORDS,
        "an inline store has no thread for the rest"
    );
    let expected = hashes(&store);
    store.close().unwrap();
    for _ in 0..3 {
        let (store, report) = fixture.open().unwrap();
        let quick = OpenReport {
            verified: AT_END,
            replayed: 0,
            index: IndexFound::Kept,
            cut_torn_bytes: 0,
            was_clean: true,
        };
        assert_eq!(report, quick);
        check(&store);
        assert_eq!(hashes(&store), expected);
        // The next start is as quick if the store is closed at once as if all records are verified.
        store.close().unwrap();
        let (store, report) = fixture.open().unwrap();
        assert_eq!(report, quick);
        wait_until("all records are verified", || store.counts().unverified == 0);
        assert_eq!(hashes(&store), expected);
        store.close().unwrap();
    }
    let (store, _) = fixture.open().unwrap();
    write(&store, RECORDS + 1, RECORDS + 300);
    assert_eq!(hashes(&store)[..=RECORDS as usize], expected);
    store.close().unwrap();
    assert_eq!(fixture.opens(), (20, true));
    assert_eq!(fixture.opens(), (RECORDS + 300, true), "it was not closed");
}

#[test]
fn after_an_unclean_stop_the_whole_journal_is_verified() {
    let fixture = Fixture::closed(1, RECORDS);
    drop(fixture.open().unwrap());
    assert_eq!(fixture.opens(), (RECORDS, true));
    for state in [Vec::new(), b"farthing store 1\nclosed\n".to_vec()] {
        fixture.open().unwrap().0.close().unwrap();
        fixture.put("state", state);
        assert_eq!(fixture.opens(), (RECORDS, false));
    }
    fixture.open().unwrap().0.close().unwrap();
    let memory = StoreOptions {
        engine: Arc::new(MemoryEngine),
        ..fixture.options()
    };
    let (_, report) = Store::open(fixture.dir.path(), memory).unwrap();
    assert_eq!((report.verified, report.replayed), (RECORDS, RECORDS));
}

#[test]
fn a_state_that_does_not_fit_the_journal_is_not_trusted() {
    let fixture = Fixture::closed(1, RECORDS);
    // The checkpoints follow the five fixed lines, the last one first. Each has its offset, record number and hash.
    const LAST: usize = 5;
    let word = |at: usize, change: fn(&str) -> String| {
        move |lines: &mut Vec<String>| {
            let mut words: Vec<String> = lines[LAST].split(' ').map(str::to_owned).collect();
            words[at] = change(&words[at]);
            lines[LAST] = words.join(" ");
        }
    };
    let more = |number: &str| (number.parse::<u64>().unwrap() + 1).to_string();
    let far = |_: &str| u64::MAX.to_string();
    let other = |hash: &str| hash.chars().rev().collect();
    type Change = Box<dyn FnOnce(&mut Vec<String>)>;
    let changes: [(&str, Change); 8] = [
        (
            "no checkpoints, as older programs wrote it",
            Box::new(|lines| lines.truncate(LAST)),
        ),
        ("an offset inside a record", Box::new(word(0, more))),
        ("an offset after the end of the file", Box::new(word(0, far))),
        ("another record", Box::new(word(1, more))),
        ("a record after the head", Box::new(word(1, far))),
        ("another hash", Box::new(word(2, other))),
        ("another head", Box::new(move |lines| lines[4] = other(&lines[4]))),
        ("an earlier head", Box::new(|lines| lines[3] = "999".into())),
    ];
    for (what, change) in changes {
        fixture.restate(change);
        let (store, report) = fixture.open().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            (report.verified, report.index),
            (RECORDS, IndexFound::Kept),
            "{what}"
        );
        store.close().unwrap();
        assert_eq!(
            fixture.open().unwrap().1.verified,
            AT_END,
            "{what}: the next state is trusted"
        );
        fixture.open().unwrap().0.close().unwrap();
    }
    fixture.restate(|lines| lines[3] = "1001".into());
    assert_eq!(fixture.refuses().kind, DamageKind::Missing(RECORDS + 1));
}

#[test]
fn with_a_lost_or_wrong_index_the_whole_journal_is_verified_and_the_index_rebuilt() {
    let fixture = Fixture::closed(1, RECORDS);
    fixture.without_index();
    assert_eq!(fixture.opens(), (RECORDS, false));
    let fixture = Fixture::closed(1, RECORDS);
    // The index of an earlier end of the same journal.
    fixture.with_index_of(&Fixture::closed(1, RECORDS - 1));
    assert_eq!(fixture.opens(), (RECORDS, false));
    let fixture = Fixture::closed(1, RECORDS);
    fixture.with_index_of(&Fixture::closed(2, RECORDS));
    assert_eq!(fixture.opens(), (RECORDS, false));
}

#[test]
fn an_older_copy_of_the_journal_is_refused_and_another_journal_has_its_index_rebuilt() {
    // Copies that end before and after the state's last checkpoint. They have the same rows.
    for records in [100, 600, RECORDS - 1] {
        let (fixture, older) = (Fixture::closed(1, RECORDS), Fixture::closed(1, records));
        fixture.put("journal", older.bytes("journal"));
        let damage = fixture.refuses();
        let missing = Damage {
            offset: older.end(),
            sequence: records + 1,
            kind: DamageKind::Missing(RECORDS),
        };
        assert_eq!(damage, missing);
        assert_eq!(fixture.verified(), Some(damage));
    }
    let (fixture, other) = (Fixture::closed(1, RECORDS), Fixture::closed(2, RECORDS));
    fixture.put("journal", other.bytes("journal"));
    assert_eq!(fixture.opens(), (RECORDS, false), "the index is not its own");
    let (fixture, longer) = (Fixture::closed(1, RECORDS), Fixture::closed(1, RECORDS + 100));
    fixture.put("journal", longer.bytes("journal"));
    assert_eq!(fixture.opens(), (RECORDS + 100, true));
    let fixture = Fixture::closed(1, RECORDS);
    fixture.disk.remove(&fixture.file("journal")).unwrap();
    assert_eq!(fixture.refuses().kind, DamageKind::Missing(RECORDS));
}

#[test]
fn damage_at_the_end_is_found_before_the_store_opens() {
    let fixture = Fixture::closed(1, RECORDS);
    let (closed, end) = (fixture.bytes("state"), fixture.end());
    let begin = end - end * AT_END / RECORDS;
    for offset in [begin + 300, begin + 10_000, end - 1, end + 50] {
        fixture.put("state", closed.clone());
        fixture.flip(offset);
        let found = fixture.refuses();
        assert_eq!(fixture.verified(), Some(found), "byte {offset}");
        fixture.flip(offset);
    }
    assert_eq!(
        fixture.opens(),
        (RECORDS, true),
        "each attempt has marked the state as open"
    );
    fixture.put("state", closed);
    fixture.flip(17);
    assert_eq!(fixture.refuses().kind, DamageKind::Header);
}

#[test]
fn damage_before_the_end_is_found_beside_the_work_and_halts_the_store() {
    let fixture = Fixture::closed(1, RECORDS);
    let end = fixture.end();
    for offset in [512, 700, end / 4, end / 2, end * 3 / 4] {
        fixture.flip(offset);
        let (store, report) = fixture.open().unwrap();
        assert_eq!(report.verified, AT_END);
        let touch = || store.transact_blocking([ROWS.key(&7)], |tx| ROWS.get(tx, &7));
        wait_until("the damage is found", || touch().is_err());
        let damaged = touch().unwrap_err();
        let StoreError::Damaged { path, damage } = damaged.clone() else {
            panic!("{damaged}");
        };
        assert_eq!(path, fixture.file("journal"));
        assert!(
            damage.offset <= offset && offset < damage.offset + 400,
            "{damage}"
        );
        let put = store.transact_blocking(Reads::none(), |tx| ROWS.put(tx, &7, &vec![7]));
        assert_eq!(put, Err(damaged.clone()));
        assert!(store.counts().unverified > 0);
        // Hashes near the damage are refused, all other hashes are returned.
        assert_eq!(store.hash_at(damage.sequence), Err(damaged.clone()));
        assert_eq!(store.hash_at(RECORDS).unwrap(), Some(store.head().hash));
        assert_eq!(store.head().sequence, RECORDS, "nothing was written");
        assert_eq!(store.close(), Err(damaged));
        // This was no clean stop. From now on the store does not open, with the same error.
        assert_eq!(fixture.refuses(), damage);
        assert_eq!(fixture.verified(), Some(damage));
        fixture.flip(offset);
        let (store, report) = fixture.open().unwrap();
        assert_eq!(report.verified, RECORDS);
        store.close().unwrap();
    }
}

#[test]
fn a_rebuild_also_verifies_the_records_that_a_quick_start_skips() {
    let fixture = Fixture::closed(1, RECORDS);
    fixture.flip(fixture.end() / 2);
    fixture.without_index();
    assert_eq!(fixture.refuses().kind, DamageKind::Changed);
    assert_eq!(Some(fixture.refuses()), fixture.verified());
}

#[test]
fn a_store_that_is_gone_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store_dir = dir.path().join("store");
    let existing = || Store::open_existing(&store_dir, StoreOptions::default()).map(|(store, _)| store);
    let is_absent = |found: Option<StoreError>| {
        let absent = StoreError::Absent {
            dir: store_dir.clone(),
        };
        assert_eq!(found, Some(absent));
    };
    is_absent(existing().err());
    is_absent(verify(&store_dir, &FileDisk, &|_| {}).err());
    assert!(!store_dir.exists(), "a refusal makes nothing");
    let (store, _) = Store::open(&store_dir, StoreOptions::default()).unwrap();
    write(&store, 1, 3);
    store.close().unwrap();
    let away = dir.path().join("away");
    fs::rename(&store_dir, &away).unwrap();
    is_absent(existing().err());
    // The folder where the disk of the store is not mounted.
    fs::create_dir(&store_dir).unwrap();
    is_absent(existing().err());
    is_absent(verify(&store_dir, &FileDisk, &|_| {}).err());
    assert_eq!(fs::read_dir(&store_dir).unwrap().count(), 0);
    // Only the journal is needed.
    fs::copy(away.join("journal"), store_dir.join("journal")).unwrap();
    let store = existing().unwrap();
    assert_eq!(store.head().sequence, 3);
    store.close().unwrap();
    fs::remove_file(store_dir.join("journal")).unwrap();
    let lost = existing().err().unwrap();
    assert!(matches!(lost, StoreError::Damaged { .. }), "{lost}");
}
