//! A batch of transactions that is being gathered: its writes, and the jobs that wait for them.

use crate::error::StoreError;
use crate::index::{Lookup, Writes};
use crate::job::Job;
use crate::limits::BATCH_FULL_BYTES;
use crate::transaction::{Done, Transaction};

/// The writes of transactions that become durable together, and the jobs that wait for them.
#[derive(Default)]
pub(crate) struct Batch {
    writes: Writes,
    bytes: usize,
    waiting: Vec<(Job, Result<(), StoreError>)>,
}

impl Batch {
    /// Runs `job` after the gathered writes, over the rows of `index`. With `runs_twice` it runs the job twice, and refuses
    /// one whose second run differs. The job waits for the batch in any case.
    ///
    /// # Errors
    /// The failure of a read. The closure may have missed a row and decided wrongly, so nothing of the batch may be answered.
    pub(crate) fn run(&mut self, mut job: Job, index: &Lookup<'_>, runs_twice: bool) -> Result<(), String> {
        let (mut outcome, mut done) = self.attempt(&mut job, index);
        if runs_twice {
            let (again, done_again) = self.attempt(&mut job, index);
            let is_same = again == outcome && done_again.writes == done.writes;
            (outcome, done) = (again, done_again);
            if !is_same {
                outcome = Err(StoreError::Unrepeatable);
            }
        }
        let outcome = outcome.and(done.refused.map_or(Ok(()), Err));
        if outcome.is_ok() {
            self.writes.extend(done.writes);
            self.bytes = self.bytes.saturating_add(done.bytes);
        }
        self.waiting.push((job, outcome));
        done.index_failed.map_or(Ok(()), Err)
    }

    /// Runs `job` after the gathered writes. It does not add the job's writes to the batch.
    fn attempt(&self, job: &mut Job, index: &Lookup<'_>) -> (Result<(), StoreError>, Done) {
        let mut tx = Transaction::new(job.namespace(), &self.writes, index);
        let outcome = job.run(&mut tx);
        (outcome, tx.done())
    }

    /// The gathered writes.
    pub(crate) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// The number of jobs that wait.
    pub(crate) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Whether further jobs go into the next batch.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BATCH_FULL_BYTES
    }

    /// Sends the results, if the writes are durable. Otherwise every job gets the error. A job that failed or wrote nothing
    /// waits too: its result may depend on writes of other jobs in the batch.
    pub(crate) fn finish(self, durable: &Result<(), StoreError>) {
        for (job, outcome) in self.waiting {
            job.finish(durable.clone().and(outcome));
        }
    }

    /// The jobs, to run them again.
    pub(crate) fn into_jobs(self) -> impl DoubleEndedIterator<Item = Job> {
        self.waiting.into_iter().map(|(job, _)| job)
    }
}
