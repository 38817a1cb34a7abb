//! Snapshots: all rows in one file, so that a rebuild of the index reads only the end of the journal.
//!
//! ```text
//! snapshot.N  magic [8]  version u32  id [16]  offset u64  sequence u64  hash [32]     the begin; N is its sequence number
//!             for each row in key order: key length u32  key  value length u32  value
//!             0 u32  rows u64  sequence u64  hash [32]                                 the end
//!             SHA-256 over everything before it [32]
//! ```
//!
//! The rows are read while writes go on. So they are of no single moment: each is as it was somewhere between the begin and
//! the end. Records are puts and deletions. So the records after the begin, applied over these rows, give the exact state at
//! the end and at every later record. The index has only durable records, so the end is durable.
//!
//! A snapshot gets its name only after it is durable. A damaged one is a loss of time only: an older one is used, or the whole
//! journal.

use crate::checkpoints::Position;
use crate::disk::{CHUNK_BYTES, Disk, DiskFile, read_or_zero};
use crate::error::StoreError;
use crate::index::{Head, Index, IndexError, Row, Writes, apply_in_parts};
use crate::key::RESERVED_PREFIX;
use crate::limits::{
    REBUILD_ROWS, RECORD_MAX_BYTES, SNAPSHOT_PAGE_ROWS, SNAPSHOT_SYNC_BYTES, SNAPSHOTS_KEPT,
};
use crate::record::Format;
use crate::segments::{number_in_name, numbered_name, open_file};
use farthing_protocol::ids::RecordHash;
use sha2::{Digest, Sha256};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// The stem of the names of snapshots.
const STEM: &str = "snapshot";
/// The name of a snapshot that is being written.
const UNFINISHED_NAME: &str = "snapshot.new";
const MAGIC: &[u8; 8] = b"FARTHSNP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 76;
const DIGEST_BYTES: u64 = 32;
/// Size of one write (bytes).
const PIECE_BYTES: usize = 1024 * 1024;

/// A snapshot whose digest was checked.
pub(crate) struct Snapshot {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    format: Format,
    /// Replaying begins with the record here.
    pub(crate) from: Position,
    /// The journal must reach this record.
    pub(crate) to: Head,
}

/// The begin of a snapshot and its length, as its header and its file say. Nothing of it was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Brief {
    pub(crate) from: Position,
    pub(crate) bytes: u64,
}

fn head_bytes(head: Head) -> Vec<u8> {
    [head.sequence.to_le_bytes().as_slice(), &head.hash.0].concat()
}

fn header(format: Format, from: Position) -> Vec<u8> {
    [
        MAGIC.as_slice(),
        &VERSION.to_le_bytes(),
        &format.id(),
        &from.offset.to_le_bytes(),
        &head_bytes(from.head),
    ]
    .concat()
}

/// Why a snapshot was not finished.
pub(crate) enum Unfinished {
    /// It was told to stop.
    Stopped,
    /// The index failed, which the store must know.
    Index(IndexError),
    /// The disk failed or has no room. The next snapshot may succeed.
    Disk(io::Error),
}

impl From<io::Error> for Unfinished {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// A snapshot file that is being written.
struct Output {
    file: Box<dyn DiskFile>,
    offset: u64,
    /// Everything before this offset is synced.
    synced: u64,
    piece: Vec<u8>,
    digest: Sha256,
}

impl Output {
    fn put(&mut self, bytes: &[u8]) {
        self.piece.extend_from_slice(bytes);
    }

    fn put_part(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.put(&length.to_le_bytes());
        self.put(bytes);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.digest.update(&self.piece);
        self.file.write_at(self.offset, &self.piece)?;
        self.offset = self.offset.saturating_add(self.piece.len() as u64);
        self.piece.clear();
        // In small parts: one large sync would delay the syncs of the journal.
        if self.offset.saturating_sub(self.synced) >= SNAPSHOT_SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.offset;
        }
        Ok(())
    }
}

/// Whose rows a snapshot has, and where it is written.
pub(crate) struct Source<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    pub(crate) format: Format,
    pub(crate) index: &'a dyn Index,
    /// The index has every record before this position.
    pub(crate) from: Position,
    /// Stays free on the disk (bytes).
    pub(crate) reserve_bytes: u64,
}

