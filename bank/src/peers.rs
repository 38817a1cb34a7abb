//! The escrows that this bank works with: those whose cards its operator has added.

use farthing_coin::PublicKey;
use farthing_node::{
    card::{Card, RoleName},
    network::{Lane, Link, Network},
};
use farthing_protocol::refusal::ContractFault;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Links to the escrows that this bank works with.
pub struct Peers {
    network: Arc<dyn Network>,
    escrows: RwLock<BTreeMap<PublicKey, Arc<Link>>>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

impl Peers {
    /// Links over `network` to the escrows among `cards`.
    pub fn new(network: Arc<dyn Network>, cards: &[Card]) -> Self {
        let peers = Peers {
            network,
            escrows: RwLock::default(),
        };
        peers.set(cards);
        peers
    }

    /// Works with the escrows among `cards` from now on, and no others. Connections to those that stay are kept.
    pub fn set(&self, cards: &[Card]) {
        let mut escrows = self.escrows.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *escrows);
        for card in cards.iter().filter(|card| card.role == RoleName::Escrow) {
            let link = old
                .get(&card.identity)
                .filter(|link| link.card() == card)
                .cloned()
                .unwrap_or_else(|| Arc::new(Link::new(self.network.clone(), card.clone(), Lane::Peer)));
            escrows.insert(card.identity, link);
        }
    }

    /// The link to an escrow.
    ///
    /// # Errors
    /// When the bank does not work with it.
    pub fn escrow(&self, key: &PublicKey) -> Result<Arc<Link>, ContractFault> {
        let escrows = self.escrows.read().unwrap_or_else(PoisonError::into_inner);
        escrows.get(key).cloned().ok_or(ContractFault::UnknownParty {
            role: "escrow".into(),
            key: *key,
        })
    }
}
