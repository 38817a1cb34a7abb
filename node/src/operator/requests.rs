//! The requests to a running node that are the same for all roles.

use serde::{Deserialize, Serialize};

/// A request that every running node answers. No command of a role has the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(super) enum NodeRequest {
    /// Asks for the [`Status`].
    Status,
    /// Asks the node to read its network file again, because the file was changed.
    NetworkReload,
}
