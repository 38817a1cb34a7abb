//! Stopping a process gracefully.
//!
//! One [`Stopper`] and any number of [`StopToken`]s: servers take a token, stop accepting when it fires, and let what
//! is under way finish within a bound of their own.

use std::io;

use tokio::sync::watch;

/// Tells everyone who holds a token to stop. Dropping it does so too.
#[derive(Debug)]
pub struct Stopper {
    stop: watch::Sender<bool>,
}

/// Learns when to stop.
#[derive(Debug, Clone)]
pub struct StopToken {
    stop: watch::Receiver<bool>,
}

/// A stopper and its first token.
#[must_use]
pub fn stop_pair() -> (Stopper, StopToken) {
    let (sender, receiver) = watch::channel(false);
    (Stopper { stop: sender }, StopToken { stop: receiver })
}

impl Stopper {
    /// Tells everyone to stop; repeating it changes nothing.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// One more token.
    #[must_use]
    pub fn token(&self) -> StopToken {
        StopToken {
            stop: self.stop.subscribe(),
        }
    }
}

impl StopToken {
    /// Waits until it is time to stop; returns at once if it is already.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // An error means that the stopper is gone, and with it whoever could still want this to run.
        let _gone = stop.wait_for(|stop| *stop).await;
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

/// Waits for the signal of a terminal (SIGINT) or of a service manager (SIGTERM).
///
/// # Errors
/// When the process cannot listen for signals.
pub async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("interrupted: finishing what is under way"),
        _ = terminate.recv() => tracing::info!("asked to stop: finishing what is under way"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_token_learns_of_the_stop_whenever_it_was_made() {
        let (stopper, token) = stop_pair();
        assert!(!token.is_stopped());
        stopper.stop();
        token.stopped().await;
        stopper.token().stopped().await;
        assert!(token.is_stopped());
    }

    #[tokio::test]
    async fn a_dropped_stopper_stops_as_well() {
        let (stopper, token) = stop_pair();
        drop(stopper);
        token.stopped().await;
        assert!(token.is_stopped());
    }
}
