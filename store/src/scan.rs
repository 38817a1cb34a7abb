//! Reads a journal from front to back, and judges the bytes after its last record.

use crate::checkpoints::Position;
use crate::disk::SECTOR_BYTES;
use crate::disk::{CHUNK_BYTES, DiskFile, read_or_zero};
use crate::error::DamageKind;
use crate::index::Head;
use crate::record::{self, Format, HEADER_BYTES, TRAILER_BYTES, WHOLE_MAX_BYTES};
use std::io;

/// A part of a file in memory, which moves along with the reads. After the file's end it reads zeros.
struct Window<'a> {
    file: &'a dyn DiskFile,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn DiskFile) -> Self {
        Self {
            file,
            start: 0,
            bytes: Vec::new(),
        }
    }

    fn get(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let end = offset.saturating_add(count as u64);
        if offset < self.start || end > self.start.saturating_add(self.bytes.len() as u64) {
            self.bytes.resize(count.max(CHUNK_BYTES), 0);
            self.start = offset;
            read_or_zero(self.file, offset, &mut self.bytes)?;
        }
        let from = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        Ok(self
            .bytes
            .get(from..from.saturating_add(count))
            .unwrap_or_default())
    }
}

/// Reads records in order. It stops at a record that is not whole or does not follow the one before.
pub(crate) struct Scanner<'a> {
    window: Window<'a>,
    format: Format,
    /// The position of the next record.
    pub(crate) at: Position,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, format: Format, at: Position) -> Self {
        Self {
            window: Window::new(file),
            format,
            at,
        }
    }

    /// The payload of the next record. `None` if no whole record follows, for any reason.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let bytes = self.window.get(self.at.offset, HEADER_BYTES)?;
        let Some(header) = self.format.header(bytes) else {
            return Ok(None);
        };
        if header.previous != self.at.head {
            return Ok(None);
        }
        let begin = self.at.offset.saturating_add(HEADER_BYTES as u64);
        let count = header.length.saturating_add(TRAILER_BYTES);
        let bytes = self.window.get(begin, count)?;
        let Some((payload, head)) = record::body(&header, bytes) else {
            return Ok(None);
        };
        let offset = begin.saturating_add(count as u64);
        self.at = Position { offset, head };
        Ok(Some(payload))
    }
}

/// The bytes where a [`Scanner`] found no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// The journal's end: only zeros follow.
    End,
    /// A torn record: the rest of an interrupted write, at most this many bytes.
    Torn(u64),
    /// The journal is damaged.
    Damaged(DamageKind),
}

/// Judges the bytes at `at`, where no whole record follows. Records up to `acknowledged` are known to be durable.
///
/// At most one record is not durable. So a torn record is the next in order, and nothing follows it. It was written over
/// zeros, so its missing parts are zeros: its end, or whole sectors. Any other bytes have changed after they were written.
///
/// `sector` is the offset of any byte with which a sector of the file begins.
///
/// One kind of damage can be mistaken for a torn record. It is a lost bit in the very last record, if this record contains a
/// whole sector of zeros and no index knows it.
pub(crate) fn judge(
    file: &dyn DiskFile,
    format: Format,
    at: Position,
    acknowledged: u64,
    sector: u64,
) -> io::Result<Tail> {
    let Position { offset, head } = at;
    let end = last_byte(file, offset)?;
    let missing = acknowledged > head.sequence;
    if end <= offset {
        return Ok(if missing {
            Tail::Damaged(DamageKind::Missing(acknowledged))
        } else {
            Tail::End
        });
    }
    let mut window = Window::new(file);
    let header = format.header(window.get(offset, HEADER_BYTES)?);
    if header.is_some_and(|header| header.previous != head) {
        return Ok(Tail::Damaged(DamageKind::Chain));
    }
    let whole = header.map(|header| (HEADER_BYTES + TRAILER_BYTES).saturating_add(header.length) as u64);
    let after = offset.saturating_add(whole.unwrap_or(1));
    if missing || has_later_record(file, format, after, end, head)? {
        return Ok(Tail::Damaged(DamageKind::Changed));
    }
    let torn = match whole {
        Some(whole) => torn_body(&mut window, offset, offset.saturating_add(whole), end, sector)?,
        None => torn_header(&mut window, offset, end, sector)?,
    };
    Ok(if torn {
        Tail::Torn(end.saturating_sub(offset))
    } else {
        Tail::Damaged(DamageKind::Changed)
    })
}

/// Whether an interrupted write explains the record from `offset` to `whole_end`, which has its header.
fn torn_body(
    window: &mut Window<'_>,
    offset: u64,
    whole_end: u64,
    end: u64,
    sector: u64,
) -> io::Result<bool> {
    if end > whole_end {
        return Ok(false);
    }
    if end < whole_end {
        return Ok(true);
    }
    let mut at = offset;
    while at < whole_end {
        let next = next_sector(at, sector).min(whole_end);
        if is_zero(window, at, next)? {
            return Ok(true);
        }
        at = next;
    }
    Ok(false)
}

/// Whether an interrupted write explains the record at `offset`, which lacks its header.
fn torn_header(window: &mut Window<'_>, offset: u64, end: u64, sector: u64) -> io::Result<bool> {
    if end.saturating_sub(offset) > WHOLE_MAX_BYTES as u64 {
        return Ok(false);
    }
    let header_end = offset.saturating_add(HEADER_BYTES as u64);
    let next = next_sector(offset, sector);
    if end < header_end || is_zero(window, offset, next)? {
        return Ok(true);
    }
    Ok(header_end > next && is_zero(window, next, next.saturating_add(SECTOR_BYTES))?)
}

/// The begin of the next sector after `offset`. `sector` is the begin of some sector.
fn next_sector(offset: u64, sector: u64) -> u64 {
    let phase = sector % SECTOR_BYTES;
    let within = offset.saturating_add(SECTOR_BYTES).saturating_sub(phase) % SECTOR_BYTES;
    offset.saturating_sub(within).saturating_add(SECTOR_BYTES)
}

fn is_zero(window: &mut Window<'_>, from: u64, to: u64) -> io::Result<bool> {
    let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    Ok(window.get(from, count)?.iter().all(|byte| *byte == 0))
}

/// The offset after the last byte that is not zero. `offset` if all bytes from there on are zero.
fn last_byte(file: &dyn DiskFile, offset: u64) -> io::Result<u64> {
    let len = file.len()?;
    let (mut at, mut end) = (offset, offset);
    let mut bytes = vec![0; CHUNK_BYTES];
    while at < len {
        read_or_zero(file, at, &mut bytes)?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            end = at.saturating_add(last as u64).saturating_add(1);
        }
        at = at.saturating_add(CHUNK_BYTES as u64);
    }
    Ok(end)
}

/// Whether the header of a record after the next one begins between `from` and `end`. A record is written only after all
/// earlier ones are durable.
fn has_later_record(
    file: &dyn DiskFile,
    format: Format,
    from: u64,
    end: u64,
    head: Head,
) -> io::Result<bool> {
    let mut at = from;
    let mut bytes = vec![0; CHUNK_BYTES + HEADER_BYTES];
    while at < end {
        read_or_zero(file, at, &mut bytes)?;
        let later = |header: record::Header| header.previous.sequence > head.sequence;
        if bytes
            .windows(HEADER_BYTES)
            .any(|part| format.header(part).is_some_and(later))
        {
            return Ok(true);
        }
        at = at.saturating_add(CHUNK_BYTES as u64);
    }
    Ok(false)
}
