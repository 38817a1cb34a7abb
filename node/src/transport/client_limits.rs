//! The limits of a client.

use std::time::Duration;

use farthing_protocol::wire::FRAME_MAX_BYTES;

/// How long a server may be silent during the handshake (ms).
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// The limits of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// How long a server may be silent during the handshake. All of the handshake may also take the time of its bytes
    /// on the slowest line.
    pub connect_timeout: Duration,
    /// The longest request that is sent (bytes).
    pub request_max_bytes: usize,
    /// The longest reply that is read (bytes).
    pub reply_max_bytes: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(CONNECT_TIMEOUT_MS),
            request_max_bytes: FRAME_MAX_BYTES,
            reply_max_bytes: FRAME_MAX_BYTES,
        }
    }
}
