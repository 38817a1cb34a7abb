//! The node's standing, for its operator.

use super::{History, Standing};
use serde::{Deserialize, Serialize};

/// The exit code of `status` for a node that decides nothing.
pub const EXIT_UNDECIDED: u8 = 4;

/// Whether a node may decide and pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "standing")]
pub enum StandingStatus {
    /// The node may decide and pay.
    Up,
    /// The node waits for a peer to tell what it remembers.
    Waiting,
    /// The node runs from an older copy of its journal.
    Behind {
        /// The number of a record that a peer remembers. The journal lacks it or has another in its place.
        missing: u64,
    },
}

/// The node's standing and its witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// Whether it may decide.
    #[serde(flatten)]
    pub standing: StandingStatus,
    /// How many peers can be asked what they remember.
    pub witnesses: usize,
    /// How many of them have proven, since the start, that they have forgotten nothing.
    pub proven: usize,
}

impl History {
    /// Returns the node's standing.
    pub fn status(&self) -> HistoryStatus {
        let standing = match &*self.standing.borrow() {
            Standing::Unwitnessed => StandingStatus::Waiting,
            Standing::Up => StandingStatus::Up,
            Standing::Behind(told) => StandingStatus::Behind {
                missing: told.body.records,
            },
        };
        let witnesses = self.witnesses();
        let known = self.known();
        let proven = witnesses
            .iter()
            .filter(|card| known.proven.contains_key(&card.identity));
        HistoryStatus {
            standing,
            proven: proven.count(),
            witnesses: witnesses.len(),
        }
    }
}

impl HistoryStatus {
    /// The text for the operator.
    pub fn text(&self) -> String {
        let HistoryStatus {
            standing,
            witnesses,
            proven,
        } = self;
        match standing {
            StandingStatus::Up => {
                format!("it decides and pays; {proven} of {witnesses} peers have compared journals with it")
            }
            StandingStatus::Waiting => format!(
                "it waits: nothing is decided or paid before one of its {witnesses} peers has told what it remembers"
            ),
            StandingStatus::Behind { missing } => format!(
                "IT IS BEHIND, and decides and pays nothing: a peer remembers record {missing} of its journal, which is \
                 not in it. It runs from an older copy. Stop it, put the newest journal in place, and start it again \
                 (OPERATIONS.md, A node that is behind)"
            ),
        }
    }

    /// The exit code of `status`.
    pub fn exit(&self) -> u8 {
        match self.standing {
            StandingStatus::Up => 0,
            StandingStatus::Waiting | StandingStatus::Behind { .. } => EXIT_UNDECIDED,
        }
    }
}
