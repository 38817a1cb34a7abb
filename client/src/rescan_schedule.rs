//! Records in a restored wallet's store that it must scan the bank again.

use crate::rows::{RESTORED, RestoredRow};
use farthing_coin::PublicKey;
use farthing_store::{StoreError, Transaction};

/// Records that coins have arrived that the restore did not find. It stays recorded until the wallet has scanned for
/// the requests behind these coins.
pub(crate) fn mark_arrival(tx: &mut Transaction<'_>, bank: &PublicKey) -> Result<(), StoreError> {
    change_restored(tx, bank, |row| RestoredRow {
        has_come: true,
        ..row
    })
}

/// Records that a coin of this bank was used by something that the wallet does not know. In a restored wallet, the
/// cause may be a request that came through after the restore.
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

/// Changes the row of a restore from `bank`, if there was one.
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
