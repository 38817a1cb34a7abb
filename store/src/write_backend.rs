//! The write side of a store. The embedded store implements it with a journal and its index, and
//! [`postgres`](crate::postgres) with a database.

use crate::error::StoreError;
use crate::job::Job;
use std::time::Duration;

/// The only writer of a store.
pub(crate) trait WriteBackend: Send {
    /// Runs `jobs` in order, and makes their writes durable. Each job sees the writes of earlier jobs. Every job has its
    /// result before this returns, unless it is not known yet whether their write is durable.
    fn commit(&mut self, jobs: Vec<Job>);

    /// How long the writer may be left alone. Then `commit` is called, also without jobs. `None` if there is no need.
    fn alone_max(&self) -> Option<Duration> {
        None
    }

    /// Ends the writer. Every acknowledged transaction is durable anyway.
    ///
    /// # Errors
    /// The error that halted the store, or the disk's error.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}
