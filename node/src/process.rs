//! Stopping a process gracefully.
//!
//! There is one [`Stopper`] and any number of [`StopToken`]s. When its token fires, a server stops accepting. Requests
//! under way finish within the server's own time limit.

use std::io;

use tokio::sync::watch;

/// The sender of the stop signal, for all holders of a token. Dropping it sends the signal too.
#[derive(Debug)]
pub struct Stopper {
    stop: watch::Sender<bool>,
}

/// The receiver of the stop signal.
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
    /// Sends the stop signal. Repetition has no effect.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns a new token.
    #[must_use]
    pub fn token(&self) -> StopToken {
        StopToken {
            stop: self.stop.subscribe(),
        }
    }
}

impl StopToken {
    /// Waits for the stop signal. Returns at once if it was sent already.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // An error means that the stopper was dropped. That is a stop signal too.
        let _gone = stop.wait_for(|stop| *stop).await;
    }

    /// Whether the stop signal was sent.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

/// Waits for SIGINT (from a terminal) or SIGTERM (from a service manager).
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
    async fn every_token_gets_the_stop_signal_even_if_it_is_created_later() {
        let (stopper, token) = stop_pair();
        assert!(!token.is_stopped());
        stopper.stop();
        token.stopped().await;
        stopper.token().stopped().await;
        assert!(token.is_stopped());
    }

    #[tokio::test]
    async fn a_dropped_stopper_sends_the_stop_signal() {
        let (stopper, token) = stop_pair();
        drop(stopper);
        token.stopped().await;
        assert!(token.is_stopped());
    }
}
