//! sled as the index.

use crate::index::{Engine, Head, Index, IndexError, Row, Writes, scan_start};
use crate::key::RESERVED_PREFIX;
use crate::limits::{COUNTED_BYTES, SNAPSHOT_ROWS};
use crate::panics::panic_text;
use farthing_protocol::ids::RecordHash;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Where the place in the journal is kept: beside the rows, so that one batch writes both or neither.
const APPLIED_KEY: [u8; 1] = [RESERVED_PREFIX];

/// How often, and how far apart, sled is opened again while a thread of its own that is about to end holds its lock.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// sled, the engine of all programs.
#[derive(Debug, Clone, Copy, Default)]
pub struct SledEngine;

impl Engine for SledEngine {
    fn open(&self, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError> {
        Ok(Arc::new(SledIndex::open(path, cache_bytes)?))
    }
}

/// sled, behind a guard: it panics on some damaged files, and what it says is never believed unless the
/// journal agrees.
pub struct SledIndex {
    /// `None` once closed. Scans hold it for reading and batches for writing, as a scan of sled's own may
    /// see half of a batch.
    db: RwLock<Option<sled::Db>>,
    config: sled::Config,
    path: PathBuf,
    /// Rows that were written since it was opened.
    written: AtomicU64,
}

impl SledIndex {
    /// Opens or creates the index in the folder `path`, with `cache_bytes` of pages in memory, as sled counts them.
    ///
    /// # Errors
    /// When sled fails or panics; the index is to be [wiped](Engine::wipe) and rebuilt then.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        remove_unfinished_snapshots(path)?;
        // It is not asked to flush by a timer: the journal is durable already, its flush is not, and what a killed
        // process loses of it is at most a segment, which is replayed.
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None);
        let db = open_config(&config)?;
        Ok(Self {
            db: RwLock::new(Some(db)),
            config,
            path: path.to_owned(),
            written: AtomicU64::new(0),
        })
    }

    fn read<T>(&self, use_it: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, IndexError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or_else(closed)?;
        guarded(|| use_it(db))
    }
}

fn open_config(config: &sled::Config) -> Result<sled::Db, IndexError> {
    // The store's own lock is held, so whoever has the index's is a thread of an index that was closed just now.
    let mut opened = guarded(|| config.open());
    for _ in 0..LOCK_TRIES {
        if !matches!(&opened, Err(IndexError(why)) if why.contains("could not acquire lock")) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        opened = guarded(|| config.open());
    }
    opened
}

fn closed() -> IndexError {
    IndexError("the index is closed".into())
}

/// sled leaves these when it is killed while it opens, and refuses to open with them.
fn remove_unfinished_snapshots(path: &Path) -> Result<(), IndexError> {
    let failed = |error: io::Error| IndexError(format!("could not clear {}: {error}", path.display()));
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            tracing::warn!(file = %entry.path().display(), "removed what a killed process left of the index");
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(IndexError(error.to_string())),
        Err(panic) => Err(IndexError(format!(
            "sled panicked: {}",
            panic_text(panic.as_ref())
        ))),
    }
}

/// Asks for `key` once for each [`COUNTED_BYTES`] that were read. sled counts a page against its cache, and drops others
/// for it, only once it was asked 64 times for any of the 256th part of pages that this is one of: of 16 384 large pages
/// that are read once each it would drop none.
fn make_counted(db: &sled::Db, key: &[u8], uncounted: &mut usize) -> sled::Result<()> {
    while *uncounted >= COUNTED_BYTES {
        *uncounted -= COUNTED_BYTES;
        db.contains_key(key)?;
    }
    Ok(())
}

fn head_bytes(head: Head) -> Vec<u8> {
    [head.sequence.to_be_bytes().as_slice(), &head.hash.0].concat()
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let (sequence, hash) = bytes.split_first_chunk::<8>()?;
    Some(Head {
        sequence: u64::from_be_bytes(*sequence),
        hash: RecordHash(hash.try_into().ok()?),
    })
}

impl Index for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.read(|db| db.get(key))
            .map(|value| value.map(|value| value.to_vec()))
    }

    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        batch.insert(&APPLIED_KEY, head_bytes(at));
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        let db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or_else(closed)?;
        self.written.fetch_add(writes.len() as u64, Ordering::Relaxed);
        guarded(|| db.apply_batch(batch))
    }

    fn applied(&self) -> Result<Option<Head>, IndexError> {
        let Some(bytes) = self.read(|db| db.get(APPLIED_KEY))? else {
            return Ok(None);
        };
        let head = read_head(&bytes);
        head.map(Some)
            .ok_or_else(|| IndexError(format!("its place in the journal has {} bytes", bytes.len())))
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError> {
        self.read(|db| {
            let rows = db.range::<&[u8], _>((scan_start(prefix, from), Bound::Unbounded));
            let mut found = Vec::new();
            let mut uncounted = 0;
            for row in rows.take(limit) {
                let (key, value) = row?;
                if !key.starts_with(prefix) {
                    break;
                }
                uncounted += key.len() + value.len();
                make_counted(db, &key, &mut uncounted)?;
                found.push((key.to_vec(), value.to_vec()));
            }
            Ok(found)
        })
    }

    fn close(&self) -> Result<(), IndexError> {
        let db = self.db.write().unwrap_or_else(PoisonError::into_inner).take();
        let db = db.ok_or_else(closed)?;
        guarded(|| db.flush())?;
        // sled writes once more when it is dropped.
        let end = |db| {
            guarded(|| {
                drop(db);
                Ok(())
            })
        };
        end(db)?;
        // It reads what was written since it was last opened whenever it is, and notes where its pages are then, and at
        // no other time. Where that is much, it is done now, so that the next start need not.
        if self.written.load(Ordering::Relaxed) >= SNAPSHOT_ROWS {
            end(open_config(&self.config)?)?;
        }
        sync_tree(&self.path)
            .map_err(|error| IndexError(format!("could not sync {}: {error}", self.path.display())))
    }
}

/// Makes every file of a folder durable: sled's own flush does not.
fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::ids::RecordHash;

    #[test]
    fn once_much_was_written_the_next_start_finds_where_the_pages_are() {
        for rows in [0, SNAPSHOT_ROWS] {
            let dir = tempfile::tempdir().unwrap();
            let index = SledIndex::open(dir.path(), 1 << 20).unwrap();
            let writes = (1..=200).map(|key| (vec![key], Some(vec![key]))).collect();
            let head = Head {
                sequence: 7,
                hash: RecordHash([9; 32]),
            };
            index.apply(&writes, head).unwrap();
            index.written.fetch_add(rows, Ordering::Relaxed);
            index.close().unwrap();
            let names = std::fs::read_dir(dir.path()).unwrap();
            let noted = names
                .map(|entry| entry.unwrap().file_name())
                .any(|name| name.to_string_lossy().starts_with("snap."));
            assert_eq!(noted, rows > 0);
            let again = SledIndex::open(dir.path(), 1 << 20).unwrap();
            assert_eq!(again.applied().unwrap(), Some(head));
            assert_eq!(again.scan(&[], Bound::Unbounded, 999).unwrap().len(), 201);
        }
    }
}
