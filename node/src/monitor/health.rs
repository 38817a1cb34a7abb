//! Whether a node works, and whether it is ready to serve.

use super::source::Monitored;
use crate::history::status::StandingStatus;
use crate::operator::status::Status;
use crate::process::StopToken;

/// Whether a node works, and what it lacks to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// Whether its store has stopped. Only a start repairs that.
    pub(crate) stopped: bool,
    /// Why it is not ready, in words. Empty if it is ready.
    pub(crate) lacks: Vec<&'static str>,
}

impl Health {
    /// The health of `node` now. `now_ms` is the time since 1970.
    pub(crate) fn of(node: &dyn Monitored, stop: &StopToken, now_ms: u64) -> Self {
        let stopped = node.stopped().is_some();
        let mut lacks = Vec::new();
        if stopped {
            lacks.push("its store has stopped; the log says why");
        }
        if stop.is_stopped() {
            lacks.push("it is stopping");
        }
        lacks.extend(status_lacks(&node.status(), now_ms));
        lacks.extend(node.lacks());
        Self { stopped, lacks }
    }

    /// Whether it is ready to serve.
    pub(crate) fn is_ready(&self) -> bool {
        self.lacks.is_empty()
    }
}

fn status_lacks(status: &Status, now_ms: u64) -> Vec<&'static str> {
    let mut lacks = Vec::new();
    if status.store.is_some_and(|store| store.unverified > 0) {
        lacks.push("its journal is still being verified");
    }
    if status.store.is_some_and(|store| store.unreachable) {
        lacks.push("its database does not answer");
    }
    if status.draining {
        lacks.push("it drains");
    }
    match status.history.map(|history| history.standing) {
        Some(StandingStatus::Waiting) => lacks.push("it waits for a peer to tell what it remembers"),
        Some(StandingStatus::Behind { .. }) => lacks.push("it runs from an older copy of its journal"),
        Some(StandingStatus::Up) | None => {}
    }
    if let Some(keys) = status.keys {
        if keys.doubt.is_some() {
            lacks.push("it doubts its clock");
        } else if keys.issues_until_ms <= now_ms {
            lacks.push("no key issues coins");
        }
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::status::HistoryStatus;
    use crate::operator::status::KeyListStatus;
    use farthing_store::StoreCounts;

    #[test]
    fn a_node_is_ready_when_it_may_decide_and_is_verified_and_has_keys() {
        let keys = KeyListStatus {
            epochs: 2,
            epochs_max: 90,
            issues_until_ms: 1_000,
            full: false,
            doubt: None,
        };
        let mut status = Status {
            store: Some(StoreCounts::default()),
            history: Some(HistoryStatus {
                standing: StandingStatus::Up,
                witnesses: 1,
                proven: 1,
            }),
            keys: Some(keys),
            ..Status::default()
        };
        assert!(status_lacks(&status, 999).is_empty());
        assert_eq!(status_lacks(&status, 1_000), ["no key issues coins"]);
        status.store.as_mut().unwrap().unverified = 1;
        status.history.as_mut().unwrap().standing = StandingStatus::Behind { missing: 7 };
        assert_eq!(status_lacks(&status, 999).len(), 2);
    }
}
