//! The server side. Everything that a client can cause is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use farthing_protocol::wire::{FRAME_MAX_BYTES, VARIANT_BYTES};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, NoneTokenLog,
    RecvStream, SendStream, ValidationTokenConfig, VarInt,
};
use ring::hmac;
use rustix::net::sockopt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::channel::FrameSender;
use super::counts::ServerCounters;
use super::identity::{IdentityError, ServerIdentity};
use super::transport::{Code, HANDSHAKE_BYTES, STREAMS_PER_CONNECTION_MAX, slowest, transport};
use crate::network::{Lane, Service};
use crate::process::StopToken;
use farthing_store::entropy::{Entropy, SystemEntropy};

/// The maximum number of connections.
pub const CONNECTIONS_MAX: usize = 4_096;

/// The maximum number of handshakes under way. From half of it on, a client must first prove that it receives datagrams
/// at its address. Only then does the server do costly work for it.
pub const HANDSHAKES_MAX: usize = 256;

/// The time limit of a handshake, beyond the time of its bytes on the slowest line (ms).
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;

/// The maximum number of requests under way, over all connections.
pub const REQUESTS_MAX: usize = 1_024;

/// The number of slots beyond [`REQUESTS_MAX`] that are reserved for requests that end a purchase or ask how it ended
/// ([`Service::is_reserved`]). A server that is full with other requests still answers these.
pub const RESERVED_REQUESTS_MAX: usize = 64;

/// The longest request in a reserved slot (bytes).
pub const RESERVED_REQUEST_MAX_BYTES: usize = 4 * 1024;

/// The time in which a request must arrive in a reserved slot (ms).
pub const RESERVED_TIMEOUT_MS: u64 = 2_000;

/// The maximum size of all requests in memory, over all connections (bytes).
pub const REQUESTS_MAX_BYTES: usize = 64 * FRAME_MAX_BYTES;

/// The time in which a request must arrive, beyond the time of its bytes on the slowest line. It is also the time in
/// which the client must take a reply (ms).
pub const STREAM_TIMEOUT_MS: u64 = 10_000;

/// How long a busy server tells a client to wait (ms).
pub const BUSY_RETRY_AFTER_MS: u32 = 100;

/// How long a stopping server waits for requests under way (ms).
pub const STOP_TIMEOUT_MS: u64 = 10_000;

/// How long a stopping server tries to tell its clients that their connections are closed (ms).
const FAREWELL_MS: u64 = 1_000;

/// The maximum number of first datagrams that wait for processing, and the bytes that are buffered after each and after
/// all of them.
const INCOMING_MAX: usize = 1_024;
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;
const INCOMING_BUFFERS_BYTES: u64 = 4 * 1024 * 1024;

/// The size of the socket's receive buffer (bytes). It holds some thousands of datagrams.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The maximum number of bytes in one read from a stream.
const CHUNK_MAX_BYTES: usize = 64 * 1024;

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// The maximum number of connections.
    pub connections_max: usize,
    /// The maximum number of handshakes under way.
    pub handshakes_max: usize,
    /// The maximum number of requests under way on one connection.
    pub streams_per_connection_max: u32,
    /// The maximum number of requests under way, over all connections.
    pub requests_max: usize,
    /// The number of additional slots that are reserved for requests that end a purchase.
    pub reserved_requests_max: usize,
    /// The longest request (bytes).
    pub request_max_bytes: usize,
    /// The time in which a request must arrive, and in which its reply must be taken.
    pub stream_timeout: Duration,
    /// How long a stopping server waits for requests under way.
    pub stop_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            handshakes_max: HANDSHAKES_MAX,
            streams_per_connection_max: STREAMS_PER_CONNECTION_MAX,
            requests_max: REQUESTS_MAX,
            reserved_requests_max: RESERVED_REQUESTS_MAX,
            request_max_bytes: FRAME_MAX_BYTES,
            stream_timeout: Duration::from_millis(STREAM_TIMEOUT_MS),
            stop_timeout: Duration::from_millis(STOP_TIMEOUT_MS),
        }
    }
}

