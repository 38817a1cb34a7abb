//! How a store is opened.

use crate::disk::{Disk, FileDisk, MemoryDisk};
use crate::entropy::{Entropy, SeededEntropy, SystemEntropy};
use crate::index::Engine;
use crate::index_memory::MemoryEngine;
use crate::index_sled::SledEngine;
use crate::limits;
use crate::probe::{NoProbe, Probe};
use std::sync::Arc;

/// Who runs the transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threading {
    /// A thread of the store's own, which gathers what is waiting into one durable write.
    Thread,
    /// The caller, at once: for simulations. A transaction must not call the store then.
    Inline,
}

/// What opening is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Checking the journal.
    Verify,
    /// Bringing the index up to date.
    Replay,
}

/// How far opening has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// With what.
    pub stage: Stage,
    /// The journal's bytes that are done.
    pub done_bytes: u64,
    /// All of them, room ahead of use included.
    pub total_bytes: u64,
}

/// Is told how far opening has come, about every 256 records.
pub type ProgressFn = Arc<dyn Fn(Progress) + Send + Sync>;

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where the journal is.
    pub disk: Arc<dyn Disk>,
    /// Told of every named point.
    pub probe: Arc<dyn Probe>,
    /// Gives a new journal its random name.
    pub entropy: Arc<dyn Entropy>,
    /// What keeps the index: in the folder `index` of the real directory, whatever the [`Disk`] is.
    pub engine: Arc<dyn Engine>,
    /// Who runs transactions.
    pub threading: Threading,
    /// Whether every transaction runs twice, to find one that does something else when it runs again: for simulations.
    pub runs_twice: bool,
    /// How many transactions may wait.
    pub queue_max: usize,
    /// How many transactions one durable write takes at most.
    pub batch_max: usize,
    /// What the engine may keep in memory (bytes).
    pub cache_bytes: u64,
    /// What is gathered in memory before it goes to the engine (bytes).
    pub buffer_bytes: usize,
    /// By how much the journal is extended ahead of its use (bytes).
    pub preallocate_bytes: u64,
    /// What must stay free on the disk (bytes).
    pub reserve_bytes: u64,
    /// Told how far opening has come.
    pub progress: ProgressFn,
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
            reserve_bytes: limits::RESERVE_BYTES,
            progress: Arc::new(|_| {}),
        }
    }
}

impl StoreOptions {
    /// A store that is all in memory and runs in its caller: the same calls leave the same bytes.
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
