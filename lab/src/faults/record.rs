//! The record of a run, which its director writes.

use super::matrix::What;
use farthing_kit::{
    line::Way,
    points::{Party, Point},
};
use farthing_node::card::RoleName;
use std::collections::BTreeSet;

/// An action on the stage, or of the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The customer runs this command.
    Runs(String),
    /// The command has ended with this result.
    Ends(String),
    /// The operator of the merchant runs this command.
    Operates(String),
    /// The party got SIGKILL.
    Killed(Party),
    /// The party runs again.
    Restarted(Party),
    /// The party got SIGSTOP.
    Frozen(Party),
    /// The party got SIGCONT.
    Thawed(Party),
    /// The line loses all datagrams in this direction, or all after the handshakes.
    Cut(Party, RoleName, Way),
    /// The line loses some datagrams, in both directions.
    Lossy(Party, RoleName),
    /// The line loses nothing any more.
    Healed(Party, RoleName),
    /// The server delays a request that has arrived.
    KeptBack(Party),
    /// The server processes the delayed request now.
    LetGo(Party),
    /// The party's disk is full.
    DiskFull(Party),
    /// The party's disk has room again.
    DiskFree(Party),
    /// An action has failed.
    Failed(String),
}

/// The content of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A process reached a point.
    Reached(Party, Point),
    /// An action was done.
    Done(Action),
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The time since the beginning of the run (ms).
    pub ms: u64,
    /// The content of the event.
    pub what: EventKind,
}

/// The record of a run.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// All events, in order.
    pub events: Vec<Event>,
    /// The places that were passed, in order.
    pub passed: Vec<(What, usize)>,
    /// Whether the fault has happened.
    pub happened: bool,
    /// The failed actions, such as the restart of a node.
    pub failed: Vec<String>,
    /// The nodes that still wait for a lost answer.
    pub waiting: BTreeSet<RoleName>,
}
