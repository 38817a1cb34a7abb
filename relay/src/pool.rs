//! The connections to one server.

use farthing_node::card::Card;
use farthing_node::link::Link;
use farthing_node::network::{Lane, Network};
use farthing_store::entropy::Entropy;
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};

/// The number of connections to each server. A request goes over any of them, so that no connection stands for a wallet.
pub(crate) const CONNECTIONS: usize = 4;

/// The maximum number of requests under way to one server. A server that does not answer then takes a part of the relay's
/// slots and not all of them.
pub(crate) const REQUESTS_MAX: usize = 192;

/// The connections to one server. Each connects at its first use, and again after a failure.
pub(crate) struct Pool {
    card: Card,
    links: [Link; CONNECTIONS],
    /// The permits for requests under way.
    pub(crate) requests: Semaphore,
    /// Held while the server is asked for its encryption key.
    pub(crate) asking: Mutex<()>,
}

impl Pool {
    pub(crate) fn new(network: &Arc<dyn Network>, card: Card) -> Self {
        let link = || Link::new(Arc::clone(network), card.clone(), Lane::Relayed);
        Self {
            links: std::array::from_fn(|_| link()),
            requests: Semaphore::new(REQUESTS_MAX),
            asking: Mutex::default(),
            card,
        }
    }

    /// The server.
    pub(crate) fn card(&self) -> &Card {
        &self.card
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
