//! Named points around every durable write.
//!
//! Programs pass [`NoProbe`]. A test passes a probe that pauses, kills the process, or fails at a point of its choice. So
//! products contain no test code.

/// Before a record is written to the journal. Nothing of the batch is on disk.
pub const BEFORE_APPEND: &str = "journal: before append";
/// The record is written, but not durable.
pub const AFTER_APPEND: &str = "journal: after append, before sync";
/// The record is durable, but not in the index.
pub const AFTER_SYNC: &str = "journal: after sync, before index";
/// The record is in the index. No caller has its result.
pub const AFTER_INDEX: &str = "store: after index, before reply";
/// Every caller of the batch has its result.
pub const AFTER_REPLY: &str = "store: after reply";
/// The journal's active file is long enough. Nothing of the next one is on disk.
pub const BEFORE_SWITCH: &str = "journal: before the next file";
/// The active file is ended, and the next one has not its name yet.
pub const IN_SWITCH: &str = "journal: between two files";
/// The rows of a snapshot are written, and it has not its name yet.
pub const BEFORE_SNAPSHOT: &str = "store: snapshot written, before its name";
/// At the start, before the journal is verified.
pub const BEFORE_RECOVERY: &str = "store: before recovery";
/// At the start, after the journal is verified and before the index is brought up to date.
pub const BEFORE_REPLAY: &str = "store: before replay";
/// The store is open, and its state file says so.
pub const AFTER_OPEN: &str = "store: after open";

/// The points of a durable write, in order. [`AFTER_REPLY`] is not among them, because a batch without writes passes it too.
pub const WRITE_POINTS: [&str; 4] = [BEFORE_APPEND, AFTER_APPEND, AFTER_SYNC, AFTER_INDEX];

/// A function that a store calls at its named points.
pub trait Probe: Send + Sync {
    /// Called when the store reaches `point`. It may block, and it may end the process.
    fn reached(&self, point: &'static str);
}

/// A probe that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, _point: &'static str) {}
}
