//! What has happened in a run, as its director writes it down.

use super::matrix::What;
use farthing_kit::{
    points::{Party, Point},
    relay::Way,
};
use farthing_node::card::RoleName;
use std::collections::BTreeSet;

/// Something that was done to the stage, or by its customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The customer runs a command.
    Runs(String),
    /// It has ended so.
    Ends(String),
    /// SIGKILL.
    Killed(Party),
    /// It runs again.
    Restarted(Party),
    /// SIGSTOP.
    Frozen(Party),
    /// SIGCONT.
    Thawed(Party),
    /// What goes this way on the line is lost: what comes after the handshakes, or everything.
    Cut(Party, RoleName, Way),
    /// Some datagrams of the line are lost, in both directions.
    Lossy(Party, RoleName),
    /// The line is whole again.
    Healed(Party, RoleName),
    /// A request has arrived and is not looked at.
    KeptBack(Party),
    /// It is looked at now.
    LetGo(Party),
    /// There is no room on its disk.
    DiskFull(Party),
    /// There is room again.
    DiskFree(Party),
    /// It could not be done.
    Failed(String),
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A process reached a point.
    Reached(Party, Point),
    /// Something was done.
    Done(Deed),
}

/// What has happened, and when since the beginning (ms).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub ms: u64,
    /// What.
    pub what: Happened,
}

/// How a run has gone, as far as the director knows.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Everything, in order.
    pub events: Vec<Event>,
    /// The places that were passed, in order.
    pub passed: Vec<(What, usize)>,
    /// Whether the fault has happened.
    pub happened: bool,
    /// What could not be done, such as to start a node again.
    pub failed: Vec<String>,
    /// The nodes that still wait for an answer that was lost.
    pub waiting: BTreeSet<RoleName>,
}
