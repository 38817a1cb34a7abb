//! A running transaction: its reads and its writes.

use crate::error::StoreError;
use crate::index::{Lookup, Writes};
use crate::key::{NAMESPACES_PREFIX, RESERVED_PREFIX, RowKey};
use crate::limits::{TRANSACTION_MAX_BYTES, VALUE_MAX_BYTES};
use crate::namespace::Namespace;
use std::ops::Bound;

/// One running transaction. It reads its own writes first, then the writes of earlier transactions of its batch, then the
/// index. Its own writes take effect only when its closure returns `Ok`.
pub struct Transaction<'a> {
    namespace: Namespace,
    batch: &'a Writes,
    index: &'a Lookup<'a>,
    /// The rows that it may read.
    declared: Declared,
    own: Writes,
    own_bytes: usize,
    /// The first failure of the index. The closure may swallow it, but the committer must not.
    index_failed: Option<String>,
    /// The first refused read or write. If the closure swallows it, its other writes must not be written either.
    refused: Option<StoreError>,
}

/// The rows that a transaction has declared to read. Each stage is sorted.
#[derive(Default)]
struct Declared {
    first: Vec<RowKey>,
    second: Vec<RowKey>,
}

impl Declared {
    fn has(&self, key: &[u8]) -> bool {
        let has = |stage: &[RowKey]| stage.binary_search_by(|row| row.as_bytes().cmp(key)).is_ok();
        has(&self.first) || has(&self.second)
    }
}

/// Overhead of a write in a record, besides its key and value (bytes, rounded up).
const WRITE_OVERHEAD_BYTES: usize = 16;

/// The result of a transaction.
pub(crate) struct Done {
    pub(crate) writes: Writes,
    /// The most bytes that the writes take in a record.
    pub(crate) bytes: usize,
    pub(crate) index_failed: Option<String>,
    pub(crate) refused: Option<StoreError>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(namespace: Namespace, batch: &'a Writes, index: &'a Lookup<'a>) -> Self {
        Self {
            namespace,
            batch,
            index,
            declared: Declared::default(),
            own: Writes::new(),
            own_bytes: 0,
            index_failed: None,
            refused: None,
        }
    }

    /// Allows reads of only these rows from now on. They are sorted.
    pub(crate) fn declare(&mut self, first: Vec<RowKey>) {
        let second = Vec::new();
        self.declared = Declared { first, second };
    }

    /// Takes the first stage back. From now on no row may be read.
    pub(crate) fn take_declared(&mut self) -> Vec<RowKey> {
        std::mem::take(&mut self.declared.first)
    }

    /// Allows reads of the second stage too.
    pub(crate) fn declare_more(&mut self, mut second: Vec<RowKey>) {
        second.sort_unstable();
        self.declared.second = second;
    }

    /// The value at `key`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Undeclared`], after which the transaction fails even if its closure returns `Ok`;
    /// [`StoreError::ReservedKey`], [`StoreError::TooLong`], and [`StoreError::Index`] when the index fails.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read("no table", key)
    }

    /// The value at `key`, in `table`.
    pub(crate) fn read(&mut self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(key, &self.namespace)?;
        if !self.declared.has(key) {
            let error = StoreError::Undeclared { table };
            return Err(self.refused.get_or_insert(error).clone());
        }
        let key = self.namespace.outer(key);
        if let Some(written) = self.own.get(&key).or_else(|| self.batch.get(&key)) {
            return Ok(written.clone());
        }
        (self.index)(&key).map_err(|error| {
            self.index_failed.get_or_insert_with(|| error.to_string());
            StoreError::Index(error.to_string())
        })
    }

    /// Sets the value at `key`. It replaces an earlier value.
    ///
    /// # Errors
    /// [`StoreError::ReservedKey`] and [`StoreError::TooLong`]. The transaction then fails even if its closure returns `Ok`.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
        self.write(key, Some(value))
    }

    /// Removes the value at `key`, if there is one.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.write(key, None)
    }

    /// Whether it has written anything.
    pub fn has_written(&self) -> bool {
        !self.own.is_empty()
    }

    /// The keys under `prefix` that it has written or deleted.
    pub(crate) fn written(&self, prefix: u8) -> impl Iterator<Item = &[u8]> {
        let begin = self.namespace.outer(&[prefix]);
        let skip = begin.len().saturating_sub(1);
        let range = self
            .own
            .range::<[u8], _>((Bound::Included(begin.as_slice()), Bound::Unbounded));
        let keys: Vec<&[u8]> = range
            .map(|(key, _)| key.as_slice())
            .take_while(|key| key.starts_with(&begin))
            .filter_map(|key| key.get(skip..))
            .collect();
        keys.into_iter()
    }

    fn write(&mut self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let result = self.check_write(key, value.as_ref().map_or(0, Vec::len));
        match &result {
            Ok(()) => {
                self.own.insert(self.namespace.outer(key), value);
            }
            Err(error) => {
                self.refused.get_or_insert_with(|| error.clone());
            }
        }
        result
    }

    fn check_write(&mut self, key: &[u8], value_bytes: usize) -> Result<(), StoreError> {
        check_key(key, &self.namespace)?;
        check_length("value", value_bytes, VALUE_MAX_BYTES)?;
        let more = key
            .len()
            .saturating_add(value_bytes)
            .saturating_add(WRITE_OVERHEAD_BYTES);
        // An overwritten value is counted again: the bound is on the work of the closure, and simple.
        let bytes = self.own_bytes.saturating_add(more);
        check_length("transaction", bytes, TRANSACTION_MAX_BYTES)?;
        self.own_bytes = bytes;
        Ok(())
    }

    pub(crate) fn done(self) -> Done {
        Done {
            writes: self.own,
            bytes: self.own_bytes,
            index_failed: self.index_failed,
            refused: self.refused,
        }
    }
}

pub(crate) fn check_key(key: &[u8], namespace: &Namespace) -> Result<(), StoreError> {
    check_length("key", key.len(), namespace.key_max_bytes())?;
    match key.first() {
        None | Some(&RESERVED_PREFIX | &NAMESPACES_PREFIX) => Err(StoreError::ReservedKey),
        Some(_) => Ok(()),
    }
}

fn check_length(what: &'static str, got_bytes: usize, max_bytes: usize) -> Result<(), StoreError> {
    if got_bytes > max_bytes {
        return Err(StoreError::TooLong {
            what,
            got_bytes,
            max_bytes,
        });
    }
    Ok(())
}
