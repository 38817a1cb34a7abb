//! The network over QUIC.
//!
//! One bidirectional stream carries one request and its reply. A frame is all bytes that a side sends before its FIN.
//! The ALPN name of the handshake is the lane. A client authenticates a server by the fingerprint of its certificate.
//!
//! Nothing links two connections of a client. Each has its own socket, endpoint and TLS configuration. There are no
//! session tickets, no address tokens and no 0-RTT.

mod channel;
mod client;
mod client_limits;
mod counts;
mod identity;
mod pinned;
mod server;
mod socket;
mod transport;

pub use client::{QuicNetwork, RESOLVED_MAX};
pub use client_limits::{CONNECT_TIMEOUT_MS, ClientLimits};
pub use counts::{ServerCounters, ServerCounts};
pub use identity::{IdentityError, ServerIdentity};
pub use server::{
    BUSY_RETRY_AFTER_MS, CONNECTIONS_MAX, HANDSHAKE_TIMEOUT_MS, HANDSHAKES_MAX, QuicServer, REQUESTS_MAX,
    REQUESTS_MAX_BYTES, RESERVED_REQUEST_MAX_BYTES, RESERVED_REQUESTS_MAX, RESERVED_TIMEOUT_MS,
    STOP_TIMEOUT_MS, STREAM_TIMEOUT_MS, ServerError, ServerLimits,
};
pub use transport::{
    CONNECTION_WINDOW_BYTES, IDLE_TIMEOUT_MS, KEEP_ALIVE_MS, RATE_LEAST_BYTES, RETRY_AFTER_MAX_MS,
    STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX, slowest,
};
