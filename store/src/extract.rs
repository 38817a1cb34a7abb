//! A copy of a part of a journal, as it lies in the file: for backups.
//!
//! The records of a journal never change. So they can be copied from under the process that appends to it, up to a record
//! that this process has named as durable.

use crate::checkpoints::Position;
use crate::disk::{DirectoryLock, Disk, each_piece};
use crate::error::StoreError;
use crate::index::Head;
use crate::reader::Reader;
use crate::recovery::{find_journal_with, lock, refuse_absent};
use crate::state::State;
use std::path::Path;

/// A verified part of a journal that can be copied: all its bytes up to a record, or the records after one. The bytes of
/// several files are those of one file.
pub struct JournalExtract {
    reader: Reader,
    /// The record before the first one. The genesis for a part that begins with the journal's own header.
    after: Head,
    last: Head,
    begin: u64,
    end: u64,
    /// Keeps other processes from opening the store meanwhile. `None` beside a process that has it open.
    _lock: Option<Box<dyn DirectoryLock>>,
}

impl JournalExtract {
    /// The journal in `dir` while another process has it open. `durable` is the head that this process has named. Takes no
    /// lock and writes nothing. `after` is the last record that is left out; 0 takes the whole journal with its header. The
    /// directories `archives` have archived segments.
    ///
    /// # Errors
    /// [`StoreError::NoRecord`] when `after` is beyond the head. [`StoreError::Archived`] when a wanted record is not here.
    /// [`StoreError::Damaged`] when the chain does not lead from the first record to `durable`. [`StoreError::Absent`], [`StoreError::Newer`], [`StoreError::Disk`].
    pub fn beside(
        dir: &Path,
        archives: &[&Path],
        disk: &dyn Disk,
        after: u64,
        durable: Head,
    ) -> Result<Self, StoreError> {
        refuse_absent(disk, dir)?;
        let Some(reader) = find_journal_with(disk, dir, archives, None)? else {
            return Err(StoreError::Absent { dir: dir.to_owned() });
        };
        Self::of(reader, after, durable, None)
    }

    /// The journal of a store that no process has open. No process can open it before this is dropped. `after` and `archives` are
    /// as in [`beside`](JournalExtract::beside). A torn record, which was never acknowledged, is left out.
    ///
    /// # Errors
    /// As [`beside`](JournalExtract::beside), and [`StoreError::InUse`].
    pub fn locked(dir: &Path, archives: &[&Path], disk: &dyn Disk, after: u64) -> Result<Self, StoreError> {
        refuse_absent(disk, dir)?;
        let lock = lock(disk, dir)?;
        let state = State::read(disk, dir);
        let Some(reader) = find_journal_with(disk, dir, archives, state.as_ref())? else {
            return Err(StoreError::Absent { dir: dir.to_owned() });
        };
        let acknowledged = state.map_or(0, |state| state.head.sequence);
        reader.need_from(after)?;
        let checked = reader
            .check(reader.files.begin_before(after), acknowledged, None, &|_| {})?
            .map_err(|(damage, _)| reader.damaged(damage))?;
        Self::of(reader, after, checked.head, Some(lock))
    }

    fn of(
        reader: Reader,
        after: u64,
        last: Head,
        lock: Option<Box<dyn DirectoryLock>>,
    ) -> Result<Self, StoreError> {
        if after > last.sequence {
            return Err(StoreError::NoRecord {
                asked: after,
                last: last.sequence,
            });
        }
        reader.need_from(after)?;
        // A file's header has the hash before its first record, so the files before it are not read.
        let mut from = reader.files.begin_before(after);
        let mut scanner = reader.scanner(from);
        while scanner.at.head.sequence < last.sequence {
            if scanner.at.head.sequence == after {
                from = scanner.at;
            }
            let before = scanner.at;
            if scanner.next().map_err(reader.failed("read"))?.is_none() {
                return Err(reader.no_record(before, last.sequence)?);
            }
        }
        let end = scanner.at;
        if end.head != last {
            return Err(reader.damaged(end.damage(crate::error::DamageKind::Chain)));
        }
        if after == last.sequence {
            from = end;
        }
        let begin = match after {
            0 => 0,
            _ => from.offset,
        };
        let Position { offset: end, .. } = end;
        Ok(Self {
            reader,
            after: from.head,
            last,
            begin,
            end,
            _lock: lock,
        })
    }

