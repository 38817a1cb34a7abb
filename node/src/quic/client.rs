//! The client side. Its connections share nothing.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, NoneTokenStore, TransportErrorCode, VarInt};
use rustls::client::Resumption;
use tokio::task::JoinSet;

use super::channel::{CallTimer, QuicChannel};
use super::client_limits::ClientLimits;
use super::pinned::{Finding, PinnedVerifier};
use super::socket;
use super::transport::{Code, HANDSHAKE_BYTES, KEEP_ALIVE_MS, PROVIDER, SERVER_NAME, millis, transport};
use crate::address::{Address, Addresses};
use crate::card::Card;
use crate::network::{Channel, Lane, Network, NetworkError};

/// The TLS alert that a server sends when it knows none of the offered protocol names.
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// When to try again after a server has refused the connection, because it is busy (ms).
const REFUSED_RETRY_AFTER_MS: u64 = 500;

/// When the next address of a card is tried although the last attempt has not ended (ms). The value is that of RFC 8305.
const NEXT_ATTEMPT_AFTER_MS: u64 = 250;

/// The most addresses of one host name that are tried.
pub const RESOLVED_MAX: usize = 8;

/// Returns the addresses for the datagrams of a card and a lane.
type Dialer = dyn Fn(&Card, Lane) -> Addresses + Send + Sync;

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
            dialer: Arc::new(|card, _| card.address.clone()),
            limits: ClientLimits::default(),
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
}

#[async_trait]
impl Network for QuicNetwork {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let dial = Arc::new(Dial {
            card: card.clone(),
            lane,
            limits: self.limits,
        });
        let addresses = (self.dialer)(card, lane);
        let addresses = addresses.all().iter().cloned();
        let connecting = race(addresses, |address| Arc::clone(&dial).reach(address));
        let without_address = || Err(dial.unreachable("it has no address"));
        connecting.await.unwrap_or_else(without_address)
    }
}

/// One connection that is to be made. The pinned certificate decides who the server is, whatever address a resolver
/// gives.
struct Dial {
    card: Card,
    lane: Lane,
    limits: ClientLimits,
}

impl Dial {
    /// Connects to one address of a card.
    async fn reach(self: Arc<Self>, address: Address) -> Result<Arc<dyn Channel>, NetworkError> {
        let host = match address {
            Address::Ip(address) => return self.handshake(address).await,
            Address::Host(host) => host,
        };
        let unresolved =
            |why: String| self.unreachable(format!("the host name `{}` has no address: {why}", host.name()));
        let looking = tokio::net::lookup_host((host.name(), host.port()));
        let found = tokio::time::timeout(self.limits.connect_timeout, looking).await;
        let found = found.map_err(|_| unresolved("the resolver is silent".to_owned()))?;
        let found = found.map_err(|error| unresolved(error.to_string()))?;
        let usable = found.filter(|address| !address.ip().is_unspecified());
        let tried = usable.take(RESOLVED_MAX).collect::<Vec<_>>().into_iter();
        race(tried, |address| Arc::clone(&self).handshake(address))
            .await
            .unwrap_or_else(|| Err(unresolved("the resolver knows none".to_owned())))
    }

    async fn handshake(self: Arc<Self>, address: SocketAddr) -> Result<Arc<dyn Channel>, NetworkError> {
        let verifier = PinnedVerifier::new(self.card.fingerprint, PROVIDER.signature_verification_algorithms);
        let config = client_config(verifier.clone(), self.lane)?;
        let (endpoint, received) = socket::endpoint(any_port(address)).map_err(local)?;
        let connecting = endpoint
            .connect_with(config, address, SERVER_NAME)
            .map_err(|error| self.unreachable(error.to_string()))?;
        let received = || received.load(Ordering::Relaxed);
        let timer = CallTimer::new(self.limits.connect_timeout, HANDSHAKE_BYTES, received);
        match timer.wait(connecting).await {
            Err(_) => {
                let waited_ms = millis(self.limits.connect_timeout);
                Err(self.unreachable(format!(
                    "it was silent for {waited_ms} ms, or its line is too slow"
                )))
            }
            Ok(Err(error)) => Err(refused_handshake(&self.card, self.lane, &verifier, &error)),
            Ok(Ok(connection)) => {
                let peer = self.card.title();
                Ok(Arc::new(QuicChannel::new(connection, peer, self.limits)))
            }
        }
    }

    fn unreachable(&self, reason: impl Into<String>) -> NetworkError {
        NetworkError::Unreachable {
            peer: self.card.title(),
            reason: reason.into(),
        }
    }
}

/// Tries the candidates in their order, and returns the first channel. The next attempt begins when one has failed, or
/// after [`NEXT_ATTEMPT_AFTER_MS`]. `None` without a candidate.
///
/// If all fail, the error is one after which trying again may help, if there is one.
async fn race<T, F>(
    candidates: impl Iterator<Item = T>,
    attempt: impl Fn(T) -> F,
) -> Option<Result<Arc<dyn Channel>, NetworkError>>
where
    F: Future<Output = Result<Arc<dyn Channel>, NetworkError>> + Send + 'static,
{
    let mut candidates = candidates.peekable();
    let mut attempts = JoinSet::new();
    let mut failure: Option<NetworkError> = None;
    loop {
        if let Some(candidate) = candidates.next() {
            attempts.spawn(attempt(candidate));
        }
        let wait = match candidates.peek() {
            Some(_) => Duration::from_millis(NEXT_ATTEMPT_AFTER_MS),
            None => Duration::MAX,
        };
        let Ok(ended) = tokio::time::timeout(wait, attempts.join_next()).await else {
            continue;
        };
        let error = match ended {
            None => return failure.map(Err),
            Some(Ok(Ok(channel))) => return Some(Ok(channel)),
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => local(error),
        };
        if !error.is_final() || failure.as_ref().is_none_or(NetworkError::is_final) {
            failure = Some(error);
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
