//! The authentication of a server, and that nothing links two connections of a client.

// A panic is how a test fails, in its helpers too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod transport_support;

use farthing_node::fingerprint::Fingerprint;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use farthing_node::network::{Lane, Network, NetworkError};
use farthing_node::quic::QuicNetwork;
use farthing_node::transport::{ServerIdentity, ServerLimits};
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use transport_support::*;

over_both! {
    tokio::test;
    a_certificate_that_is_not_the_pinned_one_is_refused,
}

async fn a_certificate_that_is_not_the_pinned_one_is_refused(over: Over) {
    let server = start(ServerLimits::default());
    let mut card = server.card.clone();
    card.fingerprint.0[31] ^= 1;
    let error = over
        .network()
        .connect(&card, Lane::Identified)
        .await
        .err()
        .unwrap();
    let NetworkError::WrongCertificate { expected, got, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        (expected, got),
        (&card.fingerprint_hex(), &server.card.fingerprint_hex())
    );
    assert!(error.is_final());
}

/// A TLS server that shows one party's certificate and signs with another key.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesServerCert for Thief {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The TLS configuration of a thief with the certificate of `victim`, and every lane.
fn stolen_tls(victim: &ServerIdentity) -> rustls::ServerConfig {
    let thief = ServerIdentity::generate().unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&tls_key(&thief)).unwrap();
    let stolen = CertifiedKey::new(vec![certificate(victim)], key);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Thief(Arc::new(stolen))));
    tls.alpn_protocols = Lane::ALL.iter().map(|lane| lane.alpn().into()).collect();
    tls
}

#[tokio::test]
async fn the_pinned_certificate_without_its_key_is_refused() {
    let victim = ServerIdentity::generate().unwrap();
    let server = foreign_server(stolen_tls(&victim));
    let card = card(&victim, server.local_addr().unwrap());
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            let _refused = incoming.await;
        }
    });
    let error = QuicNetwork::new()
        .connect(&card, Lane::Identified)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, NetworkError::Impostor { .. }), "{error}");
    assert!(error.is_final());
}

/// A TLS client that stores the tickets and tokens of a server and counts them, as an ordinary client would.
#[derive(Debug, Default)]
struct Hoard {
    tickets: AtomicUsize,
    tokens: AtomicUsize,
}

impl ClientSessionStore for Hoard {
    fn set_kx_hint(&self, _: ServerName<'static>, _: rustls::NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::SeqCst);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

/// The same for QUIC tokens.
struct Tokens(Arc<Hoard>);

impl quinn::TokenStore for Tokens {
    fn insert(&self, _: &str, _: bytes::Bytes) {
        self.0.tokens.fetch_add(1, Ordering::SeqCst);
    }
    fn take(&self, _: &str) -> Option<bytes::Bytes> {
        None
    }
}

/// Returns the numbers of tickets and tokens that a client gets from the server at `address`.
async fn handed_out(address: SocketAddr) -> (usize, usize) {
    let hoard = Arc::new(Hoard::default());
    let mut tls = foreign_tls(Lane::Anonymous.alpn());
    tls.resumption = rustls::client::Resumption::store(hoard.clone());
    let mut config = foreign_config(tls);
    config.token_store(Arc::new(Tokens(hoard.clone())));
    let endpoint = quinn::Endpoint::client(any_port()).unwrap();
    let connection = endpoint
        .connect_with(config, address, "farthing")
        .unwrap()
        .await
        .unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"hello").await.unwrap();
    send.finish().unwrap();
    let _reply = receive.read_to_end(100).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    (
        hoard.tickets.load(Ordering::SeqCst),
        hoard.tokens.load(Ordering::SeqCst),
    )
}

/// A server that marks its clients: it issues tickets and tokens and counts those that clients present.
#[derive(Debug, Default)]
struct Marker {
    tickets_shown: AtomicUsize,
    tokens_shown: AtomicUsize,
}

impl ProducesTickets for Marker {
    fn enabled(&self) -> bool {
        true
    }
    fn lifetime(&self) -> u32 {
        3_600
    }
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        Some(plain.to_vec())
    }
    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets_shown.fetch_add(1, Ordering::SeqCst);
        Some(ticket.to_vec())
    }
}

/// The same for QUIC tokens.
struct TokenCounter(Arc<Marker>);

