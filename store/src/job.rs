//! A transaction in the queue, with the function that receives its result.

use crate::error::StoreError;
use crate::index::{Lookup, Writes};
use crate::key::RowKey;
use crate::namespace::Namespace;
use crate::panics::panic_text;
use crate::reads::{Reads, ReadyReads};
use crate::transaction::{Transaction, check_key};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A transaction in the queue. It may run several times, and only the last run counts. Its caller gets the result once, when
/// its writes and all writes that it may have read are durable.
pub struct Job {
    step: Box<dyn Step>,
    reads: ReadyReads,
    namespace: Namespace,
}

trait Step: Send {
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError>;
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Pending<F, T, R> {
    closure: F,
    decided: Option<T>,
    reply: R,
}

impl Job {
    /// Makes a job that runs `closure` and passes its result to `reply`. `closure` reads only the rows `reads`. The rules of
    /// [`Store::transact`](super::Store::transact) apply to it.
    pub fn new<T: Send + 'static>(
        reads: impl Into<Reads>,
        closure: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        reply: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Self {
        let step = Box::new(Pending {
            closure,
            decided: None,
            reply,
        });
        let namespace = Namespace::default();
        Self {
            step,
            reads: reads.into().ready(),
            namespace,
        }
    }

    /// The same job in another namespace.
    pub(crate) fn within(self, namespace: &Namespace) -> Self {
        let namespace = namespace.clone();
        Self { namespace, ..self }
    }

    /// The namespace of its rows.
    pub(crate) fn namespace(&self) -> Namespace {
        self.namespace.clone()
    }

    /// The stored keys of the rows of its first stage.
    pub(crate) fn first_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        stored(&self.namespace, self.reads.first())
    }

    /// The stored keys of the rows of its second stage, over the rows of `index`. Empty if it has none, or fails to name
    /// them: [`run`](Job::run) then fails too.
    pub(crate) fn second_keys(&mut self, index: &Lookup<'_>) -> Vec<Vec<u8>> {
        let Self { reads, namespace, .. } = self;
        let nothing = Writes::new();
        let mut tx = Transaction::new(namespace.clone(), &nothing, index);
        reads.lend(&mut tx);
        let named = catch_unwind(AssertUnwindSafe(|| reads.second(&mut tx)));
        reads.take_back(&mut tx);
        let named = named.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_default();
        stored(namespace, &named).collect()
    }

    /// Runs the closure. A panic in it becomes an error of only this job.
    pub(crate) fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        let Self { step, reads, .. } = self;
        reads.lend(tx);
        let run = || {
            reads.declare_second(tx)?;
            step.run(tx)
        };
        let outcome = catch_unwind(AssertUnwindSafe(run));
        reads.take_back(tx);
        outcome.unwrap_or_else(|panic| {
            let text = panic_text(panic.as_ref());
            tracing::error!(panic = %text, "a transaction panicked; nothing of it is written");
            Err(StoreError::Panicked(text))
        })
    }

    pub(crate) fn finish(self, outcome: Result<(), StoreError>) {
        self.step.finish(outcome);
    }
}

/// The stored keys of these rows. A key that no transaction may read is left out.
fn stored(namespace: &Namespace, rows: &[RowKey]) -> impl Iterator<Item = Vec<u8>> {
    let keys = rows.iter().map(RowKey::as_bytes);
    keys.filter(|key| check_key(key, namespace).is_ok())
        .map(|key| namespace.outer(key))
}

impl<F, T, R> Step for Pending<F, T, R>
where
    F: Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
    T: Send,
    R: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        self.decided = None;
        self.decided = Some((self.closure)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { decided, reply, .. } = *self;
        reply(outcome.and_then(|()| decided.ok_or(StoreError::Closed)));
    }
}
