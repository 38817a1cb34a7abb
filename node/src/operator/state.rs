//! What a running node is doing now: the part of its status that is no count since the start.

use crate::card::RoleName;
use crate::counted::{ReplyCounters, ReplyCounts};
use crate::peers::PeerCount;
use crate::transport::{Gate, ServerLoad};
use crate::usage::DiskRoom;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// What a running node is doing now, and how its role has answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// How full its server is.
    pub load: ServerLoad,
    /// How its role has answered since the start.
    pub replies: ReplyCounts,
    /// The servers that it works with.
    pub peers: PeerCounts,
    /// The room on its disk.
    pub disk: DiskRoom,
    /// How many things go wrong again and again. The log says what they are.
    pub complaints: usize,
}

/// The servers that a node works with, by role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCounts {
    /// Banks.
    pub bank: PeerCount,
    /// Escrows.
    pub escrow: PeerCount,
    /// Merchants.
    pub merchant: PeerCount,
    /// Relays.
    pub relay: PeerCount,
}

impl PeerCounts {
    fn of(reached: impl Fn(RoleName) -> PeerCount) -> Self {
        Self {
            bank: reached(RoleName::Bank),
            escrow: reached(RoleName::Escrow),
            merchant: reached(RoleName::Merchant),
            relay: reached(RoleName::Relay),
        }
    }

    /// The counts with their roles.
    pub fn by_role(&self) -> [(RoleName, PeerCount); 4] {
        [
            (RoleName::Bank, self.bank),
            (RoleName::Escrow, self.escrow),
            (RoleName::Merchant, self.merchant),
            (RoleName::Relay, self.relay),
        ]
    }
}

/// Where a running node reads its state.
#[derive(Default)]
pub(crate) struct StateSources {
    /// The bounds of its server.
    pub(crate) gate: Option<Arc<Gate>>,
    /// The counters of its role's replies.
    pub(crate) replies: Arc<ReplyCounters>,
}

impl StateSources {
    /// The state of the node in `dir`. `reached` counts the servers of a role.
    pub(crate) fn read(
        &self,
        dir: &Path,
        reached: impl Fn(RoleName) -> PeerCount,
        complaints: usize,
    ) -> NodeState {
        NodeState {
            load: self.gate.as_ref().map(|gate| gate.load()).unwrap_or_default(),
            replies: self.replies.counts(),
            peers: PeerCounts::of(reached),
            disk: DiskRoom::of(dir),
            complaints,
        }
    }
}
