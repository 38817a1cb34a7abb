//! The escrow's time. Only it decides deadlines.
//!
//! It is the later of the clock and the latest time in the journal, so it never goes back before an earlier decision.
//! Two kinds of decisions rest on it and write a time:
//!
//! - A release commits only before its deadline. It writes the time of the commit. That time is before the deadline, and
//!   the bank has checked by its own clock that the deadline is at most a day ahead.
//! - An overdue purchase is aborted only after its deadline. The abort writes the deadline and no later time, even if the
//!   clock is far ahead. Here a wrong clock is dangerous, as it could abort every purchase. But a bank asks only after
//!   the deadline has passed by its own clock, so two clocks must be wrong. Apart from the bank, only customer and
//!   merchant know the terms of a purchase. The customer may cancel it anyway, and the merchant may decide not to
//!   release it.
//!
//! A customer's cancel needs no time and writes none. It is applied at any time of the clock. So a clock that was far
//! ahead for a while moves the journal's time by about a day, for real purchases. Invented terms can move it as far as
//! the wrong clock was. They must name a bank with a pinned card, and their abort must be requested at that time.
//!
//! Nothing else is decided while the clock cannot be right:
//!
//! - The clock has moved by more than [`LEAP_MAX_MS`] against the machine's elapsed time between two readings, in either
//!   direction. A machine that was suspended looks the same. The clock is right again when it returns to the expected
//!   time, or when the operator has checked it and restarts the escrow. At its start an escrow accepts the clock as it
//!   is, since an escrow that was off for a week must be able to continue.
//! - The clock is more than [`BEHIND_MAX_MS`] behind the journal's time. Either it is wrong now, or it was wrong when that
//!   time was written. If it is right, the operator starts the escrow once with `serve --accept-clock`. This sets the
//!   journal's time back to the clock. Decisions stay as they are. For open purchases, deadlines between the two times
//!   are ahead again.

use farthing_protocol::refusal::Later;
use farthing_store::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// The farthest that the clock may move against elapsed time between two readings (ms): an hour. The settlement loop
/// reads it at least every [`IDLE_MS`](crate::settle::IDLE_MS).
pub const LEAP_MAX_MS: u64 = 60 * 60 * 1000;

/// The farthest that the clock may be behind the journal's time (ms): an hour. A smaller difference passes by itself.
pub const BEHIND_MAX_MS: u64 = 60 * 60 * 1000;

/// How far the clock may be ahead of the journal's time at a start without a warning to the operator (ms): a day. Quiet
/// days look the same, so it stops nothing.
pub const QUIET_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// Watches the clock.
pub struct Timekeeper {
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
    /// Whether the log has reported that the clock cannot be right.
    complained: AtomicBool,
}

/// The last reading of a clock that was right.
#[derive(Clone, Copy)]
struct Seen {
    clock_ms: u64,
    at: Instant,
}

impl Seen {
    fn now(clock: &dyn Clock) -> Self {
        Self {
            clock_ms: clock.now_ms(),
            at: Instant::now(),
        }
    }
}

impl std::fmt::Debug for Timekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timekeeper").finish_non_exhaustive()
    }
}

impl Timekeeper {
    /// Accepts the clock as it is now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            seen: Mutex::new(Seen::now(&*clock)),
            clock,
            complained: AtomicBool::new(false),
        }
    }

    /// What the clock says, right or wrong (ms since 1970). Nothing is decided by it.
    pub fn reading_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The clock's time (ms since 1970).
    ///
    /// # Errors
    /// [`Later::Unavailable`] when the clock has leapt. No deadline may be decided by it.
    pub fn clock_ms(&self) -> Result<u64, Later> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let look = Seen::now(&*self.clock);
        let elapsed = look.at.saturating_duration_since(seen.at).as_millis();
        let elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let expected_ms = seen.clock_ms.saturating_add(elapsed_ms);
        if look.clock_ms.abs_diff(expected_ms) > LEAP_MAX_MS {
            return Err(untrusted("has leapt"));
        }
        *seen = look;
        Ok(look.clock_ms)
    }

    /// The escrow's time (ms since 1970), if the journal's time is `latest_ms`.
    ///
    /// The log reports once when the clock cannot be right, and once when it is right again.
    ///
    /// # Errors
    /// [`Later::Unavailable`] when the clock has leapt, or is far behind the journal.
    pub fn watch(&self, latest_ms: u64) -> Result<u64, Later> {
        let time = self.clock_ms().and_then(|clock_ms| later(clock_ms, latest_ms));
        let complained = self.complained.swap(time.is_err(), Ordering::SeqCst);
        match &time {
            Err(why) if !complained => tracing::error!(
                clock_ms = self.clock.now_ms(),
                latest_ms,
                %why,
                "no deadline is decided until the clock is right again; customers can still cancel; set the clock right or, \
                 if it is right, restart the escrow with `serve --accept-clock`"
            ),
            Ok(_) if complained => tracing::info!("the clock is right again; deadlines are decided"),
            _ => {}
        }
        time
    }
}

/// The escrow's time: the later of its clock and the journal's time (ms since 1970).
///
/// # Errors
/// [`Later::Unavailable`] when the clock is more than [`BEHIND_MAX_MS`] behind, so that one of the two must be wrong.
pub fn later(clock_ms: u64, latest_ms: u64) -> Result<u64, Later> {
    if clock_ms.saturating_add(BEHIND_MAX_MS) < latest_ms {
        return Err(untrusted("is behind its decisions"));
    }
    Ok(clock_ms.max(latest_ms))
}

fn untrusted(what: &str) -> Later {
    Later::Unavailable(format!("its clock {what}; its operator is told in its log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_store::clock::ManualClock;

    /// Longer than a test runs.
    const SLACK_MS: u64 = 60_000;

    #[test]
    fn a_leap_of_the_clock_stops_decisions_until_the_clock_is_right_or_a_restart() {
        let clock = Arc::new(ManualClock::new(1_000_000_000));
        let time = Timekeeper::new(clock.clone());
        for _ in 0..10 {
            clock.advance(LEAP_MAX_MS);
            assert!(time.clock_ms().is_ok());
        }
        let right_ms = clock.now_ms();
        for wrong_ms in [right_ms + LEAP_MAX_MS + SLACK_MS, right_ms - LEAP_MAX_MS - 1] {
            clock.set(wrong_ms);
            for _ in 0..2 {
                assert!(matches!(time.clock_ms(), Err(Later::Unavailable(_))));
            }
            assert_eq!(Timekeeper::new(clock.clone()).clock_ms(), Ok(wrong_ms));
            clock.set(right_ms + 1);
            assert_eq!(time.clock_ms(), Ok(right_ms + 1));
        }
    }

    #[test]
    fn decisions_stop_only_when_the_clock_is_far_behind_the_journal() {
        let latest_ms = 1_000_000_000;
        assert_eq!(later(latest_ms + 5, latest_ms), Ok(latest_ms + 5));
        assert_eq!(later(latest_ms - BEHIND_MAX_MS, latest_ms), Ok(latest_ms));
        let far_ms = latest_ms - BEHIND_MAX_MS - 1;
        assert!(matches!(later(far_ms, latest_ms), Err(Later::Unavailable(_))));
        let time = Timekeeper::new(Arc::new(ManualClock::new(far_ms)));
        assert!(time.watch(latest_ms).is_err());
        assert_eq!(time.watch(0), Ok(far_ms));
    }
}
