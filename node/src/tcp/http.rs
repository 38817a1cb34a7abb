//! HTTP/2 as both ends use it: its bounds, the one request head, and the codes as it carries them.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::{Method, Request, Uri};

use crate::transport::code::{BUSY, Code};
use crate::transport::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX};

/// The longest list of headers (bytes, as HTTP/2 counts them). The constant heads are a quarter of it. It also bounds
/// the number of CONTINUATION frames.
pub const HEADERS_MAX_BYTES: u32 = 1024;

/// The bytes of one stream that wait for the socket (bytes). What does not fit waits in the stream's own task.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The longest frame of HTTP/2 (bytes). It is the smallest that HTTP/2 allows.
const FRAME_BYTES: u32 = 16 * 1024;

/// The memory for the compression of headers (bytes).
const HEADER_TABLE_BYTES: u32 = 4096;

/// The number of streams that this end has reset, of which late frames are recognized, and how long they are (ms).
const OWN_RESETS_MAX: usize = 64;
const OWN_RESET_MEMORY_MS: u64 = 10_000;

/// The number of streams that the peer has opened and reset before this end saw them. More end the connection.
const UNSEEN_RESETS_MAX: usize = 20;

/// The number of streams of one connection that this end resets because of errors of the peer. More end the connection.
const ERROR_RESETS_MAX: usize = 64;

/// The memory that small frames of bodies may cost beyond their bytes (bytes). More ends the connection.
const SMALL_FRAMES_BYTES: usize = 64 * 1024;

/// The path of every request. The host is a constant, which does not show which server the client wants.
const URI: &str = "https://farthing/";

/// The bounds of a server's connections, with at most `streams` requests under way on each.
pub(super) fn server_builder(streams: u32) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(streams)
        .max_header_list_size(HEADERS_MAX_BYTES)
        .header_table_size(HEADER_TABLE_BYTES)
        .max_frame_size(FRAME_BYTES)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(OWN_RESETS_MAX)
        .reset_stream_duration(Duration::from_millis(OWN_RESET_MEMORY_MS))
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .data_frame_budget(SMALL_FRAMES_BYTES);
    builder
}

/// The bounds of a client's connection. The server opens no streams.
pub(super) fn client_builder() -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .max_concurrent_streams(0)
        .initial_max_send_streams(STREAMS_PER_CONNECTION_MAX as usize)
        .max_header_list_size(HEADERS_MAX_BYTES)
        .header_table_size(HEADER_TABLE_BYTES)
        .max_frame_size(FRAME_BYTES)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(OWN_RESETS_MAX)
        .reset_stream_duration(Duration::from_millis(OWN_RESET_MEMORY_MS))
        .max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .data_frame_budget(SMALL_FRAMES_BYTES);
    builder
}

/// The head of every request.
pub(super) fn head() -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(URI);
    request
}

/// Whether a request has the head that all have.
pub(super) fn is_head<T>(request: &Request<T>) -> bool {
    request.method() == Method::POST && request.uri().path() == "/" && request.headers().is_empty()
}

/// The lowest reset of this protocol. Below it are the errors of HTTP/2 itself.
const CODE_BASE: u32 = 0x100;

/// The base of resets that mean busy. A reset is this plus the milliseconds to wait.
const BUSY_BASE: u32 = 1 << 31;

/// The reset that carries `code`.
pub(super) fn reason_of(code: Code) -> Reason {
    Reason::from(match code {
        Code::Busy { retry_after_ms } => BUSY_BASE | retry_after_ms.min(BUSY_BASE - 1),
        // Every other number is small, so the fallback is never taken.
        other => u32::try_from(other.number()).map_or(BUSY_BASE, |number| CODE_BASE + number),
    })
}

/// The code that a reset has carried. `None` for an unknown one.
pub(super) fn code_of(reason: Reason) -> Option<Code> {
    // HTTP/2 refuses a stream beyond the limit before anything has read it.
    if reason == Reason::REFUSED_STREAM {
        return Some(BUSY);
    }
    let reset = u32::from(reason);
    if reset >= BUSY_BASE {
        return Some(Code::Busy {
            retry_after_ms: reset - BUSY_BASE,
        });
    }
    Code::from_number(u64::from(reset.checked_sub(CODE_BASE)?))
}

/// Waits until `stream` takes some of `wanted` bytes, and returns how many. `None` when it takes no more.
pub(super) async fn room(stream: &mut SendStream<Bytes>, wanted: usize) -> Option<usize> {
    stream.reserve_capacity(wanted);
    loop {
        let room = stream.capacity().min(wanted);
        if room > 0 {
            return Some(room);
        }
        poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_after_encoding_and_decoding() {
        let busy = |retry_after_ms| Code::Busy { retry_after_ms };
        for code in [
            Code::Done,
            Code::Abandoned,
            Code::RequestTooLong,
            Code::TooSlow,
            Code::Failed,
            Code::Stopping,
            busy(0),
            busy(100),
        ] {
            assert_eq!(code_of(reason_of(code)), Some(code));
        }
        assert_eq!(code_of(reason_of(busy(u32::MAX))), Some(busy(BUSY_BASE - 1)));
        assert_eq!(code_of(Reason::REFUSED_STREAM), Some(BUSY));
        assert_eq!(code_of(Reason::CANCEL), None);
        assert_eq!(code_of(Reason::from(CODE_BASE + 99)), None);
    }
}
