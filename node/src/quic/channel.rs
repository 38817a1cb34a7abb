//! An open connection, one stream a request.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::time::{Instant, timeout_at};

use super::client_limits::ClientLimits;
use super::transport::{Code, RETRY_AFTER_MAX_MS, millis, slowest};
use crate::network::{Acted, Channel, NetworkError};

/// The most bytes that are taken from a stream at a time.
const CHUNK_MAX_BYTES: usize = 64 * 1024;

/// A connection to one server.
pub(super) struct QuicChannel {
    connection: Connection,
    peer: String,
    limits: ClientLimits,
}

impl QuicChannel {
    pub(super) fn new(connection: Connection, peer: String, limits: ClientLimits) -> Self {
        Self {
            connection,
            peer,
            limits,
        }
    }
}

impl Drop for QuicChannel {
    fn drop(&mut self) {
        // The endpoint's own task says so to the server, and ends with its last connection.
        self.connection.close(Code::Done.to_wire(), b"");
    }
}

#[async_trait]
impl Channel for QuicChannel {
    async fn call(&self, request: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, NetworkError> {
        if request.len() > self.limits.request_max_bytes {
            return Err(self.too_long(self.limits.request_max_bytes, Acted::No));
        }
        // Set before the FIN is handed over: from then on the server may have the whole request.
        let sent = AtomicBool::new(false);
        let acted = || {
            if sent.load(Ordering::Relaxed) {
                Acted::Unknown
            } else {
                Acted::No
            }
        };
        match self.exchange(&request, &sent, timeout).await {
            Ok(reply) => Ok(reply),
            Err(failure) => Err(self.failed(failure, acted(), timeout)),
        }
    }
}

/// Until when a call waits.
struct Patience<R> {
    /// How long the server may be silent.
    timeout: Duration,
    /// When the call ends at the latest: what passes the line extends it by the time that the slowest line needs for it.
    end: Instant,
    /// How many datagrams have come on the connection: while any come, acknowledgements included, it is not silent.
    received: R,
}

impl<R: Fn() -> u64> Patience<R> {
    /// For a request of `bytes`, which begins to leave now.
    fn new(timeout: Duration, bytes: usize, received: R) -> Self {
        Self {
            timeout,
            end: Instant::now() + timeout + slowest(bytes),
            received,
        }
    }

    /// `bytes` of the reply have come.
    fn hear(&mut self, bytes: usize) {
        self.end += slowest(bytes);
    }

    /// Waits for `next`, until the server has been silent for too long.
    async fn wait<T>(&self, next: impl Future<Output = T>) -> Result<T, Failure> {
        let mut next = pin!(next);
        loop {
            let received = (self.received)();
            let until = self.end.min(Instant::now() + self.timeout);
            match timeout_at(until, &mut next).await {
                Ok(done) => return Ok(done),
                Err(_) if until == self.end || (self.received)() == received => return Err(Failure::Silent),
                Err(_) => {}
            }
        }
    }
}

/// Why a stream gave no reply.
enum Failure {
    /// The server was silent for too long.
    Silent,
    Lost(ConnectionError),
    Reset(VarInt),
    ReplyTooLong,
    Stream(&'static str),
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Failure::Lost(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Failure::Lost(error),
            WriteError::Stopped(code) => Failure::Reset(code),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => Failure::Stream("the stream is closed"),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Failure::Lost(error),
            ReadError::Reset(code) => Failure::Reset(code),
            _ => Failure::Stream("the stream is closed"),
        }
    }
}

impl QuicChannel {
    /// Sends the request on a stream of its own and reads the reply.
    async fn exchange(
        &self,
        request: &[u8],
        sent: &AtomicBool,
        timeout: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let received = || self.connection.stats().udp_rx.datagrams;
        let mut patience = Patience::new(timeout, request.len(), received);
        // Held until the reply is whole: dropped before its FIN, it tells the server that the request is given up.
        let (_send, mut receive) = patience.wait(self.send(request, sent)).await??;
        let mut reply = Vec::new();
        while let Some(chunk) = patience.wait(receive.read_chunk(CHUNK_MAX_BYTES, true)).await?? {
            if reply.len().saturating_add(chunk.bytes.len()) > self.limits.reply_max_bytes {
                return Err(Failure::ReplyTooLong);
            }
            reply.extend_from_slice(&chunk.bytes);
            patience.hear(chunk.bytes.len());
        }
        Ok(reply)
    }

