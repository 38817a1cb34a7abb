//! Servers and clients for the tests of the transport, over real QUIC and TCP on the loopback device.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use farthing_coin::{PublicKey, SecretKey};
use farthing_node::card::{Card, RoleName};
use farthing_node::network::{Lane, Network, Service};
use farthing_node::process::{Stopper, stop_pair};
use farthing_node::quic::QuicNetwork;
use farthing_node::server::Server;
use farthing_node::tcp::TcpNetwork;
use farthing_node::transport::{ClientLimits, ServerIdentity, ServerLimits};
use farthing_protocol::{
    api::encode_reply,
    refusal::{CoinFault, CoinsFault, RequestFault},
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The time limit of a call. Every successful call is much shorter.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The loopback address with port 0, for a free port.
pub(crate) fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A transport under test. Every server has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Quic,
    Tcp,
}

impl Over {
    /// A client's network over this transport.
    pub(crate) fn network(self) -> Arc<dyn Network> {
        self.network_with(ClientLimits::default())
    }

    /// The same with limits.
    pub(crate) fn network_with(self, limits: ClientLimits) -> Arc<dyn Network> {
        match self {
            Over::Quic => Arc::new(QuicNetwork::new().with_limits(limits)),
            Over::Tcp => Arc::new(TcpNetwork::new().with_limits(limits)),
        }
    }
}

/// Makes two tests of each function, one over each transport.
#[macro_export]
macro_rules! over_both {
    ($test:meta; $($name:ident),* $(,)?) => {$(
        mod $name {
            #[$test]
            async fn quic() {
                super::$name($crate::Over::Quic).await;
            }

            #[$test]
            async fn tcp() {
                super::$name($crate::Over::Tcp).await;
            }
        }
    )*};
}

/// A new key that signs documents.
pub(crate) fn new_key() -> PublicKey {
    let entropy: &dyn Entropy = &SystemEntropy;
    SecretKey::generate(&mut entropy.rng()).public()
}

/// The address of the relay that [`Echo`] knows. On Linux the loopback device has all addresses of 127.0.0.0/8.
pub(crate) const KNOWN_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A service that answers with the lane and the request. Some requests have special effects.
#[derive(Default)]
pub(crate) struct Echo {
    /// Lets one request `wait` continue.
    pub(crate) go_on: Notify,
    /// Fires when a request `wait` has arrived.
    pub(crate) waiting: Notify,
}

#[async_trait]
impl Service for Echo {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match request.as_slice() {
            b"wait" => {
                self.waiting.notify_one();
                self.go_on.notified().await;
                b"waited".to_vec()
            }
            b"panic" => panic!("asked to"),
            b"huge" => vec![7; 5 * 1024 * 1024],
            b"large" => vec![7; 100_000],
            b"forged" => {
                let what = CoinFault::Invalid("as asked".into());
                encode_reply::<()>(&Err(CoinsFault { index: 7, what }.into()))
            }
            b"malformed" => encode_reply::<()>(&Err(RequestFault::Malformed("as asked".into()).into())),
            _ => [lane.alpn().as_bytes(), b"|", &request].concat(),
        }
    }

    fn is_reserved(&self, _: Lane, request: &[u8]) -> bool {
        request.starts_with(b"last")
    }

    fn is_known_server(&self, address: IpAddr) -> bool {
        address == IpAddr::from(KNOWN_SERVER)
    }
}

/// A running server with its card.
pub(crate) struct Running {
    pub(crate) card: Card,
    pub(crate) identity: ServerIdentity,
    pub(crate) echo: Arc<Echo>,
    pub(crate) stopper: Stopper,
    pub(crate) task: JoinHandle<()>,
}

/// Starts a server with these limits on a free port.
pub(crate) fn start(limits: ServerLimits) -> Running {
    start_at(any_port(), ServerIdentity::generate().unwrap(), limits)
}

/// Starts a server at `address` as `identity`.
pub(crate) fn start_at(address: SocketAddr, identity: ServerIdentity, limits: ServerLimits) -> Running {
    let echo = Arc::new(Echo::default());
    let server = Server::bind(address, &identity, echo.clone(), limits).unwrap();
    let (stopper, token) = stop_pair();
    Running {
        card: card(&identity, server.local_addr()),
        identity,
        echo,
        stopper,
        task: tokio::spawn(server.run(token)),
    }
}

