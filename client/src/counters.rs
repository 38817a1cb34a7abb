//! Counters: the numbers from which secrets derive, and how far a restore is certain to find them.

use crate::rows::{BRIDGED, COUNTERS, Counter};
use farthing_coin::PublicKey;
use farthing_store::{RowKey, StoreError, Transaction, View};

/// The next unused number of a counter at `bank`.
///
/// # Errors
/// When the store fails.
pub(crate) fn next_number(rows: &View, bank: &PublicKey, counter: Counter) -> Result<u64, StoreError> {
    let next = COUNTERS.peek(rows, &(*bank, counter as u8))?;
    Ok(next.unwrap_or(0))
}

/// The row that [`take_numbers`] reads.
pub(crate) fn number_reads(bank: &PublicKey, counter: Counter) -> RowKey {
    COUNTERS.key(&(*bank, counter as u8))
}

/// Takes the next `count` numbers of a counter at `bank`, and returns the first.
pub(crate) fn take_numbers(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    counter: Counter,
    count: u64,
) -> Result<u64, StoreError> {
    let key = (*bank, counter as u8);
    let first = COUNTERS.get(tx, &key)?.unwrap_or(0);
    COUNTERS.put(tx, &key, &first.saturating_add(count))?;
    Ok(first)
}

/// The row that [`mark_bridged`] reads.
pub(crate) fn bridged_reads(bank: &PublicKey, counter: Counter) -> RowKey {
    BRIDGED.key(&(*bank, counter as u8))
}

/// Records that a restore reaches all numbers of `counter` below `end`. Either the bank has something under the last
/// of them, or the scan record names them.
pub(crate) fn mark_bridged(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    counter: Counter,
    end: u64,
) -> Result<(), StoreError> {
    let key = (*bank, counter as u8);
    match BRIDGED.get(tx, &key)? {
        Some(before) if before >= end => Ok(()),
        _ => BRIDGED.put(tx, &key, &end),
    }
}
