//! What the transports share: TLS identities, limits, the bounds of a server, and the waiting and errors of a client.

mod client_limits;
pub(crate) mod code;
mod counts;
pub(crate) mod dial;
pub(crate) mod failure;
pub(crate) mod gate;
mod identity;
pub(crate) mod limits;
mod load;
pub(crate) mod pinned;
pub(crate) mod timer;
pub(crate) mod tls;

pub use client_limits::{CONNECT_TIMEOUT_MS, ClientLimits};
pub use counts::{ServerCounters, ServerCounts};
pub use dial::RESOLVED_MAX;
pub use gate::Gate;
pub use identity::{IdentityError, ServerIdentity};
pub use limits::{
    BUSY_RETRY_AFTER_MS, CONNECTION_WINDOW_BYTES, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX,
    CUSTOMER_BURST_MAX, CUSTOMER_TURNS_MAX, FAULT_PAUSE_MS, HANDSHAKE_PACE_MS, HANDSHAKE_TIMEOUT_MS,
    HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX, IDLE_TIMEOUT_MS, KEEP_ALIVE_MS, REQUEST_PACE_MS,
    REQUEST_WINDOW_BYTES, REQUESTS_MAX, REQUESTS_MAX_BYTES, REQUESTS_PER_ADDRESS_MAX,
    RESERVED_REQUEST_MAX_BYTES, RESERVED_REQUESTS_MAX, RESERVED_TIMEOUT_MS, RETRY_AFTER_MAX_MS,
    SERVER_TURNS_MAX, STOP_TIMEOUT_MS, STREAM_TIMEOUT_MS, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
    ServerError, ServerLimits, TURN_TIMEOUT_MS,
};
pub use load::{ServerLoad, Taken};
pub use timer::{RATE_LEAST_BYTES, slowest};
