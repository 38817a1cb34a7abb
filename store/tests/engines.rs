//! The indexes of all engines behave the same, with and without a buffer before them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

#[path = "../examples/engines/mod.rs"]
mod engines;

use farthing_protocol::ids::RecordHash;
use farthing_store::entropy::{Entropy, SeededEntropy};
use farthing_store::{
    BufferedIndex, Engine, Head, Index, IndexError, MemoryEngine, MemoryIndex, Row, Writes,
};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn head(sequence: u64) -> Head {
    Head {
        sequence,
        hash: RecordHash([sequence as u8; 32]),
    }
}

/// Checks the rules of [`Index`].
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
        "from after the last key"
    );
    let from_before = scan(&[2], Bound::Included(&[1, 0]), 9);
    assert_eq!(from_before, [20], "from before the prefix");
    let from_after = scan(&[1], Bound::Excluded(&[3]), 9);
    assert_eq!(from_after, [0u8; 0], "from after the prefix");
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

/// A random batch. The keys are few, so they are often overwritten and removed.
fn batch(dice: &Dice) -> Writes {
    let write = |_| {
        let key = dice.key(1 + dice.below(KEY_MOST));
        let value = (dice.below(3) > 0).then(|| vec![dice.below(256) as u8; dice.below(VALUE_MOST) as usize]);
        (key, value)
    };
    (0..dice.below(20)).map(write).collect()
}

/// Asserts that both indexes give the same results.
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

    /// A key of bytes from the ends of the range and a few between. Its first byte is not the store's reserved prefix.
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

/// A small cache, so that pages are often evicted.
const CACHE_BYTES: u64 = 1 << 20;

#[test]
fn every_engine_conforms_and_keeps_its_rows_after_a_close() {
    for name in engines::NAMES {
        let engine = engines::named(name).unwrap();
        for full_bytes in [None, Some(1), Some(200), Some(usize::MAX)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("index");
            let index = engine.open(&path, CACHE_BYTES).unwrap();
            assert_eq!(index.applied().unwrap(), None, "{name}");
            let index = match full_bytes {
                None => index,
                Some(full_bytes) => Arc::new(BufferedIndex::new(index, head(0), full_bytes)),
            };
            conforms(index.as_ref());
            index.close().unwrap();
            assert!(index.get(&[1]).is_err() || full_bytes.is_some(), "it is closed");
            assert!(
                index.apply(&Writes::new(), head(4)).is_err() || full_bytes.is_some(),
                "it is closed"
            );
            drop(index);
            let again = engine.open(&path, CACHE_BYTES).unwrap();
            assert_eq!(again.applied().unwrap(), Some(head(3)), "{name}");
            assert_eq!(again.get(&[1, 0]).unwrap(), Some(vec![99]), "{name}");
            again.close().unwrap();
            drop(again);
            engine.wipe(&path).unwrap();
            assert!(!path.exists());
            engine.wipe(&path).unwrap();
        }
    }
    let memory = MemoryEngine.open(Path::new("nowhere"), 0).unwrap();
    assert_eq!(memory.applied().unwrap(), None);
    conforms(memory.as_ref());
}

#[test]
fn all_engines_agree_after_any_batches_and_restarts() {
    for (seed, full_bytes) in [
        (0, None),
        (1, None),
        (2, Some(1)),
        (3, Some(20_000)),
        (4, Some(200_000)),
    ] {
        for name in engines::NAMES {
            let engine = engines::named(name).unwrap();
            let dice = Dice(SeededEntropy::new(seed));
            let memory = MemoryIndex::new();
            let dir = tempfile::tempdir().unwrap();
            let open = |at| -> Arc<dyn Index> {
                let index = engine.open(dir.path(), CACHE_BYTES / 16).unwrap();
                match full_bytes {
                    None => index,
                    Some(full_bytes) => Arc::new(BufferedIndex::new(index, at, full_bytes)),
                }
            };
            let mut index = open(head(0));
            for sequence in 1..=150 {
                let writes = batch(&dice);
                memory.apply(&writes, head(sequence)).unwrap();
                index.apply(&writes, head(sequence)).unwrap();
                agree(&memory, index.as_ref(), &dice);
                if dice.below(25) == 0 {
                    index.close().unwrap();
                    // The drop releases its lock.
                    drop(index);
                    index = open(head(sequence));
                    agree(&memory, index.as_ref(), &dice);
                }
            }
        }
    }
}

#[test]
fn a_concurrent_reader_sees_all_of_a_batch_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engines = engines::NAMES.map(|name| {
        let engine = engines::named(name).unwrap();
        engine.open(&dir.path().join(name), CACHE_BYTES).unwrap()
    });
    let few = BufferedIndex::new(Arc::new(MemoryIndex::new()), head(0), 1);
    let more = BufferedIndex::new(Arc::new(MemoryIndex::new()), head(0), 20_000);
    let memory = MemoryIndex::new();
    let others: [&dyn Index; 3] = [&memory, &few, &more];
    for index in engines.iter().map(AsRef::as_ref).chain(others) {
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
                assert!(now >= last, "the head went back");
                last = now;
            }
        });
    }
}

/// An index that applies `left` batches, and then fails.
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
fn an_index_failure_after_the_buffer_is_reported_and_buffered_rows_stay_readable() {
    let failing = Arc::new(Failing {
        inner: MemoryIndex::new(),
        left: AtomicU64::new(2),
    });
    let index = BufferedIndex::new(Arc::clone(&failing) as Arc<dyn Index>, head(0), 20_000);
    // More rows than one part: the third part fails.
    let rows = |value: u8| -> Writes { (0..=255).map(|key| (vec![1, key], Some(vec![value]))).collect() };
    index.apply(&rows(1), head(1)).unwrap();
    let mut sequence = 1;
    let error = loop {
        sequence += 1;
        if let Err(error) = index.apply(&rows(2), head(sequence)) {
            break error;
        }
        assert!(sequence < 4, "the failure is not reported");
    };
    assert_eq!(error, IndexError("no more".into()));
    assert_eq!(index.scan(&[1], Bound::Unbounded, 999).unwrap().len(), 256);
    assert_eq!(failing.applied().unwrap(), Some(head(0)), "all of it is replayed");
    assert_eq!(index.close(), Err(error));
}
