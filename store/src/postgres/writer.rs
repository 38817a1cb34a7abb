//! The active process's writer. It makes each batch of transactions durable in one statement, and then sends the answers.
//!
//! A batch takes one round trip for the rows that it reads, a second one if its transactions have a second stage, and one for
//! its writes. A batch without writes asks instead whether the store is still this process's.
//!
//! The outcome of a batch is unknown when its connection ended, was silent for too long, or came with a warning. Then a new
//! connection [resumes](WriteSession::resume): from then on the batch can no longer become durable, and the head says whether
//! it is. The resumption is a write too, and its acknowledgement covers the batch. No answer is sent before.

use crate::batch::Batch;
use crate::error::StoreError;
use crate::index::{Head, IndexError};
use crate::job::Job;
use crate::limits::{
    DATABASE_IDLE_INTERVAL, DATABASE_OUTAGE_WAIT, DATABASE_READ_KEYS, DATABASE_RETRY_PAUSE,
    DATABASE_UNSETTLED_PAUSE,
};
use crate::options::StoreOptions;
use crate::postgres::error::DatabaseError;
use crate::postgres::lock::Lock;
use crate::postgres::rows::Rows;
use crate::postgres::session::{Connector, QueryError};
use crate::postgres::write_session::{ProcessId, WriteSession};
use crate::probe::{self, Probe};
use crate::record::{encode_writes, next_head};
use crate::write_backend::WriteBackend;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The only writer of a store in a database.
pub(crate) struct Writer {
    rows: Arc<Rows>,
    connector: Arc<Connector>,
    lock: Lock,
    process: ProcessId,
    /// `None` while the database does not answer.
    session: Option<WriteSession>,
    /// The last durable batch.
    head: Head,
    /// Transactions that were not tried yet, or have to be tried again.
    queue: VecDeque<Job>,
    pending: Option<Pending>,
    /// Since when the database does not answer.
    outage: Option<Instant>,
    halted: Option<StoreError>,
    probe: Arc<dyn Probe>,
    runs_twice: bool,
}

/// A batch that was sent, and may be durable.
struct Pending {
    batch: Batch,
    /// The head if it is durable.
    head: Head,
    bytes: u64,
    began: Instant,
}

/// Why a step did not succeed.
enum Trouble {
    /// The database does not answer. It is tried again.
    Lost(String),
    /// Nothing may be written any more.
    Halt(String),
}

impl From<QueryError> for Trouble {
    fn from(error: QueryError) -> Self {
        Self::Lost(error.why)
    }
}

