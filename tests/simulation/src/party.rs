//! The parties of a world, and their clocks.

use farthing_store::clock::Clock;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// A party: a sender or receiver of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The bank.
    Bank,
    /// An escrow.
    Escrow(usize),
    /// A merchant.
    Merchant(usize),
    /// The relay.
    Relay,
    /// A customer's machine.
    Customer(usize),
    /// A test that makes messages by hand.
    Stranger,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Bank => f.write_str("bank"),
            Party::Escrow(number) => write!(f, "escrow-{number}"),
            Party::Merchant(number) => write!(f, "merchant-{number}"),
            Party::Relay => f.write_str("relay"),
            Party::Customer(number) => write!(f, "customer-{number}"),
            Party::Stranger => f.write_str("stranger"),
        }
    }
}

/// Virtual time. It passes when all tasks wait.
#[derive(Debug)]
pub struct VirtualClock {
    start: tokio::time::Instant,
    base_ms: AtomicU64,
}

impl VirtualClock {
    /// A clock that starts at `now_ms` (ms since 1970).
    pub fn new(now_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            start: tokio::time::Instant::now(),
            base_ms: AtomicU64::new(now_ms),
        })
    }

    /// Age of the world (ms). It does not depend on the clocks.
    pub fn elapsed_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Moves all clocks forwards or back. No wait becomes shorter.
    pub fn jump_to(&self, now_ms: u64) {
        self.base_ms
            .store(now_ms.saturating_sub(self.elapsed_ms()), Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> u64 {
        self.base_ms.load(Ordering::SeqCst) + self.elapsed_ms()
    }
}

/// One party's own clock, which may be wrong.
#[derive(Debug)]
pub struct LocalClock {
    world: Arc<VirtualClock>,
    wrong_by_ms: AtomicI64,
}

impl LocalClock {
    /// A clock that is right.
    pub fn new(world: Arc<VirtualClock>) -> Arc<Self> {
        Arc::new(Self {
            world,
            wrong_by_ms: AtomicI64::new(0),
        })
    }

    /// Sets how far the clock is ahead of the world's clock. Negative: it is slow.
    pub fn set_wrong_by_ms(&self, ms: i64) {
        self.wrong_by_ms.store(ms, Ordering::SeqCst);
    }
}

impl Clock for LocalClock {
    fn now_ms(&self) -> u64 {
        self.world
            .now_ms()
            .saturating_add_signed(self.wrong_by_ms.load(Ordering::SeqCst))
    }
}
