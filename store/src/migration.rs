//! The schema version of a store, and the step that raises it.
//!
//! The version is stored in two places. The version in the journal's own header says which programs may open the directory.
//! It is raised before anything else is written. An older program then refuses the directory. The row [`VERSION_ROW`] says
//! which version the rows have. It is written last, after the role's own step. After a crash in between, only the newer
//! program opens the directory, and it runs the step again from its start.

use crate::error::StoreError;
use crate::handle::Store;
use crate::key::Key;
use crate::limits::MIGRATION_ROWS;
use crate::reads::Reads;
use crate::schema::SCHEMA_VERSION;
use crate::table::Table;
use crate::transaction::Transaction;
use crate::view::View;
use serde::{Serialize, de::DeserializeOwned};
use std::ops::Bound;

/// The version of a store's rows. Absent in version 1 and in a store without rows.
const VERSION_ROW: Table<(), u32> = Table::of_the_store("schema version");

/// Interval of the log lines about the progress of a migration (rows).
const PROGRESS_ROWS: u64 = 100_000;

/// A migration of a store's rows to [`SCHEMA_VERSION`]. Nothing else uses the store meanwhile.
///
/// A role's step must be idempotent. After a crash it runs again from its start, over rows that it has changed.
pub struct Migration<'a> {
    store: &'a Store,
    from: u32,
}

impl Migration<'_> {
    /// The version of the rows before the migration.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// The current rows.
    pub fn view(&self) -> View {
        self.store.view()
    }

    /// Runs one transaction, which reads only the rows `reads`.
    ///
    /// # Errors
    /// As [`Store::transact`].
    pub fn transact<T: Send + 'static>(
        &self,
        reads: impl Into<Reads>,
        closure: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.store.transact_blocking(reads, closure)
    }

    /// Calls `step` for every row of `table`, in key order, with [`MIGRATION_ROWS`] rows in one transaction.
    ///
    /// For each row, `step` may write a few rows. In `table` itself it writes only at the row's own key. It reads no other
    /// rows.
    ///
    /// # Errors
    /// As [`Store::transact`], and the errors of `step`.
    pub fn each_row<K, V>(
        &self,
        table: &Table<K, V>,
        step: impl Fn(&mut Transaction<'_>, &K, &V) -> Result<(), StoreError> + Clone + Send + 'static,
    ) -> Result<(), StoreError>
    where
        K: Key + Clone + Send + 'static,
        V: Serialize + DeserializeOwned + Send + 'static,
    {
        let mut after: Option<K> = None;
        let mut done = 0u64;
        loop {
            let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = table.scan(&self.view(), from, MIGRATION_ROWS)?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let before = done;
            done = done.saturating_add(rows.len() as u64);
            let step = step.clone();
            self.transact(Reads::none(), move |tx| {
                rows.iter().try_for_each(|(key, row)| step(tx, key, row))
            })?;
            if done / PROGRESS_ROWS > before / PROGRESS_ROWS {
                tracing::info!(table = table.name(), rows = done, "the store is being migrated");
            }
        }
    }
}

impl Store {
    /// The version of the store's rows.
    ///
    /// # Errors
    /// [`StoreError::Index`] when the index fails, [`StoreError::Newer`] when the rows were written by a newer program.
    pub fn schema_version(&self) -> Result<u32, StoreError> {
        let version = VERSION_ROW.peek(&self.view(), &())?.unwrap_or(1);
        if version > SCHEMA_VERSION {
            return Err(StoreError::Newer {
                path: None,
                found: version,
                known: SCHEMA_VERSION,
            });
        }
        Ok(version)
    }

    /// Brings the rows up to [`SCHEMA_VERSION`] with the role's own `step`, if their version is older. Blocks. It must be the
    /// first use of the store.
    ///
    /// # Errors
    /// As [`Store::schema_version`] and [`Store::transact`], and the errors of `step`. The next call begins again.
    pub fn migrate(
        &self,
        step: impl FnOnce(&Migration<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let from = self.schema_version()?;
        if from == SCHEMA_VERSION {
            return Ok(());
        }
        let records = self.head().sequence;
        if records > 0 {
            tracing::info!(from, to = SCHEMA_VERSION, records, "migrating the store");
        }
        step(&Migration { store: self, from })?;
        self.transact_blocking(Reads::none(), |tx| VERSION_ROW.put(tx, &(), &SCHEMA_VERSION))
    }
}
