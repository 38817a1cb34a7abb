//! The bytes of the journal.
//!
//! ```text
//! file    magic [8]  version u32  id [16]  crc32 u32  begin [52]     then zeros up to 512 bytes, then records
//! begin   zeros in the first file of a journal; in a later file where it continues:
//!         offset u64  sequence u64  hash [32]  crc32 u32
//! record  length u32  sequence u64  previous hash [32]  crc32 u32  mark u8
//!         payload [length]
//!         hash [32]  mark u8
//! payload count u32, then for each write in key order:
//!         1  key length u32  key  value length u32  value     a value
//!         2  key length u32  key                              a deletion
//! ```
//!
//! A journal is one file, or several [segments](crate::segments). An offset counts all bytes of the journal as if it were one
//! file. So the first record has offset 512 and sequence 1, and a later file says the offset of its own first record.
//!
//! A sealed journal has another magic. There the payload is encrypted ([`RecordCipher`](crate::RecordCipher)), and all hashes
//! are over the encrypted payload.
//!
//! Numbers are little-endian. A record's hash covers its number, the previous hash, and its payload. The crc also covers the
//! journal's id. So a party that chooses values cannot make part of a value look like a record. Both marks are not zero. A
//! record is written over zeros, so a write that was cut short always shows in the last byte.
//!
//! The file's version is the schema version of the newest program that has opened the directory. Records have the same
//! bytes in all versions. When the version is raised, the header's sector is written again. If this write is interrupted,
//! the header is a mixture of old and new bytes. The store still reads it, and repeats the write.

use crate::checkpoints::Position;
use crate::index::{Head, Writes};
use crate::limits::RECORD_MAX_BYTES;
use crate::schema::SCHEMA_VERSION;
use farthing_protocol::ids::RecordHash;
use sha2::{Digest, Sha256};

/// Offset of the first record in every file (bytes). The header before it has its own sector. Only a raise of its version writes
/// it again.
pub(crate) const RECORDS_BEGIN: u64 = 512;
/// A record's bytes before its payload.
pub(crate) const HEADER_BYTES: usize = 49;
/// A record's bytes after its payload.
pub(crate) const TRAILER_BYTES: usize = 33;
/// The longest record (bytes).
pub(crate) const WHOLE_MAX_BYTES: usize = HEADER_BYTES + RECORD_MAX_BYTES + TRAILER_BYTES;
/// Length of the journal's own header without its zeros (bytes).
const FILE_HEADER_BYTES: usize = 32;
/// Length of the part of the header that says where a later file continues the journal (bytes).
const BEGIN_BYTES: usize = 52;

const MAGIC: &[u8; 8] = b"FARTHING";
const SEALED_MAGIC: &[u8; 8] = b"FARTHSEA";
const HEADER_MARK: u8 = 0xF1;
const TRAILER_MARK: u8 = 0xE7;
const VALUE: u8 = 1;
const DELETION: u8 = 2;

/// The format of one journal. Its header has the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    id: [u8; 16],
    is_sealed: bool,
}

/// The content of the journal's own header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) format: Format,
    /// The position of the file's first record.
    pub(crate) begin: Position,
    /// Whether it must be written again: its version is older, or its last write was interrupted.
    pub(crate) is_old: bool,
}

/// Why a file's header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadFile {
    /// The header is damaged, or the file is no journal.
    Header,
    /// This program does not know the version.
    Version(u32),
}

/// The content of a record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: usize,
    /// The head before the record.
    pub(crate) previous: Head,
}

/// Takes fields from the front of bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }
}

impl Format {
    pub(crate) const fn new(id: [u8; 16]) -> Self {
        Self { id, is_sealed: false }
    }

    /// The format of a journal with sealed payloads.
    pub(crate) const fn sealed(id: [u8; 16]) -> Self {
        Self { id, is_sealed: true }
    }

