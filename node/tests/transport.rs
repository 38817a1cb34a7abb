//! Requests and replies over real QUIC: delivery, limits and errors.

// A panic is how a test fails, in its helpers too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod transport_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use farthing_node::call::ask;
use farthing_node::network::{Acted, Caller, Channel, Lane, Network, NetworkError, Service};
use farthing_node::process::stop_pair;
use farthing_node::quic::QuicNetwork;
use farthing_node::server::Server;
use farthing_node::transport::{ClientLimits, FAULT_PAUSE_MS, REQUEST_PACE_MS, ServerIdentity, ServerLimits};
use farthing_protocol::{
    api::encode_reply,
    ids::{EncryptedDigest, ItemId},
    offer::{Piece, PieceRequest},
};
use farthing_store::entropy::{Entropy, SystemEntropy};
use transport_support::*;

over_both! {
    tokio::test;
    a_request_gets_its_reply_and_the_service_sees_the_lane,
    a_frame_that_is_too_long_is_refused_by_both_sides_in_both_directions,
    the_longest_frames_arrive_complete,
    a_slow_or_failing_service_leaves_the_outcome_unknown_and_sends_no_empty_reply,
    a_busy_server_says_when_to_try_again,
    the_number_of_connections_is_bounded_and_closed_ones_are_freed,
    requests_that_end_a_purchase_are_answered_when_all_other_slots_are_taken,
    a_server_is_reached_by_its_host_name_and_by_the_first_address_that_answers,
    a_host_name_without_an_address_can_be_tried_again,
    who_sends_what_is_of_no_use_waits_for_the_next_turn,
    a_customers_address_has_a_rate_and_a_pinned_server_has_none,
}

over_both! {
    tokio::test(flavor = "multi_thread", worker_threads = 2);
    each_of_many_requests_on_one_connection_gets_its_own_reply,
}

async fn a_request_gets_its_reply_and_the_service_sees_the_lane(over: Over) {
    let server = start(ServerLimits::default());
    for lane in Lane::ALL {
        let channel = over.network().connect(&server.card, lane).await.unwrap();
        let reply = channel.call(b"hello".to_vec(), CALL_TIMEOUT).await.unwrap();
        assert_eq!(reply, format!("{}|hello", lane.alpn()).into_bytes());
        let empty = channel.call(Vec::new(), CALL_TIMEOUT).await.unwrap();
        assert_eq!(empty, format!("{}|", lane.alpn()).into_bytes());
    }
}

