//! The server's side: bounded in everything that a stranger can cause.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use farthing_protocol::{api::TAG_BYTES, wire::FRAME_MAX_BYTES};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, NoneTokenLog,
    RecvStream, SendStream, ValidationTokenConfig, VarInt,
};
use ring::hmac;
use rustix::net::sockopt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::channel::Whole;
use super::counts::ServerCounters;
use super::identity::{IdentityError, ServerIdentity};
use super::transport::{Code, STREAMS_PER_CONNECTION_MAX, slowest, transport};
use crate::network::{Lane, Service};
use crate::process::StopToken;
use farthing_store::entropy::{Entropy, SystemEntropy};

/// The most connections at once.
pub const CONNECTIONS_MAX: usize = 4_096;

/// The most handshakes under way at once. From half of that on, a client has to show that it gets what is sent to its
/// address before the server does any costly work for it.
pub const HANDSHAKES_MAX: usize = 256;

/// How long a handshake may take (ms).
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;

/// The most requests under way at once, over all connections.
pub const REQUESTS_MAX: usize = 1_024;

/// The most requests at once, beyond [`REQUESTS_MAX`], that end a purchase or ask how it ended
/// ([`Service::is_reserved`]): a server that is full with others has places for these.
pub const RESERVED_REQUESTS_MAX: usize = 64;

/// The longest request that gets a reserved place (bytes).
pub const RESERVED_REQUEST_MAX_BYTES: usize = 4 * 1024;

/// How long a request may take to arrive in a reserved place (ms).
pub const RESERVED_TIMEOUT_MS: u64 = 2_000;

/// The most bytes of requests in memory at once, over all connections.
pub const REQUESTS_MAX_BYTES: usize = 64 * FRAME_MAX_BYTES;

/// How long a request may take to arrive, beyond the time of its bytes on the slowest line, and how long a reply may take to
/// be taken by the client (ms).
pub const STREAM_TIMEOUT_MS: u64 = 10_000;

/// How long a client of a busy server is asked to wait (ms).
pub const BUSY_RETRY_AFTER_MS: u32 = 100;

/// How long requests under way may still take when the server is asked to stop (ms).
pub const STOP_TIMEOUT_MS: u64 = 10_000;

/// How long a stopping server tries to tell its clients that it has closed their connections (ms).
const FAREWELL_MS: u64 = 1_000;

/// The most first datagrams that wait to be looked at, and the bytes that wait behind each and behind all of them.
const INCOMING_MAX: usize = 1_024;
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;
const INCOMING_BUFFERS_BYTES: u64 = 4 * 1024 * 1024;

/// The room for datagrams that the server has not looked at yet (bytes): some thousands of them.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes that are taken from a stream at a time.
const CHUNK_MAX_BYTES: usize = 64 * 1024;

/// What a server bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// The most connections at once.
    pub connections_max: usize,
    /// The most handshakes under way at once.
    pub handshakes_max: usize,
    /// The most requests under way on one connection.
    pub streams_per_connection_max: u32,
    /// The most requests under way over all connections.
    pub requests_max: usize,
    /// The most requests under way beyond those that end a purchase.
    pub reserved_requests_max: usize,
    /// The longest request (bytes).
    pub request_max_bytes: usize,
    /// How long a request may take to arrive, and its reply to be taken.
    pub stream_timeout: Duration,
    /// How long requests under way may still take when the server is asked to stop.
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

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}; is another node running there?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A server that listens; it answers while [`run`](QuicServer::run) runs.
#[derive(Debug)]
pub struct QuicServer {
    endpoint: Endpoint,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What lets a server that was killed and started again tell a client at once that its connection is gone: reset
/// tokens follow from its TLS key, so that it makes the same again. Otherwise a peer that keeps a
/// connection would wait out its whole time for a reply.
fn endpoint_config(identity: &ServerIdentity) -> EndpointConfig {
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &identity.derive(b"farthing stateless reset"));
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    // Quinn's own ids carry a mark of the process that made them, and packets to another's are dropped unanswered.
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// Connection ids that say nothing.
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

/// What all connections of a server have in common.
struct Shared {
    service: Arc<dyn Service>,
    limits: ServerLimits,
    counters: Arc<ServerCounters>,
    /// Each is a right to do something that is bounded. Closing `requests` is how the server stops taking any.
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

/// Held by every task that must end before the server has; nothing is ever sent.
type UnderWay = mpsc::Sender<()>;

impl QuicServer {
    /// Listens at `address` (port 0 for any) as `identity`. Must be called within a runtime.
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

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked, while it runs and after.
    #[must_use]
    pub fn counters(&self) -> Arc<ServerCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// Answers until `stop` fires; then takes nothing more, lets the requests under way finish within
    /// [`ServerLimits::stop_timeout`], and closes.
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
        // Whoever misses the farewell finds out by its own time-out.
        let _late = tokio::time::timeout(Duration::from_millis(FAREWELL_MS), self.endpoint.wait_idle()).await;
    }
}

/// Gives the server's socket room for the datagrams of many clients who begin at once, as far as the operating system
/// allows. What finds no room is lost, and a client whose first datagram is lost tries again only after a second, then
/// after two, then four.
fn make_room(socket: &std::net::UdpSocket) {
    let asked = sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER_BYTES);
    let room = asked.and_then(|()| sockopt::socket_recv_buffer_size(socket));
    // Linux gives what it allows without an error, and says twice what it gave, as it counts its own needs too.
    let said = if cfg!(target_os = "linux") { 2 } else { 1 };
    if room.is_ok_and(|room| room / said >= RECEIVE_BUFFER_BYTES) {
        return;
    }
    tracing::info!(
        wanted_bytes = RECEIVE_BUFFER_BYTES,
        "the operating system leaves less room for datagrams than is good when many clients begin at once; on Linux, \
         net.core.rmem_max says how much"
    );
}

