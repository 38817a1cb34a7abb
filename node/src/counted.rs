//! A service that counts how it answers. It passes everything else to the service that it wraps.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use farthing_protocol::api::encode_reply;
use farthing_protocol::refusal::{Later, Refusal, RelayFault, RequestFault};
use farthing_protocol::wire::VARIANT_BYTES;
use serde::{Deserialize, Serialize};

use crate::network::{Caller, Lane, Service};

/// How a role has answered since its start. The kinds are few, so that no count is about one customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyCounts {
    /// Requests that were carried out or answered.
    pub answered: u64,
    /// Requests that were refused for their content: a wrong contract, too little money, a spent coin.
    pub refused: u64,
    /// Requests that the node could not carry out at the time. They can be repeated.
    pub later: u64,
    /// Requests of no use: they do not decode, do not open, or are for another party.
    pub faulty: u64,
}

/// The counters of a role's replies.
#[derive(Debug, Default)]
pub(crate) struct ReplyCounters {
    answered: AtomicU64,
    refused: AtomicU64,
    later: AtomicU64,
    faulty: AtomicU64,
}

/// The beginnings of a reply.
static BEGINNINGS: LazyLock<Beginnings> = LazyLock::new(|| Beginnings {
    refusal: beginning(Later::Behind, 1),
    later: beginning(Later::Behind, 2),
    faulty: [
        beginning(RequestFault::Malformed(String::new()), 2),
        beginning(RelayFault::DoesNotOpen, 2),
    ],
});

struct Beginnings {
    refusal: Vec<u8>,
    later: Vec<u8>,
    faulty: [Vec<u8>; 2],
}

/// The first `variants` variants of a refusal: that it is one, its kind, its cause.
fn beginning(refusal: impl Into<Refusal>, variants: usize) -> Vec<u8> {
    let mut reply = encode_reply::<()>(&Err(refusal.into()));
    reply.truncate(variants.saturating_mul(VARIANT_BYTES));
    reply
}

impl ReplyCounters {
    /// The current counts.
    pub(crate) fn counts(&self) -> ReplyCounts {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReplyCounts {
            answered: now(&self.answered),
            refused: now(&self.refused),
            later: now(&self.later),
            faulty: now(&self.faulty),
        }
    }

    fn count(&self, reply: &[u8]) {
        let known = &*BEGINNINGS;
        let counter = if !reply.starts_with(&known.refusal) {
            &self.answered
        } else if reply.starts_with(&known.later) {
            &self.later
        } else if known.faulty.iter().any(|faulty| reply.starts_with(faulty)) {
            &self.faulty
        } else {
            &self.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A service whose replies are counted.
pub(crate) struct Counted {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) counters: Arc<ReplyCounters>,
}

#[async_trait]
impl Service for Counted {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let reply = self.service.call(lane, request).await;
        self.counters.count(&reply);
        reply
    }

    async fn call_from(&self, caller: Caller, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let reply = self.service.call_from(caller, lane, request).await;
        self.counters.count(&reply);
        reply
    }

    async fn call_reserved(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let reply = self.service.call_reserved(lane, request).await;
        self.counters.count(&reply);
        reply
    }

    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        self.service.is_reserved(lane, request)
    }

    fn is_known_server(&self, address: IpAddr) -> bool {
        self.service.is_known_server(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::refusal::IssueFault;

    #[test]
    fn each_reply_is_counted_once_by_its_kind() {
        let counters = ReplyCounters::default();
        let refused = |refusal: Refusal| encode_reply::<()>(&Err(refusal));
        counters.count(&encode_reply(&Ok(7u64)));
        counters.count(&encode_reply(&Ok(())));
        counters.count(&refused(IssueFault::SessionGone.into()));
        counters.count(&refused(Later::Busy { retry_after_ms: 1 }.into()));
        counters.count(&refused(Later::PeerSilent("bank".into()).into()));
        counters.count(&refused(RequestFault::WrongLane("a peer".into()).into()));
        counters.count(&refused(RelayFault::UnknownTarget.into()));
        let expected = ReplyCounts {
            answered: 2,
            refused: 1,
            later: 2,
            faulty: 2,
        };
        assert_eq!(counters.counts(), expected);
    }
}
