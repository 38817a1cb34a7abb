//! What the writer and those who only read share.

use crate::error::StoreError;
use crate::index::{Head, Index, IndexError};
use crate::reader::Reader;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What a store has done. A record is one sync, and holds what all transactions of its batch wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCounts {
    /// Records in the journal, ever.
    pub records: u64,
    /// Their bytes.
    pub journal_bytes: u64,
    /// Old records that are still to be verified, beside the work.
    #[serde(default)]
    pub unverified: u64,
    /// Transactions that were carried out since the store was opened.
    pub transactions: u64,
}

/// What the writer shares with those who only read.
pub(crate) struct Shared {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) reader: Reader,
    head: Mutex<Head>,
    /// The journal's bytes.
    journal_bytes: AtomicU64,
    /// How many transactions were carried out since the store was opened.
    transactions: AtomicU64,
    /// What a reader apart from transactions has seen the index fail on.
    index_failed: OnceLock<String>,
}

impl Shared {
    pub(crate) fn new(index: Arc<dyn Index>, reader: Reader, head: Head, journal_bytes: u64) -> Self {
        Self {
            index,
            reader,
            head: Mutex::new(head),
            journal_bytes: AtomicU64::new(journal_bytes),
            transactions: AtomicU64::new(0),
            index_failed: OnceLock::new(),
        }
    }

    /// The last record that is durable and in the index.
    pub(crate) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record that ends at `head` is durable and in the index.
    pub(crate) fn advance(&self, head: Head, journal_bytes: u64) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
        self.journal_bytes.store(journal_bytes, Ordering::Relaxed);
    }

    /// So many more transactions were carried out.
    pub(crate) fn count(&self, transactions: u64) {
        self.transactions.fetch_add(transactions, Ordering::Relaxed);
    }

    /// What a reader has seen the index fail on.
    pub(crate) fn index_failure(&self) -> Option<&str> {
        self.index_failed.get().map(String::as_str)
    }

    /// What the store has done.
    pub(crate) fn counts(&self) -> StoreCounts {
        StoreCounts {
            records: self.head().sequence,
            journal_bytes: self.journal_bytes.load(Ordering::Relaxed),
            unverified: self.reader.unverified(),
            transactions: self.transactions.load(Ordering::Relaxed),
        }
    }

    /// A reader has seen the index fail: the writer stops before its next batch.
    pub(crate) fn index_failed(&self, error: &IndexError) -> StoreError {
        self.index_failed.get_or_init(|| error.to_string());
        StoreError::Index(error.to_string())
    }
}
