//! Connecting to the addresses of a card.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use tokio::task::JoinSet;

use super::client_limits::ClientLimits;
use super::pinned::{Finding, PinnedVerifier};
use super::timer::millis;
use super::tls::PROVIDER;
use crate::address::{Address, Addresses};
use crate::card::Card;
use crate::network::{Channel, Lane, NetworkError};

/// When to try again after a server has refused the connection, because it is busy (ms).
const REFUSED_RETRY_AFTER_MS: u64 = 500;

/// When the next address of a card is tried although the last attempt has not ended (ms). The value is that of RFC 8305.
const NEXT_ATTEMPT_AFTER_MS: u64 = 250;

/// The most addresses of one host name that are tried.
pub const RESOLVED_MAX: usize = 8;

/// Returns the addresses that are dialled for a card and a lane.
pub(crate) type Dialer = dyn Fn(&Card, Lane) -> Addresses + Send + Sync;

/// A new channel, or why there is none.
pub(crate) type Connected = Result<Arc<dyn Channel>, NetworkError>;

/// The server of one connection that is to be made. The pinned certificate decides who the server is, whatever address
/// a resolver gives.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) card: Card,
    pub(crate) lane: Lane,
    pub(crate) limits: ClientLimits,
}

impl Target {
    /// A verifier for one handshake with the server.
    pub(crate) fn verifier(&self) -> Arc<PinnedVerifier> {
        PinnedVerifier::new(self.card.fingerprint, PROVIDER.signature_verification_algorithms)
    }

    /// The TLS configuration of one connection: only TLS 1.3 and one lane. It resumes nothing and stores no tickets of
    /// the server.
    ///
    /// # Errors
    /// [`NetworkError::Local`].
    pub(crate) fn tls(&self, verifier: Arc<PinnedVerifier>) -> Result<rustls::ClientConfig, NetworkError> {
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(local)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        tls.alpn_protocols = vec![self.lane.alpn().into()];
        tls.resumption = Resumption::disabled();
        tls.enable_early_data = false;
        Ok(tls)
    }

    /// The server cannot be reached, for this reason.
    pub(crate) fn unreachable(&self, reason: impl Into<String>) -> NetworkError {
        NetworkError::Unreachable {
            peer: self.card.title(),
            reason: reason.into(),
        }
    }

    /// The server was silent for the whole timeout.
    pub(crate) fn silent(&self) -> NetworkError {
        let waited_ms = millis(self.limits.connect_timeout);
        self.unreachable(format!(
            "it was silent for {waited_ms} ms, or its line is too slow"
        ))
    }

    /// The server speaks another version of the protocol.
    pub(crate) fn wrong_protocol(&self) -> NetworkError {
        NetworkError::WrongProtocol {
            peer: self.card.title(),
            expected: self.lane.alpn().to_owned(),
        }
    }

    /// The server has refused the connection because it is busy.
    pub(crate) fn busy(&self) -> NetworkError {
        NetworkError::Busy {
            peer: self.card.title(),
            retry_after_ms: REFUSED_RETRY_AFTER_MS,
        }
    }

    /// The error for what the verifier has found, if it has refused the server.
    pub(crate) fn distrust(&self, verifier: &PinnedVerifier) -> Option<NetworkError> {
        let peer = self.card.title();
        Some(match verifier.finding()? {
            Finding::OtherCertificate(got) => NetworkError::WrongCertificate {
                peer,
                expected: self.card.fingerprint_hex(),
                got: got.to_string(),
            },
            Finding::OtherKey => NetworkError::Impostor { peer },
        })
    }
}

/// Connects to the first of the addresses at which `handshake` succeeds. This machine resolves host names.
pub(crate) async fn connect<F>(
    target: Arc<Target>,
    addresses: Addresses,
    handshake: impl Fn(Arc<Target>, SocketAddr) -> F + Clone + Send + Sync + 'static,
) -> Connected
where
    F: Future<Output = Connected> + Send + 'static,
{
    connect_each(&target, addresses, |address| {
        reach(Arc::clone(&target), address, handshake.clone())
    })
    .await
}

/// Connects to the first of the addresses at which `attempt` succeeds. `attempt` gets host names as they are.
pub(crate) async fn connect_each<F>(
    target: &Target,
    addresses: Addresses,
    attempt: impl Fn(Address) -> F,
) -> Connected
where
    F: Future<Output = Connected> + Send + 'static,
{
    let candidates = addresses.all().iter().cloned();
    let without_address = || Err(target.unreachable("it has no address"));
    race(candidates, attempt).await.unwrap_or_else(without_address)
}

/// Connects to one address of a card.
async fn reach<F>(
    target: Arc<Target>,
    address: Address,
    handshake: impl Fn(Arc<Target>, SocketAddr) -> F,
) -> Connected
where
    F: Future<Output = Connected> + Send + 'static,
{
    let host = match address {
        Address::Ip(address) => return handshake(target, address).await,
        Address::Host(host) => host,
    };
    if host.is_onion() {
        return Err(target.unreachable(format!("`{}` is reached only through Tor", host.name())));
    }
    let unresolved =
        |why: String| target.unreachable(format!("the host name `{}` has no address: {why}", host.name()));
    let looking = tokio::net::lookup_host((host.name(), host.port()));
    let found = tokio::time::timeout(target.limits.connect_timeout, looking).await;
    let found = found.map_err(|_| unresolved("the resolver is silent".to_owned()))?;
    let found = found.map_err(|error| unresolved(error.to_string()))?;
    let usable = found.filter(|address| !address.ip().is_unspecified());
    let tried = usable.take(RESOLVED_MAX).collect::<Vec<_>>().into_iter();
    race(tried, |address| handshake(Arc::clone(&target), address))
        .await
        .unwrap_or_else(|| Err(unresolved("the resolver knows none".to_owned())))
}

/// Tries the candidates in their order, and returns the first channel. The next attempt begins when one has failed, or
/// after [`NEXT_ATTEMPT_AFTER_MS`]. `None` without a candidate.
///
/// If all fail, the error is one after which trying again may help, if there is one.
async fn race<T, F>(candidates: impl Iterator<Item = T>, attempt: impl Fn(T) -> F) -> Option<Connected>
where
    F: Future<Output = Connected> + Send + 'static,
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

/// The error of a fault of this machine.
pub(crate) fn local(error: impl std::fmt::Display) -> NetworkError {
    NetworkError::Local {
        reason: error.to_string(),
    }
}
