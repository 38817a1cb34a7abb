//! fjall, a log-structured merge tree.

use super::{APPLIED_KEY, closed, failed, head_bytes, read_head};
use farthing_store::{Engine, Head, Index, IndexError, Row, Writes, scan_start};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// fjall with its defaults, except for the cache.
pub(crate) struct FjallEngine;

impl Engine for FjallEngine {
    fn open(&self, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError> {
        let db = Database::builder(path).cache_size(cache_bytes);
        let db = db.open().map_err(failed)?;
        let rows = db
            .keyspace("rows", KeyspaceCreateOptions::default)
            .map_err(failed)?;
        Ok(Arc::new(FjallIndex(RwLock::new(Some((db, rows))))))
    }
}

/// `None` after the close.
struct FjallIndex(RwLock<Option<(Database, Keyspace)>>);

impl FjallIndex {
    fn with<T>(
        &self,
        use_it: impl FnOnce(&Database, &Keyspace) -> fjall::Result<T>,
    ) -> Result<T, IndexError> {
        let open = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (db, rows) = open.as_ref().ok_or_else(closed)?;
        use_it(db, rows).map_err(failed)
    }
}

impl Index for FjallIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.with(|_, rows| Ok(rows.get(key)?.map(|value| value.to_vec())))
    }

    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError> {
        self.with(|db, rows| {
            let mut batch = db.batch();
            batch.insert(rows, APPLIED_KEY, head_bytes(at));
            for (key, value) in writes {
                match value {
                    Some(value) => batch.insert(rows, key.as_slice(), value.as_slice()),
                    None => batch.remove(rows, key.as_slice()),
                }
            }
            batch.commit()
        })
    }

    fn part_rows(&self) -> usize {
        1024
    }

    fn applied(&self) -> Result<Option<Head>, IndexError> {
        let bytes = self.get(&APPLIED_KEY)?;
        bytes.map(|bytes| read_head(&bytes)).transpose()
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError> {
        self.with(|db, rows| {
            // A snapshot, because a keyspace's own iterator can see half of a batch.
            let range = (scan_start(prefix, from), Bound::Unbounded);
            let range = db.snapshot().range::<&[u8], _>(rows, range);
            let mut found = Vec::new();
            for row in range.take(limit) {
                let (key, value) = row.into_inner()?;
                if !key.starts_with(prefix) {
                    break;
                }
                found.push((key.to_vec(), value.to_vec()));
            }
            Ok(found)
        })
    }

    fn close(&self) -> Result<(), IndexError> {
        self.with(|db, _| db.persist(PersistMode::SyncAll))?;
        let open = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(open.ok_or_else(closed)?);
        Ok(())
    }
}
