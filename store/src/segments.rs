//! The files of a journal: the active file `journal`, and the segments before it.
//!
//! The active file grows. When it is long enough, it is ended after a record and named `journal.` and the number of its first
//! record. A new active file continues the hash chain: its header has the position of its first record. The files together
//! read as one journal, so an offset counts all bytes from the first record on. The oldest segments may be archived.
//!
//! A switch to a new active file has these steps, each durable before the next:
//!
//! 1. The new file is written as `journal.new`.
//! 2. The active file is cut to its last record.
//! 3. The active file gets its name as a segment.
//! 4. `journal.new` becomes `journal`.
//!
//! After a crash before step 3, `journal` is still the active file. After step 3, [`finish_switch`] completes step 4. It does
//! so only if `journal.new` begins where the last segment ends, so a lost active file is never mistaken for a switch.

use crate::checkpoints::Position;
use crate::disk::{Disk, DiskFile, read_or_zero};
use crate::error::{Damage, DamageKind, StoreError};
use crate::record::{BadFile, FileHeader, Format, RECORDS_BEGIN};
use crate::schema::SCHEMA_VERSION;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The name of the active file in the directory.
pub(crate) const JOURNAL_NAME: &str = "journal";
/// The name of a file that is about to become the active one.
pub(crate) const NEXT_NAME: &str = "journal.new";
/// Number of tries to find the same files before and after they were opened.
const TRIES: u32 = 8;
/// Number of digits in the name of a segment.
const DIGITS: usize = 20;

/// One file of a journal.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// The position of its first record.
    pub(crate) begin: Position,
}

/// The files of a journal, which read as one file. Only the active file is written.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    files: RwLock<Files>,
    /// The older file that was read last. Others are opened when they are read.
    opened: Mutex<Option<(PathBuf, Arc<dyn DiskFile>)>>,
}

struct Files {
    /// The files before the active one, in order.
    older: Vec<Segment>,
    active: Segment,
    file: Arc<dyn DiskFile>,
}

/// Where an offset of the journal lies.
struct Place {
    file: Arc<dyn DiskFile>,
    /// The offset in the file.
    offset: u64,
    /// The bytes from there to the next file. `None` in the active file.
    left: Option<u64>,
}

/// The name `stem.` and the number of a record, of a fixed length.
pub(crate) fn numbered_name(stem: &str, number: u64) -> String {
    format!("{stem}.{number:020}")
}

/// The number in a [numbered name](numbered_name).
pub(crate) fn number_in_name(stem: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(stem)?.strip_prefix('.')?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Whether `name` is the name of a segment before the active file.
pub(crate) fn is_segment(name: &str) -> bool {
    number_in_name(JOURNAL_NAME, name).is_some()
}

/// The names in `dir`, sorted.
pub(crate) fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StoreError> {
    disk.list(dir)
        .map_err(StoreError::disk(format!("list {}", dir.display())))
}

/// The file at `path`; `None` when there is none.
pub(crate) fn open_file(disk: &dyn Disk, path: &Path) -> Result<Option<Box<dyn DiskFile>>, StoreError> {
    match disk.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::disk(format!("open {}", path.display()))(error)),
    }
}

/// Reads the header of a file of a journal.
pub(crate) fn read_header(file: &dyn DiskFile, path: &Path) -> Result<FileHeader, StoreError> {
    let mut header = vec![0; RECORDS_BEGIN as usize];
    read_or_zero(file, 0, &mut header).map_err(StoreError::disk(format!("read {}", path.display())))?;
    let kind = match Format::read_file_header(&header) {
        Ok(header) => return Ok(header),
        Err(BadFile::Version(found)) if found > SCHEMA_VERSION => {
            return Err(StoreError::Newer {
                path: Some(path.to_owned()),
                found,
                known: SCHEMA_VERSION,
            });
        }
        Err(BadFile::Version(version)) => DamageKind::Version(version),
        Err(BadFile::Header) => DamageKind::Header,
    };
    Err(header_damaged(path, 0, kind))
}