/// The card of a bank with this certificate.
pub(crate) fn card(identity: &ServerIdentity, address: SocketAddr) -> Card {
    Card {
        role: RoleName::Bank,
        name: "central".to_owned(),
        address: address.into(),
        fingerprint: identity.fingerprint(),
        identity: new_key(),
        fields: Default::default(),
    }
}

/// The TLS key of `identity`, for servers that do not use the library.
pub(crate) fn tls_key(identity: &ServerIdentity) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(identity.key_der().to_vec()).into()
}

/// The certificate of `identity`.
pub(crate) fn certificate(identity: &ServerIdentity) -> CertificateDer<'static> {
    CertificateDer::from(identity.certificate_der().to_vec())
}

/// A TLS client that accepts every certificate.
#[derive(Debug)]
struct Gullible;

impl rustls::client::danger::ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The TLS configuration of a foreign client: it accepts every certificate, ticket and token.
pub(crate) fn foreign_tls(alpn: &str) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.into()];
    tls.enable_early_data = true;
    tls
}

/// The QUIC configuration of a foreign client.
pub(crate) fn foreign_config(tls: rustls::ClientConfig) -> quinn::ClientConfig {
    quinn::ClientConfig::new(Arc::new(
        quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap(),
    ))
}

/// Connects a foreign client.
pub(crate) async fn foreign_connection(
    address: SocketAddr,
    alpn: &str,
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let endpoint = quinn::Endpoint::client(any_port()).unwrap();
    let config = foreign_config(foreign_tls(alpn));
    let connection = endpoint
        .connect_with(config, address, "farthing")
        .unwrap()
        .await?;
    Ok((endpoint, connection))
}

/// Starts a foreign server, with every lane.
pub(crate) fn foreign_server(mut tls: rustls::ServerConfig) -> quinn::Endpoint {
    tls.alpn_protocols = Lane::ALL.iter().map(|lane| lane.alpn().into()).collect();
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(crypto)), any_port()).unwrap()
}

/// The TLS configuration of a foreign server, with the certificate of `identity`.
pub(crate) fn server_tls(identity: &ServerIdentity) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate(identity)], tls_key(identity))
        .unwrap()
}

/// A TLS connection of a foreign client over TCP.
pub(crate) async fn foreign_tcp(
    address: SocketAddr,
    tls: rustls::ClientConfig,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = rustls::pki_types::ServerName::try_from("farthing").unwrap();
    TlsConnector::from(Arc::new(tls)).connect(name, stream).await
}

/// The requests of a foreign client over TCP.
pub(crate) async fn foreign_requests(address: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let stream = foreign_tcp(address, foreign_tls(Lane::Anonymous.alpn()))
        .await
        .unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// The head of a request over TCP.
pub(crate) fn foreign_head() -> http::Request<()> {
    http::Request::post("https://farthing/").body(()).unwrap()
}

/// A foreign server over TCP. It accepts one connection at a time.
pub(crate) struct ForeignTcp {
    listener: TcpListener,
    tls: TlsAcceptor,
    pub(crate) address: SocketAddr,
}

/// A connection of a foreign server over TCP.
pub(crate) type ForeignConnection = h2::server::Connection<tokio_rustls::server::TlsStream<TcpStream>, Bytes>;

/// Starts a foreign server over TCP, with the ALPN names of `tls`.
pub(crate) async fn foreign_tcp_server(tls: rustls::ServerConfig) -> ForeignTcp {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    ForeignTcp {
        address: listener.local_addr().unwrap(),
        listener,
        tls: TlsAcceptor::from(Arc::new(tls)),
    }
}

impl ForeignTcp {
    /// The next connection, after its TLS handshake.
    pub(crate) async fn accept_tls(&self) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        let (stream, _) = self.listener.accept().await?;
        self.tls.accept(stream).await
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> ForeignConnection {
        let stream = self.accept_tls().await.unwrap();
        h2::server::handshake(stream).await.unwrap()
    }
}

/// The TLS configuration of a foreign server, with the certificate of `identity` and every lane.
pub(crate) fn server_tls_with_lanes(identity: &ServerIdentity) -> rustls::ServerConfig {
    let mut tls = server_tls(identity);
    tls.alpn_protocols = Lane::ALL.iter().map(|lane| lane.alpn().into()).collect();
    tls
}
