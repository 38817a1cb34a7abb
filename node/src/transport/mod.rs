//! What the transports share: TLS identities, limits, the bounds of a server, and the waiting and errors of a client.

mod client_limits;
pub(crate) mod code;
mod counts;
pub(crate) mod dial;
pub(crate) mod failure;
pub(crate) mod gate;
mod identity;
pub(crate) mod limits;
pub(crate) mod pinned;
pub(crate) mod shares;
pub(crate) mod timer;
pub(crate) mod tls;

pub use client_limits::{CONNECT_TIMEOUT_MS, ClientLimits};
pub use counts::{ServerCounters, ServerCounts};
pub use dial::RESOLVED_MAX;
pub use gate::Gate;
pub use identity::{IdentityError, ServerIdentity};
pub use limits::{
    BUSY_RETRY_AFTER_MS, CONNECTION_WINDOW_BYTES, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX,
    HANDSHAKE_TIMEOUT_MS, HANDSHAKES_MAX, IDLE_TIMEOUT_MS, KEEP_ALIVE_MS, REQUESTS_MAX, REQUESTS_MAX_BYTES,
    REQUESTS_PER_ADDRESS_MAX, RESERVED_REQUEST_MAX_BYTES, RESERVED_REQUESTS_MAX, RESERVED_TIMEOUT_MS,
    RETRY_AFTER_MAX_MS, STOP_TIMEOUT_MS, STREAM_TIMEOUT_MS, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
    ServerError, ServerLimits,
};
pub use timer::{RATE_LEAST_BYTES, slowest};
