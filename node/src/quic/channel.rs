//! An open connection, with one stream for each request.

use std::time::Duration;

use async_trait::async_trait;
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};

use super::transport::{code_of, number_of};
use crate::network::{Channel, NetworkError};
use crate::transport::code::Code;
use crate::transport::failure::{Failure, Remote, Sent};
use crate::transport::gate::CHUNK_MAX_BYTES;
use crate::transport::timer::CallTimer;

/// A connection to one server.
pub(super) struct QuicChannel {
    connection: Connection,
    remote: Remote,
}

impl QuicChannel {
    pub(super) fn new(connection: Connection, remote: Remote) -> Self {
        Self { connection, remote }
    }
}

impl Drop for QuicChannel {
    fn drop(&mut self) {
        // The endpoint's own task tells the server, and ends with its last connection.
        self.connection.close(number_of(Code::Done), b"");
    }
}

#[async_trait]
impl Channel for QuicChannel {
    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        self.remote.check_request(&request)?;
        let sent = Sent::default();
        let outcome = self.exchange(&request, &sent, timeout, reply).await;
        outcome.map_err(|failure| self.remote.failed(failure, &sent, timeout))
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Failure::Lost(error.to_string())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Failure::Lost(error.to_string()),
            WriteError::Stopped(code) => reset(code),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => Failure::Stream("the stream is closed"),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Failure::Lost(error.to_string()),
            ReadError::Reset(code) => reset(code),
            _ => Failure::Stream("the stream is closed"),
        }
    }
}

fn reset(number: VarInt) -> Failure {
    Failure::Reset {
        number: number.into_inner(),
        code: code_of(number),
    }
}

impl QuicChannel {
    /// Sends the request on a new stream and reads the reply into `reply`.
    async fn exchange(
        &self,
        request: &[u8],
        sent: &Sent,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let received = || self.connection.stats().udp_rx.datagrams;
        let mut timer = CallTimer::new(timeout, request.len() as u64, received);
        // Held until the reply is complete. If it is dropped before its FIN, it tells the server that the request is
        // given up.
        let (_send, mut receive) = timer.wait(self.send(request, sent)).await??;
        while let Some(chunk) = timer.wait(receive.read_chunk(CHUNK_MAX_BYTES, true)).await?? {
            self.remote.append(reply, &chunk.bytes)?;
            timer.extend(chunk.bytes.len());
        }
        Ok(())
    }

    /// Sends the request on a new stream.
    async fn send(&self, request: &[u8], sent: &Sent) -> Result<(FrameSender, RecvStream), Failure> {
        let (send, receive) = self.connection.open_bi().await?;
        let mut send = FrameSender::new(send);
        let written = send.stream.write_all(request).await;
        match written {
            Ok(()) => {
                sent.mark();
                send.finish();
            }
            // The server has stopped reading. It gives the reason on its half of the stream.
            Err(WriteError::Stopped(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok((send, receive))
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
            let _ended = self.stream.reset(number_of(self.code));
        }
    }
}