/// The rows that the transactions of a batch have declared.
#[derive(Default)]
struct Fetched(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Writer {
    /// The writer of a store that `process` has taken over at `head`.
    pub(crate) fn new(
        rows: Arc<Rows>,
        connector: Arc<Connector>,
        lock: Lock,
        (process, session, head): (ProcessId, WriteSession, Head),
        options: &StoreOptions,
    ) -> Self {
        Self {
            rows,
            connector,
            lock,
            process,
            session: Some(session),
            head,
            queue: VecDeque::new(),
            pending: None,
            outage: None,
            halted: None,
            probe: Arc::clone(&options.probe),
            runs_twice: options.runs_twice,
        }
    }

    /// Runs the next batch, after the outcome of the last one is known.
    fn step(&mut self) -> Result<(), Trouble> {
        self.be_ready()?;
        if self.queue.is_empty() {
            return Ok(());
        }
        let batch = self.gather()?;
        match batch.writes().is_empty() {
            true => self.confirm(batch),
            false => self.append(batch),
        }
    }

    /// Whether there is nothing to do without a transaction: this process has the lock and a connection, and no batch has an
    /// unknown outcome.
    fn is_settled(&self) -> bool {
        let is_connected = self.session.as_ref().is_some_and(|session| !session.has_ended());
        let is_active = is_connected && !self.lock.has_ended();
        self.halted.is_some() || (is_active && self.pending.is_none() && self.outage.is_none())
    }

    /// Makes sure that this process has the lock, a connection that may write, and no batch with an unknown outcome.
    fn be_ready(&mut self) -> Result<(), Trouble> {
        let locked = self.rows.driver.block_on(self.lock.keep());
        let is_usable = self.session.as_ref().is_some_and(|session| !session.has_ended());
        if locked.is_err() || !is_usable || self.pending.is_some() {
            // Whether another process has the lock because it has taken the store over, only the head says.
            self.resume()?;
        }
        Ok(locked?)
    }

    fn resume(&mut self) -> Result<(), Trouble> {
        self.session = None;
        let resumed = WriteSession::resume(&self.connector, self.process);
        let resumed = self.rows.driver.block_on(resumed);
        let resumed = resumed.map_err(|error| match error {
            DatabaseError::Unreachable { why, .. } => Trouble::Lost(why),
            DatabaseError::Absent { .. }
            | DatabaseError::OtherNode { .. }
            | DatabaseError::OtherFormat { .. } => Trouble::Halt(error.to_string()),
            // The operator can mend the settings, and a replica may become the primary.
            error => Trouble::Lost(error.to_string()),
        })?;
        let Some((session, found)) = resumed else {
            return Err(Trouble::Halt(
                "another process has taken the store over".to_owned(),
            ));
        };
        self.settle(found.head)?;
        self.session = Some(session);
        Ok(())
    }

    /// Finds out whether the pending batch is durable, by the head that the database has. No earlier connection can move it
    /// any more.
    fn settle(&mut self, found: Head) -> Result<(), Trouble> {
        match self.pending.take() {
            Some(pending) if found == pending.head => self.acknowledge(pending),
            Some(pending) if found == self.head => {
                self.rows.flight.settled();
                self.again(pending.batch);
            }
            None if found == self.head => {}
            pending => {
                self.pending = pending;
                return Err(Trouble::Halt(format!(
                    "the database has record {}, and this process did not write it after record {}: the database was put \
                     back, or another process has written to it",
                    found.sequence, self.head.sequence
                )));
            }
        }
        Ok(())
    }

    /// Puts the jobs of a batch that is not durable back into the queue.
    fn again(&mut self, batch: Batch) {
        batch.into_jobs().rev().for_each(|job| self.queue.push_front(job));
    }

    /// Runs waiting transactions over rows that it reads together.
    fn gather(&mut self) -> Result<Batch, Trouble> {
        let Some(session) = &self.session else {
            return Err(Trouble::Lost("the connection is lost".to_owned()));
        };
        let driver = &self.rows.driver;
        let read = |keys| driver.block_on(session.read(keys));
        let fetched = Fetched::read(self.queue.make_contiguous(), read)?;
        let mut batch = Batch::default();
        // An earlier transaction of the batch may have changed which rows a second stage names.
        let lookup = |key: &[u8]| match fetched.0.get(key) {
            Some(value) => Ok(value.clone()),
            None => match read(vec![key.to_vec()]) {
                Ok(rows) => Ok(rows.into_iter().next().map(|(_, value)| value)),
                Err(error) => Err(IndexError(error.why)),
            },
        };
        let mut failed = None;
        while failed.is_none()
            && !batch.is_full()
            && let Some(job) = self.queue.pop_front()
        {
            failed = batch.run(job, &lookup, self.runs_twice).err();
        }
        match failed {
            None => Ok(batch),
            Some(why) => {
                self.again(batch);
                Err(Trouble::Lost(why))
            }
        }
    }

    /// Answers a batch that writes nothing, if no other process has written the rows that it has read.
    fn confirm(&mut self, batch: Batch) -> Result<(), Trouble> {
        let asked = self.session.as_ref().map(WriteSession::is_mine);
        let is_mine = asked.map_or(Ok(false), |asked| self.rows.driver.block_on(asked));
        if is_mine == Ok(true) {
            self.answer(batch);
            return Ok(());
        }
        self.again(batch);
        self.session = None;
        is_mine?;
        Err(Trouble::Lost("the store was taken over".to_owned()))
    }

    /// Makes a batch durable, and answers it.
    fn append(&mut self, batch: Batch) -> Result<(), Trouble> {
        let payload = encode_writes(batch.writes());
        let head = next_head(&self.head, &payload);
        let bytes = payload.len() as u64;
        self.probe.reached(probe::BEFORE_APPEND);
        let began = Instant::now();
        self.rows.flight.sent();
        let sent = self.session.as_ref();
        let sent = sent.map(|session| session.append(batch.writes(), bytes, &self.head, &head));
        let outcome = sent.map_or(Ok(false), |sent| self.rows.driver.block_on(sent));
        let pending = Pending {
            batch,
            head,
            bytes,
            began,
        };
        if outcome == Ok(true) {
            self.acknowledge(pending);
            return Ok(());
        }
        self.pending = Some(pending);
        outcome?;
        Err(Trouble::Lost("the head of the store has moved".to_owned()))
    }

    /// Answers a batch that is durable.
    fn acknowledge(&mut self, pending: Pending) {
        let Pending {
            batch,
            head,
            bytes,
            began,
        } = pending;
        self.head = head;
        self.rows.advance(head, bytes);
        self.rows.work.count_sync(began.elapsed());
        self.rows.flight.settled();
        self.probe.reached(probe::AFTER_INDEX);
        self.answer(batch);
    }

    fn answer(&self, batch: Batch) {
        self.rows.work.count(batch.len());
        batch.finish(&Ok(()));
    }

    /// Pauses before the next try. Once the outage is too long, it refuses the waiting transactions, of which nothing is
    /// written, and returns `false`.
    fn pause(&mut self, why: &str) -> bool {
        let began = *self.outage.get_or_insert_with(|| {
            tracing::warn!(why, "the database does not answer; its transactions wait");
            Instant::now()
        });
        self.rows.set_unreachable(true);
        if began.elapsed() < DATABASE_OUTAGE_WAIT {
            std::thread::sleep(DATABASE_RETRY_PAUSE);
            return true;
        }
        if !self.queue.is_empty() {
            tracing::error!(
                why,
                transactions = self.queue.len(),
                "the database does not answer"
            );
        }
        self.refuse(&StoreError::Database(self.connector.unreachable(why)));
        false
    }

    /// Refuses all waiting transactions.
    fn refuse(&mut self, why: &StoreError) {
        self.rows.work.count(self.queue.len() as u64);
        self.queue.drain(..).for_each(|job| job.finish(Err(why.clone())));
    }

    /// Halts, and answers everybody. A pending batch may be durable.
    fn halt(&mut self, why: String) {
        let why = StoreError::halted(why);
        tracing::error!(error = %why, "the store stops accepting");
        self.rows.halted(&why);
        if let Some(pending) = self.pending.take() {
            self.rows.flight.abandoned();
            pending.batch.finish(&Err(why.clone()));
        }
        self.session = None;
        self.outage = None;
        self.halted = Some(why);
    }
}

impl WriteBackend for Writer {
    fn commit(&mut self, jobs: Vec<Job>) {
        let is_asked = !jobs.is_empty();
        self.queue.extend(jobs);
        while self.halted.is_none() && !(self.queue.is_empty() && self.is_settled()) {
            match self.step() {
                Ok(()) => {
                    if let Some(began) = self.outage.take() {
                        let ms = began.elapsed().as_millis();
                        tracing::warn!(ms, "the database answers again");
                        self.rows.set_unreachable(false);
                    }
                }
                Err(Trouble::Halt(why)) => self.halt(why),
                Err(Trouble::Lost(why)) => {
                    self.session = None;
                    if !self.pause(&why) {
                        break;
                    }
                }
            }
        }
        if let Some(why) = self.halted.clone() {
            self.refuse(&why);
        }
        if is_asked {
            self.probe.reached(probe::AFTER_REPLY);
        }
    }

    fn alone_max(&self) -> Option<Duration> {
        match self.is_settled() {
            true => Some(DATABASE_IDLE_INTERVAL),
            false => Some(DATABASE_UNSETTLED_PAUSE),
        }
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.commit(Vec::new());
        if self.pending.is_some() {
            self.halt("the outcome of its last write is not known; the next start finds out".to_owned());
        }
        let Self {
            rows, lock, halted, ..
        } = *self;
        rows.driver.block_on(lock.free());
        halted.map_or(Ok(()), Err)
    }
}

impl Fetched {
    /// Reads the rows that `jobs` declare: the first stages of all together, then the second stages of all.
    fn read(
        jobs: &mut [Job],
        read: impl Fn(Vec<Vec<u8>>) -> Result<Vec<crate::index::Row>, QueryError>,
    ) -> Result<Self, QueryError> {
        let mut fetched = Self::default();
        let first = jobs.iter().flat_map(Job::first_keys).collect();
        fetched.add(first, &read)?;
        let known = |key: &[u8]| {
            let known = fetched.0.get(key).cloned();
            known.ok_or_else(|| IndexError("the row was not declared in the first stage".to_owned()))
        };
        let second = jobs.iter_mut().flat_map(|job| job.second_keys(&known));
        let second = second.filter(|key| !fetched.0.contains_key(key)).collect();
        fetched.add(second, &read)?;
        Ok(fetched)
    }

    /// Reads the rows at `keys`, in one round trip if they are not very many.
    fn add(
        &mut self,
        keys: BTreeSet<Vec<u8>>,
        read: impl Fn(Vec<Vec<u8>>) -> Result<Vec<crate::index::Row>, QueryError>,
    ) -> Result<(), QueryError> {
        let keys: Vec<_> = keys.into_iter().collect();
        for part in keys.chunks(DATABASE_READ_KEYS) {
            self.0.extend(part.iter().map(|key| (key.clone(), None)));
            let rows = read(part.to_vec())?;
            self.0
                .extend(rows.into_iter().map(|(key, value)| (key, Some(value))));
        }
        Ok(())
    }
}
