//! A start after a clean stop: it reads the end of the journal, if nothing speaks against that, and damage before it is
//! found beside the work.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_protocol::ids::RecordHash;
use farthing_store::disk::{Disk, MemoryDisk};
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

/// How many records the stores have. Checkpoints are known each 256, so that the last one is 232 before the end.
const RECORDS: u64 = 1000;
const AT_END: u64 = 232;

/// A store whose journal is on a simulated disk, and its index on a real one.
struct Position {
    disk: MemoryDisk,
    dir: TempDir,
    seed: u64,
}

impl Position {
    /// A store of so many records that was closed; `seed` gives the journal its name.
    fn closed(seed: u64, records: u64) -> Position {
        let place = Position {
            disk: MemoryDisk::new(),
            dir: tempfile::tempdir().unwrap(),
            seed,
        };
        let (store, _) = place.open().unwrap();
        write(&store, 1, records);
        store.close().unwrap();
        place
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

    /// How many records were verified before it opened, and whether the index was kept.
    fn opens(&self) -> (u64, bool) {
        let (store, report) = self.open().unwrap();
        check(&store);
        (report.verified, report.index == IndexFound::Kept)
    }

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

    /// Where the journal's last record ends.
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

    /// Writes the state with other lines, and with their sum.
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

    fn with_index_of(&self, other: &Position) {
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

fn until(what: &str, mut there: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !there() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn hashes(store: &Store) -> Vec<Option<RecordHash>> {
    let all = 0..=store.head().sequence;
    all.map(|sequence| store.hash_at(sequence).unwrap()).collect()
}

#[test]
fn after_a_clean_stop_only_the_end_is_verified_before_it_opens_and_the_rest_beside_the_work() {
    let place = Position::closed(1, RECORDS);
    let inline = StoreOptions {
        threading: Threading::Inline,
        ..place.options()
    };
    let (store, report) = Store::open(place.dir.path(), inline).unwrap();
    assert_eq!(report.verified, RECORDS, "it has no thread for the rest");
    let expected = hashes(&store);
    store.close().unwrap();
    for _ in 0..3 {
        let (store, report) = place.open().unwrap();
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
        // Closed at once, or when all of it is verified: the next start is as quick.
        store.close().unwrap();
        let (store, report) = place.open().unwrap();
        assert_eq!(report, quick);
        until("it is verified", || store.counts().unverified == 0);
        assert_eq!(hashes(&store), expected);
        store.close().unwrap();
    }
    let (store, _) = place.open().unwrap();
    write(&store, RECORDS + 1, RECORDS + 300);
    assert_eq!(hashes(&store)[..=RECORDS as usize], expected);
    store.close().unwrap();
    assert_eq!(place.opens(), (20, true));
    assert_eq!(place.opens(), (RECORDS + 300, true), "it was not closed");
}

#[test]
fn a_store_that_was_not_closed_is_verified_whole() {
    let place = Position::closed(1, RECORDS);
    drop(place.open().unwrap());
    assert_eq!(place.opens(), (RECORDS, true));
    for state in [Vec::new(), b"farthing store 1\nclosed\n".to_vec()] {
        place.open().unwrap().0.close().unwrap();
        place.put("state", state);
        assert_eq!(place.opens(), (RECORDS, false));
    }
    place.open().unwrap().0.close().unwrap();
    let memory = StoreOptions {
        engine: Arc::new(MemoryEngine),
        ..place.options()
    };
    let (_, report) = Store::open(place.dir.path(), memory).unwrap();
    assert_eq!((report.verified, report.replayed), (RECORDS, RECORDS));
}

#[test]
fn a_state_that_does_not_fit_the_journal_is_not_believed() {
    let place = Position::closed(1, RECORDS);
    // Below the five lines that any state has are the places, the last one first: its offset, record and hash.
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
            "no places, as older programs wrote it",
            Box::new(|lines| lines.truncate(LAST)),
        ),
        ("an offset inside of a record", Box::new(word(0, more))),
        ("an offset behind the file", Box::new(word(0, far))),
        ("another record", Box::new(word(1, more))),
        ("a record behind the head", Box::new(word(1, far))),
        ("another hash", Box::new(word(2, other))),
        ("another head", Box::new(move |lines| lines[4] = other(&lines[4]))),
        ("an earlier head", Box::new(|lines| lines[3] = "999".into())),
    ];
    for (what, change) in changes {
        place.restate(change);
        let (store, report) = place.open().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            (report.verified, report.index),
            (RECORDS, IndexFound::Kept),
            "{what}"
        );
        store.close().unwrap();
        assert_eq!(place.open().unwrap().1.verified, AT_END, "{what}: and then it is");
        place.open().unwrap().0.close().unwrap();
    }
    place.restate(|lines| lines[3] = "1001".into());
    assert_eq!(place.refuses().kind, DamageKind::Missing(RECORDS + 1));
}

#[test]
fn an_index_that_is_elsewhere_has_the_whole_journal_verified_and_is_rebuilt() {
    let place = Position::closed(1, RECORDS);
    place.without_index();
    assert_eq!(place.opens(), (RECORDS, false));
    let place = Position::closed(1, RECORDS);
    // The same journal, which has ended earlier.
    place.with_index_of(&Position::closed(1, RECORDS - 1));
    assert_eq!(place.opens(), (RECORDS, false));
    let place = Position::closed(1, RECORDS);
    place.with_index_of(&Position::closed(2, RECORDS));
    assert_eq!(place.opens(), (RECORDS, false));
}

#[test]
fn another_journal_or_an_older_copy_is_noticed_as_ever() {
    // Shorter than the last place that the state names, and longer; the rows of each are the same.
    for records in [100, 600, RECORDS - 1] {
        let (place, older) = (Position::closed(1, RECORDS), Position::closed(1, records));
        place.put("journal", older.bytes("journal"));
        let damage = place.refuses();
        let missing = Damage {
            offset: older.end(),
            sequence: records + 1,
            kind: DamageKind::Missing(RECORDS),
        };
        assert_eq!(damage, missing);
        assert_eq!(place.verified(), Some(damage));
    }
    let (place, other) = (Position::closed(1, RECORDS), Position::closed(2, RECORDS));
    place.put("journal", other.bytes("journal"));
    assert_eq!(place.opens(), (RECORDS, false), "the index is not its own");
    let (place, longer) = (Position::closed(1, RECORDS), Position::closed(1, RECORDS + 100));
    place.put("journal", longer.bytes("journal"));
    assert_eq!(place.opens(), (RECORDS + 100, true));
    let place = Position::closed(1, RECORDS);
    place.disk.remove(&place.file("journal")).unwrap();
    assert_eq!(place.refuses().kind, DamageKind::Missing(RECORDS));
}

#[test]
fn damage_at_the_end_is_found_before_it_opens() {
    let place = Position::closed(1, RECORDS);
    let (closed, end) = (place.bytes("state"), place.end());
    let begin = end - end * AT_END / RECORDS;
    for offset in [begin + 300, begin + 10_000, end - 1, end + 50] {
        place.put("state", closed.clone());
        place.flip(offset);
        let found = place.refuses();
        assert_eq!(place.verified(), Some(found), "byte {offset}");
        place.flip(offset);
    }
    assert_eq!(
        place.opens(),
        (RECORDS, true),
        "each attempt says that it has opened it"
    );
    place.put("state", closed);
    place.flip(17);
    assert_eq!(place.refuses().kind, DamageKind::Header);
}

#[test]
fn damage_before_the_end_is_found_beside_the_work_and_stops_the_store() {
    let place = Position::closed(1, RECORDS);
    let end = place.end();
    for offset in [512, 700, end / 4, end / 2, end * 3 / 4] {
        place.flip(offset);
        let (store, report) = place.open().unwrap();
        assert_eq!(report.verified, AT_END);
        let touch = || store.transact_blocking([ROWS.key(&7)], |tx| ROWS.get(tx, &7));
        until("it is found", || touch().is_err());
        let damaged = touch().unwrap_err();
        let StoreError::Damaged { path, damage } = damaged.clone() else {
            panic!("{damaged}");
        };
        assert_eq!(path, place.file("journal"));
        assert!(
            damage.offset <= offset && offset < damage.offset + 400,
            "{damage}"
        );
        let put = store.transact_blocking(Reads::none(), |tx| ROWS.put(tx, &7, &vec![7]));
        assert_eq!(put, Err(damaged.clone()));
        assert!(store.counts().unverified > 0);
        // What lies about the damage is not told of, and what lies elsewhere is.
        assert_eq!(store.hash_at(damage.sequence), Err(damaged.clone()));
        assert_eq!(store.hash_at(RECORDS).unwrap(), Some(store.head().hash));
        assert_eq!(store.head().sequence, RECORDS, "nothing was written");
        assert_eq!(store.close(), Err(damaged));
        // No clean stop: from now on it does not open, and says the same.
        assert_eq!(place.refuses(), damage);
        assert_eq!(place.verified(), Some(damage));
        place.flip(offset);
        let (store, report) = place.open().unwrap();
        assert_eq!(report.verified, RECORDS);
        store.close().unwrap();
    }
}

#[test]
fn a_rebuild_verifies_what_a_quick_start_would_pass_over() {
    let place = Position::closed(1, RECORDS);
    place.flip(place.end() / 2);
    place.without_index();
    assert_eq!(place.refuses().kind, DamageKind::Changed);
    assert_eq!(Some(place.refuses()), place.verified());
}
