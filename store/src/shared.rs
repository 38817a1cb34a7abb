//! The state that the writer shares with the readers.

use crate::error::StoreError;
use crate::index::{Head, Index, IndexError};
use crate::reader::Reader;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The counters of a store. Each record is one sync, and has the writes of all transactions of its batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCounts {
    /// Number of records in the journal since its start.
    pub records: u64,
    /// Length of the journal without preallocated room, archived files included (bytes).
    pub journal_bytes: u64,
    /// Number of old records that are not verified yet. A thread verifies them beside the work.
    #[serde(default)]
    pub unverified: u64,
    /// Number of the journal's files in the directory.
    #[serde(default)]
    pub files: u64,
    /// Number of archived records. Their files are not in the directory.
    #[serde(default)]
    pub archived: u64,
    /// The record at which the newest snapshot begins. 0 if there is none.
    #[serde(default)]
    pub snapshot: u64,
    /// Number of finished transactions since the store was opened.
    pub transactions: u64,
    /// Time that was spent on writing and syncing records since the store was opened (us).
    #[serde(default)]
    pub sync_us: u64,
}

/// The state that the writer shares with the readers.
pub(crate) struct Shared {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) reader: Reader,
    head: Mutex<Head>,
    /// Length of the journal (bytes).
    journal_bytes: AtomicU64,
    /// The record at which the newest snapshot begins.
    snapshot: AtomicU64,
    /// Number of finished transactions since the store was opened.
    transactions: AtomicU64,
    /// Time that was spent on writing and syncing records since the store was opened (us).
    sync_us: AtomicU64,
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
            transactions: AtomicU64::new(0),
            sync_us: AtomicU64::new(0),
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

    /// Adds finished transactions to the counter.
    pub(crate) fn count(&self, transactions: u64) {
        self.transactions.fetch_add(transactions, Ordering::Relaxed);
    }

    /// Adds the time of a record's write and sync to the counter.
    pub(crate) fn count_sync(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sync_us.fetch_add(took_us, Ordering::Relaxed);
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

    /// The counters of the store.
    pub(crate) fn counts(&self) -> StoreCounts {
        StoreCounts {
            records: self.head().sequence,
            journal_bytes: self.journal_bytes.load(Ordering::Relaxed),
            unverified: self.reader.unverified(),
            files: self.reader.files.count(),
            archived: self.reader.begin().head.sequence,
            snapshot: self.snapshot.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
            sync_us: self.sync_us.load(Ordering::Relaxed),
        }
    }

    /// Records a failure of the index that a reader has found. The writer halts before its next batch.
    pub(crate) fn index_failed(&self, error: &IndexError) -> StoreError {
        self.index_failed.get_or_init(|| error.to_string());
        StoreError::Index(error.to_string())
    }
}
