//! The store as the rest of a program holds it.

use crate::counts::StoreCounts;
use crate::error::StoreError;
use crate::index::Head;
use crate::job::Job;
use crate::namespace::Namespace;
use crate::options::{StoreOptions, Threading};
use crate::postgres::{self, Database, WhileInUse};
use crate::read_backend::ReadBackend;
use crate::read_only;
use crate::reads::Reads;
use crate::recovery::{self, OpenReport};
use crate::transaction::Transaction;
use crate::view::View;
use crate::write_backend::WriteBackend;
use farthing_protocol::ids::RecordHash;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// An open store.
///
/// ```
/// use farthing_store::{Store, StoreOptions, Table, disk::MemoryDisk};
/// use std::path::Path;
///
/// const COUNTS: Table<u64, u64> = Table::new(1, "counts");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), farthing_store::StoreError> {
/// let options = StoreOptions::simulated(MemoryDisk::new(), 1);
/// let (store, _report) = Store::open(Path::new("/store"), options)?;
/// let counted = store.transact([COUNTS.key(&7)], |tx| {
///     let next = COUNTS.get(tx, &7)?.unwrap_or_default() + 1;
///     COUNTS.put(tx, &7, &next)?;
///     Ok(next)
/// });
/// assert_eq!(counted.await?, 1);
/// # Ok(())
/// # }
/// ```
///
/// Clones share the store. If the last clone is dropped without [`Store::close`], every acknowledged transaction is
/// durable, but the next start has more to do. The drop waits for running transactions.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    namespace: Namespace,
}

struct Inner {
    rows: Arc<dyn ReadBackend>,
    writer: Writer,
    closed: AtomicBool,
    queue_max: usize,
}

enum Writer {
    Inline(Mutex<Option<Box<dyn WriteBackend>>>),
    Thread {
        /// `None` only while this is dropped.
        sender: Option<SyncSender<Message>>,
        thread: Option<JoinHandle<()>>,
    },
    /// The store was opened read-only.
    None,
}

enum Message {
    Job(Job),
    Close(SyncSender<Result<(), StoreError>>),
}

impl Store {
    /// Opens the store in `dir`, which is there: as [`Store::open`], but never makes one. A program that knows that it had a
    /// store uses this. An empty store in the place of a lost one would have forgotten everything.
    ///
    /// # Errors
    /// [`StoreError::Absent`], which has changed nothing, and those of [`Store::open`].
    pub fn open_existing(dir: &Path, options: StoreOptions) -> Result<(Self, OpenReport), StoreError> {
        recovery::refuse_absent(options.disk.as_ref(), dir)?;
        Self::open(dir, options)
    }

    /// Opens the store in `dir`, or makes one. If the store was not closed, this checks the whole journal. It rebuilds the
    /// index if necessary. Both take long for a large journal, and report to `options.progress`.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Damaged`], [`StoreError::Disk`], [`StoreError::Index`].
    pub fn open(dir: &Path, options: StoreOptions) -> Result<(Self, OpenReport), StoreError> {
        let (committer, report) = recovery::open(dir, &options)?;
        let rows = Arc::clone(&committer.shared);
        let writer: Box<dyn WriteBackend> = Box::new(committer);
        let writer = match options.threading {
            Threading::Inline => Writer::Inline(Mutex::new(Some(writer))),
            Threading::Thread => spawn(writer, &options)?,
        };
        Ok((Self::with(rows, writer, options.queue_max), report))
    }

    /// Reads the store in `dir` as it is now, without its lock: another process may have it open and write to it. The whole
    /// journal is verified and read into memory. The store has all records that were durable before the call. It does not
    /// follow the other process. Nothing is written, and transactions are refused. `None` if there is no store in `dir`.
    ///
    /// # Errors
    /// [`StoreError::Older`], [`StoreError::Newer`], [`StoreError::Damaged`], [`StoreError::Disk`].
    pub fn open_read_only(dir: &Path, options: &StoreOptions) -> Result<Option<Self>, StoreError> {
        let shared = read_only::open(dir, options)?;
        Ok(shared.map(|shared| Self::with(Arc::new(shared), Writer::None, options.queue_max)))
    }