async fn each_of_many_requests_on_one_connection_gets_its_own_reply(over: Over) {
    let server = start(ServerLimits::default());
    let channel = over.network().connect(&server.card, Lane::Peer).await.unwrap();
    let calls: Vec<_> = (0..500)
        .map(|i| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let reply = channel
                    .call(format!("{i}").into_bytes(), CALL_TIMEOUT)
                    .await
                    .unwrap();
                assert_eq!(reply, format!("farthing/2 peer|{i}").into_bytes());
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn an_unknown_lane_is_refused() {
    let server = start(ServerLimits::default());
    let refused = foreign_connection(server.card.address.only_ip().unwrap(), "farthing/1 anonymous").await;
    assert!(
        matches!(refused, Err(quinn::ConnectionError::ConnectionClosed(_))),
        "{refused:?}"
    );

    // A client learns that the server speaks another version, here the previous one.
    let identity = ServerIdentity::generate().unwrap();
    let mut tls = server_tls(&identity);
    tls.alpn_protocols = vec![b"farthing/1 peer".to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let other = quinn::Endpoint::server(config, any_port()).unwrap();
    let accept = other.accept();
    let card = card(&identity, other.local_addr().unwrap());
    let network = QuicNetwork::new();
    let (error, _) = tokio::join!(network.connect(&card, Lane::Peer), async {
        let _failed = accept.await.unwrap().await;
    });
    let error = error.err().unwrap();
    assert!(matches!(&error, NetworkError::WrongProtocol { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("speaks another version of the protocol"), "{text}");
    assert!(error.is_final());
}

async fn a_frame_that_is_too_long_is_refused_by_both_sides_in_both_directions(over: Over) {
    let server = start(ServerLimits {
        request_max_bytes: 1_000,
        ..ServerLimits::default()
    });
    let channel = over
        .network()
        .connect(&server.card, Lane::Anonymous)
        .await
        .unwrap();
    assert!(channel.call(vec![1; 1_000], CALL_TIMEOUT).await.is_ok());
    let refused = channel.call(vec![1; 1_001], CALL_TIMEOUT).await.unwrap_err();
    assert!(
        matches!(&refused, NetworkError::Refused { reason, .. } if reason.contains("longer")),
        "{refused}"
    );
    // So long that the server refuses it while the client is still sending.
    let refused = channel.call(vec![1; 3_000_000], CALL_TIMEOUT).await.unwrap_err();
    assert!(
        matches!(&refused, NetworkError::Refused { reason, .. } if reason.contains("longer")),
        "{refused}"
    );
    assert_eq!(refused.acted(), Acted::No);
    let refused = channel
        .call(vec![1; 5 * 1024 * 1024], CALL_TIMEOUT)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, NetworkError::TooLong { acted: Acted::No, .. }),
        "{refused}"
    );
    // A reply that is too long for the server to send.
    let lost = channel.call(b"huge".to_vec(), CALL_TIMEOUT).await.unwrap_err();
    assert!(
        matches!(
            lost,
            NetworkError::Closed {
                acted: Acted::Unknown,
                ..
            }
        ),
        "{lost}"
    );

    let limits = ClientLimits {
        reply_max_bytes: 99_999,
        ..ClientLimits::default()
    };
    let channel = over
        .network_with(limits)
        .connect(&server.card, Lane::Anonymous)
        .await
        .unwrap();
    let refused = channel.call(b"large".to_vec(), CALL_TIMEOUT).await.unwrap_err();
    assert!(
        matches!(
            refused,
            NetworkError::TooLong {
                acted: Acted::Unknown,
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        channel.call(b"small".to_vec(), CALL_TIMEOUT).await.is_ok(),
        "the connection survives"
    );
}

async fn the_longest_frames_arrive_complete(over: Over) {
    let server = start(ServerLimits::default());
    let channel = over.network().connect(&server.card, Lane::Peer).await.unwrap();
    let request: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 251) as u8).collect();
    let reply = channel.call(request.clone(), CALL_TIMEOUT).await.unwrap();
    assert!(reply.ends_with(&request));
}

#[tokio::test]
async fn a_request_that_arrives_too_slowly_is_refused() {
    let server = start(ServerLimits {
        stream_timeout: Duration::from_millis(150),
        ..ServerLimits::default()
    });
    let (_endpoint, connection) =
        foreign_connection(server.card.address.only_ip().unwrap(), Lane::Anonymous.alpn())
            .await
            .unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"hel").await.unwrap();
    let started = Instant::now();
    let outcome = receive.read_to_end(100).await;
    assert!(
        matches!(&outcome, Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) if code.into_inner() == 3),
        "{outcome:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(
        connection.open_bi().await.unwrap().1.id().index(),
        1,
        "the connection survives"
    );
}

#[tokio::test]
async fn a_partly_sent_request_is_never_taken_for_a_complete_one() {
    let identity = ServerIdentity::generate().unwrap();
    let server = foreign_server(server_tls(&identity));
    let card = card(&identity, server.local_addr().unwrap());
    let reading = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (_send, mut receive) = connection.accept_bi().await.unwrap();
        // Slower than the client's timeout, so that its windows fill up.
        tokio::time::sleep(Duration::from_millis(400)).await;
        receive.read_to_end(10_000_000).await
    });
    let channel = QuicNetwork::new().connect(&card, Lane::Peer).await.unwrap();
    let error = channel
        .call(vec![1; 4_000_000], Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(
        matches!(error, NetworkError::TimedOut { acted: Acted::No, .. }),
        "{error}"
    );
    let read = reading.await.unwrap();
    assert!(
        matches!(read, Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(_)))),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_connection_lost_during_a_request_leaves_its_outcome_unknown() {
    let identity = ServerIdentity::generate().unwrap();
    let server = foreign_server(server_tls(&identity));
    let card = card(&identity, server.local_addr().unwrap());
    let killing = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (_send, mut receive) = connection.accept_bi().await.unwrap();
        receive.read_to_end(1_000).await.unwrap();
        connection.close(quinn::VarInt::from_u32(77), b"");
        server.wait_idle().await;
    });
    let channel = QuicNetwork::new().connect(&card, Lane::Identified).await.unwrap();
    let error = channel.call(b"pay".to_vec(), CALL_TIMEOUT).await.unwrap_err();
    assert!(
        matches!(
            error,
            NetworkError::Closed {
                acted: Acted::Unknown,
                ..
            }
        ),
        "{error}"
    );
    let error = channel.call(b"pay".to_vec(), CALL_TIMEOUT).await.unwrap_err();
    assert!(
        matches!(error, NetworkError::Closed { acted: Acted::No, .. }),
        "{error}"
    );
    killing.await.unwrap();
}

