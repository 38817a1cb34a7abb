//! Forgets the oldest rows of a table, one page after another.

use farthing_store::{Key, Reads, Store, StoreError, Table, Transaction};
use serde::{Serialize, de::DeserializeOwned};
use std::ops::Bound;

/// Rows of one transaction.
const PAGE: usize = 500;

/// Deletes rows from the beginning of `table`, as long as a page has one whose key is old. Returns how many. `delete` removes
/// one of them, and the rows that belong to it. Each page is one durable write, so an interrupted call is carried on by the
/// next.
///
/// # Errors
/// When the store fails.
pub(crate) fn forget<K, V>(
    store: &Store,
    table: &Table<K, V>,
    is_old: impl Fn(&K) -> bool,
    delete: fn(&mut Transaction<'_>, &K) -> Result<(), StoreError>,
) -> Result<u64, StoreError>
where
    K: Key + Send + 'static,
    V: Serialize + DeserializeOwned,
{
    let mut forgotten = 0u64;
    loop {
        let page = table.scan(&store.view(), Bound::Unbounded, PAGE)?;
        let keys = page.into_iter().map(|(key, _)| key);
        let old: Vec<K> = keys.filter(|key| is_old(key)).collect();
        if old.is_empty() {
            return Ok(forgotten);
        }
        forgotten = forgotten.saturating_add(old.len() as u64);
        store.transact_blocking(Reads::none(), move |tx| {
            old.iter().try_for_each(|key| delete(tx, key))
        })?;
    }
}
