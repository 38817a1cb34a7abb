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

/// The key of the index's head. It is stored beside the rows, so that one batch writes both or neither.
const APPLIED_KEY: [u8; 1] = [RESERVED_PREFIX];

/// Number of tries to open sled while an ending thread of its last index still holds its lock.
const LOCK_TRIES: u32 = 50;
/// Pause between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The engine of all programs.
#[derive(Debug, Clone, Copy, Default)]
pub struct SledEngine;

impl Engine for SledEngine {
    fn open(&self, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Index>, IndexError> {
        Ok(Arc::new(SledIndex::open(path, cache_bytes)?))
    }
}

/// An index in sled. It catches panics, because sled panics on some damaged files. The store trusts its rows only if the
/// journal agrees.
pub struct SledIndex {
    /// `None` after the close. Scans hold the lock for reading and batches for writing, because a scan of sled may see half of
    /// a batch.
    db: RwLock<Option<sled::Db>>,
    config: sled::Config,
    path: PathBuf,
    /// Number of rows written since the open.
    written: AtomicU64,
}

impl SledIndex {
    /// Opens or creates the index in the folder `path`, with a cache of `cache_bytes`, as sled counts them.
    ///
    /// # Errors
    /// When sled fails or panics. The index must then be [wiped](Engine::wipe) and rebuilt.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        remove_unfinished_snapshots(path)?;
        // Without a flush timer: the journal is durable already, and sled's flush is not. A killed process loses at most one
        // segment of sled, which is replayed.
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
    // This process holds the store's lock. So sled's lock belongs to a thread of an index that was just closed.
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

/// Removes files that sled leaves when it is killed during its open. It refuses to open with them.
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
            tracing::warn!(file = %entry.path().display(), "removed an unfinished index file of a killed process");
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

/// Makes sled count the read bytes against its cache: it looks up `key` once for each [`COUNTED_BYTES`].
///
/// sled has 256 groups of pages. It counts the pages of a group, and evicts others, only after 64 accesses to the group. So
/// if 16 384 large pages are read once each, it evicts none.
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
            .ok_or_else(|| IndexError(format!("its stored head has {} bytes", bytes.len())))
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
        // sled writes once more in its drop.
        let end = |db| {
            guarded(|| {
                drop(db);
                Ok(())
            })
        };
        end(db)?;
        // Each open of sled reads all writes since the last open, and only then sled records where its pages are. After many
        // writes this is done now, so that the next start is fast.
        if self.written.load(Ordering::Relaxed) >= SNAPSHOT_ROWS {
            end(open_config(&self.config)?)?;
        }
        sync_tree(&self.path)
            .map_err(|error| IndexError(format!("could not sync {}: {error}", self.path.display())))
    }
}

/// Syncs every file of a folder, because sled's own flush does not.
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
    fn a_close_after_many_writes_leaves_a_snapshot() {
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
