//! TCP: foreign and hostile clients and servers, lost connections, and the bounds that both transports share.

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

use bytes::Bytes;
use farthing_node::call::ask;
use farthing_node::network::{Acted, Lane, Network, NetworkError};
use farthing_node::server::Server;
use farthing_node::tcp::{ABANDONED_MAX, HEADERS_MAX_BYTES, TcpNetwork};
use farthing_node::transport::{ClientLimits, ServerError, ServerIdentity, ServerLimits};
use farthing_protocol::{
    api::encode_reply,
    ids::{EncryptedDigest, ItemId},
    offer::{Piece, PieceRequest},
};
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport_support::*;

/// The first bytes of every HTTP/2 connection, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Checks that the server still answers over both transports.
async fn assert_answers(server: &Running) {
    for over in [Over::Quic, Over::Tcp] {
        let channel = over.network().connect(&server.card, Lane::Anonymous).await;
        let channel = channel.unwrap();
        assert!(channel.call(b"alive?".to_vec(), CALL_TIMEOUT).await.is_ok());
    }
}

/// The address of a server.
fn address_of(server: &Running) -> std::net::SocketAddr {
    server.card.address.only_ip().unwrap()
}

/// The reset that a foreign client has got.
fn reset_of(error: &h2::Error) -> u32 {
    assert!(error.is_reset() && error.is_remote(), "{error}");
    error.reason().unwrap().into()
}

