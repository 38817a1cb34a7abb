//! What a client bounds.

use std::time::Duration;

use farthing_protocol::wire::FRAME_MAX_BYTES;

/// How long a handshake may take (ms).
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// What a client bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// How long a handshake may take.
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
