//! The client side. Its connections share nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, NoneTokenStore, TransportErrorCode, VarInt};

use super::channel::QuicChannel;
use super::socket;
use super::transport::{code_of, transport};
use crate::address::Addresses;
use crate::card::Card;
use crate::network::{Channel, Lane, Network, NetworkError};
use crate::transport::code::Code;
use crate::transport::dial::{Connected, Dialer, Target, connect, local};
use crate::transport::failure::Remote;
use crate::transport::pinned::PinnedVerifier;
use crate::transport::timer::{CallTimer, HANDSHAKE_BYTES};
use crate::transport::tls::SERVER_NAME;
use crate::transport::{ClientLimits, KEEP_ALIVE_MS};

/// The TLS alert that a server sends when it knows none of the offered protocol names.
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// The network over QUIC, for clients. It keeps no state between two connections.
#[derive(Clone)]
pub struct QuicNetwork {
    dialer: Arc<Dialer>,
    limits: ClientLimits,
    source: Option<IpAddr>,
}

impl std::fmt::Debug for QuicNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicNetwork")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Default for QuicNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl QuicNetwork {
    /// A network that connects to the addresses in the cards.
    #[must_use]
    pub fn new() -> Self {
        Self {
            dialer: Arc::new(|card, _| card.address.clone()),
            limits: ClientLimits::default(),
            source: None,
        }
    }

    /// Connects to the addresses that `dialer` returns, so that a relay can carry the datagrams. The relay learns
    /// addresses and times. The traffic stays encrypted to the server of the card.
    #[must_use]
    pub fn with_dialer<A: Into<Addresses>>(
        mut self,
        dialer: impl Fn(&Card, Lane) -> A + Send + Sync + 'static,
    ) -> Self {
        self.dialer = Arc::new(move |card, lane| dialer(card, lane).into());
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends from the address `source`, for a machine that has several. Servers of the other address family are dialled
    /// from any address.
    #[must_use]
    pub fn from_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }
}

#[async_trait]
impl Network for QuicNetwork {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let target = Arc::new(Target {
            card: card.clone(),
            lane,
            limits: self.limits,
        });
        let source = self.source;
        let attempt = move |target, address| handshake(target, address, source);
        connect(target, (self.dialer)(card, lane), attempt).await
    }
}

/// Connects to one IP address.
async fn handshake(target: Arc<Target>, address: SocketAddr, source: Option<IpAddr>) -> Connected {
    let verifier = target.verifier();
    let config = client_config(&target, Arc::clone(&verifier))?;
    let (endpoint, received) = socket::endpoint(own_address(address, source)).map_err(local)?;
    let connecting = endpoint
        .connect_with(config, address, SERVER_NAME)
        .map_err(|error| target.unreachable(error.to_string()))?;
    let received = || received.load(Ordering::Relaxed);
    let timer = CallTimer::new(target.limits.connect_timeout, HANDSHAKE_BYTES, received);
    match timer.wait(connecting).await {
        Err(_) => Err(target.silent()),
        Ok(Err(error)) => Err(refused_handshake(&target, &verifier, &error)),
        Ok(Ok(connection)) => {
            let remote = Remote::new(target.card.title(), target.limits);
            Ok(Arc::new(QuicChannel::new(connection, remote)))
        }
    }
}

/// The address of a new socket, with port 0: `source` if it is of the target's family, or the unspecified address.
fn own_address(target: SocketAddr, source: Option<IpAddr>) -> SocketAddr {
    let unspecified: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = source.filter(|source| source.is_ipv4() == target.is_ipv4());
    (source.unwrap_or(unspecified), 0).into()
}

/// The configuration of one connection. It stores no tokens of a server.
fn client_config(
    target: &Target,
    verifier: Arc<PinnedVerifier>,
) -> Result<quinn::ClientConfig, NetworkError> {
    let tls = target.tls(verifier)?;
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(local)?));
    config.token_store(Arc::new(NoneTokenStore));
    let mut transport = transport();
    // A server never opens a stream.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    if matches!(target.lane, Lane::Peer | Lane::Relayed) {
        transport.keep_alive_interval(Some(Duration::from_millis(KEEP_ALIVE_MS)));
    }
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// The error of a failed handshake.
fn refused_handshake(target: &Target, verifier: &PinnedVerifier, error: &ConnectionError) -> NetworkError {
    if let Some(error) = target.distrust(verifier) {
        return error;
    }
    match error {
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
        {
            target.wrong_protocol()
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            target.busy()
        }
        ConnectionError::ApplicationClosed(close) if code_of(close.error_code) == Some(Code::Stopping) => {
            target.unreachable("it is shutting down")
        }
        other => target.unreachable(other.to_string()),
    }
}
