//! A check of a journal without opening the store.

use crate::disk::Disk;
use crate::error::{Damage, StoreError};
use crate::index::Head;
use crate::options::Progress;
use crate::recovery::{find_journal_with, lock, refuse_absent};
use crate::state::State;
use std::path::{Path, PathBuf};

/// The result of checking a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Number of whole records in a row, from the first on. It counts the archived ones.
    pub records: u64,
    /// Number of archived records before them. They were not checked.
    pub archived: u64,
    /// Length of the journal's own header and these records (bytes). With damage, up to the damage.
    pub bytes: u64,
    /// The head after these records.
    pub head: Head,
    /// Length of a torn record after them (bytes). The next start cuts it off.
    pub torn_bytes: u64,
    /// The first damage. Its offset is in `file`.
    pub damage: Option<Damage>,
    /// The damaged file, or the active one.
    pub file: PathBuf,
}

/// Checks the whole journal in `dir`, and changes nothing. The store must not be open.
///
/// It takes the acknowledged records from the file `state`, not from the index, because opening the index would change it.
///
/// # Errors
/// [`StoreError::InUse`] while the store is open. [`StoreError::Damaged`] when the journal is lost or its header is damaged.
/// [`StoreError::Absent`] when there is no store. [`StoreError::Disk`] when the journal cannot be read.
pub fn verify(dir: &Path, disk: &dyn Disk, progress: &dyn Fn(Progress)) -> Result<VerifyReport, StoreError> {
    verify_with_archives(dir, &[], disk, progress)
}

/// As [`verify`], with the archived segments in the directories `archives`.
///
/// # Errors
/// As [`verify`].
pub fn verify_with_archives(
    dir: &Path,
    archives: &[&Path],
    disk: &dyn Disk,
    progress: &dyn Fn(Progress),
) -> Result<VerifyReport, StoreError> {
    refuse_absent(disk, dir)?;
    let _lock = lock(disk, dir)?;
    let state = State::read(disk, dir);
    let Some(reader) = find_journal_with(disk, dir, archives, state.as_ref())? else {
        return Err(StoreError::Absent { dir: dir.to_owned() });
    };
    let acknowledged = state.map_or(0, |state| state.head.sequence);
    let archived = reader.begin().head.sequence;
    Ok(
        match reader.check(reader.begin(), acknowledged, None, progress)? {
            Ok(checked) => VerifyReport {
                records: checked.head.sequence,
                archived,
                bytes: checked.end,
                head: checked.head,
                torn_bytes: checked.torn_bytes,
                damage: None,
                file: reader.path().to_owned(),
            },
            Err((damage, head)) => {
                let bytes = damage.offset;
                let (file, damage) = reader.located(damage);
                VerifyReport {
                    records: head.sequence,
                    archived,
                    bytes,
                    head,
                    torn_bytes: 0,
                    damage: Some(damage),
                    file,
                }
            }
        },
    )
}
