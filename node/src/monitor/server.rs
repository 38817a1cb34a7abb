//! The HTTP port. Every connection carries one request, and has a bound on its head and on its time.

use super::answers::Answers;
use super::listen::{Listen, ListenError};
use super::recorder::Recorder;
use super::source::Monitored;
use crate::process::StopToken;
use farthing_store::clock::{Clock, SystemClock};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The maximum number of connections. More wait to be accepted.
const CONNECTIONS_MAX: usize = 16;

/// The time in which the head of a request must arrive (ms).
const HEAD_TIMEOUT_MS: u64 = 3_000;

/// The time of a connection, from its first byte to its last (ms).
const CONNECTION_TIMEOUT_MS: u64 = 10_000;

/// The longest head of a request (bytes).
const HEAD_MAX_BYTES: usize = 8 * 1024;

/// The maximum number of headers of a request.
const HEADERS_MAX: usize = 64;

/// The pause after a connection could not be accepted (ms). Mostly there are no free file descriptors.
const ACCEPT_PAUSE_MS: u64 = 100;

/// The port of a node that is starting.
#[derive(Debug)]
pub struct MonitorServer {
    listener: TcpListener,
    listen: Listen,
    address: SocketAddr,
}

impl MonitorServer {
    /// Listens on a checked address. Must be called within a runtime.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub(crate) async fn bind(listen: Listen) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind {
            address: listen.address,
            source,
        };
        let listener = TcpListener::bind(listen.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(page = %format_args!("http://{address}/"), "metrics, health and a page are on this port");
        Ok(Self {
            listener,
            listen,
            address,
        })
    }

    /// The address on which it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Reads `node` once a minute, and answers until `stop`.
    pub(crate) async fn run(self, node: Arc<dyn Monitored>, stop: StopToken) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let answers = Arc::new(Answers {
            listen: self.listen,
            recorder: Recorder::new(Arc::clone(&node), Arc::clone(&clock)),
            node,
            clock,
            stop: stop.clone(),
        });
        tokio::join!(
            answers.recorder.run(&stop),
            self.accept(Arc::clone(&answers), &stop)
        );
    }

    async fn accept(self, answers: Arc<Answers>, stop: &StopToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((self.listener.accept().await, place))
            };
            let (accepted, place) = tokio::select! {
                biased;
                () = stop.stopped() => break,
                accepted = accepted => match accepted {
                    Some(accepted) => accepted,
                    None => break,
                },
            };
            match accepted {
                Ok((stream, _)) => {
                    let answers = Arc::clone(&answers);
                    tokio::spawn(async move {
                        serve_one(stream, answers).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for the metrics");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }
}

/// Answers one request. Its client sees errors of the connection itself.
async fn serve_one(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answers = Arc::clone(&answers);
        async move {
            let (head, _unread) = request.into_parts();
            Ok::<_, Infallible>(answers.answer(&head))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_TIMEOUT_MS))
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _gone = timeout(Duration::from_millis(CONNECTION_TIMEOUT_MS), serving).await;
}
