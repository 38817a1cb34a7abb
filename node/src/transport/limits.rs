//! The limits of a server and of its connections.

use std::net::SocketAddr;
use std::time::Duration;

use farthing_protocol::wire::FRAME_MAX_BYTES;

use super::identity::IdentityError;

/// The idle timeout of a connection (ms).
pub const IDLE_TIMEOUT_MS: u32 = 30_000;

/// The interval of keep-alive packets between servers, relays included (ms). Wallets send none: their connections serve
/// one purpose and end with it.
pub const KEEP_ALIVE_MS: u64 = 10_000;

/// The maximum number of requests under way on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 32;

/// The receive window of one request at a server (bytes). All requests of a connection fit into its window, so those that
/// wait their turn cannot keep others from arriving.
pub const REQUEST_WINDOW_BYTES: u32 = CONNECTION_WINDOW_BYTES / STREAMS_PER_CONNECTION_MAX;

/// The receive window of one stream (bytes).
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// The receive window and the send window of one connection (bytes).
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The longest wait that a client accepts from a busy server (ms). A longer one counts as this.
pub const RETRY_AFTER_MAX_MS: u64 = 60_000;

/// The maximum number of connections.
pub const CONNECTIONS_MAX: usize = 4_096;

/// The maximum number of handshakes under way. From half of it on, a client must first prove that it receives datagrams
/// at its address. Only then does the server do costly work for it.
pub const HANDSHAKES_MAX: usize = 256;

/// The time limit of a handshake, beyond the time of its bytes on the slowest line (ms).
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;

/// The maximum number of requests under way, over all connections.
pub const REQUESTS_MAX: usize = 1_024;

/// The maximum number of requests under way from one address: half of all. So no one client, and no one relay, fills a
/// server.
pub const REQUESTS_PER_ADDRESS_MAX: usize = REQUESTS_MAX / 2;

/// The maximum number of connections from one address: half of all.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = CONNECTIONS_MAX / 2;

/// The maximum number of customers' requests at work from one address. More wait their turn, unread, so a client that
/// floods a node waits for itself.
pub const CUSTOMER_TURNS_MAX: usize = 4;

/// The maximum number of customers' requests from one address within [`REQUEST_PACE_MS`]. More wait, unread. A server that
/// the operator has not pinned, with this address, counts as a customer.
pub const CUSTOMER_BURST_MAX: usize = 200;

/// The time of a burst (ms), below [`TURN_TIMEOUT_MS`]. So an address brings at most 250 requests a second, after the first
/// 200.
pub const REQUEST_PACE_MS: u64 = 800;

/// How long a client lacks one of its turns after it has given up a request, or has sent one of no use: it does not
/// decode, does not open, or holds what nobody has signed (ms, below [`TURN_TIMEOUT_MS`]). So a customers' address sends at
/// most 8 of them a second.
pub const FAULT_PAUSE_MS: u64 = 500;

/// The maximum number of requests at work from the address of a server: as many as a relay has under way.
pub const SERVER_TURNS_MAX: usize = 64;

/// How long a request waits for its turn before it is refused as busy (ms).
pub const TURN_TIMEOUT_MS: u64 = 1_000;

/// The maximum number of handshakes under way from one address. As many more wait their turn.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 32;

/// The least time from the turn of one handshake to the next turn in its place (ms). So an address opens at most 20
/// connections a second, after the first 32.
pub const HANDSHAKE_PACE_MS: u64 = 1_600;

/// How long a handshake waits for its turn (ms), above [`HANDSHAKE_PACE_MS`]. So a client that connects one at a time is never
/// refused.
pub(crate) const HANDSHAKE_TURN_TIMEOUT_MS: u64 = 3_000;

/// The number of slots beyond [`REQUESTS_MAX`] that are reserved for requests that end a purchase or ask how it ended
/// ([`Service::is_reserved`](crate::network::Service::is_reserved)). A server that is full with other requests still answers these.
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

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// The maximum number of connections.
    pub connections_max: usize,
    /// The maximum number of connections from one address.
    pub connections_per_address_max: usize,
    /// The maximum number of handshakes under way.
    pub handshakes_max: usize,
    /// The maximum number of requests under way on one connection.
    pub streams_per_connection_max: u32,
    /// The maximum number of handshakes under way from one address. As many more wait their turn.
    pub handshakes_per_address_max: usize,
    /// The maximum number of requests under way, over all connections.
    pub requests_max: usize,
    /// The maximum number of requests under way from one address.
    pub requests_per_address_max: usize,
    /// The maximum number of customers' requests at work from one address.
    pub customer_turns_max: usize,
    /// The maximum number of customers' requests from one address within [`REQUEST_PACE_MS`].
    pub customer_burst_max: usize,
    /// The maximum number of servers' requests at work from one address.
    pub server_turns_max: usize,
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
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            handshakes_max: HANDSHAKES_MAX,
            streams_per_connection_max: STREAMS_PER_CONNECTION_MAX,
            handshakes_per_address_max: HANDSHAKES_PER_ADDRESS_MAX,
            requests_max: REQUESTS_MAX,
            requests_per_address_max: REQUESTS_PER_ADDRESS_MAX,
            customer_turns_max: CUSTOMER_TURNS_MAX,
            customer_burst_max: CUSTOMER_BURST_MAX,
            server_turns_max: SERVER_TURNS_MAX,
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
    #[error("cannot listen on {address} ({protocol}): {source}; is another program running there?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The error of the operating system.
        source: std::io::Error,
    },
}
