//! The client side. Its connections share nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::channel::TcpChannel;
use super::http::client_builder;
use super::socks::SocksProxy;
use super::stream::{CountedStream, limit_buffer, prepare};
use crate::address::{Address, Addresses};
use crate::card::Card;
use crate::network::{Channel, Lane, Network, NetworkError};
use crate::transport::ClientLimits;
use crate::transport::dial::{Connected, Dialer, Target, connect, connect_each, local};
use crate::transport::failure::Remote;
use crate::transport::pinned::PinnedVerifier;
use crate::transport::timer::{CallTimer, HANDSHAKE_BYTES};
use crate::transport::tls::SERVER_NAME;

/// The network over TCP, for clients. It keeps no state between two connections.
#[derive(Clone)]
pub struct TcpNetwork {
    dialer: Arc<Dialer>,
    limits: ClientLimits,
    proxy: Option<Arc<SocksProxy>>,
}

impl std::fmt::Debug for TcpNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpNetwork")
            .field("limits", &self.limits)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

impl Default for TcpNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl TcpNetwork {
    /// A network that connects to the addresses in the cards.
    #[must_use]
    pub fn new() -> Self {
        Self {
            dialer: Arc::new(|card, _| card.address.clone()),
            limits: ClientLimits::default(),
            proxy: None,
        }
    }

    /// Connects to the addresses that `dialer` returns, so that a relay can carry the bytes. The relay learns addresses
    /// and times. The traffic stays encrypted to the server of the card.
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

    /// Makes every connection through `proxy`, which also resolves the host names of servers. Nothing connects directly.
    #[must_use]
    pub fn through(mut self, proxy: SocksProxy) -> Self {
        self.proxy = Some(Arc::new(proxy));
        self
    }
}

#[async_trait]
impl Network for TcpNetwork {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let target = Arc::new(Target {
            card: card.clone(),
            lane,
            limits: self.limits,
        });
        let addresses = (self.dialer)(card, lane);
        match &self.proxy {
            None => connect(target, addresses, direct).await,
            Some(proxy) => {
                connect_each(&target, addresses, |address| {
                    proxied(Arc::clone(proxy), Arc::clone(&target), address)
                })
                .await
            }
        }
    }
}

/// Connects to one IP address.
async fn direct(target: Arc<Target>, address: SocketAddr) -> Connected {
    let connecting = timeout(target.limits.connect_timeout, TcpStream::connect(address)).await;
    let stream = connecting.map_err(|_| target.silent())?;
    let stream = stream.map_err(|error| target.unreachable(error.to_string()))?;
    secure(&target, stream).await
}

/// Connects to one address through the proxy.
async fn proxied(proxy: Arc<SocksProxy>, target: Arc<Target>, address: Address) -> Connected {
    let stream = proxy.open(&target, &address).await?;
    secure(&target, stream).await
}

/// Completes the handshakes of TLS and of HTTP/2.
async fn secure(target: &Target, stream: TcpStream) -> Connected {
    prepare(&stream);
    limit_buffer(&stream);
    let verifier = target.verifier();
    let tls = TlsConnector::from(Arc::new(target.tls(Arc::clone(&verifier))?));
    let name = ServerName::try_from(SERVER_NAME).map_err(local)?;
    let (stream, traffic) = CountedStream::new(stream);
    let timer = CallTimer::new(target.limits.connect_timeout, HANDSHAKE_BYTES, || {
        traffic.progress(0)
    });
    let shaken = timer.wait(tls.connect(name, stream)).await;
    let stream = shaken
        .map_err(|_| target.silent())?
        .map_err(|error| refused_handshake(target, &verifier, &error))?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(target.lane.alpn().as_bytes()) {
        return Err(target.wrong_protocol());
    }
    let opened = timer.wait(client_builder().handshake(stream)).await;
    let (requests, connection) = opened
        .map_err(|_| target.silent())?
        .map_err(|error| target.unreachable(error.to_string()))?;
    let remote = Remote::new(target.card.title(), target.limits);
    Ok(Arc::new(TcpChannel::new(requests, connection, traffic, remote)))
}

/// The error of a failed handshake.
fn refused_handshake(target: &Target, verifier: &PinnedVerifier, error: &io::Error) -> NetworkError {
    if let Some(error) = target.distrust(verifier) {
        return error;
    }
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            target.wrong_protocol()
        }
        // A full server sends this alert before it reads anything.
        Some(rustls::Error::AlertReceived(AlertDescription::InternalError)) => target.busy(),
        _ => target.unreachable(error.to_string()),
    }
}
