//! Rows like a bank's rows of coins, for the measurements.

use farthing_store::entropy::{Entropy, SystemEntropy};
use farthing_store::{RowKey, StoreError, Table, Transaction, View};

/// A stand-in for a coin's state, about 100 bytes.
type Row = (u64, [u8; 32], [u8; 32], [u8; 32]);
/// Keys have 64 bytes, as a coin's.
const COINS: Table<([u8; 32], [u8; 32]), Row> = Table::new(1, "coins");

/// A new random key.
pub(crate) fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    SystemEntropy.fill(&mut key);
    key
}

/// The row that [`spend`] reads.
pub(crate) fn spend_reads(key: [u8; 32]) -> RowKey {
    COINS.key(&([1; 32], key))
}

/// Whether a coin is durably spent.
#[allow(dead_code, reason = "not every example reads outside transactions")]
pub(crate) fn is_spent(view: &View, key: [u8; 32]) -> Result<bool, StoreError> {
    Ok(COINS.peek(view, &([1; 32], key))?.is_some())
}

/// Writes a spent coin.
pub(crate) fn put(tx: &mut Transaction<'_>, key: [u8; 32]) -> Result<(), StoreError> {
    COINS.put(tx, &([1; 32], key), &(1, key, key, key))
}

/// Spends a coin. Returns false if it was spent already.
pub(crate) fn spend(tx: &mut Transaction<'_>, key: [u8; 32]) -> Result<bool, StoreError> {
    if COINS.get(tx, &([1; 32], key))?.is_some() {
        return Ok(false);
    }
    put(tx, key)?;
    Ok(true)
}
