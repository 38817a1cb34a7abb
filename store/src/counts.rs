//! The counters of a store.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Whether the store is in a database that does not answer now.
    #[serde(default)]
    pub unreachable: bool,
}

/// The work of a writer since the store was opened.
#[derive(Default)]
pub(crate) struct Work {
    /// Number of finished transactions.
    transactions: AtomicU64,
    /// Time that was spent on making batches durable (us).
    sync_us: AtomicU64,
}

impl Work {
    /// Adds finished transactions.
    pub(crate) fn count(&self, transactions: u64) {
        self.transactions.fetch_add(transactions, Ordering::Relaxed);
    }

    /// Adds the time in which a batch became durable.
    pub(crate) fn count_sync(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sync_us.fetch_add(took_us, Ordering::Relaxed);
    }

    /// The counters of this work. All others are 0.
    pub(crate) fn counts(&self) -> StoreCounts {
        StoreCounts {
            transactions: self.transactions.load(Ordering::Relaxed),
            sync_us: self.sync_us.load(Ordering::Relaxed),
            ..StoreCounts::default()
        }
    }
}
