//! The index: the journal's content by key. It can be lost, and is rebuilt from the journal.

use crate::limits::PART_ROWS;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

/// Where a journal stands: the last record, and the hash that stands for it and all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last record's number; 0 before the first.
    pub sequence: u64,
    /// Its hash; before the first record, the one that follows from the journal's own header.
    pub hash: [u8; 32],
}

/// The index failed. The journal still has everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IndexError(pub String);

/// A key with its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Writes by key, in key order: a value, or `None` for a deletion. The last one of a key wins.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What the store needs from an index.
pub trait Index: Send + Sync {
    /// The value at `key`.
    ///
    /// # Errors
    /// When the index fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Takes in all of `writes` and the place in the journal that they end at, or nothing.
    ///
    /// # Errors
    /// When the index fails; what it holds is unknown then.
    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError>;

    /// The place in the journal up to which it has everything, if it was ever told one.
    ///
    /// # Errors
    /// When the index fails.
    fn applied(&self) -> Result<Option<Head>, IndexError>;

    /// Rows in key order whose keys begin with `prefix`, from `from` on, at most `limit`; all from one
    /// moment between two calls of [`Index::apply`].
    ///
    /// # Errors
    /// When the index fails.
    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError>;

    /// Makes everything durable, as the last thing before the store closes.
    ///
    /// # Errors
    /// When the index fails.
    fn close(&self) -> Result<(), IndexError>;
}

/// Takes `writes` to the index in small parts: whoever reads meanwhile waits for one of them at most, and sled keeps
/// in memory whatever a part has replaced until its end. The place in the journal moves from `from` to `to` with the
/// last part: should the process die before that, all of it is replayed.
///
/// # Errors
/// When the index fails.
pub(crate) fn apply_in_parts(
    index: &dyn Index,
    writes: &Writes,
    from: Head,
    to: Head,
) -> Result<(), IndexError> {
    let mut part = Writes::new();
    for (key, value) in writes {
        part.insert(key.clone(), value.clone());
        if part.len() == PART_ROWS {
            index.apply(&part, from)?;
            part.clear();
        }
    }
    index.apply(&part, to)
}

/// The later of the two starts: that of the prefix, and `from`.
pub(crate) fn start<'a>(prefix: &'a [u8], from: Bound<&'a [u8]>) -> Bound<&'a [u8]> {
    match from {
        Bound::Included(key) | Bound::Excluded(key) if key >= prefix => from,
        _ => Bound::Included(prefix),
    }
}

/// An index in memory, for simulations and tests: it begins empty with every start.
#[derive(Default)]
pub struct MemoryIndex(RwLock<(Rows, Option<Head>)>);

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

impl MemoryIndex {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(inner.0.get(key).cloned())
    }

    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in writes {
            match value {
                Some(value) => inner.0.insert(key.clone(), value.clone()),
                None => inner.0.remove(key),
            };
        }
        inner.1 = Some(at);
        Ok(())
    }

    fn applied(&self) -> Result<Option<Head>, IndexError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let rows = inner.0.range::<[u8], _>((start(prefix, from), Bound::Unbounded));
        Ok(rows
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn close(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
