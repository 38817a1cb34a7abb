//! The escrow's time, which alone decides deadlines.
//!
//! It is the later of its clock and the latest time at which it has decided something, so that it never goes
//! back. A clock that leaps more than [`LEAP_MAX_MS`] ahead while the escrow runs would abort everybody's
//! purchases at once. So the escrow decides nothing then and says so in its log, until the clock is right again;
//! or until its operator, who has looked at the clock, restarts it: at its start it takes the clock as it is,
//! since an escrow that was switched off for a week must be able to go on.

use farthing_node::clock::Clock;
use farthing_protocol::refusal::Later;
use std::sync::{Arc, Mutex, PoisonError};

/// The farthest that the clock may move between two looks at it (ms): a day. The settlement loop looks at it at
/// least every [`IDLE_MS`](crate::settle::IDLE_MS).
pub const LEAP_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// Watches the clock.
pub struct Timekeeper {
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

struct Seen {
    latest_ms: u64,
    complained: bool,
}

impl std::fmt::Debug for Timekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timekeeper").finish_non_exhaustive()
    }
}

impl Timekeeper {
    /// Takes the clock as it is now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let seen = Seen {
            latest_ms: clock.now_ms(),
            complained: false,
        };
        Self {
            clock,
            seen: Mutex::new(seen),
        }
    }

    /// The clock's time (ms since 1970).
    ///
    /// # Errors
    /// [`Later::Unavailable`] when it has leapt: nothing may be decided by it.
    pub fn now_ms(&self) -> Result<u64, Later> {
        let now_ms = self.clock.now_ms();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms > seen.latest_ms.saturating_add(LEAP_MAX_MS) {
            if !seen.complained {
                tracing::error!(
                    clock_ms = now_ms,
                    seen_ms = seen.latest_ms,
                    "the clock has leapt more than a day ahead; nothing is decided until it is right again. If \
                     it is right, restart the escrow"
                );
            }
            seen.complained = true;
            return Err(Later::Unavailable(
                "its clock has leapt; its operator is told in its log".into(),
            ));
        }
        seen.complained = false;
        seen.latest_ms = seen.latest_ms.max(now_ms);
        Ok(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_node::clock::ManualClock;

    #[test]
    fn a_leap_stops_it_until_the_clock_is_right_again_or_a_restart() {
        let clock = Arc::new(ManualClock::new(1_000));
        let time = Timekeeper::new(clock.clone());
        for _ in 0..10 {
            clock.advance(LEAP_MAX_MS);
            assert!(time.now_ms().is_ok());
        }
        let right_ms = clock.now_ms();
        clock.advance(LEAP_MAX_MS + 1);
        for _ in 0..2 {
            assert!(matches!(time.now_ms(), Err(Later::Unavailable(_))));
        }
        assert!(Timekeeper::new(clock.clone()).now_ms().is_ok());
        clock.set(right_ms + 1);
        assert_eq!(time.now_ms(), Ok(right_ms + 1));
    }
}
