//! The counters of a store.

use serde::{Deserialize, Serialize};

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
