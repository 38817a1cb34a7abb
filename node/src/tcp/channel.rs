//! An open connection, with one HTTP/2 stream for each request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::http::{code_of, head, room};
use super::stream::Traffic;
use crate::network::{Channel, NetworkError};
use crate::transport::failure::{Failure, Remote, Sent};
use crate::transport::timer::CallTimer;

/// How long a client tries to tell a server that it closes the connection (ms).
const FAREWELL_MS: u64 = 1_000;

/// A connection to one server.
pub(super) struct TcpChannel {
    requests: SendRequest<Bytes>,
    traffic: Arc<Traffic>,
    remote: Remote,
    /// Dropped with the channel. Then the connection closes.
    _open: oneshot::Sender<()>,
}

impl TcpChannel {
    /// A channel over `connection`. It must be made within a runtime, which runs the connection.
    pub(super) fn new<S>(
        requests: SendRequest<Bytes>,
        connection: Connection<S>,
        traffic: Arc<Traffic>,
        remote: Remote,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (open, closed) = oneshot::channel();
        tokio::spawn(run(connection, closed));
        Self {
            requests,
            traffic,
            remote,
            _open: open,
        }
    }
}

/// Carries the frames of a connection until it ends. A lost connection shows in its calls.
async fn run<S>(mut connection: Connection<S>, closed: oneshot::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        _ended = &mut connection => {}
        _dropped = closed => {
            // The last handle is gone, so the connection says so and ends.
            let _late = tokio::time::timeout(Duration::from_millis(FAREWELL_MS), connection).await;
        }
    }
}

#[async_trait]
impl Channel for TcpChannel {
    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        self.remote.check_request(&request)?;
        let sent = Sent::default();
        let outcome = self.exchange(request.into(), &sent, timeout, reply).await;
        outcome.map_err(|failure| self.remote.failed(failure, &sent, timeout))
    }
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() && error.is_remote() => Failure::Reset {
                number: u64::from(u32::from(reason)),
                code: code_of(reason),
            },
            _ => Failure::Lost(error.to_string()),
        }
    }
}

impl TcpChannel {
    /// Sends the request on a new stream and reads the reply into `reply`.
    async fn exchange(
        &self,
        request: Bytes,
        sent: &Sent,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let bytes = request.len();
        let mut timer = CallTimer::new(timeout, bytes as u64, || self.traffic.progress(bytes));
        // Held until the reply is complete. If all handles are dropped before the end of the request, the stream is
        // reset, and the server knows that the request is given up.
        let (response, _send) = timer.wait(self.send(request, sent)).await??;
        let response = timer.wait(response).await??;
        if response.status() != StatusCode::OK {
            return Err(Failure::Stream("the reply does not belong to this protocol"));
        }
        let mut body: RecvStream = response.into_body();
        while let Some(part) = timer.wait(body.data()).await? {
            let part = part?;
            self.remote.append(reply, &part)?;
            timer.extend(part.len());
            // An error means that the stream has ended.
            let _ended = body.flow_control().release_capacity(part.len());
        }
        Ok(())
    }

    /// Sends the request on a new stream.
    async fn send(
        &self,
        mut request: Bytes,
        sent: &Sent,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
        let mut requests = self.requests.clone().ready().await?;
        if request.is_empty() {
            sent.mark();
        }
        let (response, mut stream) = requests.send_request(head(), request.is_empty())?;
        while !request.is_empty() {
            // A server that takes no more has reset the stream. The response has the reason.
            let Some(room) = room(&mut stream, request.len()).await else {
                break;
            };
            let part = request.split_to(room);
            if request.is_empty() {
                sent.mark();
            }
            if stream.send_data(part, request.is_empty()).is_err() {
                break;
            }
        }
        Ok((response, stream))
    }
}
