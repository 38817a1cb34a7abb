//! A transaction on its way: what runs it, and who is told how it went.

use crate::error::StoreError;
use crate::namespace::Namespace;
use crate::panics::panic_text;
use crate::reads::{Reads, ReadyReads};
use crate::transaction::Transaction;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A transaction that waits for its turn. It may run several times, of which the last one counts; its caller is told
/// once, when its writes, and all that it may have read, are durable.
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
    /// A job that runs `closure`, which reads no other rows than `reads`, and hands what it decided, or why it was not
    /// carried out, to `reply`. `closure` is as [`Store::transact`](super::Store::transact) has it.
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

    /// The same, in a part of the store.
    pub(crate) fn within(self, namespace: &Namespace) -> Self {
        let namespace = namespace.clone();
        Self { namespace, ..self }
    }

    /// The part of the store that it is about.
    pub(crate) fn namespace(&self) -> Namespace {
        self.namespace.clone()
    }

    /// Runs the closure; a panic in it becomes an error of this job alone.
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
