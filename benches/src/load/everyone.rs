//! The network of all customers.

use async_trait::async_trait;
use farthing_node::{
    card::Card,
    network::{Channel, Lane, Network, NetworkError},
    quic::QuicNetwork,
};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// The address of the first customer, and the number of their addresses.
const FIRST_CUSTOMER: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
const CUSTOMER_ADDRESSES: u32 = 1 << 20;

/// The network of all customers. On Linux the loopback device has all addresses of 127.0.0.0/8, and each connection comes
/// from the next of them, so that it stands for another customer. The first ones are left to the nodes and to hostile
/// clients. Elsewhere all customers have one address, and the nodes slow them down as one client.
pub(crate) struct Everyone;

/// The number of connections of all customers.
static CONNECTIONS: AtomicU32 = AtomicU32::new(0);

#[async_trait]
impl Network for Everyone {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let network = QuicNetwork::new();
        if !cfg!(target_os = "linux") {
            return network.connect(card, lane).await;
        }
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed) % CUSTOMER_ADDRESSES;
        let address = Ipv4Addr::from_bits(FIRST_CUSTOMER.to_bits().saturating_add(number));
        network.from_source(address.into()).connect(card, lane).await
    }
}