fn header_damaged(path: &Path, sequence: u64, kind: DamageKind) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        damage: Damage {
            offset: 0,
            sequence,
            kind,
        },
    }
}

/// Completes a switch to a new active file that a crash has interrupted. The lock of `dir` is held.
pub(crate) fn finish_switch(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let (active, next) = (dir.join(JOURNAL_NAME), dir.join(NEXT_NAME));
    if open_file(disk, &active)?.is_some() || !next_continues(disk, dir)? {
        return Ok(());
    }
    tracing::info!("completing a switch to a new file of the journal, which was interrupted");
    disk.rename(&next, &active)
        .and_then(|()| disk.sync_dir(dir))
        .map_err(StoreError::disk(format!("rename {}", next.display())))
}

/// Whether `journal.new` is whole and begins where the last segment ends.
fn next_continues(disk: &dyn Disk, dir: &Path) -> Result<bool, StoreError> {
    let next = dir.join(NEXT_NAME);
    let last = names(disk, dir)?.into_iter().rfind(|name| is_segment(name));
    let (Some(file), Some(last)) = (open_file(disk, &next)?, last) else {
        return Ok(false);
    };
    let Ok(header) = read_header(file.as_ref(), &next) else {
        return Ok(false);
    };
    let last = dir.join(last);
    let Some(file) = open_file(disk, &last)? else {
        return Ok(false);
    };
    let before = read_header(file.as_ref(), &last)?;
    let bytes = file
        .len()
        .map_err(StoreError::disk(format!("measure {}", last.display())))?;
    let end = before
        .begin
        .offset
        .saturating_sub(RECORDS_BEGIN)
        .saturating_add(bytes);
    Ok(before.format == header.format && header.begin.offset == end)
}

