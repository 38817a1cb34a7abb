//! A request whose cost is measured.

use farthing_kit::stranger::Depth;
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};

/// A request of a stranger: one kind at one depth.
pub(crate) struct Subject {
    /// The name of the kind.
    pub(crate) kind: &'static str,
    /// How far it gets.
    pub(crate) depth: Depth,
    /// What it fails at, or what the reply is.
    pub(crate) ends: &'static str,
    /// The server whose cost counts.
    pub(crate) server: RoleName,
    /// The server that is asked.
    pub(crate) dialled: Card,
    pub(crate) lane: Lane,
    pub(crate) requests: Vec<Vec<u8>>,
}
