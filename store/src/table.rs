//! Typed tables over the store's bytes.

use crate::error::StoreError;
use crate::key::{FixedKey, Key, RESERVED_PREFIX, RowKey, SCHEMA_PREFIX};
use crate::limits::VALUE_MAX_BYTES;
use crate::transaction::Transaction;
use crate::view::View;
use farthing_protocol::wire;
use serde::{Serialize, de::DeserializeOwned};
use std::marker::PhantomData;
use std::ops::Bound;

/// A table with keys of type `K` and values of type `V`. One byte distinguishes it from other tables.
///
/// ```
/// # use farthing_store::{Reads, Store, StoreOptions, Table, disk::MemoryDisk};
/// # use std::{ops::Bound, path::Path};
/// /// Prices, by shop and item.
/// const PRICES: Table<(u64, String), u64> = Table::new(1, "prices");
///
/// # let options = StoreOptions::simulated(MemoryDisk::new(), 1);
/// # let (store, _report) = Store::open(Path::new("/store"), options)?;
/// store.transact_blocking(Reads::none(), |tx| {
///     PRICES.put(tx, &(1, "tea".into()), &3)?;
///     PRICES.put(tx, &(2, "tea".into()), &4)
/// })?;
/// let of_shop = PRICES.scan_under(&store.view(), &2u64, Bound::Unbounded, 10)?;
/// assert_eq!(of_shop, [((2, "tea".into()), 4)]);
/// # Ok::<(), farthing_store::StoreError>(())
/// ```
pub struct Table<K, V> {
    prefix: u8,
    name: &'static str,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> Table<K, V> {
    /// The table whose keys begin with `prefix`, 1 to 253. Error messages contain the name.
    ///
    /// # Panics
    /// When `prefix` is 0, 254 or 255. In a constant, this fails the build.
    pub const fn new(prefix: u8, name: &'static str) -> Self {
        assert!(
            prefix != RESERVED_PREFIX && prefix < SCHEMA_PREFIX,
            "the prefixes 0, 254 and 255 are reserved for the store"
        );
        Self {
            prefix,
            name,
            types: PhantomData,
        }
    }

    /// The store's own table in every namespace.
    pub(crate) const fn of_the_store(name: &'static str) -> Self {
        Self {
            prefix: SCHEMA_PREFIX,
            name,
            types: PhantomData,
        }
    }

    /// The byte that its keys begin with.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<K: Key, V: Serialize + DeserializeOwned> Table<K, V> {
    /// The key of the row at `key`. A transaction declares its reads with it.
    pub fn key(&self, key: &K) -> RowKey {
        RowKey::new(self.prefix, key)
    }

    /// The row at `key`, as the transaction sees it.
    ///
    /// # Errors
    /// [`StoreError::Undeclared`] when the transaction did not declare the row, [`StoreError::Index`] when the index
    /// fails, [`StoreError::Row`] when the row does not decode.
    pub fn get(&self, tx: &mut Transaction<'_>, key: &K) -> Result<Option<V>, StoreError> {
        tx.read(self.name, self.key(key).as_bytes())?
            .map(|bytes| self.decode(&bytes))
            .transpose()
    }

    /// Sets the row at `key`.
    ///
    /// # Errors
    /// [`StoreError::TooLong`], or [`StoreError::Row`] when the value does not encode.
    pub fn put(&self, tx: &mut Transaction<'_>, key: &K, value: &V) -> Result<(), StoreError> {
        let bytes = wire::encode(value).map_err(|error| self.bad_row(error.to_string()))?;
        tx.put(self.key(key).as_bytes(), bytes)
    }

    /// Removes the row at `key`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::TooLong`].
    pub fn delete(&self, tx: &mut Transaction<'_>, key: &K) -> Result<(), StoreError> {
        tx.delete(self.key(key).as_bytes())
    }

    /// The keys of the rows that the transaction has set or removed so far.
    ///
    /// # Errors
    /// [`StoreError::Row`] when a key is no key of this table.
    pub fn written(&self, tx: &Transaction<'_>) -> Result<Vec<K>, StoreError> {
        tx.written(self.prefix).map(|key| self.own_key(key)).collect()
    }

    /// The durable row at `key`.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn peek(&self, view: &View, key: &K) -> Result<Option<V>, StoreError> {
        view.get(self.key(key).as_bytes())?
            .map(|bytes| self.decode(&bytes))
            .transpose()
    }

    /// Durable rows in key order, from `from` on. Returns at most `limit` rows, and never more than
    /// [`SCAN_MAX_ROWS`](super::limits::SCAN_MAX_ROWS). To continue, pass the last key as `Bound::Excluded`.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn scan(&self, view: &View, from: Bound<&K>, limit: usize) -> Result<Vec<(K, V)>, StoreError> {
        self.scan_bytes(view, &[], from, limit)
    }

    /// As [`Table::scan`], but only rows whose key's first part is `under`.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn scan_under<P: FixedKey>(
        &self,
        view: &View,
        under: &P,
        from: Bound<&K>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let mut bytes = Vec::new();
        under.write(&mut bytes);
        self.scan_bytes(view, &bytes, from, limit)
    }

    /// As [`Table::scan`], but only rows whose key's bytes begin with `prefix`.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn scan_bytes(
        &self,
        view: &View,
        prefix: &[u8],
        from: Bound<&K>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let mut whole = vec![self.prefix];
        whole.extend_from_slice(prefix);
        let from = from.map(|key| self.key(key));
        let rows = view.scan(&whole, from.as_ref().map(RowKey::as_bytes), limit)?;
        rows.into_iter()
            .map(|(key, value)| self.row(&key, &value))
            .collect()
    }

    fn row(&self, key: &[u8], value: &[u8]) -> Result<(K, V), StoreError> {
        Ok((self.own_key(key)?, self.decode(value)?))
    }

    fn own_key(&self, key: &[u8]) -> Result<K, StoreError> {
        let own = key.get(1..).unwrap_or_default();
        K::read(own).ok_or_else(|| self.bad_row(format!("its key has {} bytes", own.len())))
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, StoreError> {
        wire::decode(bytes, VALUE_MAX_BYTES).map_err(|error| self.bad_row(error.to_string()))
    }

    fn bad_row(&self, why: String) -> StoreError {
        StoreError::Row {
            table: self.name,
            why,
        }
    }
}