impl Segments {
    /// Opens the journal in `dir`, with the segments in `archives`. `None` when there is none. Returns the header of the active
    /// file too.
    ///
    /// Another process may switch to a new file meanwhile. So the names are read again, until they are the same.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        archives: &[&Path],
    ) -> Result<Option<(Self, FileHeader)>, StoreError> {
        let mut before = names(disk, dir)?;
        for _ in 0..TRIES {
            let opened = Self::open_once(disk, dir, archives);
            let after = names(disk, dir)?;
            if after == before {
                return opened;
            }
            before = after;
        }
        Self::open_once(disk, dir, archives)
    }

    fn open_once(
        disk: &dyn Disk,
        dir: &Path,
        archives: &[&Path],
    ) -> Result<Option<(Self, FileHeader)>, StoreError> {
        let path = dir.join(JOURNAL_NAME);
        let file = match open_file(disk, &path)? {
            Some(file) => Some(file),
            None if next_continues(disk, dir)? => open_file(disk, &dir.join(NEXT_NAME))?,
            None => None,
        };
        let Some(file) = file else {
            return Ok(None);
        };
        let header = read_header(file.as_ref(), &path)?;
        let active = Segment {
            path,
            begin: header.begin,
        };
        let mut segments = Self::new(disk, dir, file, active.begin);
        let files = segments.files.get_mut().unwrap_or_else(PoisonError::into_inner);
        files.older = older(disk, dir, archives, header.format, &active)?;
        Ok(Some((segments, header)))
    }

    /// A journal with only the active file in `dir`, whose first record is at `begin`.
    pub(crate) fn new(disk: &dyn Disk, dir: &Path, file: Box<dyn DiskFile>, begin: Position) -> Self {
        let active = Segment {
            path: dir.join(JOURNAL_NAME),
            begin,
        };
        let files = Files {
            older: Vec::new(),
            active,
            file: file.into(),
        };
        Self {
            disk: disk.share(),
            dir: dir.to_owned(),
            files: RwLock::new(files),
            opened: Mutex::new(None),
        }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn with<T>(&self, read: impl FnOnce(&Files) -> T) -> T {
        read(&self.files.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The position of the first record that is not archived.
    pub(crate) fn begin(&self) -> Position {
        self.with(|files| files.older.first().unwrap_or(&files.active).begin)
    }

    /// Number of files.
    pub(crate) fn count(&self) -> u64 {
        self.with(|files| files.older.len() as u64).saturating_add(1)
    }

    /// The position of the first record of the active file.
    pub(crate) fn active_begin(&self) -> Position {
        self.with(|files| files.active.begin)
    }

    /// All files, in order. The last one is the active file.
    pub(crate) fn all(&self) -> Vec<Segment> {
        self.with(|files| files.older.iter().chain([&files.active]).cloned().collect())
    }

    /// Where the file begins that has the record after `sequence`. The first file for an archived record.
    pub(crate) fn begin_before(&self, sequence: u64) -> Position {
        let all = self.all();
        let before = all.iter().rfind(|file| file.begin.head.sequence <= sequence);
        before.map_or_else(|| self.begin(), |file| file.begin)
    }

    /// The file with this offset, and the offset in it.
    pub(crate) fn locate(&self, offset: u64) -> (PathBuf, u64) {
        let all = self.all();
        let file = all.iter().rfind(|file| file.begin.offset <= offset);
        match file.or(all.first()) {
            Some(file) => (file.path.clone(), in_file(offset, file.begin).unwrap_or(0)),
            None => (self.dir.join(JOURNAL_NAME), offset),
        }
    }

    /// Forgets the oldest files that were archived since the open.
    pub(crate) fn forget_archived(&self) -> Result<(), StoreError> {
        let mut first = self.active_begin();
        for file in self.all() {
            if open_file(self.disk.as_ref(), &file.path)?.is_some() {
                first = file.begin;
                break;
            }
        }
        // Another task may have forgotten them meanwhile.
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.older.retain(|file| file.begin.offset >= first.offset);
        Ok(())
    }

    /// Step 1 of a switch: makes the next file, which continues the journal at `end`. If it fails, nothing has changed.
    pub(crate) fn make_next(&self, format: Format, end: Position, preallocate_bytes: u64) -> io::Result<()> {
        let next = self.dir.join(NEXT_NAME);
        let file = self.disk.create(&next)?;
        file.write_at(0, &format.file_header(end))?;
        file.preallocate(RECORDS_BEGIN.saturating_add(preallocate_bytes))?;
        file.sync_data()?;
        self.disk.sync_dir(&self.dir)
    }

    /// Removes an unfinished next file, so that it takes no room.
    pub(crate) fn remove_next(&self) {
        if let Err(error) = self.disk.remove(&self.dir.join(NEXT_NAME)) {
            tracing::debug!(%error, "an unfinished file of the journal was not removed");
        }
    }

    /// Steps 2 and 3: ends the active file at `end`, and gives it the name of a segment.
    pub(crate) fn end_active(&self, end: Position) -> io::Result<()> {
        self.truncate(end.offset)?;
        self.sync_data()?;
        let active = self.with(|files| files.active.clone());
        self.disk.rename(&active.path, &self.segment_path(active.begin))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Step 4: the next file becomes the active one. Its first record is at `begin`.
    pub(crate) fn switch(&self, begin: Position) -> io::Result<()> {
        let path = self.dir.join(JOURNAL_NAME);
        self.disk.rename(&self.dir.join(NEXT_NAME), &path)?;
        self.disk.sync_dir(&self.dir)?;
        let next = self.disk.open(&path)?;
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.file = next.into();
        let ended = std::mem::replace(&mut files.active, Segment { path, begin });
        let path = self.segment_path(ended.begin);
        files.older.push(Segment { path, ..ended });
        Ok(())
    }

    fn segment_path(&self, begin: Position) -> PathBuf {
        let first = begin.head.sequence.saturating_add(1);
        self.dir.join(numbered_name(JOURNAL_NAME, first))
    }

    fn active(&self) -> (Arc<dyn DiskFile>, Position) {
        self.with(|files| (Arc::clone(&files.file), files.active.begin))
    }

    /// The active file and the offset in it. Everything that changes a journal is in this file.
    fn writable(&self, offset: u64) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let (file, begin) = self.active();
        let offset = in_file(offset, begin).ok_or_else(|| io::Error::other("older files never change"))?;
        Ok((file, offset))
    }

    /// Writes the fields of the active file's own header, durably.
    pub(crate) fn write_header_fields(&self, fields: &[u8]) -> io::Result<()> {
        let (file, _) = self.active();
        file.write_at(0, fields)?;
        file.sync_data()
    }

    fn place(&self, offset: u64) -> io::Result<Place> {
        let (path, begin, next) = {
            let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
            let first = files.older.first().unwrap_or(&files.active).begin;
            // Only the header of the very first file is before the first record.
            if offset < first.offset && first.head.sequence > 0 {
                return Err(io::ErrorKind::NotFound.into());
            }
            if offset >= files.active.begin.offset || files.older.is_empty() {
                let offset = in_file(offset, files.active.begin).ok_or(io::ErrorKind::NotFound)?;
                return Ok(Place {
                    file: Arc::clone(&files.file),
                    offset,
                    left: None,
                });
            }
            let after = files.older.partition_point(|file| file.begin.offset <= offset);
            // The header of the very first file is before its first record.
            let at = after.saturating_sub(1);
            let file = files.older.get(at).ok_or(io::ErrorKind::NotFound)?;
            let next = files.older.get(at.saturating_add(1)).unwrap_or(&files.active);
            (file.path.clone(), file.begin, next.begin.offset)
        };
        Ok(Place {
            file: self.older_file(&path)?,
            offset: in_file(offset, begin).ok_or(io::ErrorKind::NotFound)?,
            left: Some(next.saturating_sub(offset)),
        })
    }

    fn older_file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, file)) = opened.as_ref()
            && known == path
        {
            return Ok(Arc::clone(file));
        }
        let file: Arc<dyn DiskFile> = self.disk.open(path)?.into();
        *opened = Some((path.to_owned(), Arc::clone(&file)));
        Ok(file)
    }
}

