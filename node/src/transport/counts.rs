//! The request counters of a server.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of a server's requests since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCounts {
    /// Completed handshakes.
    pub connections: u64,
    /// Requests, including those refused as busy. Each has one reply or refusal.
    pub requests: u64,
    /// Requests and connections that were refused at once, because the server was busy.
    pub busy: u64,
    /// Bytes of requests.
    pub request_bytes: u64,
    /// Bytes of replies.
    pub reply_bytes: u64,
}

/// The counters of a running server. [`counts`](ServerCounters::counts) reads them.
#[derive(Debug, Default)]
pub struct ServerCounters {
    connections: AtomicU64,
    requests: AtomicU64,
    busy: AtomicU64,
    request_bytes: AtomicU64,
    reply_bytes: AtomicU64,
}

impl ServerCounters {
    /// The current counts.
    pub fn counts(&self) -> ServerCounts {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ServerCounts {
            connections: now(&self.connections),
            requests: now(&self.requests),
            busy: now(&self.busy),
            request_bytes: now(&self.request_bytes),
            reply_bytes: now(&self.reply_bytes),
        }
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn busy(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request(&self, bytes: usize) {
        self.request_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn reply(&self, bytes: usize) {
        self.reply_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