/// The error of a server that could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {source}; is another node running there?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// A server that listens. It answers while [`run`](QuicServer::run) runs.
#[derive(Debug)]
pub struct QuicServer {
    endpoint: Endpoint,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The configuration of the endpoint. Its reset tokens are derived from the TLS key, so they are the same after a
/// restart.
///
/// So a restarted server can tell a client at once that its connection is lost. Otherwise a peer with a long-lived
/// connection would wait for a reply until its timeout.
fn endpoint_config(identity: &ServerIdentity) -> EndpointConfig {
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &identity.derive(b"farthing stateless reset"));
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    // Quinn's own ids are marked for the process that made them. It drops packets with ids of another process without a
    // reply.
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// A generator of random connection ids.
struct RandomIds;

/// The length of a connection id (bytes).
const CONNECTION_ID_BYTES: usize = 8;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_BYTES];
        SystemEntropy.fill(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The state that all connections of a server share.
struct Shared {
    service: Arc<dyn Service>,
    limits: ServerLimits,
    counters: Arc<ServerCounters>,
    /// The permits for bounded resources. The server closes `requests` to stop accepting requests.
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    request_bytes: Arc<Semaphore>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Held by every task that must end before the server ends. Nothing is ever sent on it.
type UnderWay = mpsc::Sender<()>;

impl QuicServer {
    /// Listens on `address` (port 0 for any) as `identity`. Must be called within a runtime.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn bind(
        address: SocketAddr,
        identity: &ServerIdentity,
        service: Arc<dyn Service>,
        limits: ServerLimits,
    ) -> Result<Self, ServerError> {
        let tls = QuicServerConfig::try_from(identity.tls()?).map_err(|e| ServerError::Tls(e.to_string()))?;
        let config = server_config(tls, &limits);
        let bind = |source| ServerError::Bind { address, source };
        let socket = std::net::UdpSocket::bind(address).map_err(bind)?;
        make_room(&socket);
        let runtime: Arc<dyn quinn::Runtime> = Arc::new(quinn::TokioRuntime);
        let endpoint =
            Endpoint::new(endpoint_config(identity), Some(config), socket, runtime).map_err(bind)?;
        let address = endpoint.local_addr().map_err(bind)?;
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared {
            service,
            counters: Arc::default(),
            connections: semaphore(limits.connections_max),
            handshakes: semaphore(limits.handshakes_max),
            requests: semaphore(limits.requests_max),
            reserved: semaphore(limits.reserved_requests_max),
            request_bytes: semaphore(REQUESTS_MAX_BYTES),
            limits,
        });
        Ok(Self {
            endpoint,
            address,
            shared,
        })
    }

    /// The address on which the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The counters of its requests. They stay readable after it has stopped.
    #[must_use]
    pub fn counters(&self) -> Arc<ServerCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// Answers requests until `stop` fires. Then it accepts no more, waits at most [`ServerLimits::stop_timeout`] for
    /// requests under way, and closes.
    pub async fn run(self, stop: StopToken) {
        let (under_way, mut all_done) = mpsc::channel::<()>(1);
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => break,
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => admit(&self.shared, incoming, &under_way),
                    None => break,
                },
            }
        }
        self.endpoint.set_server_config(None);
        self.shared.requests.close();
        self.shared.reserved.close();
        drop(under_way);
        if tokio::time::timeout(self.shared.limits.stop_timeout, all_done.recv())
            .await
            .is_err()
        {
            tracing::warn!("stopping although requests are still under way");
        }
        self.endpoint.close(Code::Stopping.to_wire(), b"");
        // A client that does not get this message finds out by its own timeout.
        let _late = tokio::time::timeout(Duration::from_millis(FAREWELL_MS), self.endpoint.wait_idle()).await;
    }
}

/// Enlarges the socket's receive buffer for many clients that connect at the same time, as far as the operating system
/// allows.
///
/// Datagrams that do not fit are lost. A client whose first datagram is lost tries again only after one second, then
/// after two, then four.
fn make_room(socket: &std::net::UdpSocket) {
    let asked = sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER_BYTES);
    let room = asked.and_then(|()| sockopt::socket_recv_buffer_size(socket));
    // Linux grants what it allows without an error. It reports twice the granted size, because it counts its own
    // overhead.
    let said = if cfg!(target_os = "linux") { 2 } else { 1 };
    if room.is_ok_and(|room| room / said >= RECEIVE_BUFFER_BYTES) {
        return;
    }
    tracing::info!(
        wanted_bytes = RECEIVE_BUFFER_BYTES,
        "the receive buffer for datagrams is smaller than wanted, so datagrams can be lost when many clients connect at \
        the same time; on Linux, raise net.core.rmem_max"
    );
}

