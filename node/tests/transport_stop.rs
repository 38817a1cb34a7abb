//! Servers that stop and restart.

// A panic is how a test fails, in its helpers too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod transport_support;

use std::time::Duration;

use farthing_node::transport::{ClientLimits, ServerLimits};
use farthing_node::{
    link::Link,
    network::{Acted, Channel, Lane, NetworkError},
};
use transport_support::*;

over_both! {
    tokio::test;
    a_stopping_server_finishes_requests_under_way_and_accepts_no_more,
    a_stopping_server_waits_only_for_its_timeout,
    a_link_reconnects_when_its_server_restarts,
}

async fn a_stopping_server_finishes_requests_under_way_and_accepts_no_more(over: Over) {
    let server = start(ServerLimits::default());
    let network = over.network();
    let channel = network.connect(&server.card, Lane::Peer).await.unwrap();
    let under_way = tokio::spawn({
        let channel = channel.clone();
        async move { channel.call(b"wait".to_vec(), CALL_TIMEOUT).await }
    });
    server.echo.waiting.notified().await;
    server.stopper.stop();
    // A request may arrive before or after the stop. Soon after the stop no request is accepted.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused = channel.call(b"late".to_vec(), CALL_TIMEOUT).await.unwrap_err();
    assert!(matches!(refused, NetworkError::Busy { .. }), "{refused}");
    server.echo.go_on.notify_one();
    assert_eq!(under_way.await.unwrap().unwrap(), b"waited");
    tokio::time::timeout(CALL_TIMEOUT, server.task)
        .await
        .unwrap()
        .unwrap();
    let limits = ClientLimits {
        connect_timeout: Duration::from_millis(300),
        ..ClientLimits::default()
    };
    let error = over
        .network_with(limits)
        .connect(&server.card, Lane::Peer)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, NetworkError::Unreachable { .. }), "{error}");
}

async fn a_stopping_server_waits_only_for_its_timeout(over: Over) {
    let server = start(ServerLimits {
        stop_timeout: Duration::from_millis(100),
        ..ServerLimits::default()
    });
    let channel = over.network().connect(&server.card, Lane::Peer).await.unwrap();
    let stuck = tokio::spawn(async move { channel.call(b"wait".to_vec(), CALL_TIMEOUT).await });
    server.echo.waiting.notified().await;
    server.stopper.stop();
    tokio::time::timeout(Duration::from_secs(5), server.task)
        .await
        .unwrap()
        .unwrap();
    let error = stuck.await.unwrap().unwrap_err();
    assert_eq!(error.acted(), Acted::Unknown, "{error}");
}

async fn a_link_reconnects_when_its_server_restarts(over: Over) {
    let server = start(ServerLimits::default());
    let card = server.card.clone();
    let limits = ClientLimits {
        connect_timeout: Duration::from_millis(200),
        ..ClientLimits::default()
    };
    let link = Link::new(over.network_with(limits), card.clone(), Lane::Peer);
    assert!(link.call(b"one".to_vec(), CALL_TIMEOUT).await.is_ok());
    server.stopper.stop();
    server.task.await.unwrap();
    let error = link
        .call(b"two".to_vec(), Duration::from_millis(500))
        .await
        .unwrap_err();
    assert_eq!(error.acted(), Acted::No, "{error}");
    let again = start_at(
        card.address.only_ip().unwrap(),
        server.identity,
        ServerLimits::default(),
    );
    assert!(link.call(b"three".to_vec(), CALL_TIMEOUT).await.is_ok());
    again.stopper.stop();
}