    /// The journal's random id.
    pub(crate) const fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Whether the payloads are sealed.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    const fn magic(&self) -> &'static [u8; 8] {
        match self.is_sealed {
            true => SEALED_MAGIC,
            false => MAGIC,
        }
    }

    /// The header of a file whose first record is at `begin`, with its zeros.
    pub(crate) fn file_header(&self, begin: Position) -> Vec<u8> {
        let mut bytes = self.header_fields(SCHEMA_VERSION);
        if begin != self.begin() {
            let mut fields = begin.offset.to_le_bytes().to_vec();
            fields.extend_from_slice(&begin.head.sequence.to_le_bytes());
            fields.extend_from_slice(&begin.head.hash.0);
            bytes.extend_from_slice(&fields);
            bytes.extend_from_slice(&self.crc(&fields).to_le_bytes());
        }
        bytes.resize(RECORDS_BEGIN as usize, 0);
        bytes
    }

    /// Where the file continues the journal, from the bytes after the header's fields. `None` if they are damaged.
    fn read_begin(&self, bytes: &[u8]) -> Option<Position> {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        if is_zero(bytes) {
            return Some(self.begin());
        }
        let (fields, zeros) = bytes.split_at_checked(BEGIN_BYTES)?;
        let mut rest = Fields(fields);
        let offset = u64::from_le_bytes(rest.array()?);
        let sequence = u64::from_le_bytes(rest.array()?);
        let hash = RecordHash(rest.array()?);
        let crc = u32::from_le_bytes(rest.array()?);
        let is_later = offset > RECORDS_BEGIN && sequence > 0;
        let is_whole = crc == self.crc(fields.get(..BEGIN_BYTES - 4)?) && is_zero(zeros);
        let head = Head { sequence, hash };
        (is_later && is_whole).then_some(Position { offset, head })
    }

    /// The journal's own header without its zeros.
    pub(crate) fn header_fields(&self, version: u32) -> Vec<u8> {
        let mut bytes = self.magic().to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub(crate) fn read_file_header(bytes: &[u8]) -> Result<FileHeader, BadFile> {
        let (fields, after) = bytes.split_at_checked(FILE_HEADER_BYTES).ok_or(BadFile::Header)?;
        let mut rest = Fields(fields);
        let mut read = || {
            let magic: [u8; 8] = rest.array()?;
            let version = u32::from_le_bytes(rest.array()?);
            let id = rest.array()?;
            let crc = u32::from_le_bytes(rest.array()?);
            Some((magic, version, id, crc))
        };
        let (magic, version, id, crc) = read().ok_or(BadFile::Header)?;
        let is_sealed = &magic == SEALED_MAGIC;
        if &magic != MAGIC && !is_sealed {
            return Err(BadFile::Header);
        }
        let format = Self { id, is_sealed };
        let begin = format.read_begin(after).ok_or(BadFile::Header)?;
        let summed = fields.get(..FILE_HEADER_BYTES - 4).unwrap_or_default();
        let header = |is_old| {
            Ok(FileHeader {
                format,
                begin,
                is_old,
            })
        };
        match version {
            _ if crc != crc32fast::hash(summed) && format.is_half_raised(fields) => header(true),
            _ if crc != crc32fast::hash(summed) => Err(BadFile::Header),
            SCHEMA_VERSION => header(false),
            1..SCHEMA_VERSION => header(true),
            other => Err(BadFile::Version(other)),
        }
    }

    /// Whether `fields` are a header whose raise was interrupted: each byte is from the header of one older version or of this
    /// version.
    fn is_half_raised(&self, fields: &[u8]) -> bool {
        let new = self.header_fields(SCHEMA_VERSION);
        (1..SCHEMA_VERSION).any(|version| {
            let old = self.header_fields(version);
            let either = |(byte, (old, new)): (&u8, (&u8, &u8))| byte == old || byte == new;
            fields.len() == new.len() && fields.iter().zip(old.iter().zip(&new)).all(either)
        })
    }

    /// The head of an empty journal.
    pub(crate) fn genesis(&self) -> Head {
        let hash = Sha256::new()
            .chain_update(b"farthing journal genesis")
            .chain_update(self.id)
            .finalize();
        Head {
            sequence: 0,
            hash: RecordHash(hash.into()),
        }
    }

    /// The position of the first record.
    pub(crate) fn begin(&self) -> Position {
        Position {
            offset: RECORDS_BEGIN,
            head: self.genesis(),
        }
    }

    fn crc(&self, fields: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.id);
        crc.update(fields);
        crc.finalize()
    }

    /// The record that follows `previous`, and the head after it. The caller makes sure that the payload has at most
    /// [`RECORD_MAX_BYTES`].
    pub(crate) fn record(&self, previous: &Head, payload: &[u8]) -> (Vec<u8>, Head) {
        let head = next_head(previous, payload);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len() + TRAILER_BYTES);
        bytes.extend_from_slice(&length_u32(payload.len()).to_le_bytes());
        bytes.extend_from_slice(&head.sequence.to_le_bytes());
        bytes.extend_from_slice(&previous.hash.0);
        bytes.extend_from_slice(&self.crc(&bytes).to_le_bytes());
        bytes.push(HEADER_MARK);
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&head.hash.0);
        bytes.push(TRAILER_MARK);
        (bytes, head)
    }

    /// The header at the front of `bytes`, if there is one.
    pub(crate) fn header(&self, bytes: &[u8]) -> Option<Header> {
        // The mark comes first because a search for headers calls this at every byte.
        if bytes.get(HEADER_BYTES - 1) != Some(&HEADER_MARK) {
            return None;
        }
        let summed = bytes.get(..HEADER_BYTES - 5)?;
        let mut rest = Fields(bytes);
        let length = rest.number()?;
        let sequence = u64::from_le_bytes(rest.array()?);
        let hash = rest.array()?;
        let crc = u32::from_le_bytes(rest.array()?);
        if length > RECORD_MAX_BYTES || sequence == 0 || crc != self.crc(summed) {
            return None;
        }
        let previous = Head {
            sequence: sequence.saturating_sub(1),
            hash: RecordHash(hash),
        };
        Some(Header { length, previous })
    }
}

