//! Named points in the runtime, before and after every durable write and send.
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
/// A message is about to be handed to the network.
pub const BEFORE_SEND: &str = "network: before send";
/// A message was handed to the network; nobody knows whether it arrived.
pub const AFTER_SEND: &str = "network: after send";

/// All points, in the order in which a commit and its reply pass them.
pub const POINTS: [&str; 10] = [
    BEFORE_RECOVERY,
    BEFORE_REPLAY,
    AFTER_OPEN,
    BEFORE_APPEND,
    AFTER_APPEND,
    AFTER_SYNC,
    AFTER_INDEX,
    AFTER_REPLY,
    BEFORE_SEND,
    AFTER_SEND,
];

/// Is told when the runtime reaches a named point.
pub trait Probe: Send + Sync {
    /// `point` is one of [`POINTS`]. It may block, and it may end the process.
    fn reached(&self, point: &'static str);
}

/// The probe of production: does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, _point: &'static str) {}
}
