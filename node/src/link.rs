//! A long-lived connection to a peer. It reconnects after a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::card::Card;
use crate::network::{Acted, Channel, Lane, Network, NetworkError};

/// How long a link waits after the first failed connection before it tries again (ms). It doubles each time.
pub const RECONNECT_FIRST_MS: u64 = 50;

/// The longest that a link waits between two attempts to connect (ms).
pub const RECONNECT_MAX_MS: u64 = 5_000;

/// A long-lived connection to one server. It connects at its first use. After a failure it reconnects, with growing
/// pauses of at most [`RECONNECT_MAX_MS`].
///
/// It never repeats a request that the server may have acted on. The roles do this: they know which requests can be
/// repeated, and until when a reply is useful.
pub struct Link {
    network: Arc<dyn Network>,
    card: Card,
    lane: Lane,
    state: Mutex<State>,
    /// Whether there is a connection, as far as is known. It can be read while the state is locked.
    is_connected: AtomicBool,
    /// Whether the last attempt to connect has failed.
    is_failing: AtomicBool,
}

/// The state of a link's connection.
#[derive(Default)]
struct State {
    channel: Option<Arc<dyn Channel>>,
    /// The number of failed attempts to connect since the last successful one.
    failures: u32,
    /// The earliest time of the next attempt to connect.
    not_before: Option<Instant>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("card", &self.card)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link to the server of `card`. Nothing is sent before the first call.
    #[must_use]
    pub fn new(network: Arc<dyn Network>, card: Card, lane: Lane) -> Self {
        Self {
            network,
            card,
            lane,
            state: Mutex::default(),
            is_connected: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Whether it has a connection, as far as is known. The next call may find that the connection has ended.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Whether its last attempt to connect has failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// The server's card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Makes one call on `channel`. A failed channel is not used again.
    async fn call_on(
        &self,
        channel: &Arc<dyn Channel>,
        request: Vec<u8>,
        deadline: Instant,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = channel.call_into(request, left, reply).await;
        // A restarted server does not know the connection and sends nothing. So a timeout counts as a failure of the
        // connection too. Calls under way keep their channel until they end.
        if let Err(NetworkError::Closed { .. } | NetworkError::TimedOut { .. }) = &outcome {
            let mut state = self.state.lock().await;
            if state
                .channel
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, channel))
            {
                state.channel = None;
                self.is_connected.store(false, Ordering::Relaxed);
            }
        }
        outcome
    }

    /// Returns the current channel, or a new one with `true`.
    async fn channel(
        &self,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<(Arc<dyn Channel>, bool), NetworkError> {
        let connecting = async {
            // Held while connecting, so that concurrent calls share one connection.
            let mut state = self.state.lock().await;
            if let Some(channel) = &state.channel {
                return Ok((channel.clone(), false));
            }
            if let Some(not_before) = state.not_before {
                tokio::time::sleep_until(not_before).await;
            }
            let connected = self.network.connect(&self.card, self.lane).await;
            self.is_connected.store(connected.is_ok(), Ordering::Relaxed);
            self.is_failing.store(connected.is_err(), Ordering::Relaxed);
            match connected {
                Ok(channel) => {
                    *state = State {
                        channel: Some(channel.clone()),
                        ..State::default()
                    };
                    Ok((channel, true))
                }
                Err(error) => {
                    let pause_ms = RECONNECT_FIRST_MS
                        .saturating_mul(1_u64.checked_shl(state.failures).unwrap_or(u64::MAX))
                        .min(RECONNECT_MAX_MS);
                    state.failures = state.failures.saturating_add(1);
                    state.not_before = Some(Instant::now() + Duration::from_millis(pause_ms));
                    Err(error)
                }
            }
        };
        match tokio::time::timeout_at(deadline, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(NetworkError::TimedOut {
                peer: self.card.title(),
                waited_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
                acted: Acted::No,
            }),
        }
    }
}

#[async_trait]
impl Channel for Link {
    /// Sends `request` and waits for its reply. `timeout` counts from the call, so it covers the time to connect too.
    /// While the server cannot be reached, the call waits for the next attempt, if its timeout allows that.
    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        let deadline = Instant::now() + timeout;
        let (channel, fresh) = self.channel(deadline, timeout).await?;
        if fresh {
            return self.call_on(&channel, request, deadline, reply).await;
        }
        match self.call_on(&channel, request.clone(), deadline, reply).await {
            // A lost old connection is no fault of the server: it may have restarted.
            Err(NetworkError::Closed { acted: Acted::No, .. }) => {
                let (channel, _) = self.channel(deadline, timeout).await?;
                self.call_on(&channel, request, deadline, reply).await
            }
            outcome => outcome,
        }
    }
}
