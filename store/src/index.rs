//! The index: the journal's content by key. It can be lost, and is rebuilt from the journal.

use crate::limits::PART_ROWS;
use farthing_protocol::ids::RecordHash;
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// Where a journal stands: the last record, and the hash that stands for it and all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last record's number; 0 before the first.
    pub sequence: u64,
    /// Its hash; before the first record, the one that follows from the journal's own header.
    pub hash: RecordHash,
}

/// The index failed. The journal still has everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IndexError(pub String);

/// A key with its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Writes by key, in key order: a value, or `None` for a deletion. The last one of a key wins.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A storage engine that keeps indexes: how one is opened, and how it is removed. The journal is durable before an index
/// knows of it, so an engine need not make anything durable before [`Index::close`].
pub trait Engine: Send + Sync {
    /// Whether what it was told survives the process. If not, it begins empty with every start, and has all of its rows in
    /// memory.
    fn is_durable(&self) -> bool {
        true
    }

    /// Opens or creates the index in the folder `path`, with about `cache_bytes` of it in memory.
    ///
    /// # Errors
    /// When the engine fails. The index is [wiped](Engine::wipe) and rebuilt then.
    fn open(&self, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError>;

    /// Removes the index in the folder `path`, if there is one.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn wipe(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

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

    /// How many rows it takes best with one call of [`Index::apply`], where there are many. Whoever reads may have to wait
    /// meanwhile.
    fn part_rows(&self) -> usize {
        PART_ROWS
    }

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

/// Takes `writes` to the index in parts of the size that it [takes best](Index::part_rows). The place in the journal moves from `from` to `to` with the
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
        if part.len() >= index.part_rows() {
            index.apply(&part, from)?;
            part.clear();
        }
    }
    index.apply(&part, to)
}

/// Where a [scan](Index::scan) begins: the later of the two, the prefix and `from`.
pub fn scan_start<'a>(prefix: &'a [u8], from: Bound<&'a [u8]>) -> Bound<&'a [u8]> {
    match from {
        Bound::Included(key) | Bound::Excluded(key) if key >= prefix => from,
        _ => Bound::Included(prefix),
    }
}
