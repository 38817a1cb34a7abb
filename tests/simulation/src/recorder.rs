//! What servers open of the requests that a relay brings. The checks read it beside the messages.

use super::{
    network::{LATE, MemoryNetwork, Sent},
    party::Party,
};
use async_trait::async_trait;
use farthing_node::{
    card::Card,
    network::{Lane, Service},
    oblivious::ObliviousService,
};
use std::sync::Arc;

/// A role that records every opened request with its reply.
pub struct Recorder {
    role: Arc<dyn Service>,
    network: Arc<MemoryNetwork>,
    card: Card,
    party: Party,
}

impl Recorder {
    /// A recorder around the role of `party`.
    pub fn new(role: Arc<dyn Service>, network: &Arc<MemoryNetwork>, card: Card, party: Party) -> Self {
        Self {
            role,
            network: network.clone(),
            card,
            party,
        }
    }
}

#[async_trait]
impl Service for Recorder {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        if self.network.is_blocked(&self.card, &request) {
            // As if it never arrived: nobody waits that long. The message ends, so that its faults end too.
            tokio::time::sleep(LATE).await;
            return Vec::new();
        }
        let number = self.network.opened(Sent {
            from: Party::Relay,
            to: self.party,
            lane,
            connection: 0,
            request: request.clone(),
            fault: None,
            replies: Vec::new(),
        });
        let reply = self.role.call(lane, request).await;
        self.network.opened_replied(number, &reply);
        reply
    }

    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        self.role.is_reserved(lane, request)
    }
}

/// A server that also answers requests of a relay. Other requests reach the role without a detour, so that only what
/// was opened is recorded as opened.
pub struct Target {
    /// The role.
    pub role: Arc<dyn Service>,
    /// The role behind the encryption.
    pub oblivious: ObliviousService,
}

#[async_trait]
impl Service for Target {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match lane {
            Lane::Relayed => self.oblivious.call(lane, request).await,
            _ => self.role.call(lane, request).await,
        }
    }
}
