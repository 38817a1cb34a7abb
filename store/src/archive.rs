//! Moving old segments of a journal away.
//!
//! A start needs the journal only from the older one of the two newest snapshots on. The segments before it are copied to
//! another directory, checked there, and then removed. The hashes of their records stay.

use crate::checkpoints::Position;
use crate::disk::{Disk, DiskFile, each_piece};
use crate::error::{DamageKind, StoreError};
use crate::past_hashes;
use crate::reader::Reader;
use crate::record::{Format, RECORDS_BEGIN};
use crate::recovery::{find_journal, is_beside_journal, lock, refuse_absent};
use crate::scan::Scanner;
use crate::segments::{
    JOURNAL_NAME, NEXT_NAME, Segment, Segments, is_segment, names, open_file, read_header,
};
use crate::snapshot;
use std::io;
use std::path::{Path, PathBuf};

/// A segment of a journal that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedSegment {
    /// Where it is now.
    pub path: PathBuf,
    /// Its first record.
    pub first: u64,
    /// Its last record.
    pub last: u64,
    /// Its length (bytes).
    pub bytes: u64,
}

/// Moves the segments of the journal in `dir` that no start needs to the directory `to`, the oldest first. Another process
/// may have the store open. Returns the moved segments: none if there are not two snapshots yet.
///
/// A segment is removed only after its copy is durable and was read back. It can be repeated after a crash.
///
/// # Errors
/// [`StoreError::Damaged`] when a segment is damaged, or `to` has files of another journal. [`StoreError::InUse`] while another
/// process moves files to `to`. [`StoreError::Absent`], [`StoreError::Newer`], [`StoreError::Disk`]. The segments that were moved
/// before the error stay moved.
pub fn archive_segments(dir: &Path, to: &Path, disk: &dyn Disk) -> Result<Vec<ArchivedSegment>, StoreError> {
    refuse_absent(disk, dir)?;
    let Some(reader) = find_journal(disk, dir, None)? else {
        return Err(StoreError::Absent { dir: dir.to_owned() });
    };
    let old = old_segments(disk, dir, &reader)?;
    let make = disk.create_dir(to);
    make.map_err(StoreError::disk(format!("create {}", to.display())))?;
    for parent in to
        .ancestors()
        .skip(1)
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        // So that no power failure takes the directory back. Above the parent it may not be allowed.
        if let Err(error) = disk.sync_dir(parent) {
            tracing::debug!(%error, parent = %parent.display(), "a parent of the archive was not synced");
        }
    }
    if names(disk, to)?.iter().any(|name| is_of_store(name)) {
        let in_use = io::Error::other("a store is in it; name a directory of its own");
        return Err(StoreError::disk(format!("archive to {}", to.display()))(in_use));
    }
    let _lock = lock(disk, to)?;
    let mut moved = Vec::new();
    for (segment, end) in old {
        moved.push(move_away(&reader, &segment, end, to)?);
    }
    Ok(moved)
}

/// Whether a file of this name is in the directory of a store, and in no archive.
fn is_of_store(name: &str) -> bool {
    [JOURNAL_NAME, NEXT_NAME].contains(&name) || (is_beside_journal(name) && !is_segment(name))
}

/// The segments before the older one of the two newest whole snapshots, each with its end.
fn old_segments(
    disk: &dyn Disk,
    dir: &Path,
    reader: &Reader,
) -> Result<Vec<(Segment, Position)>, StoreError> {
    let mut whole = snapshot::whole(disk, dir, reader.format)?.filter(|it| reader.has_begin(it.from));
    let (Some(_newest), Some(older)) = (whole.next(), whole.next()) else {
        return Ok(Vec::new());
    };
    let all = reader.files.all();
    let ends = all.iter().skip(1).map(|next| next.begin);
    let old = all.iter().cloned().zip(ends);
    Ok(old.filter(|(_, end)| end.offset <= older.from.offset).collect())
}

fn move_away(
    reader: &Reader,
    segment: &Segment,
    end: Position,
    to: &Path,
) -> Result<ArchivedSegment, StoreError> {
    let (disk, dir) = (reader.files.disk(), reader.files.dir());
    let begin = segment.begin;
    let first = begin.head.sequence.saturating_add(1);
    let failed = |what: &str| StoreError::disk(format!("{what} {}", segment.path.display()));
    let mut hashes = Vec::new();
    let mut scanner = reader.scanner(begin);
    while scanner.at.offset < end.offset {
        let before = scanner.at;
        if scanner.next().map_err(failed("read"))?.is_none() {
            return Err(reader.no_record(before, end.head.sequence)?);
        }
        hashes.push(scanner.at.head.hash);
        if hashes.len() == past_hashes::FILE_HASHES || scanner.at.offset >= end.offset {
            let last = scanner.at.head.sequence.saturating_add(1);
            let first = last.saturating_sub(hashes.len() as u64);
            past_hashes::write(disk, dir, reader.format, first, &hashes)?;
            hashes.clear();
        }
    }
    if scanner.at != end {
        return Err(reader.damaged(end.damage(DamageKind::Chain)));
    }
    let name = segment.path.file_name().unwrap_or_default();
    let copy = to.join(name);
    let bytes = end
        .offset
        .saturating_sub(begin.offset)
        .saturating_add(RECORDS_BEGIN);
    if open_file(disk, &copy)?.is_none() {
        copy_file(disk, &segment.path, &copy, bytes)?;
    }
    // An earlier archival may have made the copy. Another file of this name is never replaced.
    check_copy(disk, &copy, reader.format, begin, end)?;
    // One after another, so that no crash removes a later one and leaves an earlier one.
    disk.remove(&segment.path)
        .and_then(|()| disk.sync_dir(dir))
        .map_err(failed("remove"))?;
    Ok(ArchivedSegment {
        path: copy,
        first,
        last: end.head.sequence,
        bytes,
    })
}

/// Copies `bytes` of the file `from` to `to`, durably.
fn copy_file(disk: &dyn Disk, from: &Path, to: &Path, bytes: u64) -> Result<(), StoreError> {
    let mut name = to.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let copy = || {
        let (source, target) = (disk.open(from)?, disk.create(&fresh)?);
        let failed = |error| error;
        each_piece(source.as_ref(), 0..bytes, failed, |offset, piece| {
            target.write_at(offset, piece)
        })?;
        target.sync_data()?;
        disk.rename(&fresh, to)?;
        to.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
    };
    copy().map_err(StoreError::disk(format!(
        "copy {} to {}",
        from.display(),
        to.display()
    )))
}

/// Reads the copy, and checks that its records lead from `begin` to `end`.
fn check_copy(
    disk: &dyn Disk,
    copy: &Path,
    format: Format,
    begin: Position,
    end: Position,
) -> Result<(), StoreError> {
    let failed = || StoreError::disk(format!("read {}", copy.display()));
    let file = disk.open(copy).map_err(failed())?;
    let is_header = read_header(file.as_ref(), copy)?.begin == begin;
    let dir = copy.parent().unwrap_or(Path::new(""));
    let files = Segments::new(disk, dir, file, begin);
    let mut scanner = Scanner::new(&files as &dyn DiskFile, format, begin);
    while scanner.next().map_err(failed())?.is_some() {}
    match is_header && scanner.at == end {
        true => Ok(()),
        false => Err(failed()(io::Error::other(
            "it is another file, or damaged; the segment stays where it is",
        ))),
    }
}
