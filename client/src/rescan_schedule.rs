//! What a restored wallet notes to look for once more.

use crate::rows::{RESTORED, RestoredRow};
use farthing_coin::PublicKey;
use farthing_store::{StoreError, Transaction};

/// Notes that coins have come through that the restore did not find, until what they were made of is looked for.
pub(crate) fn mark_arrival(tx: &mut Transaction<'_>, bank: &PublicKey) -> Result<(), StoreError> {
    change_restored(tx, bank, |row| RestoredRow {
        has_come: true,
        ..row
    })
}

/// Notes that a coin of this bank's was used by something that the wallet does not know. In a restored one that may be
/// what came through late, whenever that was.
pub(crate) fn schedule_rescan(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    now_ms: u64,
) -> Result<(), StoreError> {
    change_restored(tx, bank, |row| RestoredRow {
        late_until_ms: row.late_until_ms.max(Some(now_ms)),
        ..row
    })
}

/// Changes what is written down of a restore, if there has been one.
pub(crate) fn change_restored(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    how: impl FnOnce(RestoredRow) -> RestoredRow,
) -> Result<(), StoreError> {
    match RESTORED.get(tx, bank)? {
        Some(row) => RESTORED.put(tx, bank, &how(row)),
        None => Ok(()),
    }
}