    /// Sends the request on a stream of its own.
    async fn send(&self, request: &[u8], sent: &AtomicBool) -> Result<(Whole, RecvStream), Failure> {
        let (send, receive) = self.connection.open_bi().await?;
        let mut send = Whole::new(send);
        let written = send.stream.write_all(request).await;
        match written {
            Ok(()) => {
                sent.store(true, Ordering::Relaxed);
                send.finish();
            }
            // A server that takes no more says why on its own half of the stream.
            Err(WriteError::Stopped(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok((send, receive))
    }

    /// What `failure` is to the caller.
    fn failed(&self, failure: Failure, acted: Acted, timeout: Duration) -> NetworkError {
        let peer = self.peer.clone();
        let refused = |reason: &str| NetworkError::Refused {
            peer: self.peer.clone(),
            reason: reason.to_owned(),
        };
        let closed = |reason: String| NetworkError::Closed {
            peer: self.peer.clone(),
            reason,
            acted,
        };
        match failure {
            Failure::Silent => NetworkError::TimedOut {
                peer,
                waited_ms: millis(timeout),
                acted,
            },
            Failure::ReplyTooLong => self.too_long(self.limits.reply_max_bytes, acted),
            Failure::Stream(reason) => closed(reason.to_owned()),
            Failure::Lost(error) => closed(error.to_string()),
            Failure::Reset(code) => match Code::from_wire(code) {
                Some(Code::Busy { retry_after_ms }) => NetworkError::Busy {
                    peer,
                    retry_after_ms: u64::from(retry_after_ms).min(RETRY_AFTER_MAX_MS),
                },
                Some(Code::RequestTooLong) => refused("it is longer than this server takes"),
                Some(Code::TooSlow) => refused("it did not arrive in time"),
                Some(Code::Failed) => closed("the server failed while it worked on the request".to_owned()),
                other => closed(format!("the stream was reset ({other:?}, code {code})")),
            },
        }
    }

    fn too_long(&self, max_bytes: usize, acted: Acted) -> NetworkError {
        NetworkError::TooLong {
            peer: self.peer.clone(),
            max_bytes,
            acted,
        }
    }
}

/// A sending half that is reset unless all was written: dropping a stream would otherwise finish it, and what had been
/// written so far would look like a whole frame.
pub(super) struct Whole {
    pub(super) stream: SendStream,
    code: Code,
    finished: bool,
}

impl Whole {
    /// Resets as abandoned.
    pub(super) fn new(stream: SendStream) -> Self {
        Self::with_code(stream, Code::Abandoned)
    }

    /// Resets with `code`.
    pub(super) fn with_code(stream: SendStream, code: Code) -> Self {
        Self {
            stream,
            code,
            finished: false,
        }
    }

    /// Resets with `code` at once.
    pub(super) fn refuse(mut self, code: Code) {
        self.code = code;
    }

    /// Ends the frame.
    pub(super) fn finish(&mut self) {
        // An error means that the stream has ended by other means, and the peer has learned so.
        let _ended = self.stream.finish();
        self.finished = true;
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !self.finished {
            // An error means that the stream has ended already.
            let _ended = self.stream.reset(self.code.to_wire());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const SILENCE: Duration = Duration::from_secs(5);

    /// How long a call waits for a reply of which `bytes` come every `pause`, for so many times, and then nothing.
    async fn waits_for(bytes: usize, pause: Duration, times: usize) -> Duration {
        let began = Instant::now();
        let mut patience = Patience::new(SILENCE, 0, || 0);
        for _ in 0..times {
            match patience.wait(tokio::time::sleep(pause)).await {
                Ok(()) => patience.hear(bytes),
                Err(_) => return began.elapsed(),
            }
        }
        let _silent = patience.wait(pending::<()>()).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_when_the_server_is_silent() {
        assert_eq!(waits_for(0, Duration::ZERO, 0).await, SILENCE);
        let heard = Duration::from_secs(100);
        assert_eq!(
            waits_for(4_000, Duration::from_secs(4), 25).await,
            heard + SILENCE
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_when_the_reply_is_slower_than_the_slowest_line() {
        let waited = waits_for(1, Duration::from_secs(4), 1_000_000).await;
        assert!(waited < SILENCE + Duration::from_secs(1), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_request_has_more_time_while_it_is_acknowledged() {
        const BYTES: usize = 10_000;
        let began = Instant::now();
        let silent = Patience::new(SILENCE, BYTES, || 0);
        let _silent = silent.wait(pending::<()>()).await;
        assert_eq!(began.elapsed(), SILENCE);
        let began = Instant::now();
        let acknowledged = Patience::new(SILENCE, BYTES, || began.elapsed().as_secs());
        let _silent = acknowledged.wait(pending::<()>()).await;
        assert_eq!(began.elapsed(), SILENCE + slowest(BYTES));
    }
}
