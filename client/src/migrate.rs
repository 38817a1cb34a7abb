//! The step that brings the rows of an older version up to date: see [`Migration`].

use crate::rows::{ACCOUNT_KEYS, AccountKey, COUNTERS, NO_BANK, RESTORED};
use farthing_coin::PublicKey;
use farthing_node::card::{Card, RoleName};
use farthing_store::{Migration, Reads, StoreError, Transaction};

/// Brings the rows of version 1 to version 2. `cards` are those that the wallet has pinned. `is_of_today` says of a wallet
/// that is opened for the first time that it was made by version 2.
///
/// A wallet of version 1 has shown one account key to every bank. It keeps it at every bank whose card is pinned, or that it
/// has dealt with. Banks that are added later are shown their own.
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
