//! Migration of a wallet's rows from an older version: see [`Migration`].

use crate::rows::{ACCOUNT_KEYS, AccountKey, COUNTERS, NO_BANK, RESTORED};
use farthing_coin::PublicKey;
use farthing_node::card::{Card, RoleName};
use farthing_store::{Migration, Reads, StoreError, Transaction};

/// Brings the rows of version 1 to version 2. `cards` are the cards that the wallet has pinned. `is_of_today` says
/// that a wallet that is opened for the first time was made by version 2.
///
/// A wallet of version 1 has shown one account key to every bank. It keeps that key at every bank whose card is
/// pinned, or with which it has dealt. Banks that are added later see a key of their own.
///
/// # Errors
/// As [`Migration::transact`].
pub(crate) fn migrate(
    migration: &Migration<'_>,
    cards: &[Card],
    is_of_today: bool,
) -> Result<(), StoreError> {
    if is_of_today {
        return Ok(());
    }
    migration.each_row(&COUNTERS, |tx, (bank, _), _| keep_shared(tx, bank))?;
    migration.each_row(&RESTORED, |tx, bank, _| keep_shared(tx, bank))?;
    let banks = cards.iter().filter(|card| card.role == RoleName::Bank);
    let banks: Vec<PublicKey> = banks.map(|card| card.identity).collect();
    migration.transact(Reads::none(), move |tx| {
        banks.iter().try_for_each(|bank| keep_shared(tx, bank))
    })
}

fn keep_shared(tx: &mut Transaction<'_>, bank: &PublicKey) -> Result<(), StoreError> {
    if *bank == NO_BANK {
        return Ok(());
    }
    ACCOUNT_KEYS.put(tx, bank, &AccountKey::Shared)
}
