//! Parts of one store that know nothing of each other: the same keys in each stand for rows of its own.
//!
//! A key of a namespace is stored behind [`NAMESPACES_PREFIX`] and the namespace's number. So many owners of rows
//! share one journal, and one sync makes durable what all of them have waiting.

use crate::key::NAMESPACES_PREFIX;
use crate::limits::KEY_MAX_BYTES;
use std::ops::Bound;
use std::sync::Arc;

/// What every key of a handle begins with: nothing, for the store itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace(Arc<[u8]>);

impl Namespace {
    /// Part `number` of this one.
    pub(crate) fn part(&self, number: u64) -> Self {
        let own = std::iter::once(NAMESPACES_PREFIX).chain(number.to_be_bytes());
        Self(self.0.iter().copied().chain(own).collect())
    }

    /// Whether it is the store itself.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// The longest key that fits into it (bytes).
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

    /// What is known here by the key that the store keeps as `outer`.
    pub(crate) fn inner(&self, mut outer: Vec<u8>) -> Vec<u8> {
        outer.drain(..self.0.len().min(outer.len()));
        outer
    }
}
