//! A pass over a node's rows that forgets the old ones, in rounds beside the work. Each role says what is old.

use crate::complaints::Complaints;
use farthing_store::StoreError;
use std::ops::Bound;
use std::time::Duration;

/// The most rows that one round looks at.
pub const ROUND_MAX: usize = 256;

/// How long a node waits between two rounds. A pass must not slow requests down.
pub const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// How often a node looks whether an epoch more is closed, so that a pass begins.
pub const LOOK_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The topic of the complaint about rows that cannot be forgotten.
const TOPIC: &str = "purge";

/// The result of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// How many rows were forgotten.
    pub forgotten: usize,
    /// Whether the pass goes on.
    pub more: bool,
}

/// Tells the log how a round went, and returns how long to wait for the next one.
pub fn pause_after(round: Result<Round, StoreError>, complaints: &Complaints) -> Duration {
    match round {
        Ok(Round { forgotten, more }) => {
            if forgotten > 0 {
                tracing::info!(forgotten, "forgot rows of closed epochs");
            }
            if more { ROUND_PAUSE } else { LOOK_PAUSE }
        }
        Err(error) => {
            complaints.tell(TOPIC, &"", |times| {
                tracing::error!(%error, times, "cannot forget the rows of closed epochs; it is tried again");
            });
            LOOK_PAUSE
        }
    }
}

/// The begin of a page.
pub fn after_bound<K>(after: Option<&K>) -> Bound<&K> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

/// The last key of a page that is full. A page that is not full is the last one.
pub fn full<K: Copy, V>(rows: &[(K, V)]) -> Option<K> {
    rows.last()
        .filter(|_| rows.len() == ROUND_MAX)
        .map(|(key, _)| *key)
}
