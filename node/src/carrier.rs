//! What carries a client's connections.

use std::sync::Arc;

use crate::network::Network;
use crate::quic::QuicNetwork;
use crate::tcp::{SocksProxy, TcpNetwork};
use crate::transport::ClientLimits;

/// What carries a client's connections. A client uses one, and never falls back to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Carrier {
    /// UDP: QUIC.
    #[default]
    Quic,
    /// TCP.
    Tcp,
    /// TCP through a proxy, which also resolves the host names of servers.
    TcpThrough(SocksProxy),
}

impl Carrier {
    /// The network over this carrier.
    #[must_use]
    pub fn network(&self, limits: ClientLimits) -> Arc<dyn Network> {
        match self {
            Carrier::Quic => Arc::new(QuicNetwork::new().with_limits(limits)),
            Carrier::Tcp => Arc::new(TcpNetwork::new().with_limits(limits)),
            Carrier::TcpThrough(proxy) => {
                Arc::new(TcpNetwork::new().with_limits(limits).through(proxy.clone()))
            }
        }
    }
}
