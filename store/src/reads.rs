//! What a transaction reads, declared before it runs.
//!
//! A store that is reached over a network needs one round trip for what a whole batch of transactions reads, and one for
//! what it writes. So each transaction says beforehand which rows it reads. A row whose key is in another row is declared
//! in a second stage, which sees the rows of the first: that is a second round trip, for all of the batch at once.
//! No transaction reads a range of keys.

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
/// They are made of [keys](Table::key). A row that is only written is not declared.
#[derive(Default)]
pub struct Reads {
    first: Vec<RowKey>,
    second: Option<Box<Second>>,
}

/// Names the rows of the second stage.
type Second = dyn Fn(&mut FirstStage<'_, '_>) -> Result<Vec<RowKey>, StoreError> + Send;

impl Reads {
    /// For a transaction that only writes.
    pub fn none() -> Self {
        Self::default()
    }

    /// These rows, and `more`.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = RowKey>) -> Self {
        self.first.extend(more);
        self
    }

    /// These rows, and in a second stage those that `second` names after a look at these. It may run again, as the
    /// transaction itself.
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

    /// In order, ready to run.
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

/// The rows of the first stage, as the second one sees them.
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

/// [`Reads`] whose first stage is in order.
pub(crate) struct ReadyReads {
    first: Vec<RowKey>,
    second: Option<Box<Second>>,
}

impl ReadyReads {
    /// Lets `tx` read the first stage, and nothing else, until it is taken back.
    pub(crate) fn lend(&mut self, tx: &mut Transaction<'_>) {
        tx.declare(std::mem::take(&mut self.first));
    }

    /// Takes back what was lent.
    pub(crate) fn take_back(&mut self, tx: &mut Transaction<'_>) {
        self.first = tx.take_declared();
    }

    /// Lets `tx` read the second stage too, if there is one.
    pub(crate) fn declare_second(&self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        if let Some(second) = &self.second {
            let rows = second(&mut FirstStage(tx))?;
            tx.declare_more(rows);
        }
        Ok(())
    }
}
