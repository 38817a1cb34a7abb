//! One connection of the server: its requests, and when it closes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::http::{is_head, reason_of, room};
use crate::network::{Caller, Lane};
use crate::process::StopToken;
use crate::shares::Origin;
use crate::transport::code::{BUSY, Code};
use crate::transport::gate::{Chunks, Client, Gone, RequestSlot, read_request};
use crate::transport::timer::slowest;
use crate::transport::{Gate, IDLE_TIMEOUT_MS};
use farthing_protocol::wire::FRAME_MAX_BYTES;

/// The number of requests that the clients of one connection may give up before their end. More end the connection.
pub const ABANDONED_MAX: usize = 128;

/// The maximum size of all replies in memory that slow clients are taking, over all connections (bytes). Beyond it a
/// reply keeps its request's slot, and must be taken within the time limit.
pub const REPLIES_MAX_BYTES: usize = 64 * FRAME_MAX_BYTES;

/// How long a server waits until an idle client has closed too (ms).
const CLOSE_TIMEOUT_MS: u64 = 1_000;

/// The bytes of a reply that may still be on their way to the client after the kernel has taken all of it.
const KERNEL_BUFFER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// What the connections of a TCP server share.
pub(super) struct Shared {
    pub(super) gate: Arc<Gate>,
    /// The permits for the bytes of replies that slow clients are taking.
    replies: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(gate: Arc<Gate>) -> Arc<Self> {
        Arc::new(Self {
            gate,
            replies: Arc::new(Semaphore::new(REPLIES_MAX_BYTES)),
        })
    }
}

/// How a request ended.
enum Outcome {
    /// With a reply of this length (bytes), or with a refusal.
    Answered(usize),
    /// The client has given it up.
    Abandoned,
}

/// The tasks of the requests under way on one connection. They continue when the connection is lost: a service is never
/// interrupted.
#[derive(Default)]
struct Requests(JoinSet<Outcome>);

impl Drop for Requests {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The client knows that it must open no more streams.
    Closing,
}

/// A connection and the state of its closing.
struct Conversation<S> {
    shared: Arc<Shared>,
    client: Client,
    connection: Connection<S, Bytes>,
    requests: Requests,
    phase: Phase,
    /// When a connection without requests under way takes its next step to its end.
    until: Instant,
    abandoned: usize,
}

/// Answers the requests of a connection until it is idle for too long, its client closes it, or the server stops.
pub(super) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    shared: Arc<Shared>,
    client: Origin,
    lane: Lane,
    connection: Connection<S, Bytes>,
    stop: StopToken,
) {
    let conversation = Conversation {
        client: shared.gate.client(client, lane),
        shared,
        connection,
        requests: Requests::default(),
        phase: Phase::Open,
        until: Instant::now() + idle_time(0),
        abandoned: 0,
    };
    conversation.run(stop).await;
}

/// How long a connection may be idle after a reply of `bytes`. The client may still be receiving them.
fn idle_time(bytes: usize) -> Duration {
    let receiving = slowest(bytes.min(KERNEL_BUFFER_MAX_BYTES) as u64);
    Duration::from_millis(u64::from(IDLE_TIMEOUT_MS)) + receiving
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    async fn run(mut self, stop: StopToken) {
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                () = stop.stopped(), if !stopping => {
                    stopping = true;
                    self.until = Instant::now() + self.stop_time();
                }
                Some(ended) = self.requests.0.join_next() => {
                    match ended {
                        Ok(Outcome::Answered(bytes)) if !stopping => {
                            self.until = Instant::now() + idle_time(bytes);
                        }
                        Ok(Outcome::Abandoned) => self.abandoned += 1,
                        // A failed service has said so itself.
                        Ok(Outcome::Answered(_)) | Err(_) => {}
                    }
                    if self.abandoned > ABANDONED_MAX {
                        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                }
                accepted = self.connection.accept() => match accepted {
                    Some(Ok((request, respond))) => self.admit(request, respond),
                    // The connection has ended. What the client did wrong is not worth a record.
                    Some(Err(_)) | None => return,
                },
                () = sleep_until(self.until), if self.requests.0.is_empty() => {
                    if self.phase == Phase::Closing {
                        return;
                    }
                    self.close();
                    self.until = Instant::now() + Duration::from_millis(CLOSE_TIMEOUT_MS);
                }
            }
            if stopping && self.phase == Phase::Open && self.requests.0.is_empty() {
                self.close();
            }
        }
    }

    /// How long the connection may last after the server was told to stop.
    fn stop_time(&self) -> Duration {
        match self.requests.0.is_empty() && !self.connection.has_streams() {
            true => Duration::from_millis(CLOSE_TIMEOUT_MS),
            false => self.shared.gate.limits.stop_timeout,
        }
    }

    /// Tells the client to open no more streams. The connection ends after the last reply.
    fn close(&mut self) {
        self.phase = Phase::Closing;
        self.connection.graceful_shutdown();
    }

    /// Starts the task of a request, or refuses the request.
    fn admit(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let gate = &self.shared.gate;
        gate.counters.requested();
        if !is_head(&request) {
            return respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        let (shared, client) = (Arc::clone(&self.shared), self.client);
        let task = async move {
            let Some((slot, caller)) = shared.gate.slot(client).await else {
                shared.gate.counters.busy();
                respond.send_reset(reason_of(BUSY));
                return Outcome::Answered(0);
            };
            answer(&shared, client, (request.into_body(), respond), slot, caller).await
        };
        self.requests.0.spawn(task);
    }
}

