//! Places in a journal that are known, to find any other from.

use crate::error::{Damage, DamageKind};
use crate::index::Head;
use crate::limits::CHECKPOINT_RECORDS;
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

impl Place {
    /// That the record here is damaged.
    pub(crate) fn damage(&self, kind: DamageKind) -> Damage {
        Damage {
            offset: self.offset,
            sequence: self.head.sequence.saturating_add(1),
            kind,
        }
    }
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

    /// Adds some that somebody else has kept.
    pub(crate) fn add(&self, places: &[Place]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(places.iter().map(|place| (place.head.sequence, *place)));
    }

    /// A few to find any other from, from `head` back: each about twice as far from it as the one before, and the first
    /// one before its record.
    pub(crate) fn landmarks(&self, head: Head) -> Vec<Place> {
        let mut landmarks = Vec::new();
        let mut back = 1u64;
        while let Some(place) = head.sequence.checked_sub(back).and_then(|at| self.before(at)) {
            if place.head.sequence > 0 && landmarks.last() != Some(&place) {
                landmarks.push(place);
            }
            back = back.saturating_mul(2);
        }
        landmarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::ids::RecordHash;

    fn place(sequence: u64) -> Place {
        Place {
            offset: 512 + 100 * sequence,
            head: Head {
                sequence,
                hash: RecordHash([7; 32]),
            },
        }
    }

    fn sequences(landmarks: &[Place]) -> Vec<u64> {
        landmarks.iter().map(|place| place.head.sequence).collect()
    }

    #[test]
    fn landmarks_lie_before_the_head_and_are_kept_by_those_who_know_no_others() {
        let places = Places::new(place(0));
        assert_eq!(places.landmarks(place(0).head), []);
        for sequence in 1..=256 {
            places.note(place(sequence));
        }
        assert_eq!(places.landmarks(place(256).head), [], "the first record is none");
        assert_eq!(sequences(&places.landmarks(place(257).head)), [256]);
        for sequence in 257..=100_000 {
            places.note(place(sequence));
        }
        let head = place(100_000).head;
        let landmarks = places.landmarks(head);
        let expected = [
            99_840, 99_584, 99_328, 98_816, 97_792, 95_744, 91_648, 83_456, 67_072, 34_304,
        ];
        assert_eq!(sequences(&landmarks), expected);
        let few = Places::new(place(0));
        few.add(&landmarks);
        assert_eq!(few.landmarks(head), landmarks);
    }
}
