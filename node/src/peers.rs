//! The servers that a node works with: their pinned cards, and a long-lived link to each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farthing_coin::PublicKey;
use farthing_protocol::refusal::{ContractFault, Refusal};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::card::{Card, RoleName};
use crate::shares::Origin;
use crate::{
    link::Link,
    network::{Lane, Network},
};

/// The servers that a node works with. There is at most one link for each pinned card, so
/// [`NETWORK_CARDS_MAX`](crate::network_file::NETWORK_CARDS_MAX) bounds the number of links.
pub struct Peers {
    network: Arc<dyn Network>,
    pinned: Mutex<Pinned>,
}

/// The servers of one role that a node works with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCount {
    /// Servers with a pinned card.
    pub pinned: usize,
    /// Servers to which the node has a connection, as far as it knows.
    pub connected: usize,
    /// Servers to which the last attempt to connect has failed.
    pub failing: usize,
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
    /// Works with the servers of `cards`. Nothing is sent before the first call on a link.
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

    /// Replaces the cards. A link with a changed card is created again at its next use.
    pub fn set_cards(&self, cards: Vec<Card>) {
        let mut pinned = self.pinned();
        pinned.links.retain(|_, link| cards.contains(link.card()));
        pinned.cards = cards;
    }

    /// Returns the card of the server with this role and identity key.
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

    /// Whether a pinned card has a server at `address`. Host names are not resolved.
    pub fn has_server_at(&self, address: IpAddr) -> bool {
        let of = Origin::of(address);
        let is_there = |known: &Address| match known {
            Address::Ip(known) => Origin::of(known.ip()) == of,
            Address::Host(_) => false,
        };
        let pinned = self.pinned();
        let mut addresses = pinned.cards.iter().flat_map(|card| card.address.all());
        addresses.any(is_there)
    }

    /// Returns the link to the server with this role and identity key.
    ///
    /// # Errors
    /// [`ContractFault::UnknownParty`] when its card is not pinned.
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

    /// Drops the link to the server with this identity key, so that its next use connects at once. It is called when a
    /// message from the server has just arrived, however many attempts to connect have failed before.
    pub fn renew_link(&self, identity: &PublicKey) {
        self.pinned().links.remove(identity);
    }

    /// How many servers of this role are pinned, and how many of them are reached.
    pub fn reached(&self, role: RoleName) -> PeerCount {
        let pinned = self.pinned();
        let links = pinned.links.values().filter(|link| link.card().role == role);
        let mut count = PeerCount {
            pinned: pinned.cards.iter().filter(|card| card.role == role).count(),
            ..PeerCount::default()
        };
        for link in links {
            count.connected += usize::from(link.is_connected());
            count.failing += usize::from(link.is_failing());
        }
        count
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::quic::QuicNetwork;

    #[test]
    fn a_server_is_known_by_the_addresses_of_its_card() {
        let identity = farthing_coin::SecretKey::from_bytes(&[7; 32]).unwrap().public();
        let card = |role, address: &str| Card {
            role,
            name: "veil".into(),
            address: address.parse().unwrap(),
            fingerprint: Fingerprint([0; 32]),
            identity,
            fields: Default::default(),
        };
        let relay = card(
            RoleName::Relay,
            "relay.example:7001,192.0.2.1:7001,[2001:db8::1]:7001",
        );
        let bank = card(RoleName::Bank, "192.0.2.2:7001");
        let named = card(RoleName::Escrow, "escrow.example:7001");
        let peers = Peers::new(Arc::new(QuicNetwork::new()), vec![bank, relay, named]);
        let is_known = |address: &str| peers.has_server_at(address.parse().unwrap());
        assert!(is_known("192.0.2.1"));
        assert!(is_known("::ffff:192.0.2.1"));
        assert!(is_known("2001:db8::ffff"), "one site is one client");
        assert!(is_known("192.0.2.2"));
        assert!(!is_known("192.0.2.3"));
        assert!(!is_known("2001:db8:0:1::1"));
        peers.set_cards(Vec::new());
        assert!(!is_known("192.0.2.1"));
    }
}
