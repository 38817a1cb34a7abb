//! The server side. Everything that a client can cause is bounded.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::Connection;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::conversation::{Shared, converse};
use super::http::server_builder;
use super::stream::{Lingering, prepare};
use crate::network::Lane;
use crate::process::StopToken;
use crate::shares::Origin;
use crate::transport::gate::Permit;
use crate::transport::timer::{HANDSHAKE_BYTES, slowest};
use crate::transport::{Gate, HANDSHAKE_TIMEOUT_MS, ServerError, ServerIdentity};

/// The number of connections that wait until the server accepts them.
pub const LISTEN_BACKLOG: u32 = 1024;

/// The pause after a connection could not be accepted, for example because the process has no free descriptor (ms).
const ACCEPT_PAUSE_MS: u64 = 100;

/// How long a stopping server waits after its other time limits until its connections have closed (ms).
const FAREWELL_MS: u64 = 1_000;

/// The TLS alert that refuses a connection: a fatal internal error (RFC 8446, section 6). A full server sends it before
/// it reads anything.
const REFUSAL: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// A server that listens. It answers while [`run`](TcpServer::run) runs.
pub struct TcpServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for TcpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl TcpServer {
    /// The protocol under the connections, for errors.
    pub const PROTOCOL: &str = "TCP";

    /// Listens on `address` (port 0 for any) as `identity`, behind `gate`. Must be called within a runtime.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn behind(
        address: SocketAddr,
        identity: &ServerIdentity,
        gate: Arc<Gate>,
    ) -> Result<Self, ServerError> {
        let tls = TlsAcceptor::from(Arc::new(identity.tls()?));
        let bind = |source| ServerError::Bind {
            address,
            protocol: Self::PROTOCOL,
            source,
        };
        let listener = listen(address).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self {
            listener,
            address,
            tls,
            shared: Shared::new(gate),
        })
    }

    /// The address on which the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` fires. Then it accepts no more, waits at most
    /// [`ServerLimits::stop_timeout`](crate::transport::ServerLimits::stop_timeout) for requests under way, and closes.
    pub async fn run(self, stop: StopToken) {
        let gate = Arc::clone(&self.shared.gate);
        let mut connections = Connections {
            tasks: JoinSet::new(),
            shaking: VecDeque::new(),
            shaking_max: (gate.limits.handshakes_max / 2).max(1),
        };
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => break,
                Some(_) = connections.tasks.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, client)) => self.admit(&mut connections, stream, Origin::of(client.ip()), &stop),
                    Err(error) => after_failure(&error).await,
                },
            }
        }
        drop(self.listener);
        gate.close();
        let all_ended = async { while connections.tasks.join_next().await.is_some() {} };
        let limit = gate.limits.stop_timeout + Duration::from_millis(FAREWELL_MS);
        if timeout(limit, all_ended).await.is_err() {
            tracing::warn!("stopping although connections over TCP are still open");
        }
    }

    /// Starts the task of a connection, or refuses the connection if the server is full.
    fn admit(&self, connections: &mut Connections, stream: TcpStream, client: Origin, stop: &StopToken) {
        let gate = &self.shared.gate;
        let Some(permit) = gate.connection(client) else {
            gate.counters.busy();
            return refuse(stream);
        };
        if connections.make_room() {
            gate.counters.busy();
        }
        let is_done = Arc::new(AtomicBool::new(false));
        let connection = Incoming {
            stream,
            client,
            tls: self.tls.clone(),
            shared: Arc::clone(&self.shared),
            is_done: Arc::clone(&is_done),
            _permit: permit,
        };
        let task = connections.tasks.spawn(connection.serve(stop.clone()));
        connections.shaking.push_back(Handshake { is_done, task });
    }
}

/// Opens the listening socket. The address of a server that has just stopped can be used again.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

/// Waits after a connection that could not be accepted, unless the client itself has closed it.
async fn after_failure(error: &io::Error) {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    ) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
}

/// Tells a client that the server is full, and closes the connection.
fn refuse(stream: TcpStream) {
    // The alert fits into the empty buffer of a new socket. A client that does not get it sees a closed connection.
    let _sent = stream.into_std().and_then(|mut stream| stream.write(&REFUSAL));
}

/// The tasks of all connections.
struct Connections {
    tasks: JoinSet<()>,
    /// The handshakes under way, and some that are done. The oldest is first.
    shaking: VecDeque<Handshake>,
    /// The maximum number of handshakes under way. It is half of those of the node, so that clients over TCP leave room
    /// for those over QUIC.
    shaking_max: usize,
}

/// A handshake.
struct Handshake {
    is_done: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Connections {
    /// Makes room for a handshake. Returns whether the oldest one had to end for it.
    ///
    /// Clients that say nothing would otherwise keep all others out. A client that goes on is done before it is the
    /// oldest.
    fn make_room(&mut self) -> bool {
        if self.shaking.len() < self.shaking_max {
            return false;
        }
        self.shaking
            .retain(|handshake| !handshake.is_done.load(Ordering::Relaxed) && !handshake.task.is_finished());
        if self.shaking.len() < self.shaking_max {
            return false;
        }
        if let Some(oldest) = self.shaking.pop_front() {
            oldest.task.abort();
        }
        true
    }
}

/// A connection that the server has accepted.
struct Incoming {
    stream: TcpStream,
    client: Origin,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    /// Set when the handshake has ended.
    is_done: Arc<AtomicBool>,
    _permit: Permit,
}

impl Incoming {
    /// Completes the handshake and answers requests until the connection ends or the server stops.
    async fn serve(self, stop: StopToken) {
        prepare(&self.stream);
        let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS) + slowest(HANDSHAKE_BYTES);
        let streams = self.shared.gate.limits.streams_per_connection_max;
        let gate = Arc::clone(&self.shared.gate);
        let shaking = async {
            let _turn = gate.handshake_turn(self.client).await?;
            timeout(limit, shake_hands(&self.tls, streams, self.stream))
                .await
                .ok()?
        };
        let shaken = tokio::select! {
            biased;
            () = stop.stopped() => return,
            shaken = shaking => shaken,
        };
        // A failure is the client's, and its reason is not worth a record.
        let Some((connection, lane)) = shaken else {
            return;
        };
        self.is_done.store(true, Ordering::Relaxed);
        self.shared.gate.counters.connected();
        converse(self.shared, self.client, lane, connection, stop).await;
    }
}

/// A connection of HTTP/2 over TLS.
type Secured = Connection<Lingering<TlsStream<TcpStream>>, Bytes>;

/// Completes the handshakes of TLS and of HTTP/2. Returns the connection and its lane.
async fn shake_hands(tls: &TlsAcceptor, streams: u32, stream: TcpStream) -> Option<(Secured, Lane)> {
    let stream = tls.accept(stream).await.ok()?;
    let (_, session) = stream.get_ref();
    let lane = Lane::from_alpn(session.alpn_protocol()?)?;
    let connection = server_builder(streams)
        .handshake(Lingering::new(stream))
        .await
        .ok()?;
    Some((connection, lane))
}