#[tokio::test]
async fn a_piece_of_goods_that_is_cut_off_is_what_has_arrived_of_it() {
    let identity = ServerIdentity::generate().unwrap();
    let server = foreign_server(server_tls(&identity));
    let card = card(&identity, server.local_addr().unwrap());
    let falling_silent = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (mut send, _receive) = connection.accept_bi().await.unwrap();
        let reply = encode_reply(&Ok(Piece { bytes: vec![7; 100] }));
        send.write_all(&reply[..reply.len() - 60]).await.unwrap();
        connection.closed().await;
    });
    let channel = QuicNetwork::new().connect(&card, Lane::Anonymous).await.unwrap();
    let request = PieceRequest {
        item_id: ItemId([1; 32]),
        encrypted_digest: EncryptedDigest([2; 32]),
        offset: 0,
    };
    let piece = ask(channel.as_ref(), request, Duration::from_millis(300)).await;
    assert_eq!(piece.unwrap().bytes, [7; 40]);
    drop(channel);
    falling_silent.await.unwrap();
}

async fn a_slow_or_failing_service_leaves_the_outcome_unknown_and_sends_no_empty_reply(over: Over) {
    let server = start(ServerLimits::default());
    let channel = over
        .network()
        .connect(&server.card, Lane::Identified)
        .await
        .unwrap();
    let error = channel
        .call(b"wait".to_vec(), Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            NetworkError::TimedOut {
                acted: Acted::Unknown,
                ..
            }
        ),
        "{error}"
    );
    let error = channel.call(b"panic".to_vec(), CALL_TIMEOUT).await.unwrap_err();
    assert!(
        matches!(
            error,
            NetworkError::Closed {
                acted: Acted::Unknown,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        channel.call(b"on".to_vec(), CALL_TIMEOUT).await.is_ok(),
        "the connection survives"
    );
}

async fn a_busy_server_says_when_to_try_again(over: Over) {
    let busy = ServerLimits {
        requests_max: 1,
        ..ServerLimits::default()
    };
    says_when_to_try_again(over, busy).await;
    let busy_with_this_client = ServerLimits {
        requests_per_address_max: 1,
        ..ServerLimits::default()
    };
    says_when_to_try_again(over, busy_with_this_client).await;
}

async fn says_when_to_try_again(over: Over, limits: ServerLimits) {
    let server = start(limits);
    let channel = over.network().connect(&server.card, Lane::Peer).await.unwrap();
    let first = tokio::spawn({
        let channel = channel.clone();
        async move { channel.call(b"wait".to_vec(), CALL_TIMEOUT).await }
    });
    server.echo.waiting.notified().await;
    for size in [10, 3_000_000] {
        let error = channel.call(vec![1; size], CALL_TIMEOUT).await.unwrap_err();
        assert!(
            matches!(
                error,
                NetworkError::Busy {
                    retry_after_ms: 100,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.acted(), Acted::No);
    }
    server.echo.go_on.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), b"waited");
    // The slot is free as soon as the reply is sent.
    assert!(channel.call(b"next".to_vec(), CALL_TIMEOUT).await.is_ok());
}

async fn the_number_of_connections_is_bounded_and_closed_ones_are_freed(over: Over) {
    let server = start(ServerLimits {
        connections_max: 1,
        ..ServerLimits::default()
    });
    let network = over.network();
    let first = network.connect(&server.card, Lane::Peer).await.unwrap();
    let error = network.connect(&server.card, Lane::Peer).await.err().unwrap();
    assert!(matches!(error, NetworkError::Busy { .. }), "{error}");
    assert!(first.call(b"still here".to_vec(), CALL_TIMEOUT).await.is_ok());
    drop(first);
    let deadline = Instant::now() + CALL_TIMEOUT;
    while network.connect(&server.card, Lane::Peer).await.is_err() {
        assert!(Instant::now() < deadline, "the connection was not freed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn garbage_datagrams_do_not_disturb_the_server() {
    let server = start(ServerLimits::default());
    let socket = std::net::UdpSocket::bind(any_port()).unwrap();
    for length in (0..1_400_usize).step_by(7) {
        let mut garbage = vec![0_u8; length];
        SystemEntropy.fill(&mut garbage);
        // Half of the datagrams look like the beginning of a handshake.
        if let [first, version @ .., _] = garbage.as_mut_slice()
            && length % 2 == 0
            && version.len() > 4
        {
            *first |= 0xc0;
            version[..4].copy_from_slice(&1_u32.to_be_bytes());
        }
        socket
            .send_to(&garbage, server.card.address.only_ip().unwrap())
            .unwrap();
    }
    let channel = QuicNetwork::new()
        .connect(&server.card, Lane::Peer)
        .await
        .unwrap();
    assert!(channel.call(b"alive?".to_vec(), CALL_TIMEOUT).await.is_ok());
}

/// The first datagram of a handshake with any server.
async fn first_datagram() -> Vec<u8> {
    let sink = tokio::net::UdpSocket::bind(any_port()).await.unwrap();
    let endpoint = quinn::Endpoint::client(any_port()).unwrap();
    let config = foreign_config(foreign_tls(Lane::Anonymous.alpn()));
    let _connecting = endpoint
        .connect_with(config, sink.local_addr().unwrap(), "farthing")
        .unwrap();
    let mut datagram = vec![0; 2_000];
    let length = sink.recv(&mut datagram).await.unwrap();
    datagram.truncate(length);
    datagram
}

#[tokio::test]
async fn abandoned_handshakes_do_not_block_other_clients() {
    let server = start(ServerLimits {
        handshakes_max: 4,
        ..ServerLimits::default()
    });
    // From addresses on which nobody listens, as in a flood.
    for _ in 0..20 {
        let socket = tokio::net::UdpSocket::bind(any_port()).await.unwrap();
        socket
            .send_to(&first_datagram().await, server.card.address.only_ip().unwrap())
            .await
            .unwrap();
    }
    for _ in 0..3 {
        let channel = QuicNetwork::new()
            .connect(&server.card, Lane::Peer)
            .await
            .unwrap();
        assert!(channel.call(b"hello".to_vec(), CALL_TIMEOUT).await.is_ok());
    }
}

async fn requests_that_end_a_purchase_are_answered_when_all_other_slots_are_taken(over: Over) {
    let server = start(ServerLimits {
        requests_max: 2,
        reserved_requests_max: 1,
        ..ServerLimits::default()
    });
    let channel = over.network().connect(&server.card, Lane::Anonymous).await;
    let channel = channel.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let channel = channel.clone();
        let arrived = server.echo.waiting.notified();
        waiting.push(tokio::spawn(async move {
            channel.call(b"wait".to_vec(), CALL_TIMEOUT).await
        }));
        arrived.await;
    }
    for _ in 0..3 {
        let refused = channel.call(b"else".to_vec(), CALL_TIMEOUT).await.unwrap_err();
        assert!(matches!(refused, NetworkError::Busy { .. }), "{refused}");
        let answered = channel.call(b"last words".to_vec(), CALL_TIMEOUT).await.unwrap();
        assert!(answered.ends_with(b"|last words"));
        // A long request is refused, because no request that ends a purchase is long.
        let long = [b"last".as_slice(), &[7; 5_000]].concat();
        let refused = channel.call(long, CALL_TIMEOUT).await.unwrap_err();
        assert!(matches!(refused, NetworkError::Busy { .. }), "{refused}");
    }
    server.echo.go_on.notify_one();
    server.echo.go_on.notify_one();
    for waited in waiting {
        waited.await.unwrap().unwrap();
    }
}

async fn a_server_is_reached_by_its_host_name_and_by_the_first_address_that_answers(over: Over) {
    let server = start(ServerLimits::default());
    let port = server.card.address.only_ip().unwrap().port();
    // 192.0.2.1 is a documentation address: nobody answers. The name with the ending `invalid` never resolves.
    for address in [
        format!("localhost:{port}"),
        format!("no.such.host.invalid:{port},127.0.0.1:{port}"),
        format!("192.0.2.1:{port},localhost:{port}"),
    ] {
        let mut card = server.card.clone();
        card.address = address.parse().unwrap();
        let channel = over.network().connect(&card, Lane::Anonymous).await.unwrap();
        assert!(channel.call(b"hello".to_vec(), CALL_TIMEOUT).await.is_ok());
        // The name decides nothing: another certificate at it is refused.
        card.fingerprint.0[0] ^= 1;
        card.address = format!("localhost:{port}").parse().unwrap();
        let error = over.network().connect(&card, Lane::Anonymous).await;
        let error = error.err().unwrap();
        assert!(error.acted() == Acted::No, "{error}");
    }
}

async fn a_host_name_without_an_address_can_be_tried_again(over: Over) {
    let mut card = start(ServerLimits::default()).card.clone();
    for (address, says) in [
        ("no.such.host.invalid:7001", "has no address"),
        ("abcdef.onion:7001", "is reached only through Tor"),
    ] {
        card.address = address.parse().unwrap();
        let error = over.network().connect(&card, Lane::Anonymous).await;
        let error = error.err().unwrap();
        assert!(matches!(error, NetworkError::Unreachable { .. }), "{error}");
        assert!(!error.is_final() && error.to_string().contains(says), "{error}");
    }
}

/// A service that answers with the number of the client.
struct Numbering;

#[async_trait]
impl Service for Numbering {
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.call_from(Caller::any(), lane, request).await
    }

    async fn call_from(&self, caller: Caller, _: Lane, _: Vec<u8>) -> Vec<u8> {
        caller.give_back().0.to_le_bytes().to_vec()
    }
}

/// On Linux the loopback device has all addresses of 127.0.0.0/8.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_are_told_apart_by_their_address_and_with_another_number_in_each_process() {
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let identity = ServerIdentity::generate().unwrap();
        let server = Server::bind(
            any_port(),
            &identity,
            Arc::new(Numbering),
            ServerLimits::default(),
        );
        let server = server.unwrap();
        let card = card(&identity, server.local_addr());
        let (_stopper, token) = stop_pair();
        tokio::spawn(server.run(token));
        for source in ["127.0.0.2", "127.0.0.2", "127.0.0.3"] {
            let network = QuicNetwork::new().from_source(source.parse().unwrap());
            let channel = network.connect(&card, Lane::Anonymous).await.unwrap();
            numbers.push(channel.call(Vec::new(), CALL_TIMEOUT).await.unwrap());
        }
    }
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(numbers[1], numbers[2]);
    assert_ne!(numbers[0], numbers[3]);
}