#[tokio::test]
async fn an_unknown_lane_is_refused() {
    let server = start(ServerLimits::default());
    let refused = foreign_tcp(address_of(&server), foreign_tls("farthing/1 anonymous")).await;
    assert!(refused.is_err());
    let mut nameless = foreign_tls("");
    nameless.alpn_protocols.clear();
    let mut stream = foreign_tcp(address_of(&server), nameless).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    assert_eq!(stream.read(&mut [0; 100]).await.unwrap_or(0), 0, "it is answered");

    // A client learns that the server speaks another version, or no protocol of Farthing.
    let identity = ServerIdentity::generate().unwrap();
    for names in [vec![b"farthing/1 peer".to_vec()], Vec::new()] {
        let mut tls = server_tls(&identity);
        tls.alpn_protocols = names;
        let other = foreign_tcp_server(tls).await;
        let card = card(&identity, other.address);
        let network = Over::Tcp.network();
        let (error, _) = tokio::join!(network.connect(&card, Lane::Peer), other.accept_tls());
        let error = error.err().unwrap();
        assert!(matches!(&error, NetworkError::WrongProtocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_request_that_arrives_too_slowly_is_refused() {
    let server = start(ServerLimits {
        stream_timeout: Duration::from_millis(150),
        ..ServerLimits::default()
    });
    let mut requests = foreign_requests(address_of(&server)).await;
    let (response, mut stream) = requests.send_request(foreign_head(), false).unwrap();
    stream.send_data(Bytes::from_static(b"hel"), false).unwrap();
    let started = Instant::now();
    assert_eq!(reset_of(&response.await.unwrap_err()), 0x103);
    assert!(started.elapsed() < Duration::from_secs(5));
    let (response, _) = requests.send_request(foreign_head(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200, "the connection survives");
}

#[tokio::test]
async fn a_request_with_another_head_is_refused() {
    let server = start(ServerLimits::default());
    let mut requests = foreign_requests(address_of(&server)).await;
    let get = http::Request::get("https://farthing/").body(()).unwrap();
    let elsewhere = http::Request::post("https://farthing/else").body(()).unwrap();
    let mut marked = foreign_head();
    marked.headers_mut().insert("mark", "me".parse().unwrap());
    for head in [get, elsewhere, marked] {
        let (response, _) = requests.send_request(head, true).unwrap();
        assert!(response.await.is_err());
    }
    let (response, _) = requests.send_request(foreign_head(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200, "the connection survives");
}

#[tokio::test]
async fn a_partly_sent_request_is_never_taken_for_a_complete_one() {
    let identity = ServerIdentity::generate().unwrap();
    let server = foreign_tcp_server(server_tls_with_lanes(&identity)).await;
    let card = card(&identity, server.address);
    let reading = tokio::spawn(async move {
        let stream = server.accept_tls().await.unwrap();
        let mut small = h2::server::Builder::new();
        small.initial_window_size(100);
        let mut connection = small.handshake::<_, Bytes>(stream).await.unwrap();
        let (request, _respond) = connection.accept().await.unwrap().unwrap();
        let mut body = request.into_body();
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        // The window stays full, because nothing releases it.
        let mut read = 0;
        loop {
            match body.data().await {
                Some(Ok(part)) => read += part.len(),
                Some(Err(error)) => return (read, error),
                None => panic!("a whole request of {read} bytes"),
            }
        }
    });
    let channel = Over::Tcp.network().connect(&card, Lane::Peer).await.unwrap();
    // Time for the settings of the server.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = channel
        .call(vec![1; 1_000], Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(
        matches!(error, NetworkError::TimedOut { acted: Acted::No, .. }),
        "{error}"
    );
    let (read, error) = reading.await.unwrap();
    assert!(read < 1_000 && error.is_reset(), "{read} bytes, {error}");
}

/// A foreign server that reads one request, sends `reply` without its end, and goes on with `then`.
async fn half_reply<F: Future<Output = ()> + Send + 'static>(
    identity: &ServerIdentity,
    reply: Option<Vec<u8>>,
    then: impl FnOnce(ForeignConnection) -> F + Send + 'static,
) -> std::net::SocketAddr {
    let server = foreign_tcp_server(server_tls_with_lanes(identity)).await;
    let address = server.address;
    tokio::spawn(async move {
        let mut connection = server.accept().await;
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let answering = async move {
            let mut body = request.into_body();
            while let Some(part) = body.data().await {
                part.unwrap();
            }
            let sending = reply.map(|reply| {
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream.send_data(reply.into(), false).unwrap();
                stream
            });
            tokio::time::sleep(Duration::from_millis(200)).await;
            (sending, respond)
        };
        let handles = tokio::select! {
            handles = answering => handles,
            _ = async { while connection.accept().await.is_some() {} } => return,
        };
        then(connection).await;
        drop(handles);
    });
    address
}

#[tokio::test]
async fn a_connection_lost_during_a_request_leaves_its_outcome_unknown() {
    // Before the reply, and in the middle of it.
    for reply in [None, Some(vec![7; 100])] {
        let identity = ServerIdentity::generate().unwrap();
        let expected = reply.clone().unwrap_or_default();
        let address = half_reply(&identity, reply, |connection| async { drop(connection) }).await;
        let card = card(&identity, address);
        let channel = Over::Tcp
            .network()
            .connect(&card, Lane::Identified)
            .await
            .unwrap();
        let mut arrived = Vec::new();
        let error = channel
            .call_into(b"pay".to_vec(), CALL_TIMEOUT, &mut arrived)
            .await
            .unwrap_err();
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
        assert_eq!(arrived, expected);
        let error = channel.call(b"pay".to_vec(), CALL_TIMEOUT).await.unwrap_err();
        assert!(
            matches!(error, NetworkError::Closed { acted: Acted::No, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_piece_of_goods_that_is_cut_off_is_what_has_arrived_of_it() {
    let identity = ServerIdentity::generate().unwrap();
    let mut reply = encode_reply(&Ok(Piece { bytes: vec![7; 100] }));
    reply.truncate(reply.len() - 60);
    let silent =
        |mut connection: ForeignConnection| async move { while connection.accept().await.is_some() {} };
    let address = half_reply(&identity, Some(reply), silent).await;
    let card = card(&identity, address);
    let channel = Over::Tcp.network().connect(&card, Lane::Anonymous).await.unwrap();
    let request = PieceRequest {
        item_id: ItemId([1; 32]),
        encrypted_digest: EncryptedDigest([2; 32]),
        offset: 0,
    };
    let piece = ask(channel.as_ref(), request, Duration::from_millis(500)).await;
    assert_eq!(piece.unwrap().bytes, [7; 40]);
}

#[tokio::test]
async fn a_dropped_channel_closes_its_connection() {
    let identity = ServerIdentity::generate().unwrap();
    let server = foreign_tcp_server(server_tls_with_lanes(&identity)).await;
    let card = card(&identity, server.address);
    let accepting = tokio::spawn(async move {
        // The end of a connection can be an error, because the client does not wait for the server's last frames.
        let request = server.accept().await.accept().await;
        matches!(request, None | Some(Err(_)))
    });
    let channel = Over::Tcp.network().connect(&card, Lane::Anonymous).await.unwrap();
    drop(channel);
    let ended = tokio::time::timeout(Duration::from_secs(2), accepting).await;
    assert!(ended.unwrap().unwrap());
}

#[tokio::test]
async fn clients_that_say_nothing_or_garbage_keep_nobody_out() {
    let server = start(ServerLimits {
        handshakes_max: 4,
        // All clients have one address here.
        handshakes_per_address_max: usize::MAX,
        ..ServerLimits::default()
    });
    let mut open = Vec::new();
    for length in 0..40_usize {
        let mut stream = TcpStream::connect(address_of(&server)).await.unwrap();
        // Some say nothing, some send a part of a handshake, and some send something else.
        let garbage = [b"\x16\x03\x01\x02\x00\x01".as_slice(), &[7; 40]].concat();
        let bytes = if length % 3 == 0 {
            &garbage[..length % 7]
        } else {
            &garbage[length % 7..]
        };
        let _refused = stream.write_all(bytes).await;
        open.push(stream);
    }
    for _ in 0..3 {
        assert_answers(&server).await;
    }
}

#[tokio::test]
async fn a_full_server_says_that_it_is_busy_over_both_transports() {
    let server = start(ServerLimits {
        requests_max: 1,
        ..ServerLimits::default()
    });
    let mut channels = Vec::new();
    for over in [Over::Quic, Over::Tcp] {
        channels.push(over.network().connect(&server.card, Lane::Peer).await.unwrap());
    }
    // A request under way on one transport fills the server for the other one.
    for (first, second) in [(0, 1), (1, 0)] {
        let channel = channels[first].clone();
        let waiting = tokio::spawn(async move { channel.call(b"wait".to_vec(), CALL_TIMEOUT).await });
        server.echo.waiting.notified().await;
        let busy = channels[second].call(b"else".to_vec(), CALL_TIMEOUT).await;
        assert!(matches!(busy, Err(NetworkError::Busy { .. })), "{busy:?}");
        server.echo.go_on.notify_one();
        assert_eq!(waiting.await.unwrap().unwrap(), b"waited");
    }
}

#[tokio::test]
async fn a_client_that_gives_up_too_many_requests_loses_its_connection() {
    let server = start(ServerLimits {
        // All clients have one address here.
        customer_turns_max: usize::MAX,
        ..ServerLimits::default()
    });
    let mut requests = foreign_requests(address_of(&server)).await;
    let mut given_up = 0;
    let error = loop {
        requests = match requests.ready().await {
            Ok(requests) => requests,
            Err(error) => break error,
        };
        match requests.send_request(foreign_head(), false) {
            Ok((_response, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
            Err(error) => break error,
        }
        given_up += 1;
        assert!(given_up < 100 * ABANDONED_MAX, "the connection goes on");
        tokio::task::yield_now().await;
    };
    assert!(!error.is_reset(), "{error}");
    assert_answers(&server).await;
}

#[tokio::test]
async fn long_headers_are_refused() {
    let server = start(ServerLimits::default());
    let mut requests = foreign_requests(address_of(&server)).await;
    let mut head = foreign_head();
    let long = "x".repeat(HEADERS_MAX_BYTES as usize);
    head.headers_mut().insert("long", long.parse().unwrap());
    let (response, _) = requests.send_request(head, true).unwrap();
    match response.await {
        Ok(response) => assert_eq!(response.status(), 431),
        Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
    }
    assert_answers(&server).await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends `frame` up to `times` times without reading a reply. Returns whether the server has closed the connection.
async fn flood(server: &Running, begin: &[u8], frame: &[u8], times: usize) -> bool {
    let tls = foreign_tls(Lane::Anonymous.alpn());
    let mut stream = foreign_tcp(address_of(server), tls).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(begin).await.unwrap();
    for _ in 0..times {
        let writing = tokio::time::timeout(Duration::from_millis(500), stream.write_all(frame)).await;
        match writing {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return true,
            // The server does not read on before its replies are taken.
            Err(_) => return false,
        }
    }
    let _sent = stream.flush().await;
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_millis(500), reading)
        .await
        .is_ok()
}

#[tokio::test]
async fn floods_of_frames_are_bounded() {
    let server = start(ServerLimits::default());
    // Headers without their end, continued again and again.
    let headers = frame(1, 0, 1, &[0; 0]);
    assert!(flood(&server, &headers, &frame(9, 0, 1, &[0x82]), 10_000).await);
    // Empty parts of a body.
    let open = frame(1, 4, 1, b"\x83\x87\x84\x41\x08farthing");
    assert!(flood(&server, &open, &frame(0, 0, 1, &[]), 100_000).await);
    // Pings and settings cost a reply each. A client that does not read them is not read either.
    let _closed = flood(&server, &[], &frame(6, 0, 0, &[7; 8]), 200_000).await;
    let _closed = flood(&server, &[], &frame(4, 0, 0, &[]), 200_000).await;
    assert_answers(&server).await;
}

#[tokio::test]
async fn a_server_needs_its_port_for_both_transports() {
    let taken = std::net::TcpListener::bind(any_port()).unwrap();
    let address = taken.local_addr().unwrap();
    let identity = ServerIdentity::generate().unwrap();
    let echo = || Arc::new(Echo::default());
    let refused = Server::bind(address, &identity, echo(), ServerLimits::default()).unwrap_err();
    assert!(matches!(&refused, ServerError::Bind { protocol: "TCP", .. }));
    let text = refused.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {address} (TCP): ")),
        "{text}"
    );
    drop(taken);
    // The UDP socket of the refused server closes in the background.
    let deadline = Instant::now() + CALL_TIMEOUT;
    let server = loop {
        match Server::bind(address, &identity, echo(), ServerLimits::default()) {
            Ok(server) => break server,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let again = Server::bind(address, &identity, echo(), ServerLimits::default()).unwrap_err();
    assert!(matches!(again, ServerError::Bind { protocol: "UDP", .. }));
    assert_eq!(server.local_addr(), address);
}

#[tokio::test]
async fn a_silent_or_closed_server_is_unreachable() {
    let identity = ServerIdentity::generate().unwrap();
    let listener = std::net::TcpListener::bind(any_port()).unwrap();
    let card = card(&identity, listener.local_addr().unwrap());
    let network = TcpNetwork::new().with_limits(ClientLimits {
        connect_timeout: Duration::from_millis(200),
        ..ClientLimits::default()
    });
    let silent = network.connect(&card, Lane::Peer).await.err().unwrap();
    assert!(matches!(silent, NetworkError::Unreachable { .. }), "{silent}");
    drop(listener);
    let closed = network.connect(&card, Lane::Peer).await.err().unwrap();
    assert!(matches!(closed, NetworkError::Unreachable { .. }), "{closed}");
    assert!(!closed.is_final());
}
