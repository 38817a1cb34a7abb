//! Named points around every durable write.
//!
//! Production passes [`NoProbe`]. A test passes a probe that pauses, kills the process, or faults at a
//! point of its choice, so that no test behaviour hides in production code.

/// Before a record is written to the journal: nothing of the batch is on disk.
pub const BEFORE_APPEND: &str = "journal: before append";
/// The record is written, but not durable.
pub const AFTER_APPEND: &str = "journal: after append, before sync";
/// The record is durable; the index does not know of it.
pub const AFTER_SYNC: &str = "journal: after sync, before index";
/// The index is up to date; no caller has been told.
pub const AFTER_INDEX: &str = "store: after index, before reply";
/// Every caller of the batch has been told.
pub const AFTER_REPLY: &str = "store: after reply";
/// The journal is about to be verified, at start.
pub const BEFORE_RECOVERY: &str = "store: before recovery";
/// The journal is verified and the index is about to be brought up to date.
pub const BEFORE_REPLAY: &str = "store: before replay";
/// The store is open and its state says so.
pub const AFTER_OPEN: &str = "store: after open";

/// The points of a durable write, in the order in which it passes them. ([`AFTER_REPLY`] is passed by batches that wrote
/// nothing as well.)
pub const WRITE_POINTS: [&str; 4] = [BEFORE_APPEND, AFTER_APPEND, AFTER_SYNC, AFTER_INDEX];

/// Is told when a store reaches a named point.
pub trait Probe: Send + Sync {
    /// A point of the store. It may block, and it may end the process.
    fn reached(&self, point: &'static str);
}

/// The probe of production: does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, _point: &'static str) {}
}
