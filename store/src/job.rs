//! A transaction on its way: what runs it, and who is told how it went.

use crate::error::StoreError;
use crate::index_sled::panic_text;
use crate::partition::Partition;
use crate::transaction::Transaction;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A transaction that waits for its turn. It runs once; its caller is told once, when its writes, and all
/// that it may have read, are durable.
pub struct Job {
    step: Box<dyn Step>,
    partition: Partition,
}

trait Step: Send {
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError>;
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Pending<F, T, R> {
    closure: Option<F>,
    decided: Option<T>,
    reply: R,
}

impl Job {
    /// A job that runs `closure` and hands what it decided, or why it was not carried out, to `reply`.
    pub fn new<T: Send + 'static>(
        closure: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        reply: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Self {
        let step = Box::new(Pending {
            closure: Some(closure),
            decided: None,
            reply,
        });
        let partition = Partition::default();
        Self { step, partition }
    }

    /// The same, in a part of the store.
    pub(crate) fn within(self, partition: &Partition) -> Self {
        let partition = partition.clone();
        Self { partition, ..self }
    }

    /// The part of the store that it is about.
    pub(crate) fn partition(&self) -> Partition {
        self.partition.clone()
    }

    /// Runs the closure; a panic in it becomes an error of this job alone.
    pub(crate) fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        let step = &mut self.step;
        catch_unwind(AssertUnwindSafe(|| step.run(tx))).unwrap_or_else(|panic| {
            let text = panic_text(panic.as_ref());
            tracing::error!(panic = %text, "a transaction panicked; nothing of it is written");
            Err(StoreError::Panicked(text))
        })
    }

    pub(crate) fn finish(self, outcome: Result<(), StoreError>) {
        self.step.finish(outcome);
    }
}

impl<F, T, R> Step for Pending<F, T, R>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
    T: Send,
    R: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        if let Some(closure) = self.closure.take() {
            self.decided = Some(closure(tx)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { decided, reply, .. } = *self;
        reply(outcome.and_then(|()| decided.ok_or(StoreError::Closed)));
    }
}