impl Source<'_> {
    /// Writes a snapshot, and removes all but the newest ones. It asks `goes_on` between pages. `named` is called before the
    /// snapshot gets its name.
    pub(crate) fn write(
        &self,
        goes_on: impl FnMut() -> bool,
        named: impl FnOnce(),
    ) -> Result<Brief, Unfinished> {
        let unfinished = self.dir.join(UNFINISHED_NAME);
        let written = self.write_rows(&unfinished, goes_on);
        let bytes = match written {
            Ok(bytes) => bytes,
            Err(error) => {
                // The next start removes it, if this fails.
                drop(self.disk.remove(&unfinished));
                return Err(error);
            }
        };
        named();
        let name = numbered_name(STEM, self.from.head.sequence);
        self.disk.rename(&unfinished, &self.dir.join(name))?;
        self.disk.sync_dir(self.dir)?;
        for old in numbers(self.disk, self.dir)?.into_iter().skip(SNAPSHOTS_KEPT) {
            self.disk.remove(&self.dir.join(numbered_name(STEM, old)))?;
        }
        self.disk.sync_dir(self.dir)?;
        let from = self.from;
        Ok(Brief { from, bytes })
    }

    fn write_rows(&self, path: &Path, mut goes_on: impl FnMut() -> bool) -> Result<u64, Unfinished> {
        let mut out = Output {
            file: self.disk.create(path)?,
            offset: 0,
            synced: 0,
            piece: header(self.format, self.from),
            digest: Sha256::new(),
        };
        let mut rows = 0u64;
        let mut after = vec![RESERVED_PREFIX, u8::MAX];
        loop {
            let page = self
                .index
                .scan(&[], Bound::Excluded(&after), SNAPSHOT_PAGE_ROWS)
                .map_err(Unfinished::Index)?;
            for (key, value) in &page {
                out.put_part(key);
                out.put_part(value);
            }
            rows = rows.saturating_add(page.len() as u64);
            if out.piece.len() >= PIECE_BYTES {
                out.flush()?;
                let free_bytes = self.disk.free_bytes(self.dir).unwrap_or(u64::MAX);
                if free_bytes < self.reserve_bytes.saturating_mul(2) {
                    return Err(io::Error::from(io::ErrorKind::StorageFull).into());
                }
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = key,
                None => break,
            }
            if !goes_on() {
                return Err(Unfinished::Stopped);
            }
        }
        // After the last page: no row that was read is of a later record.
        let to = self.index.applied().map_err(Unfinished::Index)?;
        let to = to.unwrap_or(self.from.head);
        out.put(&0u32.to_le_bytes());
        out.put(&rows.to_le_bytes());
        out.put(&head_bytes(to));
        out.flush()?;
        let digest = out.digest.clone().finalize();
        out.put(&digest);
        out.flush()?;
        out.file.sync_data()?;
        Ok(out.offset)
    }
}

/// Whether this is the name of a snapshot.
pub(crate) fn is_snapshot(name: &str) -> bool {
    number_in_name(STEM, name).is_some()
}

/// The numbers of the snapshots in `dir`, the newest first.
fn numbers(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(dir)?;
    let numbers = names.iter().filter_map(|name| number_in_name(STEM, name));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    Ok(numbers)
}

/// Removes a snapshot that a crash has left unfinished. The lock of `dir` is held.
pub(crate) fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(UNFINISHED_NAME);
    match open_file(disk, &path)? {
        None => Ok(()),
        Some(_) => disk
            .remove(&path)
            .map_err(StoreError::disk(format!("remove {}", path.display()))),
    }
}

/// Removes all snapshots. They may have rows that must not stay in the clear.
pub(crate) fn remove_all(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for name in disk.list(dir)? {
        if name == UNFINISHED_NAME || is_snapshot(&name) {
            disk.remove(&dir.join(name))?;
        }
    }
    Ok(())
}

/// The newest snapshot of this journal, without a check of its rows.
pub(crate) fn newest(disk: &dyn Disk, dir: &Path, format: Format) -> Option<Brief> {
    let numbers = numbers(disk, dir).ok()?;
    let mut briefs = numbers.into_iter().filter_map(|number| {
        let file = disk.open(&dir.join(numbered_name(STEM, number))).ok()?;
        let from = read_begin(file.as_ref(), format).ok()??;
        let bytes = file.len().ok()?;
        Some(Brief { from, bytes })
    });
    briefs.next()
}

/// The whole snapshots of this journal, the newest first. Each is read to its end. A damaged one is passed over, and the log says
/// so.
pub(crate) fn whole(
    disk: &dyn Disk,
    dir: &Path,
    format: Format,
) -> Result<impl Iterator<Item = Snapshot>, StoreError> {
    let numbers = numbers(disk, dir).map_err(StoreError::disk(format!("list {}", dir.display())))?;
    let open = move |number| {
        let path = dir.join(numbered_name(STEM, number));
        let found = disk.open(&path).map_err(|error| error.to_string());
        match found.and_then(|file| Snapshot::check(path.clone(), file, format)) {
            Ok(snapshot) => Some(snapshot),
            Err(why) => {
                tracing::warn!(path = %path.display(), %why, "a snapshot cannot be used; the start takes longer");
                None
            }
        }
    };
    Ok(numbers.into_iter().filter_map(open))
}

/// Where the snapshot in `file` begins. `None` if its header is not one of this journal.
fn read_begin(file: &dyn DiskFile, format: Format) -> io::Result<Option<Position>> {
    let mut bytes = vec![0; HEADER_BYTES];
    read_or_zero(file, 0, &mut bytes)?;
    let (_, position) = bytes.split_at(HEADER_BYTES - 48);
    let from = read_position(position);
    Ok(from.filter(|from| bytes == header(format, *from)))
}

