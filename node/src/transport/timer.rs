//! How long a client waits: for silence, and for the bytes of a slow line.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The rate of the slowest supported line (bytes a second). It is half of 8 kbit/s. The other half is for QUIC's
/// overhead and retransmissions. A slower call is given up, so that no peer can prolong a call beyond the time of its
/// bytes.
pub const RATE_LEAST_BYTES: u64 = 500;

/// The time of `bytes` on the slowest line.
#[must_use]
pub const fn slowest(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / RATE_LEAST_BYTES)
}

/// The bytes of a handshake, repetitions included, that count for its time limit.
pub(crate) const HANDSHAKE_BYTES: u64 = 4 * 1024;

/// Milliseconds of `duration`, for messages.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The server was silent for too long, or the call has reached its end.
#[derive(Debug)]
pub(crate) struct Silent;

/// The time limits of one call, or of one handshake.
pub(crate) struct CallTimer<R> {
    /// How long the server may be silent.
    timeout: Duration,
    /// The latest end of the call. Each transferred byte extends it by the time of that byte on the slowest line.
    end: Instant,
    /// Returns the number of datagrams that the connection has received. While datagrams arrive, acknowledgements
    /// included, the server is not silent.
    received: R,
}

impl<R: Fn() -> u64> CallTimer<R> {
    /// The limits for a request of `bytes`, whose transfer begins now.
    pub(crate) fn new(timeout: Duration, bytes: u64, received: R) -> Self {
        Self {
            timeout,
            end: Instant::now() + timeout + slowest(bytes),
            received,
        }
    }

    /// Extends the end, because `bytes` of the reply have arrived.
    pub(crate) fn extend(&mut self, bytes: usize) {
        self.end += slowest(bytes as u64);
    }

    /// Waits for `next`.
    ///
    /// # Errors
    /// [`Silent`] when the server has been silent for too long, or the call has reached its end.
    pub(crate) async fn wait<T>(&self, next: impl Future<Output = T>) -> Result<T, Silent> {
        let mut next = pin!(next);
        loop {
            let received = (self.received)();
            let until = self.end.min(Instant::now() + self.timeout);
            match timeout_at(until, &mut next).await {
                Ok(done) => return Ok(done),
                Err(_) if until == self.end || (self.received)() == received => return Err(Silent),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const SILENCE: Duration = Duration::from_secs(5);

    /// Returns how long a call waits for this reply: `bytes` arrive every `pause`, `times` times, and then nothing.
    async fn waits_for(bytes: usize, pause: Duration, times: usize) -> Duration {
        let began = Instant::now();
        let mut timer = CallTimer::new(SILENCE, 0, || 0);
        for _ in 0..times {
            match timer.wait(tokio::time::sleep(pause)).await {
                Ok(()) => timer.extend(bytes),
                Err(_) => return began.elapsed(),
            }
        }
        let _silent = timer.wait(pending::<()>()).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_when_the_server_is_silent() {
        assert_eq!(waits_for(0, Duration::ZERO, 0).await, SILENCE);
        let heard = Duration::from_secs(100);
        assert_eq!(
            waits_for(4_000, Duration::from_secs(4), 25).await,
            heard + SILENCE
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_when_the_reply_is_slower_than_the_slowest_line() {
        let waited = waits_for(1, Duration::from_secs(4), 1_000_000).await;
        assert!(waited < SILENCE + Duration::from_secs(1), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_request_has_more_time_while_it_is_acknowledged() {
        const BYTES: u64 = 10_000;
        let began = Instant::now();
        let silent = CallTimer::new(SILENCE, BYTES, || 0);
        let _silent = silent.wait(pending::<()>()).await;
        assert_eq!(began.elapsed(), SILENCE);
        let began = Instant::now();
        let acknowledged = CallTimer::new(SILENCE, BYTES, || began.elapsed().as_secs());
        let _silent = acknowledged.wait(pending::<()>()).await;
        assert_eq!(began.elapsed(), SILENCE + slowest(BYTES));
    }
}
