//! The transport settings that both ends of every connection share, and the codes as QUIC carries them.

use std::sync::Arc;

use quinn::congestion::CubicConfig;
use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::transport::code::Code;
use crate::transport::{CONNECTION_WINDOW_BYTES, IDLE_TIMEOUT_MS, STREAM_WINDOW_BYTES};

/// The bytes that a sender may have under way before the first acknowledgement: 64 datagrams. Ten are usual (RFC 9002,
/// section 7.2). On a long line each doubling takes more than a round trip, as a window is sent in four fifths of one.
const INITIAL_WINDOW_BYTES: u64 = 64 * 1200;

/// The number that QUIC carries for `code`.
pub(super) fn number_of(code: Code) -> VarInt {
    // Every code fits, so the fallback is never taken.
    VarInt::from_u64(code.number()).unwrap_or(VarInt::MAX)
}

/// The code of a number that QUIC has carried. `None` for an unknown number.
pub(super) fn code_of(number: VarInt) -> Option<Code> {
    Code::from_number(number.into_inner())
}

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
        // The spin bit would show the round-trip time to every observer on the path.
        .allow_spin(false)
        // Most connections carry a few small frames. MTU discovery would be a sixth of all bytes that they send, and a
        // tenth of the servers' work.
        .mtu_discovery_config(None);
    transport
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_of_a_busy_server_fits_into_a_number_of_quic() {
        let busy = Code::Busy {
            retry_after_ms: u32::MAX,
        };
        assert_eq!(code_of(number_of(busy)), Some(busy));
        assert_eq!(code_of(VarInt::MAX), None);
    }
}
