//! The network over QUIC.
//!
//! One bidirectional stream carries one request and its reply; a frame is all that a side sends up to its FIN. The
//! lane is the protocol name that the handshake agreed on. A client knows a server by the fingerprint of its
//! certificate, and nothing that could join two connections is ever kept: each has a socket, an endpoint and a
//! TLS configuration of its own, and there are no session tickets, no address tokens and no 0-RTT.

mod channel;
mod client;
mod client_limits;
mod counts;
mod identity;
mod pinned;
mod server;
mod socket;
mod transport;

pub use client::QuicNetwork;
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
    STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
};
