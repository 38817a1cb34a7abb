//! Places in a journal that are known, to find any other from.

use super::index::Head;
use super::limits::CHECKPOINT_RECORDS;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Where a record begins, and the head before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the record begins (bytes).
    pub(crate) offset: u64,
    /// The last record before it.
    pub(crate) head: Head,
}

/// The places that are known, by the sequence number before them.
pub(crate) struct Places(RwLock<BTreeMap<u64, Place>>);

impl Places {
    /// Only `first` is known.
    pub(crate) fn new(first: Place) -> Self {
        Self(RwLock::new(BTreeMap::from([(first.head.sequence, first)])))
    }

    /// Forgets all but `first`.
    pub(crate) fn begin(&self, first: Place) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) =
            BTreeMap::from([(first.head.sequence, first)]);
    }

    /// Keeps `place` if it is one of those that are kept: each some records.
    pub(crate) fn note(&self, place: Place) {
        if place.head.sequence.is_multiple_of(CHECKPOINT_RECORDS) {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(place.head.sequence, place);
        }
    }

    /// The last one at or before `sequence`.
    pub(crate) fn before(&self, sequence: u64) -> Option<Place> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.range(..=sequence).next_back().map(|(_, place)| *place)
    }

    /// The first one at or behind `sequence`.
    pub(crate) fn behind(&self, sequence: u64) -> Option<Place> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.range(sequence..).next().map(|(_, place)| *place)
    }
}