fn read_position(bytes: &[u8]) -> Option<Position> {
    let (offset, head) = bytes.split_first_chunk::<8>()?;
    let head = read_head(head)?;
    let offset = u64::from_le_bytes(*offset);
    Some(Position { offset, head })
}

fn read_head(bytes: &[u8]) -> Option<Head> {
    let (sequence, hash) = bytes.split_first_chunk::<8>()?;
    let sequence = u64::from_le_bytes(*sequence);
    let hash = RecordHash(hash.try_into().ok()?);
    Some(Head { sequence, hash })
}

impl Snapshot {
    /// Checks the digest of the snapshot in `file`.
    fn check(path: PathBuf, file: Box<dyn DiskFile>, format: Format) -> Result<Self, String> {
        let failed = |error: io::Error| error.to_string();
        let from = read_begin(file.as_ref(), format).map_err(failed)?;
        let from = from.ok_or("its header is damaged or of another journal")?;
        let mut input = Input::new(file.as_ref()).map_err(failed)?;
        let to = input.each(|_| Ok(())).map_err(failed)?;
        Ok(Self {
            path,
            file,
            format,
            from,
            to,
        })
    }

    /// Loads all rows into the empty `index`. Its head is the snapshot's begin only after the last row.
    pub(crate) fn load(&self, index: &dyn Index, mut progress: impl FnMut()) -> Result<(), StoreError> {
        let failed =
            |error: io::Error| StoreError::disk(format!("read the snapshot {}", self.path.display()))(error);
        let refused = |error: IndexError| io::Error::other(error.to_string());
        let genesis = self.format.genesis();
        let mut gathered = Writes::new();
        let mut input = Input::new(self.file.as_ref()).map_err(failed)?;
        let read = input.each(|(key, value)| {
            gathered.insert(key, Some(value));
            if gathered.len() >= REBUILD_ROWS {
                apply_in_parts(index, &gathered, genesis, genesis).map_err(refused)?;
                gathered.clear();
                progress();
            }
            Ok(())
        });
        read.map_err(failed)?;
        let applied = apply_in_parts(index, &gathered, genesis, self.from.head);
        applied.map_err(|error| StoreError::Index(error.to_string()))
    }
}

/// A snapshot file that is being read.
struct Input<'a> {
    file: &'a dyn DiskFile,
    /// Offset of the next piece.
    offset: u64,
    /// Offset of the digest.
    end: u64,
    piece: Vec<u8>,
    /// Bytes of the piece that were taken.
    taken: usize,
    digest: Sha256,
}

impl<'a> Input<'a> {
    fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        let end = file.len()?.saturating_sub(DIGEST_BYTES);
        let mut input = Self {
            file,
            offset: 0,
            end,
            piece: Vec::new(),
            taken: 0,
            digest: Sha256::new(),
        };
        input.take(HEADER_BYTES)?;
        Ok(input)
    }

    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.piece.len().saturating_sub(self.taken) < count {
            self.piece.drain(..self.taken);
            self.taken = 0;
            let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            let more = left.min(CHUNK_BYTES.max(count));
            let had = self.piece.len();
            self.piece.resize(had.saturating_add(more), 0);
            let fresh = self.piece.get_mut(had..).unwrap_or_default();
            read_or_zero(self.file, self.offset, fresh)?;
            self.digest.update(&*fresh);
            self.offset = self.offset.saturating_add(more as u64);
        }
        let from = self.taken;
        self.taken = from.saturating_add(count);
        self.piece.get(from..self.taken).ok_or_else(damaged)
    }

    fn number(&mut self) -> io::Result<u64> {
        let bytes = self.take(8)?.try_into().map_err(|_| damaged())?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn length(&mut self) -> io::Result<usize> {
        let bytes = self.take(4)?.try_into().map_err(|_| damaged())?;
        let length = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
        match length > RECORD_MAX_BYTES {
            true => Err(damaged()),
            false => Ok(length),
        }
    }

    /// Hands all rows to `with`, and checks the digest at the end. Returns the snapshot's end.
    fn each(&mut self, mut with: impl FnMut(Row) -> io::Result<()>) -> io::Result<Head> {
        let mut rows = 0u64;
        loop {
            let length = self.length()?;
            if length == 0 {
                break;
            }
            let key = self.take(length)?.to_vec();
            let length = self.length()?;
            let value = self.take(length)?.to_vec();
            with((key, value))?;
            rows = rows.saturating_add(1);
        }
        let counted = self.number()?;
        let to = read_head(self.take(40)?).ok_or_else(damaged)?;
        let mut digest = vec![0; DIGEST_BYTES as usize];
        read_or_zero(self.file, self.end, &mut digest)?;
        let is_end = self.offset == self.end && self.taken == self.piece.len() && counted == rows;
        match is_end && digest == self.digest.clone().finalize().as_slice() {
            true => Ok(to),
            false => Err(damaged()),
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}