/// One turn for each customer.
fn one_turn() -> ServerLimits {
    ServerLimits {
        customer_turns_max: 1,
        ..ServerLimits::default()
    }
}

/// How long `count` calls take, one after another.
async fn calls(channel: &dyn Channel, count: u32, request: &[u8]) -> Duration {
    let began = Instant::now();
    for _ in 0..count {
        channel.call(request.to_vec(), CALL_TIMEOUT).await.unwrap();
    }
    began.elapsed()
}

async fn who_sends_what_is_of_no_use_waits_for_the_next_turn(over: Over) {
    let server = start(one_turn());
    let channel = over
        .network()
        .connect(&server.card, Lane::Anonymous)
        .await
        .unwrap();
    let pause = Duration::from_millis(FAULT_PAUSE_MS);
    let good = calls(&*channel, 5, b"good").await;
    assert!(good < pause, "{good:?}");
    for request in [b"malformed".as_slice(), b"forged"] {
        let bad = calls(&*channel, 3, request).await;
        assert!(bad >= pause * 2, "{bad:?}");
    }
    // A client at another address does not wait.
    #[cfg(target_os = "linux")]
    {
        let network = QuicNetwork::new().from_source("127.0.0.3".parse().unwrap());
        let other = network.connect(&server.card, Lane::Anonymous).await.unwrap();
        let (bad, good) = tokio::join!(calls(&*channel, 3, b"malformed"), calls(&*other, 5, b"good"));
        assert!(bad >= pause * 2 && good < pause, "{bad:?}, {good:?}");
    }
}

