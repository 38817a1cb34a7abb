//! The server side. Everything that a client can cause is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, NoneTokenLog,
    RecvStream, SendStream, ValidationTokenConfig, VarInt,
};
use ring::hmac;
use rustix::net::sockopt;
use tokio::sync::mpsc;

use super::channel::FrameSender;
use super::transport::{number_of, transport};
use crate::network::{Caller, Lane, Service};
use crate::process::StopToken;
use crate::shares::Origin;
use crate::transport::code::{BUSY, Code};
use crate::transport::gate::{CHUNK_MAX_BYTES, Chunks, Client, Gone, RequestSlot, read_request};
use crate::transport::timer::{HANDSHAKE_BYTES, slowest};
use crate::transport::{
    Gate, HANDSHAKE_TIMEOUT_MS, REQUEST_WINDOW_BYTES, ServerCounters, ServerError, ServerIdentity,
    ServerLimits,
};
use farthing_store::entropy::{Entropy, SystemEntropy};

/// How long a stopping server tries to tell its clients that their connections are closed (ms).
const FAREWELL_MS: u64 = 1_000;

/// The maximum number of first datagrams that wait for processing, and the bytes that are buffered after each and after
/// all of them.
const INCOMING_MAX: usize = 1_024;
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;
const INCOMING_BUFFERS_BYTES: u64 = 4 * 1024 * 1024;

/// The size of the socket's receive buffer (bytes). It holds some thousands of datagrams.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A server that listens. It answers while [`run`](QuicServer::run) runs.
#[derive(Debug)]
pub struct QuicServer {
    endpoint: Endpoint,
    address: SocketAddr,
    gate: Arc<Gate>,
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
        Self::behind(address, identity, Gate::new(service, limits))
    }

    /// Like [`bind`](QuicServer::bind), with a service and bounds that another server may share.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn behind(
        address: SocketAddr,
        identity: &ServerIdentity,
        gate: Arc<Gate>,
    ) -> Result<Self, ServerError> {
        let tls = QuicServerConfig::try_from(identity.tls()?).map_err(|e| ServerError::Tls(e.to_string()))?;
        let config = server_config(tls, &gate.limits);
        let bind = |source| ServerError::Bind {
            address,
            protocol: "UDP",
            source,
        };
        let socket = std::net::UdpSocket::bind(address).map_err(bind)?;
        make_room(&socket);
        let runtime: Arc<dyn quinn::Runtime> = Arc::new(quinn::TokioRuntime);
        let endpoint =
            Endpoint::new(endpoint_config(identity), Some(config), socket, runtime).map_err(bind)?;
        let address = endpoint.local_addr().map_err(bind)?;
        Ok(Self {
            endpoint,
            address,
            gate,
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
        self.gate.counters()
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
                    Some(incoming) => admit(&self.gate, incoming, &under_way),
                    None => break,
                },
            }
        }
        self.endpoint.set_server_config(None);
        self.gate.close();
        drop(under_way);
        if tokio::time::timeout(self.gate.limits.stop_timeout, all_done.recv())
            .await
            .is_err()
        {
            tracing::warn!("stopping although requests are still under way");
        }
        self.endpoint.close(number_of(Code::Stopping), b"");
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
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_per_connection_max))
        .stream_receive_window(VarInt::from_u32(REQUEST_WINDOW_BYTES));
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
fn admit(gate: &Arc<Gate>, incoming: Incoming, under_way: &UnderWay) {
    if gate.is_crowded() && !incoming.remote_address_validated() {
        // A retry only proves the client's address. The client uses its token at once, for this connection only.
        if let Err(refused) = incoming.retry() {
            refused.into_incoming().refuse();
        }
        return;
    }
    let client = Origin::of(incoming.remote_address().ip());
    let Some(permit) = gate.connection(client) else {
        gate.counters.busy();
        return incoming.refuse();
    };
    let gate = gate.clone();
    // A weak sender: an idle connection does not delay the server's stop, but a request on it does.
    let under_way = under_way.downgrade();
    tokio::spawn(async move {
        let _permit = permit;
        let Some((connection, lane)) = shake_hands(&gate, incoming, client).await else {
            return;
        };
        gate.counters.connected();
        let client = gate.client(client, lane);
        while let Ok((send, receive)) = connection.accept_bi().await {
            gate.counters.requested();
            send_in_order(&send);
            let slot = gate.slot(client).await;
            let (Some((slot, caller)), Some(under_way)) = (slot, under_way.upgrade()) else {
                gate.counters.busy();
                refuse(send, receive, BUSY);
                continue;
            };
            let gate = gate.clone();
            tokio::spawn(async move {
                answer(&gate, client, (send, receive), slot, caller).await;
                drop(under_way);
            });
        }
    });
}

