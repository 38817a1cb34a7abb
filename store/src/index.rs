//! The index: the journal's rows by key. A lost index is rebuilt from the journal.

use crate::limits::PART_ROWS;
use farthing_protocol::ids::RecordHash;
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// The head of a journal: its last record. The hash stands for this record and all earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the last record. 0 before the first.
    pub sequence: u64,
    /// Hash of the last record. Before the first record, a hash of the journal's id.
    pub hash: RecordHash,
}

/// A failure of the index. The journal still has all rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IndexError(pub String);

/// A key with its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Writes by key, in key order: a value, or `None` for a deletion. The last write of a key counts.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Reads the value at a key, for a transaction.
pub(crate) type Lookup<'a> = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, IndexError> + 'a;

/// A storage engine. It opens and removes indexes. The journal is durable before the index gets its rows, so an engine need
/// not make anything durable before [`Index::close`].
pub trait Engine: Send + Sync {
    /// Whether the rows survive the process. If not, the index is in memory, and is empty at every start.
    fn is_durable(&self) -> bool {
        true
    }

    /// Opens or creates the index in the folder `path`, with a cache of about `cache_bytes`.
    ///
    /// # Errors
    /// When the engine fails. The store then [wipes](Engine::wipe) and rebuilds the index.
    fn open(&self, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError>;

    /// Removes the index in the folder `path`, if there is one.
    ///
    /// # Errors
    /// The error of the operating system.
    fn wipe(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The operations of an index that the store needs.
pub trait Index: Send + Sync {
    /// The value at `key`.
    ///
    /// # Errors
    /// When the index fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Applies all of `writes` and the head that they lead to, or nothing.
    ///
    /// # Errors
    /// When the index fails. Its content is then unknown.
    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError>;

    /// The head up to which it has all rows. `None` before the first [`apply`](Index::apply).
    ///
    /// # Errors
    /// When the index fails.
    fn applied(&self) -> Result<Option<Head>, IndexError>;

    /// Preferred number of rows in one call of [`Index::apply`]. Readers may have to wait for the call.
    fn part_rows(&self) -> usize {
        PART_ROWS
    }

    /// At most `limit` rows in key order whose keys begin with `prefix`, from `from` on. They are all from the same state
    /// between two calls of [`Index::apply`].
    ///
    /// # Errors
    /// When the index fails.
    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError>;

    /// Makes all rows durable. It is the last call before the store closes.
    ///
    /// # Errors
    /// When the index fails.
    fn close(&self) -> Result<(), IndexError>;
}

/// Applies `writes` in parts of [`Index::part_rows`]. The last part moves the index's head from `from` to `to`. If the
/// process dies before that, the next start replays all of `writes`.
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
        if part.len() >= index.part_rows() {
            index.apply(&part, from)?;
            part.clear();
        }
    }
    index.apply(&part, to)
}

/// The start of a [scan](Index::scan): the later one of `prefix` and `from`.
pub fn scan_start<'a>(prefix: &'a [u8], from: Bound<&'a [u8]>) -> Bound<&'a [u8]> {
    match from {
        Bound::Included(key) | Bound::Excluded(key) if key >= prefix => from,
        _ => Bound::Included(prefix),
    }
}
