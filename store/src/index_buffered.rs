//! A buffer before an index. It keeps the latest writes in memory, and moves them to the index beside the commits.
//!
//! An index costs more per call than per row. Many rows are written again soon: a coin is held, and spent a moment later.
//! So rows gather in the buffer. When it is full, a thread moves them to the index in key order, and the next rows gather
//! meanwhile. The journal is durable before that, and is replayed from the index's own head. So a process that dies with
//! rows in its buffer loses nothing.

use crate::index::{Head, Index, IndexError, Row, Writes, apply_in_parts, scan_start};
use crate::limits::{BUFFER_ROW_BYTES, SCAN_MAX_ROWS};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

/// An index with a buffer before it. [`Index::apply`] has one caller at a time, as a store has one writer.
pub struct BufferedIndex {
    index: Arc<dyn Index>,
    rows: Arc<RwLock<Rows>>,
    /// The thread that moves the last full buffer.
    mover: Mutex<Option<JoinHandle<()>>>,
    full_bytes: usize,
}

/// The rows in memory.
struct Rows {
    /// The latest writes.
    fresh: Writes,
    fresh_bytes: usize,
    /// The head after `fresh`.
    at: Head,
    /// Older writes, which move to the index now. They are read here until all have arrived.
    moving: Arc<Writes>,
    /// The index's own head, or the error of the move that failed.
    index_at: Result<Head, IndexError>,
}

impl BufferedIndex {
    /// Puts a buffer of `full_bytes` before `index`, which has the journal up to `at`. At most two buffers and one batch are in
    /// memory.
    pub fn new(index: Arc<dyn Index>, at: Head, full_bytes: usize) -> Self {
        let rows = Rows {
            fresh: Writes::new(),
            fresh_bytes: 0,
            at,
            moving: Arc::default(),
            index_at: Ok(at),
        };
        Self {
            index,
            rows: Arc::new(RwLock::new(rows)),
            mover: Mutex::new(None),
            full_bytes,
        }
    }

    /// Waits for the last move, and starts to move the latest writes.
    fn start_move(&self) -> Result<(), IndexError> {
        let mut mover = self.wait_for_move()?;
        let (writes, from, to) = {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            rows.moving = Arc::new(std::mem::take(&mut rows.fresh));
            rows.fresh_bytes = 0;
            (Arc::clone(&rows.moving), rows.index_at.clone()?, rows.at)
        };
        let (index, rows) = (Arc::clone(&self.index), Arc::clone(&self.rows));
        let thread = std::thread::Builder::new().name("index".into()).spawn(move || {
            let moved = apply_in_parts(index.as_ref(), &writes, from, to);
            let mut rows = rows.write().unwrap_or_else(PoisonError::into_inner);
            rows.index_at = moved.map(|()| to);
            if rows.index_at.is_ok() {
                rows.moving = Arc::default();
            }
        });
        *mover = Some(thread.map_err(|error| IndexError(format!("could not start its thread: {error}")))?);
        Ok(())
    }

    /// The keys that `writes` delete and that are neither in the index nor on their way to it. The buffer need not keep
    /// these deletions. Otherwise a scan of a queue would pass all rows that were ever in it.
    fn deleted_only_in_buffer<'w>(&self, writes: &'w Writes) -> Result<BTreeSet<&'w [u8]>, IndexError> {
        // Read before the index: rows that arrive in the index from now on are in this copy.
        let moving = Arc::clone(&self.rows.read().unwrap_or_else(PoisonError::into_inner).moving);
        let mut gone = BTreeSet::new();
        for (key, value) in writes {
            if value.is_none() && !moving.contains_key(key) && self.index.get(key)?.is_none() {
                gone.insert(key.as_slice());
            }
        }
        Ok(gone)
    }

    /// Waits until the last move has ended, and returns its error.
    fn wait_for_move(&self) -> Result<MutexGuard<'_, Option<JoinHandle<()>>>, IndexError> {
        let mut mover = self.mover.lock().unwrap_or_else(PoisonError::into_inner);
        match mover.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(IndexError("its thread has panicked".into())),
            Some(Ok(())) | None => {
                let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
                rows.index_at.clone()?;
                drop(rows);
                Ok(mover)
            }
        }
    }
}

