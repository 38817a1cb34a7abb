//! A copy of a journal that is sealed in another way.

use crate::disk::{DirectoryLock, DiskFile};
use crate::error::{DamageKind, StoreError};
use crate::index::Head;
use crate::index_found::INDEX_NAME;
use crate::limits::BATCH_FULL_BYTES;
use crate::options::StoreOptions;
use crate::reader::Reader;
use crate::recovery::{find_journal, lock_with_note};
use crate::segments::{JOURNAL_NAME, NEXT_NAME, is_segment};
use crate::snapshot;
use crate::state::{STATE_NAME, State};
use std::io;
use std::path::Path;

/// A store that is locked and not open: nobody writes to it, and its journal can be copied and replaced.
pub struct LockedStore {
    /// The journal and its last record. `None` if there never was one.
    journal: Option<(Reader, Head)>,
    /// The last field, because the lock must be released last.
    _lock: Box<dyn DirectoryLock>,
}

impl LockedStore {
    /// Locks the store in `dir`, and verifies its whole journal. The options have its cipher. Nothing in it is changed.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Older`], [`StoreError::Damaged`], [`StoreError::Sealed`],
    /// [`StoreError::NotSealed`], [`StoreError::Archived`], [`StoreError::Disk`].
    pub fn lock(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let disk = options.disk.as_ref();
        let lock = lock_with_note(dir, options)?;
        let state = State::read(disk, dir);
        let journal = match find_journal(disk, dir, state.as_ref())? {
            None => None,
            Some(reader) if reader.is_old() => return Err(StoreError::Older { dir: dir.to_owned() }),
            Some(reader) => {
                reader.need_from(0)?;
                let reader = reader.with_cipher(options.cipher.clone())?;
                let acknowledged = state.map_or(0, |state| state.head.sequence);
                let checked = reader.check(reader.begin(), acknowledged, None, options.progress.as_ref())?;
                let head = checked.map_err(|(damage, _)| reader.damaged(damage))?.head;
                Some((reader, head))
            }
        };
        Ok(Self { journal, _lock: lock })
    }

    /// Writes all records to a new journal in the existing directory `to`, durably, with the cipher of `options`. A torn
    /// record, which was never acknowledged, is left out. Nothing is written if there is no journal.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Disk`].
    pub fn copy_journal(&self, to: &Path, options: &StoreOptions) -> Result<(), StoreError> {
        let Some((from, head)) = &self.journal else {
            return Ok(());
        };
        let copy = Reader::create(options, to)?;
        let mut end = copy.begin();
        let (mut piece, mut offset) = (Vec::new(), end.offset);
        let mut scanner = from.scanner(from.begin());
        while scanner.at.head.sequence < head.sequence {
            let before = scanner.at;
            let stored = scanner.next().map_err(from.failed("read"))?;
            let Some(payload) = stored.and_then(|stored| from.payload(&before.head, stored)) else {
                // The check just found this record whole.
                return Err(from.damaged(before.damage(DamageKind::Changed)));
            };
            let (record, next) = copy.format.record(&end.head, &copy.seal(&end.head, &payload));
            piece.extend_from_slice(&record);
            end.head = next;
            if piece.len() >= BATCH_FULL_BYTES || next.sequence == head.sequence {
                copy.files
                    .write_at(offset, &piece)
                    .map_err(copy.failed("write"))?;
                offset = offset.saturating_add(piece.len() as u64);
                piece.clear();
            }
        }
        copy.files.sync_data().map_err(copy.failed("sync"))
    }
}

/// Puts the journal that [`LockedStore::copy_journal`] wrote to `from` in the place of the journal in `dir`, durably, and
/// removes everything that was made from the old one. The caller has the lock of `dir`. It can be repeated after a crash.
///
/// # Errors
/// [`StoreError::Disk`].
pub fn replace_journal(from: &Path, dir: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let disk = options.disk.as_ref();
    let unless_missing = |done: io::Result<()>| match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let replace = || {
        unless_missing(disk.rename(&from.join(JOURNAL_NAME), &dir.join(JOURNAL_NAME)))?;
        // The old rows must not stay in the clear, or under an old password.
        for name in disk.list(dir)?.iter().filter(|name| is_segment(name)) {
            disk.remove(&dir.join(name))?;
        }
        unless_missing(disk.remove(&dir.join(NEXT_NAME)))?;
        snapshot::remove_all(disk, dir)?;
        unless_missing(disk.remove(&dir.join(STATE_NAME)))?;
        unless_missing(options.engine.wipe(&dir.join(INDEX_NAME)))?;
        disk.sync_dir(dir)
    };
    replace().map_err(StoreError::disk(format!(
        "replace the journal in {}",
        dir.display()
    )))
}
