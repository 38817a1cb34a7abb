//! Why a stream or a connection ends without a reply.

use super::limits::BUSY_RETRY_AFTER_MS;

/// The meaning of a reset stream or a closed connection. The numbers are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
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

/// The refusal of a busy server.
pub(crate) const BUSY: Code = Code::Busy {
    retry_after_ms: BUSY_RETRY_AFTER_MS,
};

impl Code {
    /// The number of the code.
    pub(crate) fn number(self) -> u64 {
        match self {
            Code::Done => 0,
            Code::Abandoned => 1,
            Code::RequestTooLong => 2,
            Code::TooSlow => 3,
            Code::Failed => 4,
            Code::Stopping => 5,
            Code::Busy { retry_after_ms } => BUSY_BASE | u64::from(retry_after_ms),
        }
    }

    /// The code of a number. `None` for an unknown number.
    pub(crate) fn from_number(number: u64) -> Option<Code> {
        match number {
            0 => Some(Code::Done),
            1 => Some(Code::Abandoned),
            2 => Some(Code::RequestTooLong),
            3 => Some(Code::TooSlow),
            4 => Some(Code::Failed),
            5 => Some(Code::Stopping),
            busy if busy >> 32 == 1 => u32::try_from(busy & u64::from(u32::MAX))
                .ok()
                .map(|retry_after_ms| Code::Busy { retry_after_ms }),
            _ => None,
        }
    }
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
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
        assert_eq!(Code::from_number(99), None);
        assert_eq!(Code::from_number(u64::MAX), None);
    }
}
