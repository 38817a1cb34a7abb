//! The escrow's time, which alone decides deadlines.
//!
//! It is the later of its clock and the latest time in its journal, so that it never goes back behind what it has
//! decided. Two kinds of decisions rest on it, and write it down:
//!
//! - A release is committed only before its deadline. It writes the time at which it was made, which is before a
//!   deadline that the bank, by a clock of its own, has found to be at most a day ahead.
//! - An overdue purchase is aborted only after its deadline. It writes that deadline and no more, however far ahead
//!   the clock may be. This is the decision that a wrong clock makes dangerous, since it could abort everybody. But a
//!   bank asks for it only once the deadline has passed by its own clock, so two clocks have to be wrong; and nobody
//!   else knows a purchase's terms but its customer, who may cancel it anyway, and its merchant, who may as well not
//!   release it.
//!
//! A customer's cancel needs no time and writes none: it is obeyed whatever the clock says. So however far ahead a
//! clock was for a while, real purchases have moved the journal's time by a day or so. Terms that somebody has made up
//! move it as far as such a clock was, if they name a bank whose card is here and he asks for their abort just then.
//!
//! Nothing else is decided while the clock cannot be right:
//!
//! - It has moved against the machine's own measure of elapsed time by more than [`LEAP_MAX_MS`] between two looks at
//!   it, in either direction. A machine that was suspended looks the same. It is right again when it is back where it
//!   should be, or when the operator, who has looked at it, restarts the escrow: at its start an escrow takes the clock
//!   as it is, since one that was switched off for a week must be able to go on.
//! - It is more than [`BEHIND_MAX_MS`] behind the journal's time. Either it is wrong now, or it was when that was
//!   written. If it is right, the operator starts the escrow once with `serve --accept-clock`, which sets the
//!   journal's time back to it. No decision is unmade by that; deadlines between the two times are ahead again for
//!   those purchases that are still open.

use farthing_protocol::refusal::Later;
use farthing_store::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// The farthest that the clock may move against elapsed time between two looks at it (ms): an hour. The settlement
/// loop looks at it at least every [`IDLE_MS`](crate::settle::IDLE_MS).
pub const LEAP_MAX_MS: u64 = 60 * 60 * 1000;

/// The farthest that the clock may be behind the journal's time (ms): an hour. Less is waited out.
pub const BEHIND_MAX_MS: u64 = 60 * 60 * 1000;

/// How far the clock may be ahead of the journal's time at a start before the operator is asked to look at it (ms): a
/// day. It cannot be told from quiet days, so it stops nothing.
pub const QUIET_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// Watches the clock.
pub struct Timekeeper {
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
    /// Whether the log says already that the clock cannot be right.
    complained: AtomicBool,
}

/// The last look at a clock that was right.
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
    /// Takes the clock as it is now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            seen: Mutex::new(Seen::now(&*clock)),
            clock,
            complained: AtomicBool::new(false),
        }
    }

    /// The clock's time (ms since 1970).
    ///
    /// # Errors
    /// [`Later::Unavailable`] when it has leapt: nothing may be decided by it.
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

    /// The escrow's time (ms since 1970), if the journal's is `latest_ms`. Says once in the log when there is none, and
    /// once when there is one again.
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
                "no deadline is decided until the clock is right again. If it is right, restart the escrow with \
                 `serve --accept-clock`"
            ),
            Ok(_) if complained => tracing::info!("the clock is right again"),
            _ => {}
        }
        time
    }
}

/// The escrow's time: the later of its clock and the journal's time (ms since 1970).
///
/// # Errors
/// [`Later::Unavailable`] when the clock is so far behind that one of the two must be wrong.
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

    /// More than a test takes.
    const SLACK_MS: u64 = 60_000;

    #[test]
    fn a_leap_stops_it_until_the_clock_is_right_again_or_a_restart() {
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
    fn a_clock_that_is_a_little_behind_waits_and_one_that_is_far_behind_stops_it() {
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