    /// Takes over the store in a database, which is there: as [`Store::open_existing`]. With [`WhileInUse::Wait`] it waits as
    /// a standby while another process has the store, and blocks for as long. The store always has a thread of its own.
    ///
    /// Of `options` it uses the bounds of the queue and of a batch, the probe, the entropy, and `runs_twice`.
    ///
    /// # Errors
    /// [`StoreError::Database`] says what is wrong with the database, or that another process has the store.
    pub fn open_database(
        database: &Database,
        options: &StoreOptions,
        in_use: WhileInUse,
    ) -> Result<Self, StoreError> {
        let (writer, rows) = postgres::open(database, options, in_use)?;
        let writer = spawn(Box::new(writer), options)?;
        Ok(Self::with(rows, writer, options.queue_max))
    }

    fn with(rows: Arc<dyn ReadBackend>, writer: Writer, queue_max: usize) -> Self {
        let inner = Inner {
            rows,
            writer,
            closed: AtomicBool::new(false),
            queue_max,
        };
        Self {
            inner: Arc::new(inner),
            namespace: Namespace::default(),
        }
    }

    /// Whether the store was opened read-only.
    pub fn is_read_only(&self) -> bool {
        matches!(self.inner.writer, Writer::None)
    }

    /// Namespace `number` of the store. The handle reads and writes only rows of this namespace. All namespaces share the
    /// journal, its syncs and the queue. If the store halts, all namespaces halt.
    #[must_use]
    pub fn namespace(&self, number: u64) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            namespace: self.namespace.child(number),
        }
    }

    /// Runs `closure` as one transaction, which reads only the rows `reads`. The result is returned when its writes are
    /// durable, and all earlier writes that it may have read. If it returns an error or panics, it writes nothing.
    ///
    /// `closure` may run again, over other rows: a store that serves several processes runs it until no other process has
    /// written the rows that it read. It has no effect outside its rows, and it must not wait for the store.
    ///
    /// The transaction is in the queue when this returns, after those of earlier calls. It also runs if the returned future
    /// is dropped.
    ///
    /// # Errors
    /// Those of `closure`, and [`StoreError::Undeclared`], [`StoreError::Busy`], [`StoreError::Full`],
    /// [`StoreError::Halted`], [`StoreError::Closed`], [`StoreError::Panicked`].
    pub fn transact<T: Send + 'static>(
        &self,
        reads: impl Into<Reads>,
        closure: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let (reply, answer) = oneshot::channel();
        // If the caller has dropped the future, nobody gets the result. The transaction still holds.
        let job = Job::new(reads, closure, move |result| drop(reply.send(result)));
        self.answered(job, answer)
    }

    /// Puts `job` into the queue, and waits for its answer.
    fn answered<T: Send + 'static>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let submitted = self.submit(job);
        async move {
            submitted?;
            answer.await.unwrap_or_else(|_| Err(self.gone()))
        }
    }

    /// As [`Store::transact`], but blocks. For callers outside async code.
    ///
    /// # Errors
    /// As [`Store::transact`].
    pub fn transact_blocking<T: Send + 'static>(
        &self,
        reads: impl Into<Reads>,
        closure: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        let job = Job::new(reads, closure, move |result| drop(reply.send(result)));
        self.submit(job)?;
        answer.recv().unwrap_or_else(|_| Err(self.gone()))
    }

    /// Runs `jobs` as one batch, in order. Only an inline store takes batches. A store with a thread makes its own batches,
    /// and takes these jobs one by one.
    ///
    /// # Errors
    /// As [`Store::transact`]. Jobs after the error are dropped.
    pub fn commit(&self, jobs: Vec<Job>) -> Result<(), StoreError> {
        match &self.inner.writer {
            Writer::Inline(committer) => {
                // A panic in the middle of a commit poisons the lock. Then the content of the disk is unknown.
                let mut guard = committer.lock().map_err(|_| self.gone())?;
                let committer = guard.as_mut().ok_or(StoreError::Closed)?;
                let within = |job: Job| job.within(&self.namespace);
                committer.commit(jobs.into_iter().map(within).collect());
                Ok(())
            }
            Writer::Thread { .. } => jobs.into_iter().try_for_each(|job| self.submit(job)),
            Writer::None => Err(StoreError::ReadOnly),
        }
    }

    fn submit(&self, job: Job) -> Result<(), StoreError> {
        let Writer::Thread { sender, .. } = &self.inner.writer else {
            return self.commit(vec![job]);
        };
        let sender = sender.as_ref().ok_or(StoreError::Closed)?;
        match sender.try_send(Message::Job(job.within(&self.namespace))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy {
                waiting_max: self.inner.queue_max,
            }),
            Err(TrySendError::Disconnected(_)) => Err(self.gone()),
        }
    }

    /// The error when the writer sends no answer.
    fn gone(&self) -> StoreError {
        if self.inner.closed.load(Ordering::SeqCst) {
            StoreError::Closed
        } else {
            StoreError::halted("the writer has ended in the middle of its work")
        }
    }

    /// The durable state, for reads outside transactions.
    pub fn view(&self) -> View {
        View::new(Arc::clone(&self.inner.rows), self.namespace.clone())
    }

    /// Counters of the store, over all its namespaces.
    pub fn counts(&self) -> StoreCounts {
        self.inner.rows.counts()
    }

    /// Why the store takes no more transactions, or will take no more. `None` while nothing is wrong.
    pub fn stopped(&self) -> Option<String> {
        self.inner.rows.stopped()
    }

    /// The last durable record of the journal. Its hash stands for the whole history.
    pub fn head(&self) -> Head {
        self.inner.rows.head()
    }

    /// The hash of the history at `sequence`, or `None` beyond the head. It reads 256 records, and many more where none was
    /// verified since the start.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when the journal cannot be read, [`StoreError::Damaged`] when it has changed since it was
    /// verified, which stops the store.
    pub fn hash_at(&self, sequence: u64) -> Result<Option<RecordHash>, StoreError> {
        if sequence > self.head().sequence {
            return Ok(None);
        }
        self.inner.rows.hash_at(sequence).map(Some)
    }

    /// Runs the waiting transactions, then closes the store for all clones and namespaces: a clean shutdown. Blocks. On the
    /// handle of a namespace it only drops the handle.
    ///
    /// # Errors
    /// The error that halted the store, or the disk's error. Every acknowledged transaction is durable anyway.
    pub fn close(self) -> Result<(), StoreError> {
        if !self.namespace.is_whole() {
            return Ok(());
        }
        match &self.inner.writer {
            Writer::Inline(committer) => {
                let committer = committer.lock().map_err(|_| self.gone())?.take();
                self.inner.closed.store(true, Ordering::SeqCst);
                committer.ok_or(StoreError::Closed)?.close()
            }
            Writer::Thread { sender, .. } => {
                let sender = sender.as_ref().ok_or(StoreError::Closed)?;
                let (reply, answer) = sync_channel(1);
                // Before the thread can end, so that later callers in the queue get `Closed`.
                self.inner.closed.store(true, Ordering::SeqCst);
                sender.send(Message::Close(reply)).map_err(|_| self.gone())?;
                answer.recv().unwrap_or_else(|_| Err(self.gone()))
            }
            Writer::None => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Writer::Thread { sender, thread } = &mut self.writer {
            drop(sender.take());
            // Wait until the directory's lock is released. The thread itself may hold the last clone, in a transaction's
            // closure. Then it must not wait for itself.
            if let Some(thread) = thread.take()
                && thread.thread().id() != std::thread::current().id()
                && thread.join().is_err()
            {
                tracing::error!("the writer of the store had panicked");
            }
        }
    }
}

