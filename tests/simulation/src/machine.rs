//! A machine: its disk, its clock, and the process that runs on it.

use super::{
    keys::MemoryKeyPlace,
    party::{LocalClock, Party, VirtualClock},
    trace::Trace,
};
use farthing_store::{
    StoreOptions,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
    probe::{self, Probe},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::sync::Notify;

/// The life of one process, from its start to its end. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<Run>);

/// Waiting tasks are woken in the order in which they came. A `watch` channel would choose a new order every time.
#[derive(Debug, Default)]
struct Run {
    over: AtomicBool,
    ended: Notify,
}

impl Life {
    /// A life that has ended.
    pub fn ended() -> Self {
        let life = Self::default();
        life.end();
        life
    }

    /// Ends it.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::SeqCst);
        self.0.ended.notify_waiters();
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst)
    }

    /// Waits until it has ended.
    pub async fn over(&self) {
        let mut ended = pin!(self.0.ended.notified());
        ended.as_mut().enable();
        if !self.is_over() {
            ended.await;
        }
    }

    /// Runs `process` as long as this life lasts. `None` if the life ends first.
    pub async fn run<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        let mut process = pin!(process);
        let outcome = std::future::poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| process.as_mut().poll(context)));
            match polled {
                Ok(poll) => poll.map(Some),
                Err(panic) if Died::is(panic.as_ref()) => Poll::Ready(None),
                Err(panic) => resume_unwind(panic),
            }
        });
        let outcome = tokio::select! {
            biased;
            () = self.over() => None,
            outcome = outcome => outcome,
        };
        outcome.filter(|_| !self.is_over())
    }
}

/// The panic payload of a process that dies in the middle of a write, so that no more of it runs.
pub struct Died;

impl Died {
    /// Whether a panic is a simulated death, and not a failure.
    pub fn is(panic: &(dyn Any + Send)) -> bool {
        panic.is::<Died>()
    }
}

/// How a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Death {
    /// The process is killed. The machine stays up, and all writes are there.
    Killed,
    /// The machine loses power. Of the unsynced writes, a random part survives.
    PowerLost,
}

/// A point at which a process dies by itself: a named point of one durable write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashPoint {
    /// Number of the write after arming. The first is 1, and 0 stands for a point of the next start.
    pub write: u64,
    /// The point: one of [`WRITE_POINTS`] or [`START_POINTS`].
    pub point: &'static str,
    /// The kind of death.
    pub death: Death,
}

/// The points of one durable write, in order.
pub const WRITE_POINTS: [&str; 5] = [
    probe::BEFORE_APPEND,
    probe::AFTER_APPEND,
    probe::AFTER_SYNC,
    probe::AFTER_INDEX,
    probe::AFTER_REPLY,
];

/// The points of a start.
pub const START_POINTS: [&str; 3] = [probe::BEFORE_RECOVERY, probe::BEFORE_REPLAY, probe::AFTER_OPEN];

/// Called when a process has died by itself.
pub type OnDeath = Box<dyn Fn(Party) + Send + Sync>;

/// A party's machine. It outlasts its process.
pub struct Machine {
    /// The party.
    pub party: Party,
    /// Its disk.
    pub disk: MemoryDisk,
    /// Its encryption keys, which are outside its disk.
    pub keys: Arc<MemoryKeyPlace>,
    /// Its clock.
    pub clock: Arc<LocalClock>,
    trace: Trace,
    seed: u64,
    starts: AtomicU64,
    life: Mutex<Life>,
    writes: AtomicU64,
    crash_points: Mutex<Vec<CrashPoint>>,
    on_death: OnceLock<OnDeath>,
    twin: AtomicBool,
    sync_takes_ms: AtomicU64,
    away_ms: AtomicU64,
}

impl Machine {
    /// A machine on which nothing runs yet. `seed` is the seed of the world.
    pub fn new(
        party: Party,
        disk: MemoryDisk,
        clock: &Arc<VirtualClock>,
        trace: Trace,
        seed: u64,
    ) -> Arc<Self> {
        let salt = match party {
            Party::Bank => 1,
            Party::Escrow(number) => 0x100 + number as u64,
            Party::Merchant(number) => 0x200 + number as u64,
            Party::Customer(number) => 0x1000 + number as u64,
            Party::Stranger => 2,
            Party::Relay => 3,
        };
        Arc::new(Self {
            party,
            disk,
            keys: Arc::default(),
            clock: LocalClock::new(clock.clone()),
            trace,
            seed: seed ^ (salt << 32),
            starts: AtomicU64::new(0),
            life: Mutex::new(Life::ended()),
            writes: AtomicU64::new(0),
            crash_points: Mutex::default(),
            on_death: OnceLock::new(),
            twin: AtomicBool::new(false),
            sync_takes_ms: AtomicU64::new(0),
            away_ms: AtomicU64::new(0),
        })
    }

