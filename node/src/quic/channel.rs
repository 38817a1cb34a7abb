//! An open connection, with one stream for each request.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::time::{Instant, timeout_at};

use super::client_limits::ClientLimits;
use super::transport::{Code, RETRY_AFTER_MAX_MS, millis, slowest};
use crate::network::{Acted, Channel, NetworkError};

/// The maximum number of bytes in one read from a stream.
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
        // The endpoint's own task tells the server, and ends with its last connection.
        self.connection.close(Code::Done.to_wire(), b"");
    }
}

#[async_trait]
impl Channel for QuicChannel {
    async fn call(&self, request: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, NetworkError> {
        let mut reply = Vec::new();
        self.call_into(request, timeout, &mut reply).await?;
        Ok(reply)
    }

    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        if request.len() > self.limits.request_max_bytes {
            return Err(self.too_long(self.limits.request_max_bytes, Acted::No));
        }
        // Set before the FIN is queued. From then on the server may have the whole request.
        let sent = AtomicBool::new(false);
        let acted = || {
            if sent.load(Ordering::Relaxed) {
                Acted::Unknown
            } else {
                Acted::No
            }
        };
        let outcome = self.exchange(&request, &sent, timeout, reply).await;
        outcome.map_err(|failure| self.failed(failure, acted(), timeout))
    }
}

/// The time limits of one call, or of one handshake.
pub(super) struct CallTimer<R> {
    /// How long the server may be silent.
    timeout: Duration,
    /// The latest end of the call. Each transferred byte extends it by the time of that byte on the slowest line.
    end: Instant,
    /// Returns the number of datagrams that the connection has received. While datagrams arrive, acknowledgements
    /// included, the server is not silent.
    received: R,
}

impl<R: Fn() -> u64> CallTimer<R> {
    /// The limits for a request of `bytes`, whose transfer begins now.
    pub(super) fn new(timeout: Duration, bytes: u64, received: R) -> Self {
        Self {
            timeout,
            end: Instant::now() + timeout + slowest(bytes),
            received,
        }
    }

    /// Extends the end, because `bytes` of the reply have arrived.
    fn extend(&mut self, bytes: usize) {
        self.end += slowest(bytes as u64);
    }

    /// Waits for `next`.
    ///
    /// # Errors
    /// [`Failure::Silent`] when the server has been silent for too long, or the call has reached its end.
    pub(super) async fn wait<T>(&self, next: impl Future<Output = T>) -> Result<T, Failure> {
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

/// The failure of a stream without a reply.
pub(super) enum Failure {
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
    /// Sends the request on a new stream and reads the reply into `reply`.
    async fn exchange(
        &self,
        request: &[u8],
        sent: &AtomicBool,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let received = || self.connection.stats().udp_rx.datagrams;
        let mut timer = CallTimer::new(timeout, request.len() as u64, received);
        // Held until the reply is complete. If it is dropped before its FIN, it tells the server that the request is
        // given up.
        let (_send, mut receive) = timer.wait(self.send(request, sent)).await??;
        while let Some(chunk) = timer.wait(receive.read_chunk(CHUNK_MAX_BYTES, true)).await?? {
            if reply.len().saturating_add(chunk.bytes.len()) > self.limits.reply_max_bytes {
                return Err(Failure::ReplyTooLong);
            }
            reply.extend_from_slice(&chunk.bytes);
            timer.extend(chunk.bytes.len());
        }
        Ok(())
    }

    /// Sends the request on a new stream.
    async fn send(&self, request: &[u8], sent: &AtomicBool) -> Result<(FrameSender, RecvStream), Failure> {
        let (send, receive) = self.connection.open_bi().await?;
        let mut send = FrameSender::new(send);
        let written = send.stream.write_all(request).await;
        match written {
            Ok(()) => {
                sent.store(true, Ordering::Relaxed);
                send.finish();
            }
            // The server has stopped reading. It gives the reason on its half of the stream.
            Err(WriteError::Stopped(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok((send, receive))
    }

    /// The caller's error for `failure`.
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
                Some(Code::RequestTooLong) => refused("it is longer than this server allows"),
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

/// The sending half of a stream. Dropping it resets the stream, unless the frame was finished.
///
/// Dropping a plain stream would finish it, and a partial frame would look complete.
pub(super) struct FrameSender {
    pub(super) stream: SendStream,
    code: Code,
    finished: bool,
}

impl FrameSender {
    /// A sender that resets with [`Code::Abandoned`].
    pub(super) fn new(stream: SendStream) -> Self {
        Self::with_code(stream, Code::Abandoned)
    }

    /// A sender that resets with `code`.
    pub(super) fn with_code(stream: SendStream, code: Code) -> Self {
        Self {
            stream,
            code,
            finished: false,
        }
    }

    /// Resets the stream with `code` now.
    pub(super) fn refuse(mut self, code: Code) {
        self.code = code;
    }

    /// Ends the frame.
    pub(super) fn finish(&mut self) {
        // An error means that the stream has already ended, and that the peer knows it.
        let _ended = self.stream.finish();
        self.finished = true;
    }
}

impl Drop for FrameSender {
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

    /// Returns how long a call waits for this reply: `bytes` arrive every `pause`, `times` times, and then nothing.
    async fn waits_for(bytes: usize, pause: Duration, times: usize) -> Duration {
        let began = Instant::now();
        let mut timer = CallTimer::new(SILENCE, 0, || 0);
        for _ in 0..times {
            match timer.wait(tokio::time::sleep(pause)).await {
                Ok(()) => timer.extend(bytes),
                Err(_) => return began.elapsed(),
            }
        }
        let _silent = timer.wait(pending::<()>()).await;
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
        const BYTES: u64 = 10_000;
        let began = Instant::now();
        let silent = CallTimer::new(SILENCE, BYTES, || 0);
        let _silent = silent.wait(pending::<()>()).await;
        assert_eq!(began.elapsed(), SILENCE);
        let began = Instant::now();
        let acknowledged = CallTimer::new(SILENCE, BYTES, || began.elapsed().as_secs());
        let _silent = acknowledged.wait(pending::<()>()).await;
        assert_eq!(began.elapsed(), SILENCE + slowest(BYTES));
    }
}
