//! The connections to one server.

use crate::fair_queue::{FairQueue, QueueLimits};
use farthing_node::card::Card;
use farthing_node::link::Link;
use farthing_node::network::{Lane, Network};
use farthing_store::entropy::Entropy;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The number of connections to each server. A request goes over any of them, so that no connection stands for a wallet.
pub(crate) const CONNECTIONS: usize = 4;

/// The maximum number of requests under way to one server. Behind a line with a round trip of 100 ms these are 640 requests
/// a second. Fewer would leave too few for others while a server is slow. With more, requests wait at the server, where
/// nobody knows whose they are.
pub(crate) const REQUESTS_MAX: usize = 64;

/// The maximum number of requests that wait for one server. A server that does not answer then takes a part of the relay's
/// slots and not all of them.
pub(crate) const WAITING_MAX: usize = 512;

/// The maximum number of requests under way from one address. A wallet has at most eight under way. So one hostile client
/// is a small part of what the relay brings to a server.
pub(crate) const REQUESTS_PER_ADDRESS_MAX: usize = 64;

/// The maximum number of requests under way to one server from one address: as many as a wallet has under way.
pub(crate) const PLACES_PER_ADDRESS_MAX: usize = 8;

/// The connections to one server. Each connects at its first use, and again after a failure.
pub(crate) struct Pool {
    card: Card,
    links: [Link; CONNECTIONS],
    /// The places for requests under way.
    pub(crate) queue: Arc<FairQueue>,
    /// Held while the server is asked for its encryption key.
    pub(crate) asking: Mutex<()>,
}

impl Pool {
    pub(crate) fn new(network: &Arc<dyn Network>, card: Card) -> Self {
        let link = || Link::new(Arc::clone(network), card.clone(), Lane::Relayed);
        let limits = QueueLimits {
            places: REQUESTS_MAX,
            places_per_client: PLACES_PER_ADDRESS_MAX,
            waiting_max: WAITING_MAX,
            waiting_per_client_max: REQUESTS_PER_ADDRESS_MAX,
        };
        Self {
            links: std::array::from_fn(|_| link()),
            queue: FairQueue::new(limits),
            asking: Mutex::default(),
            card,
        }
    }

    /// The server.
    pub(crate) fn card(&self) -> &Card {
        &self.card
    }

    /// Whether any of the connections is there.
    pub(crate) fn is_connected(&self) -> bool {
        self.links.iter().any(Link::is_connected)
    }

    /// Whether the last attempt of any connection has failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.links.iter().any(Link::is_failing)
    }

    /// Any of the connections.
    pub(crate) fn any(&self, entropy: &dyn Entropy) -> &Link {
        let mut drawn = [0];
        entropy.fill(&mut drawn);
        let [first, ..] = &self.links;
        self.links
            .get(usize::from(drawn[0]) % CONNECTIONS)
            .unwrap_or(first)
    }
}
