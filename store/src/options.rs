//! The options with which a store is opened.

use crate::cipher::RecordCipher;
use crate::disk::{Disk, FileDisk, MemoryDisk};
use crate::entropy::{Entropy, SeededEntropy, SystemEntropy};
use crate::index::Engine;
use crate::index_memory::MemoryEngine;
use crate::index_sled::SledEngine;
use crate::limits;
use crate::probe::{NoProbe, Probe};
use std::sync::Arc;

/// The thread that runs the transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threading {
    /// The store's own thread. It gathers the waiting transactions into one durable write.
    Thread,
    /// The caller's thread, at once, for simulations. A transaction must then not call the store.
    Inline,
}

/// A stage of opening a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Checking the journal.
    Verify,
    /// Bringing the index up to date.
    Replay,
}

/// The progress of opening a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The current stage.
    pub stage: Stage,
    /// Part of the journal that is done (bytes).
    pub done_bytes: u64,
    /// Length of the journal's file, preallocated room included (bytes).
    pub total_bytes: u64,
}

/// A function that gets the progress of opening a store, about every 256 records.
pub type ProgressFn = Arc<dyn Fn(Progress) + Send + Sync>;

/// The options with which a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// The disk of the journal.
    pub disk: Arc<dyn Disk>,
    /// Called at every named point.
    pub probe: Arc<dyn Probe>,
    /// Source of a new journal's random id.
    pub entropy: Arc<dyn Entropy>,
    /// The engine of the index. It uses the folder `index` of the real directory, with any [`Disk`].
    pub engine: Arc<dyn Engine>,
    /// The thread that runs transactions.
    pub threading: Threading,
    /// Whether every transaction runs twice, to find one whose second run differs. For simulations.
    pub runs_twice: bool,
    /// The most transactions that wait in the queue.
    pub queue_max: usize,
    /// The most transactions in one durable write.
    pub batch_max: usize,
    /// Size of the engine's cache (bytes).
    pub cache_bytes: u64,
    /// Size of the buffer before the engine (bytes).
    pub buffer_bytes: usize,
    /// Preallocation step of the journal (bytes).
    pub preallocate_bytes: u64,
    /// Length of the journal's active file from which it is ended and a new one begun (bytes).
    pub segment_bytes: u64,
    /// Reserve that stays free on the disk (bytes).
    pub reserve_bytes: u64,
    /// Gets the progress of opening the store.
    pub progress: ProgressFn,
    /// A note for other processes that want the directory while this one has it ([`lock_note`](crate::lock_note)).
    pub lock_note: Option<String>,
    /// Seals the journal's payloads. The index is then in memory, with any `engine`, so no row is on the disk in clear.
    pub cipher: Option<Arc<dyn RecordCipher>>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            disk: Arc::new(FileDisk),
            probe: Arc::new(NoProbe),
            entropy: Arc::new(SystemEntropy),
            engine: Arc::new(SledEngine),
            threading: Threading::Thread,
            runs_twice: false,
            queue_max: limits::QUEUE_MAX_TRANSACTIONS,
            batch_max: limits::BATCH_MAX_TRANSACTIONS,
            cache_bytes: limits::CACHE_BYTES,
            buffer_bytes: limits::BUFFER_BYTES,
            preallocate_bytes: limits::PREALLOCATE_BYTES,
            segment_bytes: limits::SEGMENT_BYTES,
            reserve_bytes: limits::RESERVE_BYTES,
            progress: Arc::new(|_| {}),
            lock_note: None,
            cipher: None,
        }
    }
}

impl StoreOptions {
    /// The engine of the index. A sealed store keeps its index in memory.
    pub(crate) fn index_engine(&self) -> &dyn Engine {
        match self.cipher {
            Some(_) => &MemoryEngine,
            None => self.engine.as_ref(),
        }
    }

    /// The options of a store in memory that runs in the caller's thread. The same calls leave the same bytes.
    pub fn simulated(disk: MemoryDisk, seed: u64) -> Self {
        Self {
            disk: Arc::new(disk),
            entropy: Arc::new(SeededEntropy::new(seed)),
            engine: Arc::new(MemoryEngine),
            threading: Threading::Inline,
            runs_twice: true,
            preallocate_bytes: 64 * 1024,
            reserve_bytes: 0,
            ..Self::default()
        }
    }
}
