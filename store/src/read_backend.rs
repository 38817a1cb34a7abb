//! The read side of a store. The embedded store implements it with an index, and [`postgres`](crate::postgres) with a
//! database.

use crate::counts::StoreCounts;
use crate::error::StoreError;
use crate::index::{Head, Row};
use farthing_protocol::ids::RecordHash;
use std::ops::Bound;

/// The durable state, read by all handles.
pub(crate) trait ReadBackend: Send + Sync {
    /// The value at `key`.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` rows in key order whose keys begin with `prefix`, from `from` on, all from one state.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// The last durable record.
    fn head(&self) -> Head;

    /// The hash at `sequence`, which is at most the head's.
    ///
    /// # Errors
    /// When it cannot be read.
    fn hash_at(&self, sequence: u64) -> Result<RecordHash, StoreError>;

    /// The counters of the store.
    fn counts(&self) -> StoreCounts;

    /// Why the store has stopped, or will stop before its next batch.
    fn stopped(&self) -> Option<String>;
}