    /// Calls `told` whenever the process dies at a crash point. Only the first call of this function counts.
    pub fn when_it_dies(&self, told: OnDeath) {
        let _first = self.on_death.set(told);
    }

    /// Sets the time of every sync. Requests wait for it before they are carried out, because their writes are not
    /// there before.
    pub fn set_sync_takes(&self, time: Duration) {
        self.sync_takes_ms
            .store(time.as_millis() as u64, Ordering::SeqCst);
    }

    /// Sets how long its process is away after it has died by a fault.
    pub fn set_away(&self, time: Duration) {
        self.away_ms.store(time.as_millis() as u64, Ordering::SeqCst);
    }

    /// How long its process is away after it has died by a fault.
    pub fn away(&self) -> Duration {
        Duration::from_millis(self.away_ms.load(Ordering::SeqCst))
    }

    /// The time of every sync.
    pub fn sync_takes(&self) -> Duration {
        Duration::from_millis(self.sync_takes_ms.load(Ordering::SeqCst))
    }

    /// Records that another wallet of the same seed is or was in use.
    pub fn set_twin(&self) {
        self.twin.store(true, Ordering::SeqCst);
    }

    /// Whether another wallet of the same seed is or was in use.
    pub fn is_twin(&self) -> bool {
        self.twin.load(Ordering::SeqCst)
    }

    /// A process starts.
    pub fn start(&self) -> Life {
        self.starts.fetch_add(1, Ordering::SeqCst);
        let life = Life::default();
        *self.current() = life.clone();
        life
    }

    /// Whether a process has died, or was stopped.
    pub fn has_died(&self) -> bool {
        self.starts.load(Ordering::SeqCst) > 1 || self.life().is_over()
    }

    /// The life of the process that was last started.
    pub fn life(&self) -> Life {
        self.current().clone()
    }

    fn current(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process dies now.
    pub fn die(&self, death: Death) {
        self.life().end();
        match death {
            Death::Killed => self.disk.kill(),
            Death::PowerLost => self.disk.crash(self.seed ^ self.starts.load(Ordering::SeqCst)),
        }
        self.trace.note(format!("{} dies: {death:?}", self.party));
    }

    /// Randomness of this process. Different after every start.
    pub fn entropy(&self) -> Arc<dyn Entropy> {
        self.entropy_for(0)
    }

    /// Randomness of this process for one purpose. It follows from the seed alone, whatever else the process draws.
    pub fn entropy_for(&self, purpose: u16) -> Arc<dyn Entropy> {
        let starts = self.starts.load(Ordering::SeqCst);
        Arc::new(SeededEntropy::new(
            self.seed ^ (starts << 16) ^ u64::from(purpose),
        ))
    }

    /// The store options of its process.
    pub fn store_options(self: &Arc<Self>) -> StoreOptions {
        StoreOptions {
            // One byte must stay free, so that a full disk refuses at once.
            reserve_bytes: 1,
            probe: Arc::new(CrashProbe(self.clone())),
            ..StoreOptions::simulated(self.disk.clone(), self.seed)
        }
    }

    /// Arms these points, counted from now on. The process dies there.
    pub fn arm(&self, points: impl IntoIterator<Item = CrashPoint>) {
        self.writes.store(0, Ordering::SeqCst);
        *self.armed() = points.into_iter().collect();
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.armed().clear();
        self.disk.set_capacity(None);
        self.clock.set_wrong_by_ms(0);
        self.set_sync_takes(Duration::ZERO);
        self.set_away(Duration::ZERO);
    }

    /// Number of durable writes that were begun since [`arm`](Machine::arm).
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    fn armed(&self) -> MutexGuard<'_, Vec<CrashPoint>> {
        self.crash_points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reached(&self, point: &'static str) {
        if point == probe::BEFORE_APPEND {
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        let write = if START_POINTS.contains(&point) {
            0
        } else {
            self.writes()
        };
        let due = {
            let mut armed = self.armed();
            let at = armed
                .iter()
                .position(|due| due.write == write && due.point == point);
            at.map(|at| armed.remove(at))
        };
        let Some(due) = due else { return };
        self.trace.note(format!("{}: {point}", self.party));
        self.die(due.death);
        // The starting task sees by itself that the process has died.
        if let (Some(told), true) = (self.on_death.get(), write > 0) {
            told(self.party);
        }
        resume_unwind(Box::new(Died));
    }
}

struct CrashProbe(Arc<Machine>);

impl Probe for CrashProbe {
    fn reached(&self, point: &'static str) {
        self.0.reached(point);
    }
}
