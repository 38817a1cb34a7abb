//! Tests over plain datagrams: a line looks only at the headers of a datagram.

use super::*;
use tokio::time::timeout;

/// Enough time for everything that works.
const PATIENCE: Duration = Duration::from_secs(5);

/// Enough time for every datagram on its way to arrive.
const QUIET: Duration = Duration::from_millis(150);

const SHORT: u8 = 0x40;
const LONG: u8 = 0xc0;

async fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let address = socket.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _lost = socket.send_to(&buffer[..length], from).await;
        }
    });
    address
}

async fn client_of(line: &Line) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    socket
        .connect(line.address())
        .await
        .expect("the line has an address");
    socket
}

/// Sends `datagrams` and collects the replies until none come.
async fn exchange(client: &UdpSocket, datagrams: &[&[u8]]) -> Vec<Vec<u8>> {
    for datagram in datagrams {
        client.send(datagram).await.expect("loopback takes it");
    }
    let mut back = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(Ok(length)) = timeout(QUIET, client.recv(&mut buffer)).await {
        back.push(buffer[..length].to_vec());
    }
    back
}

#[tokio::test]
async fn each_client_gets_its_own_answers() {
    let line = Line::start(echo().await).await.expect("the line starts");
    let (first, second) = (client_of(&line).await, client_of(&line).await);
    first.send(b"first").await.expect("loopback takes it");
    second.send(b"second").await.expect("loopback takes it");
    let mut buffer = [0; 64];
    for (client, expected) in [(&first, b"first".as_slice()), (&second, b"second")] {
        let length = timeout(PATIENCE, client.recv(&mut buffer))
            .await
            .expect("in time")
            .expect("received");
        assert_eq!(&buffer[..length], expected);
    }
    let both_passed = Counts {
        passed: 2,
        ..Counts::default()
    };
    assert_eq!(line.counts(Way::ToServer), both_passed);
    assert_eq!(line.counts(Way::ToClient), both_passed);
}

#[tokio::test]
async fn a_closed_direction_loses_and_a_healed_one_does_not() {
    let line = Line::start(echo().await).await.expect("the line starts");
    let client = client_of(&line).await;
    line.set_gate(Way::ToClient, Gate::Drop);
    assert!(exchange(&client, &[b"one"]).await.is_empty());
    assert_eq!(
        line.counts(Way::ToServer).passed,
        1,
        "the server got it all the same"
    );
    assert_eq!(line.counts(Way::ToClient).dropped, 1);

    line.set_gate(Way::ToServer, Gate::Drop);
    assert!(exchange(&client, &[b"two"]).await.is_empty());
    assert_eq!(
        line.counts(Way::ToServer),
        Counts {
            passed: 1,
            dropped: 1,
            ..Counts::default()
        }
    );

    line.heal();
    assert_eq!(exchange(&client, &[b"three"]).await, [b"three"]);
}

#[tokio::test]
async fn the_handshakes_gate_tells_headers_apart() {
    let line = Line::start(echo().await).await.expect("the line starts");
    let client = client_of(&line).await;
    line.set_gate(Way::ToClient, Gate::Handshakes);
    // Version 0: a list of versions, which fills its datagram.
    let versions = [LONG, 0, 0, 0, 0, 1];
    assert_eq!(
        exchange(&client, &[&versions, &[SHORT, 2], &[]]).await,
        [versions]
    );
    assert_eq!(line.counts(Way::ToServer).passed, 3);
}

#[tokio::test]
async fn datagrams_are_repeated_and_lost_by_chance() {
    let line = Line::start(echo().await).await.expect("the line starts");
    let client = client_of(&line).await;
    line.set_faults(
        Way::ToServer,
        Faults {
            repeat_percent: 100,
            ..Faults::default()
        },
    );
    assert_eq!(exchange(&client, &[b"twice"]).await, [b"twice", b"twice"]);
    line.set_faults(
        Way::ToServer,
        Faults {
            lose_percent: 100,
            ..Faults::default()
        },
    );
    assert!(exchange(&client, &[b"never"]).await.is_empty());
    let expected = Counts {
        passed: 1,
        dropped: 1,
        repeated: 1,
        delayed: 0,
    };
    assert_eq!(line.counts(Way::ToServer), expected);
}

#[tokio::test]
async fn delayed_datagrams_come_later_and_held_back_ones_are_overtaken() {
    let line = Line::start(echo().await).await.expect("the line starts");
    let client = client_of(&line).await;
    line.set_faults(
        Way::ToServer,
        Faults {
            delay_ms: 40,
            ..Faults::default()
        },
    );
    let began = Instant::now();
    assert_eq!(exchange(&client, &[b"a", b"b"]).await, [b"a", b"b"]);
    assert!(began.elapsed() >= Duration::from_millis(40));

    let faults = Faults {
        seed: 5,
        reorder_percent: 50,
        ..Faults::default()
    };
    line.set_faults(Way::ToServer, faults);
    let sent: Vec<Vec<u8>> = (0..20).map(|n| vec![n]).collect();
    let back = exchange(&client, &sent.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    assert_ne!(back, sent);
    let mut sorted = back;
    sorted.sort();
    assert_eq!(sorted, sent);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_found_again() {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let target = server.local_addr().expect("a bound socket has an address");
    let line = Line::start(target).await.expect("the line starts");
    let client = client_of(&line).await;
    drop(server);
    assert!(exchange(&client, &[b"lost"]).await.is_empty());
    let server = UdpSocket::bind(target).await.expect("the port is free again");
    client.send(b"found").await.expect("loopback takes it");
    let mut buffer = [0; 64];
    let (length, _) = timeout(PATIENCE, server.recv_from(&mut buffer))
        .await
        .expect("in time")
        .expect("received");
    assert_eq!(&buffer[..length], b"found");
}
