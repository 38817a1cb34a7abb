//! What both ends of every connection have in common.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};
use rustls::crypto::{CryptoProvider, ring};

/// A connection on which nothing has arrived for so long is given up (ms).
pub const IDLE_TIMEOUT_MS: u32 = 30_000;

/// A client on the peer lane says so often that it is still there (ms). Wallets never do: their connections are
/// for one purpose and end with it.
pub const KEEP_ALIVE_MS: u64 = 10_000;

/// The most requests that may be under way on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 64;

/// The most bytes of one stream that may wait to be read (bytes).
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// The most bytes of one connection that may wait to be read, or to be sent (bytes).
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The slowest line on which requests and replies arrive (bytes a second). It is half of 8 kbit/s: the other half is for what
/// QUIC adds and repeats. A slower call is given up, so that no peer keeps a call for longer than its bytes need.
pub const RATE_LEAST_BYTES: u64 = 500;

/// The time of `bytes` on the slowest line.
pub(super) fn slowest(bytes: usize) -> Duration {
    Duration::from_millis((bytes as u64).saturating_mul(1_000) / RATE_LEAST_BYTES)
}

/// The longest that a busy server may ask a client to wait (ms); more is taken for this.
pub const RETRY_AFTER_MAX_MS: u64 = 60_000;

/// The name that every client asks for. A constant says nothing about whom it wants to reach.
pub(super) const SERVER_NAME: &str = "farthing";

/// What a reset stream or a closed connection means. Numbers are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The connection is no longer needed.
    Done,
    /// A request was given up by the client before all of it was sent.
    Abandoned,
    /// The request was not taken: it is longer than this server allows.
    RequestTooLong,
    /// The request was not taken: it did not arrive in time.
    TooSlow,
    /// The request was taken, but there will be no reply.
    Failed,
    /// The server is going down.
    Stopping,
    /// The request was not taken: the server has enough to do.
    Busy {
        /// When to try again (ms from now).
        retry_after_ms: u32,
    },
}

/// Busy codes are this plus the milliseconds to wait.
const BUSY_BASE: u64 = 1 << 32;

impl Code {
    pub(super) fn to_wire(self) -> VarInt {
        match self {
            Code::Done => VarInt::from_u32(0),
            Code::Abandoned => VarInt::from_u32(1),
            Code::RequestTooLong => VarInt::from_u32(2),
            Code::TooSlow => VarInt::from_u32(3),
            Code::Failed => VarInt::from_u32(4),
            Code::Stopping => VarInt::from_u32(5),
            // Both parts fit, so the fallback is never taken.
            Code::Busy { retry_after_ms } => {
                VarInt::from_u64(BUSY_BASE | u64::from(retry_after_ms)).unwrap_or(VarInt::MAX)
            }
        }
    }

    /// `None` for a number without a meaning.
    pub(super) fn from_wire(code: VarInt) -> Option<Code> {
        match code.into_inner() {
            0 => Some(Code::Done),
            1 => Some(Code::Abandoned),
            2 => Some(Code::RequestTooLong),
            3 => Some(Code::TooSlow),
            4 => Some(Code::Failed),
            5 => Some(Code::Stopping),
            code if code >> 32 == 1 => u32::try_from(code & u64::from(u32::MAX))
                .ok()
                .map(|retry_after_ms| Code::Busy { retry_after_ms }),
            _ => None,
        }
    }
}

/// The cryptography of every connection: X25519, and SHA-256 with AES-128 or, where a processor lacks that, ChaCha20. Of
/// longer keys and digests nothing would be stronger as long as it hangs on X25519; and SHA-384, for which processors have
/// no instructions, would be a twelfth of a handshake.
pub(super) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    })
});

/// What both ends of every connection have in common.
pub(super) fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        // The spin bit would show the round-trip time to everybody on the way.
        .allow_spin(false)
        // Most connections carry a few small frames; looking for the longest datagram that gets through would be a
        // sixth of all that they send, and a tenth of the servers' work.
        .mtu_discovery_config(None);
    transport
}

/// Milliseconds of `duration`, for messages.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_wire() {
        let busy = Code::Busy {
            retry_after_ms: u32::MAX,
        };
        for code in [
            Code::Done,
            Code::Abandoned,
            Code::RequestTooLong,
            Code::TooSlow,
            Code::Failed,
            Code::Stopping,
            busy,
        ] {
            assert_eq!(Code::from_wire(code.to_wire()), Some(code));
        }
        assert_eq!(Code::from_wire(VarInt::from_u32(99)), None);
        assert_eq!(Code::from_wire(VarInt::MAX), None);
    }
}
