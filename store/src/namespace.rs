//! Namespaces of one store. Equal keys in two namespaces are two rows.
//!
//! The stored key of a row is [`NAMESPACES_PREFIX`], the namespace's number, and the row's own key. Many owners of rows
//! share one journal. One sync makes the waiting transactions of all owners durable.

use crate::key::NAMESPACES_PREFIX;
use crate::limits::KEY_MAX_BYTES;
use std::ops::Bound;
use std::sync::Arc;

/// The prefix of every key of a handle. It is empty for the store itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace(Arc<[u8]>);

impl Namespace {
    /// Namespace `number` within this one.
    pub(crate) fn child(&self, number: u64) -> Self {
        let own = std::iter::once(NAMESPACES_PREFIX).chain(number.to_be_bytes());
        Self(self.0.iter().copied().chain(own).collect())
    }

    /// Whether this is the whole store.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// The longest key in this namespace (bytes).
    pub(crate) fn key_max_bytes(&self) -> usize {
        KEY_MAX_BYTES.saturating_sub(self.0.len())
    }

    /// The key under which the store keeps `key`.
    pub(crate) fn outer(&self, key: &[u8]) -> Vec<u8> {
        [&self.0, key].concat()
    }

    /// As [`outer`](Namespace::outer), for the start of a scan.
    pub(crate) fn outer_bound(&self, from: Bound<&[u8]>) -> Bound<Vec<u8>> {
        from.map(|key| self.outer(key))
    }

    /// The key within the namespace, of the stored key `outer`.
    pub(crate) fn inner(&self, mut outer: Vec<u8>) -> Vec<u8> {
        outer.drain(..self.0.len().min(outer.len()));
        outer
    }
}
