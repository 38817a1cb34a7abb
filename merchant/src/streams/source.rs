//! Where the data of a stream comes from: chunks of a file, or records that are fed to the running node.

use crate::shelf::GoodsShelf;
use farthing_protocol::ids::{ItemId, TickDigest};
use farthing_protocol::stream::tick_digest;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The most bytes of live records that are kept for the customers of one item. Older records are dropped.
pub const LIVE_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// The most live records that are kept for the customers of one item.
pub const LIVE_KEPT_RECORDS: usize = 4096;

/// An error of a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file differs from the one that was added. Its keys encrypt nothing else, so its streams end.
    #[error("the file has changed since it was added")]
    Changed,
    /// The file cannot be read now.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file that is sold in chunks.
#[derive(Debug, Clone)]
pub struct ChunkedFile {
    /// The item. The shelf has the digests of the chunks.
    pub item_id: ItemId,
    /// The path.
    pub path: PathBuf,
    /// The size of each chunk (bytes).
    pub chunk_bytes: u32,
    /// The number of chunks.
    pub chunks: u32,
}

impl ChunkedFile {
    /// Reads at most `count` chunks from chunk `first` on, 0 for the first one, as long as they have at most `bytes` with
    /// `extra` for each. Blocks.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if the file differs from the one that was added.
    pub fn read(
        &self,
        shelf: &GoodsShelf,
        first: u32,
        count: usize,
        mut bytes: usize,
        extra: usize,
    ) -> Result<Vec<Vec<u8>>, SourceError> {
        let left = usize::try_from(self.chunks.saturating_sub(first)).unwrap_or(usize::MAX);
        let digests = shelf.chunk_digests(&self.item_id, first, count.min(left))?;
        let file = File::open(&self.path)?;
        let mut chunks = Vec::new();
        for (index, digest) in (first..).zip(digests) {
            let chunk = self.read_one(&file, index)?;
            let Some(rest) = bytes.checked_sub(chunk.len().saturating_add(extra)) else {
                break;
            };
            bytes = rest;
            if tick_digest(&chunk) != digest {
                return Err(SourceError::Changed);
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    /// Reads one chunk. It is shorter at the end of the file.
    fn read_one(&self, file: &File, index: u32) -> io::Result<Vec<u8>> {
        let length = u64::from(self.chunk_bytes);
        let mut chunk = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let offset = u64::from(index)
                .saturating_mul(length)
                .saturating_add(filled as u64);
            match file.read_at(rest, offset) {
                Ok(0) => break,
                Ok(got) => filled = filled.saturating_add(got),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        chunk.truncate(filled);
        Ok(chunk)
    }
}

/// The digests of a file's chunks, and its size (bytes). `progress` gets the number of bytes that were read.
///
/// # Errors
/// The error of the operating system.
pub fn digest_chunks(
    file: &mut impl Read,
    chunk_bytes: u32,
    mut progress: impl FnMut(u64),
) -> io::Result<(Vec<TickDigest>, u64)> {
    let (mut digests, mut size_bytes) = (Vec::new(), 0_u64);
    loop {
        let mut chunk = Vec::new();
        let got = file.by_ref().take(chunk_bytes.into()).read_to_end(&mut chunk)?;
        if got == 0 {
            return Ok((digests, size_bytes));
        }
        size_bytes = size_bytes.saturating_add(got as u64);
        digests.push(tick_digest(&chunk));
        progress(size_bytes);
    }
}

/// The live records of one item. Each customer has a place in them, and gets the records after it.
#[derive(Debug)]
pub struct LiveFeed {
    state: Mutex<Records>,
    /// Changes when there is a record, or the data ends.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Records {
    /// The number of the first record that is kept.
    first: u64,
    kept: VecDeque<Arc<[u8]>>,
    bytes: usize,
    ended: bool,
}

/// What comes next for a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextRecord {
    /// A record, and the place after it.
    Record(Arc<[u8]>, u64),
    /// Nothing yet.
    Later,
    /// The data has ended.
    Ended,
}

impl Default for LiveFeed {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl LiveFeed {
    fn state(&self) -> MutexGuard<'_, Records> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds records. The oldest ones are dropped if there are too many.
    pub fn feed(&self, records: Vec<Vec<u8>>) {
        let mut state = self.state();
        for record in records {
            state.bytes = state.bytes.saturating_add(record.len());
            state.kept.push_back(record.into());
        }
        while state.bytes > LIVE_KEPT_BYTES || state.kept.len() > LIVE_KEPT_RECORDS {
            let Some(dropped) = state.kept.pop_front() else {
                break;
            };
            state.bytes = state.bytes.saturating_sub(dropped.len());
            state.first = state.first.saturating_add(1);
        }
        drop(state);
        self.tell();
    }

    /// No record follows.
    pub fn end(&self) {
        self.state().ended = true;
        self.tell();
    }

    /// Wakes the requests that wait for something new.
    fn tell(&self) {
        self.changed
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    /// The place after the last record, where a new customer begins.
    pub fn end_place(&self) -> u64 {
        let state = self.state();
        state.first.saturating_add(state.kept.len() as u64)
    }

    /// The record at `place`. If it was dropped, the oldest one that is kept.
    pub fn next(&self, place: u64) -> NextRecord {
        let state = self.state();
        let place = place.max(state.first);
        let kept = usize::try_from(place.saturating_sub(state.first)).ok();
        match kept.and_then(|kept| state.kept.get(kept)) {
            Some(record) => NextRecord::Record(Arc::clone(record), place.saturating_add(1)),
            None if state.ended => NextRecord::Ended,
            None => NextRecord::Later,
        }
    }

    /// Tells when there is something new.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
