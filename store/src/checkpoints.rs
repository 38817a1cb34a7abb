//! Checkpoints: known positions in a journal. A scan for any other record starts at one.

use crate::error::{Damage, DamageKind};
use crate::index::Head;
use crate::limits::CHECKPOINT_RECORDS;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// The position of a record: its offset, and the head before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Offset of the record's first byte.
    pub(crate) offset: u64,
    /// The last record before it.
    pub(crate) head: Head,
}

impl Position {
    /// The damage of the record at this position.
    pub(crate) fn damage(&self, kind: DamageKind) -> Damage {
        Damage {
            offset: self.offset,
            sequence: self.head.sequence.saturating_add(1),
            kind,
        }
    }
}

/// The known positions, by the sequence number before them.
pub(crate) struct Checkpoints(RwLock<BTreeMap<u64, Position>>);

impl Checkpoints {
    /// Knows only `first`.
    pub(crate) fn new(first: Position) -> Self {
        Self(RwLock::new(BTreeMap::from([(first.head.sequence, first)])))
    }

    /// Forgets all positions except `first`.
    pub(crate) fn reset(&self, first: Position) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) =
            BTreeMap::from([(first.head.sequence, first)]);
    }

    /// Keeps `position` if its sequence number is a multiple of [`CHECKPOINT_RECORDS`].
    pub(crate) fn keep(&self, position: Position) {
        if position.head.sequence.is_multiple_of(CHECKPOINT_RECORDS) {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(position.head.sequence, position);
        }
    }

    /// The last known position at or before `sequence`.
    pub(crate) fn at_or_before(&self, sequence: u64) -> Option<Position> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known
            .range(..=sequence)
            .next_back()
            .map(|(_, position)| *position)
    }

    /// The first known position at or after `sequence`.
    pub(crate) fn at_or_after(&self, sequence: u64) -> Option<Position> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.range(sequence..).next().map(|(_, position)| *position)
    }

    /// Adds positions from the state file.
    pub(crate) fn add(&self, positions: &[Position]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(
            positions
                .iter()
                .map(|position| (position.head.sequence, *position)),
        );
    }

    /// A few positions for the state file, from `head` back. Each is about twice as far from `head` as the one before. The
    /// first one is before the last record.
    pub(crate) fn sparse(&self, head: Head) -> Vec<Position> {
        let mut checkpoints = Vec::new();
        let mut back = 1u64;
        while let Some(position) = head
            .sequence
            .checked_sub(back)
            .and_then(|at| self.at_or_before(at))
        {
            if position.head.sequence > 0 && checkpoints.last() != Some(&position) {
                checkpoints.push(position);
            }
            back = back.saturating_mul(2);
        }
        checkpoints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::ids::RecordHash;

    fn position(sequence: u64) -> Position {
        Position {
            offset: 512 + 100 * sequence,
            head: Head {
                sequence,
                hash: RecordHash([7; 32]),
            },
        }
    }

    fn sequences(checkpoints: &[Position]) -> Vec<u64> {
        checkpoints
            .iter()
            .map(|position| position.head.sequence)
            .collect()
    }

    #[test]
    fn sparse_checkpoints_lie_before_the_head_and_are_sparse_again_after_a_restart() {
        let checkpoints = Checkpoints::new(position(0));
        assert_eq!(checkpoints.sparse(position(0).head), []);
        for sequence in 1..=256 {
            checkpoints.keep(position(sequence));
        }
        assert_eq!(
            checkpoints.sparse(position(256).head),
            [],
            "the genesis is no checkpoint"
        );
        assert_eq!(sequences(&checkpoints.sparse(position(257).head)), [256]);
        for sequence in 257..=100_000 {
            checkpoints.keep(position(sequence));
        }
        let head = position(100_000).head;
        let checkpoints = checkpoints.sparse(head);
        let expected = [
            99_840, 99_584, 99_328, 98_816, 97_792, 95_744, 91_648, 83_456, 67_072, 34_304,
        ];
        assert_eq!(sequences(&checkpoints), expected);
        let few = Checkpoints::new(position(0));
        few.add(&checkpoints);
        assert_eq!(few.sparse(head), checkpoints);
    }
}
