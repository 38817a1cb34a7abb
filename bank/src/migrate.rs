//! Migration of the rows of an older version: see [`Migration`].

use crate::rows::{EPOCHS, EXCHANGED, FINISHED, HELD_BEFORE_CAUSES, HOLDS, KEY_ROOT};
use farthing_coin::{Denomination, KeyId, KeyList, MAX_EPOCHS};
use farthing_protocol::exchange::finish_digest;
use farthing_store::{Migration, StoreError};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// Migrates the rows of version 1 to version 2.
///
/// Escrows may abort the present holds without a cause. The index of finished exchanges is built: for each stored
/// exchange this takes two multiplications on the curve for each of its coins.
///
/// # Errors
/// As [`Migration::transact`].
pub fn migrate(migration: &Migration<'_>) -> Result<(), StoreError> {
    migration.each_row(&HOLDS, |tx, (_, purchase, escrow), ()| {
        HELD_BEFORE_CAUSES.put(tx, &(*purchase, *escrow), &())
    })?;
    index_exchanges(migration)
}

fn index_exchanges(migration: &Migration<'_>) -> Result<(), StoreError> {
    let Some(root) = KEY_ROOT.peek(&migration.view(), &())? else {
        return Ok(());
    };
    let bank = root.bank;
    let epochs = EPOCHS.scan(&migration.view(), Bound::Unbounded, MAX_EPOCHS)?;
    let list = KeyList {
        bank,
        currency: root.currency,
        calendar: root.calendar,
        values: root.values,
        epochs: epochs.into_iter().map(|(_, keys)| keys).collect(),
    };
    let mut by_id: BTreeMap<KeyId, Denomination> = BTreeMap::new();
    for epoch in &list.epochs {
        let denominations = list
            .values
            .iter()
            .map(|value| list.denomination(*value, epoch.epoch));
        by_id.extend(denominations.flatten().map(|key| (key.id(), key)));
    }
    let by_id = Arc::new(by_id);
    migration.each_row(&EXCHANGED, move |tx, id, issued| {
        match finish_digest(&bank, issued, |key| by_id.get(key)) {
            Ok(digest) => FINISHED.put(tx, &digest, id),
            Err(error) => {
                // Its coins stay exchanged. Without the index row, the bank cannot prove it to a customer who brings them again.
                tracing::error!(request = %hex::encode(id), %error, "a stored exchange does not verify; its coins stay exchanged; run `farthing-bank audit`");
                Ok(())
            }
        }
    })
}
