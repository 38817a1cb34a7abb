//! Reads of the durable state, outside transactions.

use crate::error::StoreError;
use crate::index::Row;
use crate::limits::SCAN_MAX_ROWS;
use crate::namespace::Namespace;
use crate::read_backend::ReadBackend;
use crate::transaction::check_key;
use std::ops::Bound;
use std::sync::Arc;

/// The durable state, read-only. Each call sees the state between two batches. Two calls may see two different states.
///
/// A call blocks. If the store is in a database, it takes a round trip, and waits for a commit that is under way.
#[derive(Clone)]
pub struct View {
    rows: Arc<dyn ReadBackend>,
    namespace: Namespace,
}

impl View {
    pub(crate) fn new(rows: Arc<dyn ReadBackend>, namespace: Namespace) -> Self {
        Self { rows, namespace }
    }

    /// The durable value at `key`.
    ///
    /// # Errors
    /// [`StoreError::ReservedKey`], [`StoreError::TooLong`], [`StoreError::Index`], [`StoreError::Database`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(key, &self.namespace)?;
        self.rows.get(&self.namespace.outer(key))
    }

    /// Rows in key order whose keys begin with `prefix`, from `from` on. `from` is a whole key, with its prefix. Returns at most
    /// `limit` rows, and never more than [`SCAN_MAX_ROWS`].
    ///
    /// # Errors
    /// [`StoreError::ReservedKey`], [`StoreError::TooLong`], [`StoreError::Index`], [`StoreError::Database`].
    pub fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        check_key(prefix, &self.namespace)?;
        let prefix = self.namespace.outer(prefix);
        let from = self.namespace.outer_bound(from);
        let from = from.as_ref().map(Vec::as_slice);
        let rows = self.rows.scan(&prefix, from, limit.min(SCAN_MAX_ROWS))?;
        let inner = |(key, value)| (self.namespace.inner(key), value);
        Ok(rows.into_iter().map(inner).collect())
    }

    /// As [`View::scan`], from the first key after `after`.
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
