//! The transport settings that both ends of every connection share.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use rustls::crypto::{CryptoProvider, ring};

/// The idle timeout of a connection (ms).
pub const IDLE_TIMEOUT_MS: u32 = 30_000;

/// The interval of keep-alive packets on the peer lane (ms). Wallets send none: their connections serve one purpose and
/// end with it.
pub const KEEP_ALIVE_MS: u64 = 10_000;

/// The maximum number of requests under way on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 64;

/// The receive window of one stream (bytes).
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// The receive window and the send window of one connection (bytes).
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The bytes that a sender may have under way before the first acknowledgement: 32 datagrams. Ten are usual (RFC 9002,
/// section 7.2). On a long line each doubling takes a round trip.
const INITIAL_WINDOW_BYTES: u64 = 32 * 1200;

/// The rate of the slowest supported line (bytes a second). It is half of 8 kbit/s. The other half is for QUIC's
/// overhead and retransmissions. A slower call is given up, so that no peer can prolong a call beyond the time of its
/// bytes.
pub const RATE_LEAST_BYTES: u64 = 500;

/// The time of `bytes` on the slowest line.
#[must_use]
pub const fn slowest(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / RATE_LEAST_BYTES)
}

/// The bytes of a handshake, repetitions included, that count for its time limit.
pub(super) const HANDSHAKE_BYTES: u64 = 4 * 1024;

/// The longest wait that a client accepts from a busy server (ms). A longer one counts as this.
pub const RETRY_AFTER_MAX_MS: u64 = 60_000;

/// The server name that every client sends. A constant does not show which server the client wants.
pub(super) const SERVER_NAME: &str = "farthing";

/// The meaning of a reset stream or a closed connection. The numbers are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The connection is no longer needed.
    Done,
    /// The client has given up a request before all of it was sent.
    Abandoned,
    /// The request was not accepted: it is longer than this server allows.
    RequestTooLong,
    /// The request was not accepted: it did not arrive in time.
    TooSlow,
    /// The request was accepted, but there will be no reply.
    Failed,
    /// The server is shutting down.
    Stopping,
    /// The request was not accepted: the server is busy.
    Busy {
        /// When to try again (ms from now).
        retry_after_ms: u32,
    },
}

/// The base of busy codes. A busy code is this plus the milliseconds to wait.
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

    /// Decodes a code. `None` for an unknown number.
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

/// The cryptography of every connection: X25519, and SHA-256 with AES-128, or ChaCha20 on a processor without AES.
///
/// Longer keys and digests would add no strength, because X25519 limits it. Processors have no instructions for
/// SHA-384, which would take a twelfth of a handshake.
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

/// The transport configuration of both ends.
pub(super) fn transport() -> TransportConfig {
    let mut congestion = CubicConfig::default();
    congestion.initial_window(INITIAL_WINDOW_BYTES);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .congestion_controller_factory(Arc::new(congestion))
        // Replies in the order of their requests: the first of several pieces of goods is not slowed by the others.
        .send_fairness(false)
        // The spin bit would show the round-trip time to every observer on the path.
        .allow_spin(false)
        // Most connections carry a few small frames. MTU discovery would be a sixth of all bytes that they send, and a
        // tenth of the servers' work.
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
    fn a_code_is_the_same_after_encoding_and_decoding() {
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
