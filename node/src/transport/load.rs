//! How full a server is.

use serde::{Deserialize, Serialize};

/// How much of a bounded resource is taken now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The units that are taken.
    pub now: usize,
    /// All units.
    pub most: usize,
}

impl Taken {
    /// What is taken of `most` units if `left` are left.
    pub(crate) fn of(most: usize, left: usize) -> Self {
        Self {
            now: most.saturating_sub(left),
            most,
        }
    }
}

/// How full a server is now, over all its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLoad {
    /// Connections.
    pub connections: Taken,
    /// Handshakes under way.
    pub handshakes: Taken,
    /// Requests under way.
    pub requests: Taken,
    /// Requests in the slots that are reserved for requests that end a purchase.
    pub reserved: Taken,
}