impl quinn::TokenLog for TokenCounter {
    fn check_and_insert(
        &self,
        _: u128,
        _: std::time::SystemTime,
        _: Duration,
    ) -> Result<(), quinn::TokenReuseError> {
        self.0.tokens_shown.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Starts a marking server. It collects the addresses of its clients.
fn marking_server(identity: &ServerIdentity) -> (SocketAddr, Arc<Marker>, Arc<Mutex<Vec<SocketAddr>>>) {
    let marker = Arc::new(Marker::default());
    let mut tls = server_tls(identity);
    tls.ticketer = marker.clone();
    tls.send_tls13_tickets = 4;
    tls.alpn_protocols = Lane::ALL.iter().map(|lane| lane.alpn().into()).collect();
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut tokens = quinn::ValidationTokenConfig::default();
    tokens.sent(4).log(Arc::new(TokenCounter(marker.clone())));
    config.validation_token_config(tokens);
    let server = quinn::Endpoint::server(config, any_port()).unwrap();
    let address = server.local_addr().unwrap();
    let sources = Arc::new(Mutex::new(Vec::new()));
    let seen = sources.clone();
    tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            seen.lock().unwrap().push(incoming.remote_address());
            tokio::spawn(async move {
                let connection = incoming.await.unwrap();
                while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                    let request = receive.read_to_end(100).await.unwrap();
                    send.write_all(&request).await.unwrap();
                    send.finish().unwrap();
                }
            });
        }
    });
    (address, marker, sources)
}

#[tokio::test]
async fn a_server_issues_no_tickets_and_no_tokens() {
    let server = start(ServerLimits::default());
    assert_eq!(handed_out(server.card.address.only_ip().unwrap()).await, (0, 0));
    // The check works: it counts the tickets and tokens of a marking server.
    let identity = ServerIdentity::generate().unwrap();
    let (address, _, _) = marking_server(&identity);
    let (tickets, tokens) = handed_out(address).await;
    assert!(tickets > 0 && tokens > 0, "{tickets} tickets, {tokens} tokens");
}