/// The offset in a file whose first record is at `begin`. `None` before its header.
fn in_file(offset: u64, begin: Position) -> Option<u64> {
    offset.saturating_add(RECORDS_BEGIN).checked_sub(begin.offset)
}

/// The segments before `active`, in order. Refuses a file that does not belong there: a later switch could replace it.
fn older(
    disk: &dyn Disk,
    dir: &Path,
    archives: &[&Path],
    format: Format,
    active: &Segment,
) -> Result<Vec<Segment>, StoreError> {
    let mut older: Vec<Segment> = Vec::new();
    for dir in [dir].iter().chain(archives) {
        for name in names(disk, dir)?.into_iter().filter(|name| is_segment(name)) {
            let path = dir.join(name);
            let Some(file) = open_file(disk, &path)? else {
                continue;
            };
            let header = read_header(file.as_ref(), &path)?;
            let first = header.begin.head.sequence.saturating_add(1);
            if header.format != format || header.begin.offset >= active.begin.offset {
                return Err(header_damaged(&path, first, DamageKind::Chain));
            }
            if older.iter().all(|known| known.begin != header.begin) {
                older.push(Segment {
                    path,
                    begin: header.begin,
                });
            }
        }
    }
    older.sort_by_key(|file| file.begin.offset);
    Ok(older)
}

impl DiskFile for Segments {
    /// The length of the whole journal, archived files included.
    fn len(&self) -> io::Result<u64> {
        let (file, begin) = self.active();
        let before = begin.offset.saturating_sub(RECORDS_BEGIN);
        Ok(before.saturating_add(file.len()?))
    }

    /// As of one file. An older file that is shorter than the next one says reads as zeros there, which are no record. An
    /// archived file gives `NotFound`.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let Place { file, offset, left } = self.place(offset)?;
        let Some(left) = left else {
            return file.read_at(offset, out);
        };
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let out = out.get_mut(..count).unwrap_or_default();
        match file.read_at(offset, out)? {
            0 => {
                out.fill(0);
                Ok(count)
            }
            read => Ok(read),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (file, offset) = self.writable(offset)?;
        file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.active().0.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let (file, len) = self.writable(len)?;
        file.truncate(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let (file, len) = self.writable(len)?;
        file.preallocate(len)
    }
}