/// QUIC as this server speaks it.
fn server_config(tls: QuicServerConfig, limits: &ServerLimits) -> quinn::ServerConfig {
    let mut transport = transport();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_per_connection_max));
    // A token would let a client be known again by who gave it out.
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0).log(Arc::new(NoneTokenLog));
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport))
        .validation_token_config(tokens)
        // A connection keeps to one address, so that none joins two addresses of a client.
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES);
    config
}

/// Starts a connection's task, if there is room for it.
fn admit(shared: &Arc<Shared>, incoming: Incoming, under_way: &UnderWay) {
    let crowded = shared.handshakes.available_permits() <= shared.limits.handshakes_max / 2;
    if crowded && !incoming.remote_address_validated() {
        // Only says that the address is real; the token in it is used at once, for this very connection.
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
    // A weak hold: an idle connection does not keep the server from stopping, a request on it does.
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
            let (Some(place), Some(under_way)) = (Place::take(&shared), under_way.upgrade()) else {
                shared.counters.busy();
                refuse(send, receive, BUSY);
                continue;
            };
            let shared = shared.clone();
            tokio::spawn(async move {
                answer(&shared, lane, send, receive, place).await;
                drop(under_way);
            });
        }
    });
}

/// The right to be answered.
enum Place {
    /// For any request, with the right to its bytes in memory.
    Ordinary(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    /// For one that ends a purchase, which is short.
    Reserved(OwnedSemaphorePermit),
}

impl Place {
    /// A place for a request of which nothing has come yet.
    fn take(shared: &Shared) -> Option<Place> {
        let ordinary = shared.requests.clone().try_acquire_owned();
        ordinary
            .map(|permit| Place::Ordinary(permit, None))
            .ok()
            .or_else(|| Place::reserve(shared))
    }

    fn reserve(shared: &Shared) -> Option<Place> {
        let reserved = shared.reserved.clone().try_acquire_owned();
        reserved.map(Place::Reserved).ok()
    }

    /// How long its request may take to arrive, of which so many bytes have come. In a reserved place there is no time for
    /// slow lines.
    fn timeout(&self, limits: &ServerLimits, bytes: usize) -> Duration {
        match self {
            Place::Ordinary(..) => limits.stream_timeout + slowest(bytes),
            Place::Reserved(_) => limits
                .stream_timeout
                .min(Duration::from_millis(RESERVED_TIMEOUT_MS)),
        }
    }