fn spawn(writer: Box<dyn WriteBackend>, options: &StoreOptions) -> Result<Writer, StoreError> {
    let (sender, receiver) = sync_channel(options.queue_max);
    let batch_max = options.batch_max.max(1);
    let thread = std::thread::Builder::new()
        .name("store".into())
        .spawn(move || run(writer, &receiver, batch_max))
        .map_err(StoreError::disk("start the store's thread"))?;
    Ok(Writer::Thread {
        sender: Some(sender),
        thread: Some(thread),
    })
}

/// Commits the waiting jobs in a loop. While one batch is synced, the next one gathers in the queue.
fn run(mut writer: Box<dyn WriteBackend>, receiver: &Receiver<Message>, batch_max: usize) {
    while let Some(first) = next_message(writer.as_mut(), receiver) {
        let mut jobs = Vec::new();
        let mut next = Some(first);
        let mut close = None;
        while let Some(message) = next.take() {
            match message {
                Message::Job(job) => jobs.push(job),
                Message::Close(reply) => {
                    close = Some(reply);
                    break;
                }
            }
            if jobs.len() < batch_max {
                next = receiver.try_recv().ok();
            }
        }
        writer.commit(jobs);
        if let Some(reply) = close {
            // The caller may be gone. The store is closed anyway.
            drop(reply.send(writer.close()));
            return;
        }
    }
}

/// Waits for a message. Meanwhile the writer may have to look after its database. `None` if no handle is left.
fn next_message(writer: &mut dyn WriteBackend, receiver: &Receiver<Message>) -> Option<Message> {
    loop {
        let Some(alone_max) = writer.alone_max() else {
            return receiver.recv().ok();
        };
        match receiver.recv_timeout(alone_max) {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Timeout) => writer.commit(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}