#[tokio::test]
async fn no_two_connections_of_a_wallet_share_a_socket_a_ticket_or_a_token() {
    let identity = ServerIdentity::generate().unwrap();
    let (address, marker, sources) = marking_server(&identity);
    let card = card(&identity, address);
    let network = QuicNetwork::new();
    let mut channels = Vec::new();
    for round in 0..6 {
        let channel = network.connect(&card, Lane::Anonymous).await.unwrap();
        assert!(channel.call(b"hello".to_vec(), CALL_TIMEOUT).await.is_ok());
        // Time for tickets and tokens to arrive.
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Connections one after the other, and at the same time.
        if round % 2 == 0 {
            channels.push(channel);
        }
    }
    let sources = sources.lock().unwrap().clone();
    let distinct: BTreeSet<u16> = sources.iter().map(SocketAddr::port).collect();
    assert_eq!((sources.len(), distinct.len()), (6, 6));
    assert_eq!(
        marker.tickets_shown.load(Ordering::SeqCst),
        0,
        "a session was resumed"
    );
    assert_eq!(
        marker.tokens_shown.load(Ordering::SeqCst),
        0,
        "an address token was shown"
    );

    // The check works: an ordinary client that uses its configuration twice resumes its session and presents its token.
    let config = foreign_config(foreign_tls(Lane::Anonymous.alpn()));
    let endpoint = quinn::Endpoint::client(any_port()).unwrap();
    for _ in 0..2 {
        let connecting = endpoint
            .connect_with(config.clone(), address, "farthing")
            .unwrap();
        let connection = connecting.await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        connection.close(quinn::VarInt::from_u32(0), b"");
    }
    assert!(marker.tickets_shown.load(Ordering::SeqCst) > 0);
    assert!(marker.tokens_shown.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn traffic_through_a_relay_is_authenticated_by_the_pinned_key() {
    let server = start(ServerLimits::default());
    let real = server.card.address.clone();
    let mut card = server.card.clone();
    // An address where nobody answers.
    card.address = "192.0.2.1:7001".parse().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asked_for = asked.clone();
    let network = QuicNetwork::new().with_dialer(move |card, lane| {
        asked_for.lock().unwrap().push((card.address.clone(), lane));
        real.clone()
    });
    let channel = network.connect(&card, Lane::Anonymous).await.unwrap();
    assert!(channel.call(b"hello".to_vec(), CALL_TIMEOUT).await.is_ok());
    assert_eq!(*asked.lock().unwrap(), [(card.address.clone(), Lane::Anonymous)]);
    card.fingerprint = Fingerprint([0; 32]);
    let error = network.connect(&card, Lane::Anonymous).await.err().unwrap();
    assert!(matches!(error, NetworkError::WrongCertificate { .. }), "{error}");
}

#[tokio::test]
async fn a_dropped_channel_closes_its_connection_and_its_socket() {
    let identity = ServerIdentity::generate().unwrap();
    let server = foreign_server(server_tls(&identity));
    let card = card(&identity, server.local_addr().unwrap());
    let accepting = tokio::spawn(async move {
        let incoming = server.accept().await.unwrap();
        let port = incoming.remote_address().port();
        let connection = incoming.await.unwrap();
        (connection.closed().await, port)
    });
    let channel = QuicNetwork::new().connect(&card, Lane::Anonymous).await.unwrap();
    drop(channel);
    let (reason, port) = tokio::time::timeout(Duration::from_secs(2), accepting)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(reason, quinn::ConnectionError::ApplicationClosed(_)),
        "{reason}"
    );
    let deadline = std::time::Instant::now() + CALL_TIMEOUT;
    while std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_err() {
        assert!(std::time::Instant::now() < deadline, "the socket is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn over_tcp_the_pinned_certificate_without_its_key_is_refused() {
    let victim = ServerIdentity::generate().unwrap();
    let server = foreign_tcp_server(stolen_tls(&victim)).await;
    let card = card(&victim, server.address);
    let network = Over::Tcp.network();
    let (error, _refused) = tokio::join!(network.connect(&card, Lane::Identified), server.accept_tls());
    let error = error.err().unwrap();
    assert!(matches!(error, NetworkError::Impostor { .. }), "{error}");
    assert!(error.is_final());
}

#[tokio::test]
async fn over_tcp_no_session_is_resumed_by_either_side() {
    // The server issues no tickets.
    let server = start(ServerLimits::default());
    let tickets = |address: SocketAddr| async move {
        let hoard = Arc::new(Hoard::default());
        let mut tls = foreign_tls(Lane::Anonymous.alpn());
        tls.resumption = rustls::client::Resumption::store(hoard.clone());
        let stream = foreign_tcp(address, tls).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let (response, _) = requests.send_request(foreign_head(), true).unwrap();
        let _reply: Result<_, h2::Error> = response.await;
        hoard.tickets.load(Ordering::SeqCst)
    };
    assert_eq!(tickets(server.card.address.only_ip().unwrap()).await, 0);

    // The client shows none of those that another server issues.
    let identity = ServerIdentity::generate().unwrap();
    let marker = Arc::new(Marker::default());
    let mut tls = server_tls_with_lanes(&identity);
    tls.ticketer = marker.clone();
    tls.send_tls13_tickets = 4;
    let foreign = foreign_tcp_server(tls).await;
    let (card, address) = (card(&identity, foreign.address), foreign.address);
    tokio::spawn(async move {
        loop {
            let mut connection = foreign.accept().await;
            tokio::spawn(async move {
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    respond.send_response(http::Response::new(()), true).unwrap();
                }
            });
        }
    });
    for _ in 0..3 {
        let channel = Over::Tcp.network().connect(&card, Lane::Anonymous).await.unwrap();
        assert!(channel.call(b"hello".to_vec(), CALL_TIMEOUT).await.is_ok());
    }
    assert_eq!(marker.tickets_shown.load(Ordering::SeqCst), 0);
    // The check works: it counts tickets, and an ordinary client shows them.
    assert!(tickets(address).await > 0);
    let tls = foreign_tls(Lane::Anonymous.alpn());
    for _ in 0..2 {
        let stream = foreign_tcp(address, tls.clone()).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let (response, _) = requests.send_request(foreign_head(), true).unwrap();
        let _reply: Result<_, h2::Error> = response.await;
    }
    assert!(marker.tickets_shown.load(Ordering::SeqCst) > 0);
}
