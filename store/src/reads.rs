//! The rows that a transaction reads, declared before it runs.
//!
//! A store on another machine needs one round trip for all reads of a batch, and one for all its writes. So each transaction
//! declares the rows that it reads. A row whose key is in another row is declared in a second stage, which sees the rows of
//! the first. That costs a second round trip for the whole batch. No transaction reads a range of keys.

use crate::error::StoreError;
use crate::key::{Key, RowKey};
use crate::table::Table;
use crate::transaction::Transaction;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// The rows that a transaction reads.
///
/// ```
/// # use farthing_store::{Reads, Table};
/// const NUMBERS: Table<String, u64> = Table::new(1, "numbers");
/// const BALANCES: Table<u64, u64> = Table::new(2, "balances");
///
/// // A row whose key is known.
/// let known = Reads::from([BALANCES.key(&7)]);
///
/// // A row whose key is in another row.
/// let name = String::from("ann");
/// let found = Reads::from([NUMBERS.key(&name)]).then(move |rows| {
///     let number = rows.get(&NUMBERS, &name)?;
///     Ok(number.map(|number| BALANCES.key(&number)).into_iter().collect())
/// });
/// # drop((known, found));
/// ```
///
/// It is made of [keys](Table::key). A row that is only written is not declared.
#[derive(Default)]
pub struct Reads {
    first: Vec<RowKey>,
    second: Option<Box<Second>>,
}

/// Names the rows of the second stage.
type Second = dyn Fn(&mut FirstStage<'_, '_>) -> Result<Vec<RowKey>, StoreError> + Send;

impl Reads {
    /// No rows, for a transaction that only writes.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the rows `more`.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = RowKey>) -> Self {
        self.first.extend(more);
        self
    }

    /// Adds a second stage: the rows that `second` returns. It sees the rows of the first stage. Like the transaction itself,
    /// `second` may run again.
    #[must_use]
    pub fn then(
        self,
        second: impl Fn(&mut FirstStage<'_, '_>) -> Result<Vec<RowKey>, StoreError> + Send + 'static,
    ) -> Self {
        Self {
            second: Some(Box::new(second)),
            ..self
        }
    }

    /// Sorts the first stage.
    pub(crate) fn ready(mut self) -> ReadyReads {
        self.first.sort_unstable();
        ReadyReads {
            first: self.first,
            second: self.second,
        }
    }
}

impl<I: IntoIterator<Item = RowKey>> From<I> for Reads {
    fn from(keys: I) -> Self {
        Self::none().and(keys)
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads")
            .field("first", &self.first)
            .field("has_second", &self.second.is_some())
            .finish()
    }
}

/// The rows of the first stage, for the function that names the second stage.
pub struct FirstStage<'t, 'a>(&'t mut Transaction<'a>);

impl FirstStage<'_, '_> {
    /// The row of `table` at `key`.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn get<K: Key, V: Serialize + DeserializeOwned>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<V>, StoreError> {
        table.get(self.0, key)
    }
}

/// [`Reads`] with a sorted first stage.
pub(crate) struct ReadyReads {
    first: Vec<RowKey>,
    second: Option<Box<Second>>,
}

impl ReadyReads {
    /// Lets `tx` read only the first stage, until [`take_back`](ReadyReads::take_back).
    pub(crate) fn lend(&mut self, tx: &mut Transaction<'_>) {
        tx.declare(std::mem::take(&mut self.first));
    }

    /// Takes the first stage back from `tx`.
    pub(crate) fn take_back(&mut self, tx: &mut Transaction<'_>) {
        self.first = tx.take_declared();
    }

    /// The keys of the first stage.
    pub(crate) fn first(&self) -> &[RowKey] {
        &self.first
    }

    /// The rows of the second stage, over the first stage's rows in `tx`. None if there is no second stage.
    pub(crate) fn second(&self, tx: &mut Transaction<'_>) -> Result<Vec<RowKey>, StoreError> {
        let second = self.second.as_ref();
        second.map_or(Ok(Vec::new()), |second| second(&mut FirstStage(tx)))
    }

    /// Lets `tx` also read the second stage, if there is one.
    pub(crate) fn declare_second(&self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        if self.second.is_some() {
            let rows = self.second(tx)?;
            tx.declare_more(rows);
        }
        Ok(())
    }
}
