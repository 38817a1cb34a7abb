//! The state that the writer shares with the readers.

use crate::counts::{StoreCounts, Work};
use crate::error::StoreError;
use crate::index::{Head, Index, IndexError, Row};
use crate::read_backend::ReadBackend;
use crate::reader::Reader;
use farthing_protocol::ids::RecordHash;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The state that the writer shares with the readers.
pub(crate) struct Shared {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) reader: Reader,
    head: Mutex<Head>,
    /// Length of the journal (bytes).
    journal_bytes: AtomicU64,
    /// The record at which the newest snapshot begins.
    snapshot: AtomicU64,
    pub(crate) work: Work,
    /// Why the writer has halted.
    halted: OnceLock<String>,
    /// The first failure of the index in a read outside transactions.
    index_failed: OnceLock<String>,
}

impl Shared {
    pub(crate) fn new(index: Arc<dyn Index>, reader: Reader, head: Head, journal_bytes: u64) -> Self {
        Self {
            index,
            reader,
            head: Mutex::new(head),
            journal_bytes: AtomicU64::new(journal_bytes),
            snapshot: AtomicU64::new(0),
            work: Work::default(),
            halted: OnceLock::new(),
            index_failed: OnceLock::new(),
        }
    }

    /// The last record that is durable and in the index.
    pub(crate) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the head, whose record is durable and in the index.
    pub(crate) fn advance(&self, head: Head, journal_bytes: u64) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
        self.journal_bytes.store(journal_bytes, Ordering::Relaxed);
    }

    /// Sets the record at which the newest snapshot begins.
    pub(crate) fn set_snapshot(&self, record: u64) {
        self.snapshot.store(record, Ordering::Relaxed);
    }

    /// Records why the writer has halted. The first reason stays.
    pub(crate) fn halted(&self, why: &StoreError) {
        self.halted.get_or_init(|| why.to_string());
    }

    /// Why the store has stopped, or will stop before its next batch.
    pub(crate) fn stopped(&self) -> Option<String> {
        let halted = self.halted.get().cloned();
        let unreadable = || self.index_failed.get().cloned();
        let broken = || self.reader.broken().map(ToString::to_string);
        halted.or_else(unreadable).or_else(broken)
    }

    /// The failure of the index that a reader has found.
    pub(crate) fn index_failure(&self) -> Option<&str> {
        self.index_failed.get().map(String::as_str)
    }

    /// Records a failure of the index that a reader has found. The writer halts before its next batch.
    pub(crate) fn index_failed(&self, error: &IndexError) -> StoreError {
        self.index_failed.get_or_init(|| error.to_string());
        StoreError::Index(error.to_string())
    }
}

impl ReadBackend for Shared {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.index.get(key).map_err(|error| self.index_failed(&error))
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let rows = self.index.scan(prefix, from, limit);
        rows.map_err(|error| self.index_failed(&error))
    }

    fn head(&self) -> Head {
        Shared::head(self)
    }

    fn hash_at(&self, sequence: u64) -> Result<RecordHash, StoreError> {
        self.reader.hash_at(sequence)
    }

    fn counts(&self) -> StoreCounts {
        StoreCounts {
            records: Shared::head(self).sequence,
            journal_bytes: self.journal_bytes.load(Ordering::Relaxed),
            unverified: self.reader.unverified(),
            files: self.reader.files.count(),
            archived: self.reader.begin().head.sequence,
            snapshot: self.snapshot.load(Ordering::Relaxed),
            ..self.work.counts()
        }
    }

    fn stopped(&self) -> Option<String> {
        Shared::stopped(self)
    }
}