/// The QUIC configuration of the server.
fn server_config(tls: QuicServerConfig, limits: &ServerLimits) -> quinn::ServerConfig {
    let mut transport = transport();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_per_connection_max));
    // A token would let the server recognize a returning client.
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0).log(Arc::new(NoneTokenLog));
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport))
        .validation_token_config(tokens)
        // A connection stays on one address, so that no connection links two addresses of a client.
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES);
    config
}

/// Starts the task of a connection, or refuses the connection if the server is full.
fn admit(shared: &Arc<Shared>, incoming: Incoming, under_way: &UnderWay) {
    let crowded = shared.handshakes.available_permits() <= shared.limits.handshakes_max / 2;
    if crowded && !incoming.remote_address_validated() {
        // A retry only proves the client's address. The client uses its token at once, for this connection only.
        if let Err(refused) = incoming.retry() {
            refused.into_incoming().refuse();
        }
        return;
    }
    let connection = shared.connections.clone().try_acquire_owned();
    let handshake = shared.handshakes.clone().try_acquire_owned();
    let (Ok(connection), Ok(handshake)) = (connection, handshake) else {
        shared.counters.busy();
        incoming.refuse();
        return;
    };
    let shared = shared.clone();
    // A weak sender: an idle connection does not delay the server's stop, but a request on it does.
    let under_way = under_way.downgrade();
    tokio::spawn(async move {
        let _connection = connection;
        let Some((connection, lane)) = shake_hands(incoming).await else {
            return;
        };
        drop(handshake);
        shared.counters.connected();
        while let Ok((send, receive)) = connection.accept_bi().await {
            shared.counters.requested();
            let (Some(slot), Some(under_way)) = (RequestSlot::take(&shared), under_way.upgrade()) else {
                shared.counters.busy();
                refuse(send, receive, BUSY);
                continue;
            };
            let shared = shared.clone();
            tokio::spawn(async move {
                answer(&shared, lane, send, receive, slot).await;
                drop(under_way);
            });
        }
    });
}

/// A slot for one request under way. Without a slot a request is refused as busy.
enum RequestSlot {
    /// A slot for any request: its permit, and the permit for its bytes in memory.
    Ordinary(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    /// A reserved slot, for a short request that ends a purchase.
    Reserved(OwnedSemaphorePermit),
}

impl RequestSlot {
    /// Takes a slot for a request of which no byte has arrived yet.
    fn take(shared: &Shared) -> Option<RequestSlot> {
        let ordinary = shared.requests.clone().try_acquire_owned();
        ordinary
            .map(|permit| RequestSlot::Ordinary(permit, None))
            .ok()
            .or_else(|| RequestSlot::reserve(shared))
    }

    fn reserve(shared: &Shared) -> Option<RequestSlot> {
        let reserved = shared.reserved.clone().try_acquire_owned();
        reserved.map(RequestSlot::Reserved).ok()
    }

    /// The time in which the request must arrive, if `bytes` of it have arrived so far. A reserved slot gives no extra
    /// time for slow lines.
    fn timeout(&self, limits: &ServerLimits, bytes: usize) -> Duration {
        match self {
            RequestSlot::Ordinary(..) => limits.stream_timeout + slowest(bytes as u64),
            RequestSlot::Reserved(_) => limits
                .stream_timeout
                .min(Duration::from_millis(RESERVED_TIMEOUT_MS)),
        }
    }

    /// Takes the permit for the last `more` bytes of `request`, which has arrived so far. Without a permit, a request
    /// that ends a purchase moves to a reserved slot.
    fn grow(self, shared: &Shared, lane: Lane, request: &[u8], more: usize) -> Result<RequestSlot, Code> {
        let RequestSlot::Ordinary(permit, bytes) = self else {
            return self.check(shared, lane, request, false);
        };
        let count = u32::try_from(more).map_err(|_| Code::RequestTooLong)?;
        let Ok(added) = shared.request_bytes.clone().try_acquire_many_owned(count) else {
            let reserved = RequestSlot::reserve(shared).ok_or(BUSY)?;
            return reserved.check(shared, lane, request, false);
        };
        let bytes = match bytes {
            Some(mut bytes) => {
                bytes.merge(added);
                bytes
            }
            None => added,
        };
        Ok(RequestSlot::Ordinary(permit, Some(bytes)))
    }