    /// Gives the request the right to `more` bytes, of which `request` is what has come, `more` included. Where there is no
    /// room for them, one that ends a purchase goes on in a reserved place.
    fn grow(self, shared: &Shared, lane: Lane, request: &[u8], more: usize) -> Result<Place, Code> {
        let Place::Ordinary(permit, rights) = self else {
            return self.check(shared, lane, request, false);
        };
        let count = u32::try_from(more).map_err(|_| Code::RequestTooLong)?;
        let Ok(right) = shared.request_bytes.clone().try_acquire_many_owned(count) else {
            let reserved = Place::reserve(shared).ok_or(BUSY)?;
            return reserved.check(shared, lane, request, false);
        };
        let rights = match rights {
            Some(mut rights) => {
                rights.merge(right);
                rights
            }
            None => right,
        };
        Ok(Place::Ordinary(permit, Some(rights)))
    }

    /// Refuses what has no right to a reserved place, as soon as that is seen.
    fn check(self, shared: &Shared, lane: Lane, request: &[u8], whole: bool) -> Result<Place, Code> {
        let told = whole || request.len() >= TAG_BYTES;
        let foreign = request.len() > RESERVED_REQUEST_MAX_BYTES
            || (told && !shared.service.is_reserved(lane, request));
        match (&self, foreign) {
            (Place::Reserved(_), true) => Err(BUSY),
            _ => Ok(self),
        }
    }

    /// The request is answered: its bytes are no longer in memory.
    fn without_bytes(self) -> OwnedSemaphorePermit {
        match self {
            Place::Ordinary(permit, _) | Place::Reserved(permit) => permit,
        }
    }
}

/// How a server with enough to do refuses.
const BUSY: Code = Code::Busy {
    retry_after_ms: BUSY_RETRY_AFTER_MS,
};

/// The connection and its lane. Failures are the client's and say nothing that would be worth keeping.
async fn shake_hands(incoming: Incoming) -> Option<(Connection, Lane)> {
    let connecting = incoming.accept().ok()?;
    let timeout = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let connection = tokio::time::timeout(timeout, connecting).await.ok()?.ok()?;
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let lane = Lane::from_alpn(&data.protocol?)?;
    Some((connection, lane))
}

/// Refuses a stream with `code`, both ways.
fn refuse(send: SendStream, mut receive: RecvStream, code: Code) {
    // The reset goes first: a client that is told to stop sending looks there for the reason.
    Whole::new(send).refuse(code);
    // An error means that the stream has ended already.
    let _ended = receive.stop(code.to_wire());
}

/// Reads one request, has it answered, and sends the reply.
async fn answer(shared: &Shared, lane: Lane, send: SendStream, mut receive: RecvStream, place: Place) {
    let (request, place) = match read_request(shared, lane, &mut receive, place).await {
        Ok(request) => request,
        Err(Some(code)) => {
            if code == BUSY {
                shared.counters.busy();
            }
            return refuse(send, receive, code);
        }
        // The client has given the request up, or is gone.
        Err(None) => return refuse(send, receive, Code::Abandoned),
    };
    // Should the service panic, the stream says that there will be no reply, and not that the reply is empty.
    let mut send = Whole::with_code(send, Code::Failed);
    shared.counters.request(request.len());
    let reply = shared.service.call(lane, request).await;
    shared.counters.reply(reply.len());
    let permit = place.without_bytes();
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
        // From here on the work is done, and the next request may have its place; the task stays until the reply has
        // arrived, so that a stopping server does not cut it off.
        drop(permit);
        send.stream.stopped().await.ok()
    };
    let _delivered = tokio::time::timeout(shared.limits.stream_timeout, deliver).await;
}

/// All of a request, with its place; or the code to refuse it with, `None` if the client is gone anyway.
async fn read_request(
    shared: &Shared,
    lane: Lane,
    receive: &mut RecvStream,
    mut place: Place,
) -> Result<(Vec<u8>, Place), Option<Code>> {
    let mut request = Vec::new();
    let began = Instant::now();
    loop {
        let until = began + place.timeout(&shared.limits, request.len());
        let read = timeout_at(until, receive.read_chunk(CHUNK_MAX_BYTES, true)).await;
        let Some(chunk) = read.map_err(|_| Some(Code::TooSlow))?.map_err(|_| None)? else {
            break;
        };
        let more = chunk.bytes.len();
        if request.len().saturating_add(more) > shared.limits.request_max_bytes {
            return Err(Some(Code::RequestTooLong));
        }
        request.extend_from_slice(&chunk.bytes);
        place = place.grow(shared, lane, &request, more).map_err(Some)?;
    }
    let place = place.check(shared, lane, &request, true).map_err(Some)?;
    Ok((request, place))
}
