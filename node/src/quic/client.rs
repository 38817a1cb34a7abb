//! The client side. Its connections share nothing.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, NoneTokenStore, TransportErrorCode, VarInt};
use rustls::client::Resumption;

use super::channel::{CallTimer, QuicChannel};
use super::client_limits::ClientLimits;
use super::pinned::{Finding, PinnedVerifier};
use super::socket;
use super::transport::{Code, HANDSHAKE_BYTES, KEEP_ALIVE_MS, PROVIDER, SERVER_NAME, millis, transport};
use crate::card::Card;
use crate::network::{Channel, Lane, Network, NetworkError};

/// The TLS alert that a server sends when it knows none of the offered protocol names.
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// When to try again after a server has refused the connection, because it is busy (ms).
const REFUSED_RETRY_AFTER_MS: u64 = 500;

/// Returns the address for the datagrams of a card and a lane.
type Dialer = dyn Fn(&Card, Lane) -> SocketAddr + Send + Sync;

/// The network over QUIC, for clients. It keeps no state between two connections.
#[derive(Clone)]
pub struct QuicNetwork {
    dialer: Arc<Dialer>,
    limits: ClientLimits,
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
            dialer: Arc::new(|card, _| card.address),
            limits: ClientLimits::default(),
        }
    }

    /// Connects to the addresses that `dialer` returns, so that a relay can carry the datagrams. The relay learns
    /// addresses and times. The traffic stays encrypted to the server of the card.
    #[must_use]
    pub fn with_dialer(mut self, dialer: impl Fn(&Card, Lane) -> SocketAddr + Send + Sync + 'static) -> Self {
        self.dialer = Arc::new(dialer);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }
}

#[async_trait]
impl Network for QuicNetwork {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let address = (self.dialer)(card, lane);
        let unreachable = |reason: String| NetworkError::Unreachable {
            peer: card.title(),
            reason,
        };
        let verifier = PinnedVerifier::new(card.fingerprint, PROVIDER.signature_verification_algorithms);
        let config = client_config(verifier.clone(), lane)?;
        let (endpoint, received) = socket::endpoint(any_port(address)).map_err(local)?;
        let connecting = endpoint
            .connect_with(config, address, SERVER_NAME)
            .map_err(|e| unreachable(e.to_string()))?;
        let received = || received.load(Ordering::Relaxed);
        let timer = CallTimer::new(self.limits.connect_timeout, HANDSHAKE_BYTES, received);
        match timer.wait(connecting).await {
            Err(_) => {
                let waited_ms = millis(self.limits.connect_timeout);
                Err(unreachable(format!(
                    "it was silent for {waited_ms} ms, or its line is too slow"
                )))
            }
            Ok(Err(error)) => Err(refused_handshake(card, lane, &verifier, &error)),
            Ok(Ok(connection)) => Ok(Arc::new(QuicChannel::new(connection, card.title(), self.limits))),
        }
    }
}

/// The unspecified address of the same family with port 0, for a new socket.
fn any_port(target: SocketAddr) -> SocketAddr {
    match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The configuration of one connection. It resumes nothing and stores no tickets or tokens of a server.
fn client_config(verifier: Arc<PinnedVerifier>, lane: Lane) -> Result<quinn::ClientConfig, NetworkError> {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(local)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![lane.alpn().into()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(local)?));
    config.token_store(Arc::new(NoneTokenStore));
    let mut transport = transport();
    // A server never opens a stream.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    if lane == Lane::Peer {
        transport.keep_alive_interval(Some(Duration::from_millis(KEEP_ALIVE_MS)));
    }
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// The error of a failed handshake.
fn refused_handshake(
    card: &Card,
    lane: Lane,
    verifier: &PinnedVerifier,
    error: &ConnectionError,
) -> NetworkError {
    let peer = card.title();
    match verifier.finding() {
        Some(Finding::OtherCertificate(got)) => {
            return NetworkError::WrongCertificate {
                peer,
                expected: card.fingerprint_hex(),
                got: got.to_string(),
            };
        }
        Some(Finding::OtherKey) => return NetworkError::Impostor { peer },
        None => {}
    }
    match error {
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
        {
            NetworkError::WrongProtocol {
                peer,
                expected: lane.alpn().to_owned(),
            }
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            NetworkError::Busy {
                peer,
                retry_after_ms: REFUSED_RETRY_AFTER_MS,
            }
        }
        ConnectionError::ApplicationClosed(close)
            if Code::from_wire(close.error_code) == Some(Code::Stopping) =>
        {
            NetworkError::Unreachable {
                peer,
                reason: "it is shutting down".to_owned(),
            }
        }
        other => NetworkError::Unreachable {
            peer,
            reason: other.to_string(),
        },
    }
}

/// The error of a fault of this machine.
fn local(error: impl std::fmt::Display) -> NetworkError {
    NetworkError::Local {
        reason: error.to_string(),
    }
}
