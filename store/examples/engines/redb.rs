//! redb, a copy-on-write B-tree in one file.

use super::{APPLIED_KEY, closed, failed, head_bytes, read_head};
use farthing_store::{Engine, Head, Index, IndexError, Row, Writes, scan_start};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// redb with its defaults, except for the cache. Each commit is durable.
pub(crate) struct RedbEngine;

impl Engine for RedbEngine {
    fn open(&self, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError> {
        std::fs::create_dir_all(path).map_err(failed)?;
        let mut builder = Database::builder();
        builder.set_cache_size(usize::try_from(cache_bytes).unwrap_or(usize::MAX));
        let db = builder.create(path.join("rows.redb")).map_err(failed)?;
        // The first open for writing creates the table.
        let tx = db.begin_write().map_err(failed)?;
        drop(tx.open_table(ROWS).map_err(failed)?);
        tx.commit().map_err(failed)?;
        Ok(Arc::new(RedbIndex(RwLock::new(Some(db)))))
    }
}

/// `None` after the close.
struct RedbIndex(RwLock<Option<Database>>);

impl RedbIndex {
    fn with<T>(&self, use_it: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, IndexError> {
        let open = self.0.read().unwrap_or_else(PoisonError::into_inner);
        use_it(open.as_ref().ok_or_else(closed)?).map_err(failed)
    }
}

impl Index for RedbIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.with(|db| {
            let rows = db.begin_read()?.open_table(ROWS)?;
            Ok(rows.get(key)?.map(|value| value.value().to_vec()))
        })
    }

    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError> {
        self.with(|db| {
            let tx = db.begin_write()?;
            let mut rows = tx.open_table(ROWS)?;
            rows.insert(APPLIED_KEY.as_slice(), head_bytes(at).as_slice())?;
            for (key, value) in writes {
                match value {
                    Some(value) => rows.insert(key.as_slice(), value.as_slice())?,
                    None => rows.remove(key.as_slice())?,
                };
            }
            drop(rows);
            Ok(tx.commit()?)
        })
    }

    /// All rows in one commit, because each commit costs a sync. Readers do not wait for it.
    fn part_rows(&self) -> usize {
        usize::MAX
    }

    fn applied(&self) -> Result<Option<Head>, IndexError> {
        let bytes = self.get(&APPLIED_KEY)?;
        bytes.map(|bytes| read_head(&bytes)).transpose()
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError> {
        self.with(|db| {
            let rows = db.begin_read()?.open_table(ROWS)?;
            let range = rows.range::<&[u8]>((scan_start(prefix, from), Bound::Unbounded))?;
            let mut found = Vec::new();
            for row in range.take(limit) {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(found)
        })
    }

    fn close(&self) -> Result<(), IndexError> {
        let open = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(open.ok_or_else(closed)?);
        Ok(())
    }
}
