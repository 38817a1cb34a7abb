//! Reading the durable state, apart from transactions.

use super::committer::Shared;
use super::error::StoreError;
use super::index::Row;
use super::limits::SCAN_MAX_ROWS;
use super::transaction::check_key;
use std::ops::Bound;
use std::sync::Arc;

/// The durable state, read-only. Each call sees one moment between two batches; two calls may see two.
#[derive(Clone)]
pub struct View(pub(crate) Arc<Shared>);

impl View {
    /// The durable value at `key`.
    ///
    /// # Errors
    /// [`StoreError::ReservedKey`], [`StoreError::TooLong`], [`StoreError::Index`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(key)?;
        self.0.index.get(key).map_err(|error| self.0.index_failed(&error))
    }

    /// Rows in key order whose keys begin with `prefix`, from `from` on (a whole key, the prefix
    /// included); at most `limit`, and never more than [`SCAN_MAX_ROWS`].
    ///
    /// # Errors
    /// [`StoreError::ReservedKey`], [`StoreError::TooLong`], [`StoreError::Index`].
    pub fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        check_key(prefix)?;
        let rows = self.0.index.scan(prefix, from, limit.min(SCAN_MAX_ROWS));
        rows.map_err(|error| self.0.index_failed(&error))
    }

    /// As [`View::scan`], beginning behind `after`.
    ///
    /// # Errors
    /// As [`View::scan`].
    pub fn scan_prefix(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.scan(prefix, after.map_or(Bound::Unbounded, Bound::Excluded), limit)
    }
}
