//! The requests to a running node that are the same for all roles.

use farthing_protocol::ids::RecordHash;
use serde::{Deserialize, Serialize};

/// A request that every running node answers. No command of a role has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(super) enum NodeRequest {
    /// Asks for the [`Status`].
    Status,
    /// Asks for the last durable record: [`DurableHead`].
    Head,
    /// Begins to drain, or ends it, and asks for the [`DrainStatus`](super::drain::DrainStatus).
    Drain {
        /// Whether the node drains from now on. `None` changes nothing.
        on: Option<bool>,
    },
    /// Asks the node to read its network file again, because the file was changed.
    NetworkReload,
}

/// The last durable record of a running node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DurableHead {
    /// Its number.
    pub(super) record: u64,
    /// The hash of the history up to it.
    pub(super) hash: RecordHash,
}
