//! Hostile clients that send one kind of request, each as costly for its server as a stranger can make it.

use crate::crowd::{ADDRESSES, CLIENTS, Counts, PATIENCE, UNDER_WAY_PER_CLIENT, source};
use anyhow::Result;
use farthing_coin::Seed;
use farthing_kit::{
    by_hand::ByHand,
    stranger::{Depth, Kind, Stranger},
};
use farthing_node::{
    card::{Card, RoleName},
    link::Link,
    network::{Channel, Lane},
    network_file::NetworkFile,
    quic::QuicNetwork,
};
use farthing_store::{
    clock::SystemClock,
    entropy::{Entropy, SystemEntropy},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The number of different requests. The clients of one address send them in turn.
const DIFFERENT: usize = 16;

/// A stranger who asks the nodes of `cards` from the client address with this number.
pub(crate) async fn stranger_of(cards: &NetworkFile, number: usize) -> Result<Stranger> {
    let entropy: &dyn Entropy = &SystemEntropy;
    let network = QuicNetwork::new().from_source(source(number)?);
    let card = |role| cards.only_one(role).cloned();
    let cards: [Card; 3] = [
        card(RoleName::Bank)?,
        card(RoleName::Escrow)?,
        card(RoleName::Merchant)?,
    ];
    let seed = Seed::generate(&mut entropy.rng());
    Ok(Stranger::new(ByHand::new(Arc::new(network), Arc::new(SystemClock), cards, seed)).await)
}

/// Starts all clients.
pub(crate) async fn start(kind: &Kind, cards: &NetworkFile, counts: &Arc<Counts>) -> Result<()> {
    let card = cards.only_one(kind.role)?;
    for address in 0..ADDRESSES {
        let stranger = stranger_of(cards, address).await?;
        let made = (0..DIFFERENT).map(|_| kind.request(&stranger, Depth::Deepest));
        let (lanes, requests): (Vec<Lane>, Vec<Vec<u8>>) = made.unzip();
        let Some(lane) = lanes.first() else { continue };
        let requests = Arc::new(requests);
        for _ in 0..CLIENTS / ADDRESSES {
            let network = Arc::new(QuicNetwork::new().from_source(source(address)?));
            let client = Arc::new(Client {
                link: Link::new(network, card.clone(), *lane),
                requests: Arc::clone(&requests),
                count: AtomicUsize::new(0),
            });
            for _ in 0..UNDER_WAY_PER_CLIENT {
                tokio::spawn(Arc::clone(&client).send_for_ever(Arc::clone(counts)));
            }
        }
    }
    Ok(())
}

/// A client with a connection of its own.
struct Client {
    link: Link,
    requests: Arc<Vec<Vec<u8>>>,
    count: AtomicUsize,
}

impl Client {
    async fn send_for_ever(self: Arc<Self>, counts: Arc<Counts>) {
        loop {
            let turn = self.count.fetch_add(1, Ordering::Relaxed) % DIFFERENT;
            let Some(request) = self.requests.get(turn) else {
                return;
            };
            counts.asked();
            counts.replied(
                &self
                    .link
                    .call(request.clone(), PATIENCE)
                    .await
                    .map_err(Into::into),
            );
        }
    }
}