/// The payload of a record and the head after it, if the record is whole. `bytes` follow the record's header.
pub(crate) fn body<'a>(header: &Header, bytes: &'a [u8]) -> Option<(&'a [u8], Head)> {
    let mut rest = Fields(bytes);
    let payload = rest.bytes(header.length)?;
    let hash = RecordHash(rest.array()?);
    let [mark] = rest.array()?;
    let head = next_head(&header.previous, payload);
    (mark == TRAILER_MARK && hash == head.hash).then_some((payload, head))
}

/// The head after the record that follows `previous`.
pub(crate) fn next_head(previous: &Head, payload: &[u8]) -> Head {
    let sequence = previous.sequence.saturating_add(1);
    let hash = Sha256::new()
        .chain_update(b"farthing journal record")
        .chain_update(sequence.to_le_bytes())
        .chain_update(previous.hash)
        .chain_update(payload)
        .finalize();
    Head {
        sequence,
        hash: RecordHash(hash.into()),
    }
}

/// Converts a length. The limits on keys, values and batches are far below `u32::MAX`.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Encodes `writes` as a payload.
pub(crate) fn encode_writes(writes: &Writes) -> Vec<u8> {
    let mut bytes = length_u32(writes.len()).to_le_bytes().to_vec();
    for (key, value) in writes {
        bytes.push(if value.is_some() { VALUE } else { DELETION });
        bytes.extend_from_slice(&length_u32(key.len()).to_le_bytes());
        bytes.extend_from_slice(key);
        if let Some(value) = value {
            bytes.extend_from_slice(&length_u32(value.len()).to_le_bytes());
            bytes.extend_from_slice(value);
        }
    }
    bytes
}

