//! The hashes of archived records. They stay with the store, so that it still answers for its whole history.
//!
//! ```text
//! hashes.N   magic [8]  id [16]  first u64  count u64     numbers are little-endian; `first` is the first record, N too
//!            hash [32] of each record
//!            SHA-256 over everything before it [32]
//! ```

use crate::disk::{Disk, read_file, replace_file};
use crate::error::{Damage, DamageKind, StoreError};
use crate::record::Format;
use crate::segments::{names, number_in_name, numbered_name};
use farthing_protocol::ids::RecordHash;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The stem of the names of these files.
const STEM: &str = "hashes";
const MAGIC: &[u8; 8] = b"FARTHHSH";
const HASH_BYTES: usize = 32;
const HEADER_BYTES: usize = 40;

/// The most hashes of one file: 2 MiB. A question reads one file.
pub(crate) const FILE_HASHES: usize = 65_536;

/// The most bytes of one file.
const FILE_MAX_BYTES: usize = HEADER_BYTES + (FILE_HASHES + 1) * HASH_BYTES;

/// Whether this is the name of such a file.
pub(crate) fn is_hashes(name: &str) -> bool {
    number_in_name(STEM, name).is_some()
}

/// The file with the hashes of the records from `first` on.
fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(numbered_name(STEM, first))
}

fn header(format: Format, first: u64, count: u64) -> Vec<u8> {
    [
        MAGIC.as_slice(),
        &format.id(),
        &first.to_le_bytes(),
        &count.to_le_bytes(),
    ]
    .concat()
}

/// Writes the hashes of the records from `first` on, durably: at most [`FILE_HASHES`].
pub(crate) fn write(
    disk: &dyn Disk,
    dir: &Path,
    format: Format,
    first: u64,
    hashes: &[RecordHash],
) -> Result<(), StoreError> {
    let mut bytes = header(format, first, hashes.len() as u64);
    for hash in hashes {
        bytes.extend_from_slice(&hash.0);
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    let path = path(dir, first);
    replace_file(disk, &path, &bytes).map_err(StoreError::disk(format!("write {}", path.display())))
}

/// The hash of record `sequence`. `None` if no file has it.
///
/// # Errors
/// [`StoreError::Damaged`] when the file that should have it is damaged or of another journal.
pub(crate) fn find(
    disk: &dyn Disk,
    dir: &Path,
    format: Format,
    sequence: u64,
) -> Result<Option<RecordHash>, StoreError> {
    if sequence == 0 {
        return Ok(Some(format.genesis().hash));
    }
    let numbers = names(disk, dir)?;
    let numbers = numbers.iter().filter_map(|name| number_in_name(STEM, name));
    let Some(first) = numbers.filter(|first| *first <= sequence).max() else {
        return Ok(None);
    };
    let path = path(dir, first);
    let read = read_file(disk, &path, FILE_MAX_BYTES);
    let bytes = read.map_err(StoreError::disk(format!("read {}", path.display())))?;
    let bytes = bytes.unwrap_or_default();
    let damaged = || StoreError::Damaged {
        path,
        damage: Damage {
            offset: 0,
            sequence: first,
            kind: DamageKind::Changed,
        },
    };
    let hashes = hashes(&bytes, format, first).ok_or_else(damaged)?;
    let at = usize::try_from(sequence.saturating_sub(first)).ok();
    let hash = at.and_then(|at| hashes.chunks_exact(HASH_BYTES).nth(at));
    Ok(hash.and_then(|hash| hash.try_into().ok()).map(RecordHash))
}

/// The hashes in a whole file.
fn hashes(bytes: &[u8], format: Format, first: u64) -> Option<&[u8]> {
    let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    let (fields, hashes) = content.split_at_checked(HEADER_BYTES)?;
    let count = (hashes.len() / HASH_BYTES) as u64;
    let is_whole = digest == Sha256::digest(content).as_slice() && fields == header(format, first, count);
    is_whole.then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn hashes_read_back_and_a_changed_bit_is_found() {
        let (disk, dir) = (MemoryDisk::new(), Path::new("/store"));
        let format = Format::new([7; 16]);
        let all: Vec<RecordHash> = (0..9).map(|byte| RecordHash([byte; 32])).collect();
        let (first, later) = all.split_at(5);
        write(&disk, dir, format, 1, first).unwrap();
        write(&disk, dir, format, 6, later).unwrap();
        let find = |sequence| find(&disk, dir, format, sequence);
        assert_eq!(find(0), Ok(Some(format.genesis().hash)));
        for (number, hash) in (1..).zip(&all) {
            assert_eq!(find(number), Ok(Some(*hash)), "{number}");
        }
        assert_eq!(find(10), Ok(None));
        let file = path(dir, 6);
        for bit in 0..disk.bytes(&file).unwrap().len() as u64 * 8 {
            assert!(disk.flip(&file, bit / 8, 1 << (bit % 8)));
            assert!(find(6).is_err(), "bit {bit}");
            disk.flip(&file, bit / 8, 1 << (bit % 8));
        }
        let other = super::find(&disk, dir, Format::new([8; 16]), 6);
        assert!(other.is_err(), "{other:?}");
    }
}