#[tokio::test]
async fn who_gives_requests_up_waits_for_the_next_turn() {
    let server = start(one_turn());
    let address = server.card.address.only_ip().unwrap();
    let (_endpoint, connection) = foreign_connection(address, Lane::Anonymous.alpn()).await.unwrap();
    for _ in 0..3 {
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(b"hel").await.unwrap();
        send.reset(quinn::VarInt::from_u32(1)).unwrap();
    }
    let began = Instant::now();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"good").await.unwrap();
    send.finish().unwrap();
    let reply = receive.read_to_end(100).await.unwrap();
    assert!(reply.ends_with(b"|good"));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(FAULT_PAUSE_MS), "{took:?}");
}

async fn a_customers_address_has_a_rate_and_a_pinned_server_has_none(over: Over) {
    let burst = 8;
    let server = start(ServerLimits {
        customer_burst_max: burst as usize,
        ..ServerLimits::default()
    });
    let pace = Duration::from_millis(REQUEST_PACE_MS);
    // Nobody has pinned a server at this address.
    for lane in [Lane::Anonymous, Lane::Relayed, Lane::Peer] {
        let channel = over.network().connect(&server.card, lane).await.unwrap();
        tokio::time::sleep(pace).await;
        let (at_once, later) = (
            calls(&*channel, burst, b"").await,
            calls(&*channel, burst + 1, b"").await,
        );
        assert!(
            at_once < pace && at_once + later >= pace * 2,
            "{at_once:?}, {later:?}"
        );
    }
    #[cfg(target_os = "linux")]
    for lane in [Lane::Relayed, Lane::Peer] {
        let network = QuicNetwork::new().from_source(KNOWN_SERVER.into());
        let known = network.connect(&server.card, lane).await.unwrap();
        let took = calls(&*known, 3 * burst, b"").await;
        assert!(took < pace * 2, "{took:?}");
    }
}
