//! A client's socket, made for few datagrams.
//!
//! A client has one socket for each connection. Most connections carry a handshake and one or two questions. Quinn's
//! own socket asks the kernel for batching support through a second socket, and reads into 3 MiB of its own. Together
//! this is a seventh of a wallet's cost of a purchase. This socket receives and sends single datagrams, and reads into
//! 46 KiB.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, TokioRuntime, UdpPoller,
};
use rustix::net::sockopt;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// The receive buffer that a socket asks the kernel for (bytes). Goods over a long line come in bursts. What does not
/// fit is lost, and the sender then slows down. The kernel grants as much as its administrator allows, without an error.
const RECEIVE_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// Opens an endpoint with a new socket at `address`. Returns it with the number of datagrams that it has received.
pub(super) fn endpoint(address: SocketAddr) -> io::Result<(Endpoint, Arc<AtomicU64>)> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // A smaller buffer works too.
    let _granted = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
    let received = Arc::new(AtomicU64::new(0));
    let socket = Arc::new(ClientSocket {
        socket: Arc::new(UdpSocket::from_std(socket)?),
        received: Arc::clone(&received),
    });
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(NoIds));
    let endpoint = Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime))?;
    Ok((endpoint, received))
}

/// A generator of empty connection ids. A socket with one connection needs no ids, so none are made, sent, acknowledged
/// and stored.
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
struct ClientSocket {
    socket: Arc<UdpSocket>,
    /// How many datagrams have arrived.
    received: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Poller(Arc<UdpSocket>);

impl UdpPoller for Poller {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }
}

impl AsyncUdpSocket for ClientSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller(Arc::clone(&self.socket)))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.socket.try_send_to(transmit.contents, transmit.destination) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // A datagram that cannot be sent counts as lost, and QUIC sends its content again.
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
        let from = ready!(self.socket.poll_recv_from(cx, &mut read))?;
        *first = received(from, read.filled().len());
        let mut count = 1;
        for (buf, next) in places {
            // The next call sees the same error again.
            let Ok((len, from)) = self.socket.try_recv_from(buf) else {
                break;
            };
            *next = received(from, len);
            count += 1;
        }
        self.received.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// The metadata of one datagram of `len` bytes.
fn received(from: SocketAddr, len: usize) -> RecvMeta {
    RecvMeta {
        addr: from,
        len,
        stride: len,
        ecn: None,
        dst_ip: None,
    }
}