impl Index for BufferedIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = rows.fresh.get(key).or_else(|| rows.moving.get(key)) {
            return Ok(written.clone());
        }
        drop(rows);
        self.index.get(key)
    }

    fn apply(&self, writes: &Writes, at: Head) -> Result<(), IndexError> {
        let gone = self.deleted_only_in_buffer(writes)?;
        let is_full = {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            rows.index_at.clone()?;
            for (key, value) in writes {
                if gone.contains(key.as_slice()) {
                    rows.fresh.remove(key);
                    continue;
                }
                let value_bytes = value.as_ref().map_or(0, Vec::len);
                let bytes = key
                    .len()
                    .saturating_add(value_bytes)
                    .saturating_add(BUFFER_ROW_BYTES);
                // An overwritten or deleted row is counted again, so the buffer is full a little early.
                rows.fresh_bytes = rows.fresh_bytes.saturating_add(bytes);
                rows.fresh.insert(key.clone(), value.clone());
            }
            rows.at = at;
            rows.fresh_bytes >= self.full_bytes
        };
        if is_full { self.start_move() } else { Ok(()) }
    }

    fn applied(&self) -> Result<Option<Head>, IndexError> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        // After a failure the index may lack rows, so it has no record whole.
        rows.index_at.clone()?;
        Ok(Some(rows.at))
    }

    fn scan(&self, prefix: &[u8], from: Bound<&[u8]>, limit: usize) -> Result<Vec<Row>, IndexError> {
        // The lock is held to the end. So no row is written meanwhile, and no moving row disappears from memory.
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let range = (scan_start(prefix, from), Bound::Unbounded);
        let mut fresh = rows.fresh.range::<[u8], _>(range).peekable();
        let mut moving = rows.moving.range::<[u8], _>(range).peekable();
        let mut index = Pages::new(self.index.as_ref(), prefix, from, limit);
        let mut found = Vec::new();
        while found.len() < limit {
            let in_index = index.peek()?.map(|(key, _)| key);
            let keys = [
                fresh.peek().map(|(key, _)| *key),
                moving.peek().map(|(key, _)| *key),
                in_index,
            ];
            let Some(key) = keys
                .into_iter()
                .flatten()
                .min()
                .filter(|key| key.starts_with(prefix))
            else {
                break;
            };
            let key = key.clone();
            // If several have the key, the newest value counts. All of them advance.
            let newest = fresh
                .next_if(|(at, _)| **at == key)
                .map(|(_, value)| value.clone());
            let older = moving
                .next_if(|(at, _)| **at == key)
                .map(|(_, value)| value.clone());
            let oldest = index.next_at(&key).map(Some);
            if let Some(Some(value)) = newest.or(older).or(oldest) {
                found.push((key, value));
            }
        }
        Ok(found)
    }

    fn close(&self) -> Result<(), IndexError> {
        self.start_move()?;
        drop(self.wait_for_move()?);
        self.index.close()
    }
}

/// Rows of an index in key order, read a page at a time.
struct Pages<'a> {
    index: &'a dyn Index,
    prefix: &'a [u8],
    from: Bound<Vec<u8>>,
    page_rows: usize,
    page: VecDeque<Row>,
    /// No page follows.
    is_last: bool,
}

impl<'a> Pages<'a> {
    fn new(index: &'a dyn Index, prefix: &'a [u8], from: Bound<&[u8]>, limit: usize) -> Self {
        Self {
            index,
            prefix,
            from: from.map(<[u8]>::to_vec),
            page_rows: limit.min(SCAN_MAX_ROWS),
            page: VecDeque::new(),
            is_last: false,
        }
    }

    fn peek(&mut self) -> Result<Option<&Row>, IndexError> {
        if self.page.is_empty() && !self.is_last {
            let from = self.from.as_ref().map(Vec::as_slice);
            self.page = self.index.scan(self.prefix, from, self.page_rows)?.into();
            self.is_last = self.page.len() < self.page_rows;
            if let Some((key, _)) = self.page.back() {
                self.from = Bound::Excluded(key.clone());
            }
        }
        Ok(self.page.front())
    }

    fn next_at(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.page.front().filter(|(at, _)| at == key)?;
        self.page.pop_front().map(|(_, value)| value)
    }
}
