//! What all hostile clients share: their number, their addresses, and the counts of what came of their requests.

use anyhow::Result;
use farthing_node::{call::CallError, network::NetworkError};
use farthing_protocol::{
    api::{Call, ForwardRequest},
    refusal::{Later, Refusal},
};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The number of clients.
pub(crate) const CLIENTS: usize = 64;

/// The requests that each client has under way.
pub(crate) const UNDER_WAY_PER_CLIENT: usize = 8;

/// The first of the loopback addresses from which the clients send, and their number. The nodes have 127.0.0.1, and the
/// customers the addresses from 127.1.0.1.
const FIRST_ADDRESS: u8 = 2;
pub(crate) const ADDRESSES: usize = 4;

/// How long a client waits for a reply. Longer than every honest wait: it gives up nothing by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The address of the client with this number.
pub(crate) fn source(number: usize) -> Result<IpAddr> {
    let last = FIRST_ADDRESS.saturating_add(u8::try_from(number % ADDRESSES)?);
    Ok(Ipv4Addr::new(127, 0, 0, last).into())
}

/// What an attacker has done.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Attacked {
    /// How long (s).
    pub(crate) seconds: f64,
    /// Requests that were sent.
    pub(crate) requests: u64,
    /// Requests that were answered.
    pub(crate) answered: u64,
    /// Requests that were refused.
    pub(crate) refused: u64,
    /// Requests that were refused because a server was busy.
    pub(crate) busy: u64,
    /// Requests without a reply, most of them given up.
    pub(crate) unanswered: u64,
}

impl Attacked {
    /// Requests a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds.max(f64::EPSILON)
    }
}

/// The counters of all clients.
#[derive(Default)]
pub(crate) struct Counts {
    requests: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    busy: AtomicU64,
    unanswered: AtomicU64,
}

impl Counts {
    /// The counts of requests, answered, refused, busy and unanswered.
    pub(crate) fn now(&self) -> [u64; 5] {
        [
            &self.requests,
            &self.answered,
            &self.refused,
            &self.busy,
            &self.unanswered,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Counts a request.
    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what came of a request.
    pub(crate) fn replied(&self, reply: &Result<Vec<u8>, CallError>) {
        let counter = match reply {
            Ok(reply) => match ForwardRequest::decode_reply(reply) {
                Ok(Err(Refusal::Later(Later::Busy { .. }))) => &self.busy,
                Ok(Err(_)) => &self.refused,
                // The reply to another question does not decode as this one's.
                Ok(Ok(_)) | Err(_) => &self.answered,
            },
            Err(CallError::Network(NetworkError::Busy { .. })) => &self.busy,
            Err(CallError::Network(NetworkError::Refused { .. })) => &self.refused,
            Err(_) => &self.unanswered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
