//! Checking a journal without opening the store.

use crate::disk::Disk;
use crate::error::{Damage, StoreError};
use crate::index::Head;
use crate::options::Progress;
use crate::recovery::{find_journal, lock};
use crate::state::State;
use std::path::Path;

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Whole records that follow one another from the first on.
    pub records: u64,
    /// Their bytes and the journal's own header's, in the case of damage up to it.
    pub bytes: u64,
    /// Where they end.
    pub head: Head,
    /// What an interrupted write has left behind them (bytes); the next start cuts it off.
    pub torn_bytes: u64,
    /// The first damage.
    pub damage: Option<Damage>,
}

/// Checks the whole journal in `dir`, and changes nothing. The store must not be open.
///
/// What the file `state` says was acknowledged counts; what the index knows does not, as opening it would
/// change it.
///
/// # Errors
/// [`StoreError::InUse`] while the store is open, [`StoreError::Damaged`] when there is no journal to walk
/// through, [`StoreError::Disk`] when it can't be read.
pub fn verify(dir: &Path, disk: &dyn Disk, progress: &dyn Fn(Progress)) -> Result<VerifyReport, StoreError> {
    let _lock = lock(disk, dir)?;
    let state = State::read(disk, dir);
    let Some(reader) = find_journal(disk, dir, state.as_ref())? else {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(StoreError::disk(format!("find a journal in {}", dir.display()))(
            missing,
        ));
    };
    let acknowledged = state.map_or(0, |state| state.head.sequence);
    Ok(
        match reader.check(reader.begin(), acknowledged, None, progress)? {
            Ok(checked) => VerifyReport {
                records: checked.head.sequence,
                bytes: checked.end,
                head: checked.head,
                torn_bytes: checked.torn_bytes,
                damage: None,
            },
            Err((damage, head)) => VerifyReport {
                records: head.sequence,
                bytes: damage.offset,
                head,
                torn_bytes: 0,
                damage: Some(damage),
            },
        },
    )
}