/// Decodes a payload. `None` if the count is wrong, the keys are not in order, or bytes are left over.
pub(crate) fn decode_writes(payload: &[u8]) -> Option<Writes> {
    let mut rest = Fields(payload);
    let count = rest.number()?;
    let mut writes = Writes::new();
    for _ in 0..count {
        let [kind] = rest.array()?;
        let length = rest.number()?;
        let key = rest.bytes(length)?.to_vec();
        let value = match kind {
            VALUE => {
                let length = rest.number()?;
                Some(rest.bytes(length)?.to_vec())
            }
            DELETION => None,
            _ => return None,
        };
        if writes.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return None;
        }
        writes.insert(key, value);
    }
    rest.0.is_empty().then_some(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes() -> Writes {
        Writes::from([
            (vec![1, 2], Some(vec![3; 40])),
            (vec![1, 3], None),
            (vec![9], Some(vec![])),
        ])
    }

    #[test]
    fn writes_read_back_and_a_payload_cut_at_any_byte_is_refused() {
        let bytes = encode_writes(&writes());
        assert_eq!(decode_writes(&bytes), Some(writes()));
        for cut in 0..bytes.len() {
            assert_eq!(decode_writes(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(decode_writes(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn a_record_with_any_bit_flipped_is_refused() {
        let format = Format::new([7; 16]);
        let (bytes, head) = format.record(&format.genesis(), &encode_writes(&writes()));
        let read = |bytes: &[u8]| {
            let header = format.header(bytes)?;
            let (_, head) = body(&header, &bytes[HEADER_BYTES..])?;
            Some((header.previous, head))
        };
        assert_eq!(read(&bytes), Some((format.genesis(), head)));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&changed), None, "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_another_journal_is_refused() {
        let (ours, theirs) = (Format::new([7; 16]), Format::new([8; 16]));
        let (bytes, _) = theirs.record(&theirs.genesis(), &[]);
        assert_eq!(ours.header(&bytes), None);
    }

    #[test]
    fn a_file_header_reads_back_and_is_refused_with_any_bit_flipped() {
        let format = Format::new([7; 16]);
        let mut old = format.header_fields(1);
        old.resize(RECORDS_BEGIN as usize, 0);
        let later = Position {
            offset: 70_000,
            head: Head {
                sequence: 99,
                hash: RecordHash([9; 32]),
            },
        };
        let begin = format.begin();
        for (bytes, begin, is_old) in [
            (format.file_header(begin), begin, false),
            (format.file_header(later), later, false),
            (old, begin, true),
        ] {
            let header = FileHeader {
                format,
                begin,
                is_old,
            };
            assert_eq!(Format::read_file_header(&bytes), Ok(header));
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(Format::read_file_header(&changed).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_header_is_read_when_its_raise_was_interrupted_and_a_newer_header_is_refused() {
        let format = Format::new([7; 16]);
        let begin = format.begin();
        let new = format.file_header(begin);
        let mut old = format.header_fields(1);
        old.resize(new.len(), 0);
        let differing: Vec<usize> = (0..new.len()).filter(|at| old[*at] != new[*at]).collect();
        assert!(differing.len() <= 5, "{differing:?}");
        for mixture in 0..(1u32 << differing.len()) - 1 {
            let mut bytes = old.clone();
            for (number, at) in differing.iter().enumerate() {
                if mixture >> number & 1 == 1 {
                    bytes[*at] = new[*at];
                }
            }
            let header = FileHeader {
                format,
                begin,
                is_old: true,
            };
            assert_eq!(
                Format::read_file_header(&bytes),
                Ok(header),
                "mixture {mixture:b}"
            );
        }
        let mut newer = format.header_fields(SCHEMA_VERSION + 1);
        newer.resize(new.len(), 0);
        let refused = Err(BadFile::Version(SCHEMA_VERSION + 1));
        assert_eq!(Format::read_file_header(&newer), refused);
    }
}
