//! The batch that is under way, for reads that may have seen its rows.
//!
//! A batch's rows become visible when the server has ended its transaction. That can be before this process knows it, and
//! before the synchronous standby has acknowledged it: when the wait for the standby was cut short. So a read waits for the
//! batch that was under way at its end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts the batches that were sent, and those whose outcome is known.
#[derive(Default)]
pub(crate) struct Flight {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    sent: u64,
    settled: u64,
    /// Whether the outcome of the last one stays unknown.
    is_abandoned: bool,
}

impl Flight {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch is about to be sent.
    pub(crate) fn sent(&self) {
        let mut counts = self.counts();
        counts.sent = counts.sent.saturating_add(1);
    }

    /// The outcome of all batches is known, and durable.
    pub(crate) fn settled(&self) {
        let mut counts = self.counts();
        counts.settled = counts.sent;
        drop(counts);
        self.changed.notify_all();
    }

    /// The writer has halted, and does not find out the outcome of its last batch.
    pub(crate) fn abandoned(&self) {
        self.counts().is_abandoned = true;
        self.changed.notify_all();
    }

    /// Waits until the outcome of every batch is known that was sent by now. `false` if it takes longer than `time`, or is
    /// never known.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let counts = self.counts();
        let sent = counts.sent;
        let is_open = |counts: &mut Counts| counts.settled < sent && !counts.is_abandoned;
        let waited = self.changed.wait_timeout_while(counts, time, is_open);
        let (counts, _) = waited.unwrap_or_else(PoisonError::into_inner);
        counts.settled >= sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_waits_for_the_batch_that_was_under_way() {
        let (flight, short) = (Flight::default(), Duration::from_millis(20));
        assert!(flight.wait(short), "nothing is under way");
        flight.sent();
        assert!(!flight.wait(short), "its outcome is unknown");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| flight.wait(Duration::from_secs(60)));
            flight.settled();
            assert!(waiting.join().unwrap());
        });
        assert!(flight.wait(short));
        flight.sent();
        flight.abandoned();
        assert!(!flight.wait(Duration::from_secs(60)), "at once");
    }
}