/// Completes the handshake when it is the client's turn. Returns the connection and its lane, or `None` on failure. A
/// failure is the client's, and its reason is not worth a record.
async fn shake_hands(gate: &Gate, incoming: Incoming, client: Origin) -> Option<(Connection, Lane)> {
    let turn = gate.handshake_turn(client).await;
    let handshake = gate.handshakes.clone().try_acquire_owned();
    let (Some(_turn), Ok(_handshake)) = (turn, handshake) else {
        gate.counters.busy();
        incoming.refuse();
        return None;
    };
    let connecting = incoming.accept().ok()?;
    let timeout = Duration::from_millis(HANDSHAKE_TIMEOUT_MS) + slowest(HANDSHAKE_BYTES);
    let connection = tokio::time::timeout(timeout, connecting).await.ok()?.ok()?;
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let lane = Lane::from_alpn(&data.protocol?)?;
    Some((connection, lane))
}

/// Lets the reply go before the replies to all later requests of its connection. So the first of several pieces of goods
/// arrives first, no matter which of them the service has read first.
fn send_in_order(reply: &SendStream) {
    let number = reply.id().index() % u64::from(i32::MAX.unsigned_abs());
    let later = i32::try_from(number).unwrap_or(i32::MAX);
    // An error means that the stream has ended already.
    let _ended = reply.set_priority(-later);
}

/// Refuses a stream with `code`, in both directions.
fn refuse(send: SendStream, mut receive: RecvStream, code: Code) {
    // The reset goes first. A client that is told to stop sending finds the reason there.
    FrameSender::new(send).refuse(code);
    // An error means that the stream has ended already.
    let _ended = receive.stop(number_of(code));
}

/// Reads one request, calls the service, and sends the reply.
async fn answer(
    gate: &Gate,
    client: Client,
    (send, mut receive): (SendStream, RecvStream),
    slot: RequestSlot,
    caller: Caller,
) {
    let (request, slot) = match read_request(gate, client, &mut receive, slot).await {
        Ok(request) => request,
        Err(Some(code)) => {
            if code == BUSY {
                gate.counters.busy();
            }
            return refuse(send, receive, code);
        }
        // The client has given up the request or is gone.
        Err(None) => return refuse(send, receive, Code::Abandoned),
    };
    // If the service panics, the stream is reset with this code. The client does not take it for an empty reply.
    let mut send = FrameSender::with_code(send, Code::Failed);
    let Some(reply) = gate.reply(client, request, &slot, caller).await else {
        return;
    };
    let permit = slot.without_bytes();
    let deliver = async {
        send.stream.write_all(&reply).await.ok()?;
        send.finish();
        // The work is done, so the next request may have the slot. The task stays until the reply has arrived, so that
        // a stopping server does not cut it off.
        drop(permit);
        send.stream.stopped().await.ok()
    };
    let _delivered = tokio::time::timeout(gate.limits.stream_timeout, deliver).await;
}

impl Chunks for RecvStream {
    async fn next(&mut self) -> Result<Option<Bytes>, Gone> {
        let chunk = self.read_chunk(CHUNK_MAX_BYTES, true).await;
        chunk
            .map(|chunk| chunk.map(|chunk| chunk.bytes))
            .map_err(|_| Gone)
    }
}