/// Sends the reply to one request. Dropping it resets the stream, unless the reply was finished.
struct Replier {
    respond: SendResponse<Bytes>,
    code: Code,
    finished: bool,
}

impl Replier {
    /// Resets the stream with `code` now.
    fn refuse(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Replier {
    fn drop(&mut self) {
        if !self.finished {
            self.respond.send_reset(reason_of(self.code));
        }
    }
}

/// Reads one request, calls the service, and sends the reply.
async fn answer(
    shared: &Shared,
    client: Client,
    (mut body, respond): (RecvStream, SendResponse<Bytes>),
    slot: RequestSlot,
    caller: Caller,
) -> Outcome {
    let gate = &shared.gate;
    // If the service panics, the stream is reset with this code. The client does not take it for an empty reply.
    let mut replier = Replier {
        respond,
        code: Code::Failed,
        finished: false,
    };
    let (request, slot) = match read_request(gate, client, &mut body, slot).await {
        Ok(request) => request,
        Err(Some(code)) => {
            if code == BUSY {
                gate.counters.busy();
            }
            replier.refuse(code);
            return Outcome::Answered(0);
        }
        Err(None) => {
            replier.refuse(Code::Abandoned);
            return Outcome::Abandoned;
        }
    };
    let Some(reply) = gate.reply(client, request, &slot, caller).await else {
        return Outcome::Answered(0);
    };
    let permit = slot.without_bytes();
    let bytes = reply.len();
    let counted = u32::try_from(bytes).unwrap_or(u32::MAX);
    // With room for the reply beside the requests, a slow client takes no slot from another one.
    let room = shared.replies.clone().try_acquire_many_owned(counted).ok();
    let is_slow_allowed = room.is_some();
    let _slot = if is_slow_allowed { None } else { Some(permit) };
    replier.finished = deliver(gate, &mut replier.respond, reply.into(), is_slow_allowed)
        .await
        .is_some();
    Outcome::Answered(bytes)
}

/// Hands the reply to the connection, as the client takes it. `None` if the client is too slow or gone.
///
/// A client must take a reply within the time limit of a stream. If it `may_be_slow`, it has in addition the time of the
/// bytes so far on the slowest line.
async fn deliver(
    gate: &Gate,
    respond: &mut SendResponse<Bytes>,
    mut reply: Bytes,
    may_be_slow: bool,
) -> Option<()> {
    let began = Instant::now();
    let mut stream = respond.send_response(Response::new(()), reply.is_empty()).ok()?;
    let mut sent = 0;
    while !reply.is_empty() {
        let extra = if may_be_slow {
            slowest(sent)
        } else {
            Duration::ZERO
        };
        let until = began + gate.limits.stream_timeout + extra;
        let room = timeout_at(until, room(&mut stream, reply.len())).await.ok()??;
        sent += room as u64;
        let part = reply.split_to(room);
        stream.send_data(part, reply.is_empty()).ok()?;
    }
    Some(())
}

impl Chunks for RecvStream {
    async fn next(&mut self) -> Result<Option<Bytes>, Gone> {
        let Some(part) = self.data().await else {
            return Ok(None);
        };
        let part = part.map_err(|_| Gone)?;
        // An error means that the stream has ended.
        let _ended = self.flow_control().release_capacity(part.len());
        Ok(Some(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Service;
    use crate::process::{Stopper, stop_pair};
    use crate::tcp::http::{client_builder, code_of, head, server_builder};
    use crate::tcp::stream::Lingering;
    use crate::transport::{STREAM_TIMEOUT_MS, ServerLimits};
    use async_trait::async_trait;
    use h2::client::{ResponseFuture, SendRequest};
    use std::net::Ipv4Addr;
    use tokio::io::DuplexStream;
    use tokio::task::JoinHandle;

    const WORK: Duration = Duration::from_secs(100);
    const REPLY_BYTES: usize = 300_000;

    /// A service that works for a long time and then sends a long reply.
    struct Slow;

    #[async_trait]
    impl Service for Slow {
        async fn call(&self, _: Lane, _: Vec<u8>) -> Vec<u8> {
            tokio::time::sleep(WORK).await;
            vec![7; REPLY_BYTES]
        }
    }

    /// A conversation, with the client's end of it.
    async fn conversation() -> (JoinHandle<()>, Stopper, DuplexStream) {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let (stopper, stop) = stop_pair();
        let shared = Shared::new(Gate::new(Arc::new(Slow), ServerLimits::default()));
        let client = Origin::of(Ipv4Addr::LOCALHOST.into());
        let server = tokio::spawn(async move {
            let shaking = server_builder(4).handshake(Lingering::new(far));
            converse(shared, client, Lane::Anonymous, shaking.await.unwrap(), stop).await;
        });
        (server, stopper, near)
    }

    /// A request under way. The server sends at most `window` bytes of its reply at once.
    async fn request(near: DuplexStream, window: u32) -> (SendRequest<Bytes>, ResponseFuture) {
        let mut builder = client_builder();
        builder.initial_window_size(window);
        let (requests, connection) = builder.handshake(near).await.unwrap();
        tokio::spawn(connection);
        let mut requests = requests.ready().await.unwrap();
        let (response, _) = requests.send_request(head(), true).unwrap();
        (requests, response)
    }

    /// How long `ended` takes, which is between these numbers of seconds.
    async fn assert_takes(ended: impl Future, least: u64, most: u64) {
        let began = Instant::now();
        ended.await;
        let took = began.elapsed();
        let range = Duration::from_secs(least)..Duration::from_secs(most);
        assert!(range.contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_closed() {
        let idle_secs = u64::from(IDLE_TIMEOUT_MS) / 1_000;
        // A client that goes on reading, and one that does not.
        for is_reading in [true, false] {
            let (server, _stopper, near) = conversation().await;
            let (_requests, connection) = client_builder().handshake::<_, Bytes>(near).await.unwrap();
            let mut connection = Box::pin(connection);
            if is_reading {
                assert_takes(&mut connection, idle_secs, idle_secs + 1).await;
                assert_takes(server, 0, 1).await;
            } else {
                // The preface of a client is written before its connection runs.
                assert_takes(server, idle_secs, idle_secs + 2).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_keeps_its_connection() {
        let (server, _stopper, near) = conversation().await;
        let (_requests, response) = request(near, 1_000_000).await;
        let began = Instant::now();
        let mut body = response.await.unwrap().into_body();
        assert!(began.elapsed() >= WORK);
        let mut bytes = 0;
        while let Some(part) = body.data().await {
            bytes += part.unwrap().len();
        }
        assert_eq!(bytes, REPLY_BYTES);
        // The client may still be receiving, as far as the server knows.
        let least = idle_time(REPLY_BYTES).as_secs();
        assert_takes(server, least, least + 2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_gets_its_reply_and_one_that_stands_still_does_not() {
        let (_server, _stopper, near) = conversation().await;
        let (_requests, response) = request(near, 20_000).await;
        let mut body = response.await.unwrap().into_body();
        let (mut bytes, began) = (0, Instant::now());
        while let Some(part) = body.data().await {
            let part = part.unwrap().len();
            bytes += part;
            tokio::time::sleep(slowest(part as u64)).await;
            let _ended = body.flow_control().release_capacity(part);
        }
        assert_eq!(bytes, REPLY_BYTES);
        assert!(began.elapsed() > Duration::from_millis(10 * STREAM_TIMEOUT_MS));

        let (_server, _stopper, near) = conversation().await;
        let (_requests, response) = request(near, 20_000).await;
        let mut body = response.await.unwrap().into_body();
        tokio::time::sleep(Duration::from_secs(100)).await;
        let error = loop {
            match body.data().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason().and_then(code_of), Some(Code::Failed));
    }
}