    /// The record before the first one of this part: the genesis if it is the whole journal.
    pub fn after(&self) -> Head {
        self.after
    }

    /// The last record of this part.
    pub fn last(&self) -> Head {
        self.last
    }

    /// The length of this part (bytes).
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }

    /// Hands all bytes to `write`, in order and in pieces.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when the journal cannot be read, and the errors of `write`.
    pub fn copy<E: From<StoreError>>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let failed = |error| self.reader.failed("read")(error).into();
        let files = self.reader.files.as_ref();
        each_piece(files, self.begin..self.end, failed, |_, piece| write(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;
    use crate::{Reads, Store, StoreOptions, verify};
    use std::sync::Arc;

    const DIR: &str = "/store";

    fn put(store: &Store, row: u8) {
        let put = store.transact_blocking(Reads::none(), move |tx| tx.put(&[1, row], vec![row; 300]));
        put.unwrap();
    }

    fn bytes(extract: &JournalExtract) -> Vec<u8> {
        let mut all = Vec::new();
        extract
            .copy(|piece| {
                all.extend_from_slice(piece);
                Ok::<_, StoreError>(())
            })
            .unwrap();
        assert_eq!(all.len() as u64, extract.bytes());
        all
    }

    #[test]
    fn a_part_beside_a_writer_and_a_later_part_make_the_whole_journal() {
        let disk = Arc::new(MemoryDisk::new());
        let (store, _) = Store::open(Path::new(DIR), StoreOptions::simulated((*disk).clone(), 1)).unwrap();
        (0..5).for_each(|row| put(&store, row));
        let durable = store.head();
        (5..9).for_each(|row| put(&store, row));
        let first = JournalExtract::beside(Path::new(DIR), &[], &*disk, 0, durable).unwrap();
        assert_eq!(first.last(), durable);
        let later =
            JournalExtract::beside(Path::new(DIR), &[], &*disk, durable.sequence, store.head()).unwrap();
        assert_eq!((later.after(), later.last()), (durable, store.head()));
        let whole = JournalExtract::beside(Path::new(DIR), &[], &*disk, 0, store.head()).unwrap();
        let joined = [bytes(&first), bytes(&later)].concat();
        assert_eq!(joined, bytes(&whole));
        let nothing =
            JournalExtract::beside(Path::new(DIR), &[], &*disk, store.head().sequence, store.head()).unwrap();
        assert_eq!(nothing.bytes(), 0);
        let head = store.head();
        let unknown = JournalExtract::beside(Path::new(DIR), &[], &*disk, head.sequence + 1, head).err();
        assert!(
            matches!(unknown, Some(StoreError::NoRecord { .. })),
            "{unknown:?}"
        );
        store.close().unwrap();
        let stopped = JournalExtract::locked(Path::new(DIR), &[], &*disk, 0).unwrap();
        assert_eq!(bytes(&stopped), joined);

        let restored = MemoryDisk::new();
        crate::disk::Disk::create_dir(&restored, Path::new("/new")).unwrap();
        let file = crate::disk::Disk::create(&restored, Path::new("/new/journal")).unwrap();
        file.write_at(0, &joined).unwrap();
        let found = verify(Path::new("/new"), &restored, &|_| {}).unwrap();
        assert_eq!((found.head, found.damage), (head, None));
    }

    #[test]
    fn a_head_that_the_journal_does_not_have_is_refused() {
        let disk = MemoryDisk::new();
        let (store, _) = Store::open(Path::new(DIR), StoreOptions::simulated(disk.clone(), 1)).unwrap();
        (0..3).for_each(|row| put(&store, row));
        let mut other = store.head();
        other.hash.0[0] ^= 1;
        let mut beyond = store.head();
        beyond.sequence += 1;
        for head in [other, beyond] {
            let refused = JournalExtract::beside(Path::new(DIR), &[], &disk, 0, head).err();
            assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{refused:?}");
        }
    }
}