    /// Refuses a request that may not use a reserved slot, as soon as enough of it has arrived. `complete` says whether
    /// all of `request` has arrived.
    fn check(self, shared: &Shared, lane: Lane, request: &[u8], complete: bool) -> Result<RequestSlot, Code> {
        let has_tag = complete || request.len() >= VARIANT_BYTES;
        let is_ordinary = request.len() > RESERVED_REQUEST_MAX_BYTES
            || (has_tag && !shared.service.is_reserved(lane, request));
        match (&self, is_ordinary) {
            (RequestSlot::Reserved(_), true) => Err(BUSY),
            _ => Ok(self),
        }
    }

    /// Returns the permit for the bytes, which are no longer in memory. The request is answered.
    fn without_bytes(self) -> OwnedSemaphorePermit {
        match self {
            RequestSlot::Ordinary(permit, _) | RequestSlot::Reserved(permit) => permit,
        }
    }
}

/// The refusal of a busy server.
const BUSY: Code = Code::Busy {
    retry_after_ms: BUSY_RETRY_AFTER_MS,
};

/// Completes the handshake. Returns the connection and its lane, or `None` on failure. A failure is the client's, and
/// its reason is not worth a record.
async fn shake_hands(incoming: Incoming) -> Option<(Connection, Lane)> {
    let connecting = incoming.accept().ok()?;
    let timeout = Duration::from_millis(HANDSHAKE_TIMEOUT_MS) + slowest(HANDSHAKE_BYTES);
    let connection = tokio::time::timeout(timeout, connecting).await.ok()?.ok()?;
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let lane = Lane::from_alpn(&data.protocol?)?;
    Some((connection, lane))
}

/// Refuses a stream with `code`, in both directions.
fn refuse(send: SendStream, mut receive: RecvStream, code: Code) {
    // The reset goes first. A client that is told to stop sending finds the reason there.
    FrameSender::new(send).refuse(code);
    // An error means that the stream has ended already.
    let _ended = receive.stop(code.to_wire());
}

/// Reads one request, calls the service, and sends the reply.
async fn answer(shared: &Shared, lane: Lane, send: SendStream, mut receive: RecvStream, slot: RequestSlot) {
    let (request, slot) = match read_request(shared, lane, &mut receive, slot).await {
        Ok(request) => request,
        Err(Some(code)) => {
            if code == BUSY {
                shared.counters.busy();
            }
            return refuse(send, receive, code);
        }
        // The client has given up the request or is gone.
        Err(None) => return refuse(send, receive, Code::Abandoned),
    };
    // If the service panics, the stream is reset with this code. The client does not take it for an empty reply.
    let mut send = FrameSender::with_code(send, Code::Failed);
    shared.counters.request(request.len());
    let reply = shared.service.call(lane, request).await;
    shared.counters.reply(reply.len());
    let permit = slot.without_bytes();
    if reply.len() > FRAME_MAX_BYTES {
        tracing::error!(
            got_bytes = reply.len(),
            max_bytes = FRAME_MAX_BYTES,
            "a reply is too long to be sent"
        );
        return;
    }
    let deliver = async {
        send.stream.write_all(&reply).await.ok()?;
        send.finish();
        // The work is done, so the next request may have the slot. The task stays until the reply has arrived, so that
        // a stopping server does not cut it off.
        drop(permit);
        send.stream.stopped().await.ok()
    };
    let _delivered = tokio::time::timeout(shared.limits.stream_timeout, deliver).await;
}

/// Reads a whole request. Returns it with its slot.
///
/// # Errors
/// The code for the refusal, or `None` if the client is gone.
async fn read_request(
    shared: &Shared,
    lane: Lane,
    receive: &mut RecvStream,
    mut slot: RequestSlot,
) -> Result<(Vec<u8>, RequestSlot), Option<Code>> {
    let mut request = Vec::new();
    let began = Instant::now();
    loop {
        let until = began + slot.timeout(&shared.limits, request.len());
        let read = timeout_at(until, receive.read_chunk(CHUNK_MAX_BYTES, true)).await;
        let Some(chunk) = read.map_err(|_| Some(Code::TooSlow))?.map_err(|_| None)? else {
            break;
        };
        let more = chunk.bytes.len();
        if request.len().saturating_add(more) > shared.limits.request_max_bytes {
            return Err(Some(Code::RequestTooLong));
        }
        request.extend_from_slice(&chunk.bytes);
        slot = slot.grow(shared, lane, &request, more).map_err(Some)?;
    }
    let slot = slot.check(shared, lane, &request, true).map_err(Some)?;
    Ok((request, slot))
}
