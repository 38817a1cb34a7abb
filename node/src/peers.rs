//! The servers that a node works with: their pinned cards, and a long-lived link to each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farthing_coin::PublicKey;
use farthing_protocol::refusal::{ContractFault, Refusal};

use crate::card::{Card, RoleName};
use crate::{
    link::Link,
    network::{Lane, Network},
};

/// The servers that a node works with. There is at most one link for each pinned card, so their number is
/// bounded by [`NETWORK_CARDS_MAX`](crate::network_file::NETWORK_CARDS_MAX).
pub struct Peers {
    network: Arc<dyn Network>,
    pinned: Mutex<Pinned>,
}

#[derive(Default)]
struct Pinned {
    cards: Vec<Card>,
    links: BTreeMap<PublicKey, Arc<Link>>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

impl Peers {
    /// The servers of `cards`. Nothing is sent before a link's first call.
    pub fn new(network: Arc<dyn Network>, cards: Vec<Card>) -> Self {
        let pinned = Pinned {
            cards,
            links: BTreeMap::new(),
        };
        Self {
            network,
            pinned: Mutex::new(pinned),
        }
    }

    /// Takes up changed cards. A link whose card has changed is made anew when it is next used.
    pub fn set_cards(&self, cards: Vec<Card>) {
        let mut pinned = self.pinned();
        pinned.links.retain(|_, link| cards.contains(link.card()));
        pinned.cards = cards;
    }

    /// The card of the server of this role that signs with `identity`.
    pub fn card(&self, role: RoleName, identity: &PublicKey) -> Option<Card> {
        self.pinned().find(role, identity).cloned()
    }

    /// The cards of this role, in the order in which they were added.
    pub fn cards(&self, role: RoleName) -> Vec<Card> {
        let pinned = self.pinned();
        pinned
            .cards
            .iter()
            .filter(|card| card.role == role)
            .cloned()
            .collect()
    }

    /// The link to the server of this role that signs with `identity`.
    ///
    /// # Errors
    /// [`ContractFault::UnknownParty`] when it is not pinned here.
    pub fn link(&self, role: RoleName, identity: &PublicKey) -> Result<Arc<Link>, Refusal> {
        let mut pinned = self.pinned();
        if let Some(link) = pinned.links.get(identity)
            && link.card().role == role
        {
            return Ok(Arc::clone(link));
        }
        let card = pinned.find(role, identity).cloned();
        let card = card.ok_or_else(|| ContractFault::UnknownParty {
            role: role.to_string(),
            key: *identity,
        })?;
        let link = Arc::new(Link::new(Arc::clone(&self.network), card, Lane::Peer));
        pinned.links.insert(*identity, Arc::clone(&link));
        Ok(link)
    }

    /// Forgets the link to the server that signs with `identity`: its next use connects at once. For one that has just
    /// been heard from, however often it could not be reached before.
    pub fn renew_link(&self, identity: &PublicKey) {
        self.pinned().links.remove(identity);
    }

    fn pinned(&self) -> MutexGuard<'_, Pinned> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pinned {
    fn find(&self, role: RoleName, identity: &PublicKey) -> Option<&Card> {
        self.cards
            .iter()
            .find(|card| card.role == role && card.identity == *identity)
    }
}
