//! A pass over a node's rows that forgets the old ones, in rounds beside the work. Each role says what is old.

use crate::complaints::Complaints;
use crate::process::StopToken;
use farthing_coin::{KeyId, PublicKey};
use farthing_store::{StoreError, Table, View};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

/// The most rows that one round looks at.
pub const ROUND_MAX: usize = 256;

/// How long a node waits between two rounds. A pass must not slow requests down.
const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// How often a node looks whether an epoch more is closed, so that a pass begins.
const LOOK_PAUSE: Duration = Duration::from_secs(60 * 60);

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

/// Runs a round after each pause, until `stop`. A round can be dropped at any point: a transaction that it has begun goes on.
pub async fn keep<R: Future<Output = Result<Round, StoreError>>>(
    stop: &StopToken,
    complaints: &Complaints,
    round: impl Fn() -> R,
) {
    let rounds = async {
        let mut pause = LOOK_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            pause = pause_after(round().await, complaints);
        }
    };
    tokio::select! {
        biased;
        () = stop.stopped() => {}
        () = rounds => {}
    }
}

/// Tells the log how a round went, and returns how long to wait for the next one.
fn pause_after(round: Result<Round, StoreError>, complaints: &Complaints) -> Duration {
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

/// The key of a row about a coin: its denomination and its key.
pub type CoinKey = (KeyId, PublicKey);

/// The next page of rows about coins of these denominations, one denomination after the other. Empty after the last one.
///
/// # Errors
/// When the store fails.
pub fn page_of_coins<V: Serialize + DeserializeOwned>(
    table: &Table<CoinKey, V>,
    view: &View,
    keys: &BTreeSet<KeyId>,
    after: Option<CoinKey>,
) -> Result<Vec<(CoinKey, V)>, StoreError> {
    let first = after.map_or(Bound::Unbounded, |(key_id, _)| Bound::Included(key_id));
    for key_id in keys.range((first, Bound::Unbounded)) {
        let under = after.filter(|(last, _)| last == key_id);
        let rows = table.scan_under(view, key_id, after_bound(under.as_ref()), ROUND_MAX)?;
        if !rows.is_empty() {
            return Ok(rows);
        }
    }
    Ok(Vec::new())
}
