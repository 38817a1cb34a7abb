//! A client's socket, made for few datagrams.
//!
//! A client has a socket for each connection, and most carry a handshake and a question or two. quinn's own asks the
//! kernel what it can join and split, with a second socket, and has a buffer of 3 MiB to receive that into: together a
//! seventh of what a purchase costs a wallet. This one takes and sends datagrams one by one, with a buffer of 46 KiB.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, TokioRuntime, UdpPoller,
};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// An endpoint with a socket of its own at `address`.
pub(super) fn endpoint(address: SocketAddr) -> io::Result<Endpoint> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let socket = Arc::new(ClientSocket(Arc::new(UdpSocket::from_std(socket)?)));
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(NoIds));
    Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime))
}

/// Connection ids of no bytes: with one connection to a socket there is nothing to tell apart, and so no ids to make, send,
/// acknowledge and keep.
struct NoIds;

impl ConnectionIdGenerator for NoIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&[])
    }

    fn cid_len(&self) -> usize {
        0
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[derive(Debug)]
struct ClientSocket(Arc<UdpSocket>);

#[derive(Debug)]
struct Poller(Arc<UdpSocket>);

impl UdpPoller for Poller {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}

impl AsyncUdpSocket for ClientSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller(Arc::clone(&self.0)))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.0.try_send_to(transmit.contents, transmit.destination) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // What cannot be sent is lost, like any datagram on its way, and QUIC sends it again.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut places = bufs.iter_mut().zip(meta);
        let Some((buf, first)) = places.next() else {
            return Poll::Ready(Ok(0));
        };
        let mut read = ReadBuf::new(buf);
        let from = ready!(self.0.poll_recv_from(cx, &mut read))?;
        *first = received(from, read.filled().len());
        let mut count = 1;
        for (buf, next) in places {
            // Whatever ends this is seen again by the next call.
            let Ok((len, from)) = self.0.try_recv_from(buf) else {
                break;
            };
            *next = received(from, len);
            count += 1;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// What is known of one datagram of `len` bytes.
fn received(from: SocketAddr, len: usize) -> RecvMeta {
    RecvMeta {
        addr: from,
        len,
        stride: len,
        ecn: None,
        dst_ip: None,
    }
}
