//! An open connection, one stream a request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quinn::{Connection, ConnectionError, ReadError, ReadToEndError, SendStream, VarInt, WriteError};

use super::client_limits::ClientLimits;
use super::transport::{Code, RETRY_AFTER_MAX_MS, millis};
use crate::network::{Acted, Channel, NetworkError};

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
        match tokio::time::timeout(timeout, self.exchange(&request, &sent)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(failure)) => Err(self.failed(failure, acted())),
            Err(_) => Err(NetworkError::TimedOut {
                peer: self.peer.clone(),
                waited_ms: millis(timeout),
                acted: acted(),
            }),
        }
    }
}

/// Why a stream gave no reply.
enum Failure {
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

impl From<ReadToEndError> for Failure {
    fn from(error: ReadToEndError) -> Self {
        match error {
            ReadToEndError::TooLong => Failure::ReplyTooLong,
            ReadToEndError::Read(ReadError::ConnectionLost(error)) => Failure::Lost(error),
            ReadToEndError::Read(ReadError::Reset(code)) => Failure::Reset(code),
            ReadToEndError::Read(_) => Failure::Stream("the stream is closed"),
        }
    }
}

impl QuicChannel {
    /// Sends the request on a stream of its own and reads the reply.
    async fn exchange(&self, request: &[u8], sent: &AtomicBool) -> Result<Vec<u8>, Failure> {
        let (send, mut receive) = self.connection.open_bi().await?;
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
        Ok(receive.read_to_end(self.limits.reply_max_bytes).await?)
    }

    /// What `failure` is to the caller.
    fn failed(&self, failure: Failure, acted: Acted) -> NetworkError {
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
