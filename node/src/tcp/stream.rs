//! TCP streams: one that counts what it carries, and one that closes only after its peer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::transport::timer::{millis, slowest};

/// The send buffer that a client asks the kernel for (bytes). What is in it counts as under way. So a small one lets a
/// call end soon after the line is lost.
pub(super) const CLIENT_BUFFER_BYTES: usize = 64 * 1024;

/// The time after which the kernel gives a connection up, if the peer acknowledges nothing (ms).
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MS: u32 = crate::transport::IDLE_TIMEOUT_MS;

/// The size of the buffer for bytes that nobody reads (bytes).
const DISCARD_BYTES: usize = 1024;

/// Sets the options of a socket. A socket works without them too.
pub(super) fn prepare(stream: &TcpStream) {
    let _granted = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _granted = sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS);
}

/// Limits the send buffer of a client's socket. A socket works without the limit too.
pub(super) fn limit_buffer(stream: &TcpStream) {
    let _granted = sockopt::set_socket_send_buffer_size(stream, CLIENT_BUFFER_BYTES);
}

/// What a connection has carried.
#[derive(Debug)]
pub(super) struct Traffic {
    began: Instant,
    /// Bytes that have arrived, and bytes that the kernel has taken.
    carried: AtomicU64,
    /// When the kernel has last taken bytes (ms since `began`).
    last_write_ms: AtomicU64,
}

impl Traffic {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            carried: AtomicU64::new(0),
            last_write_ms: AtomicU64::new(0),
        }
    }

    /// A number that changes while a request of `bytes` makes progress: bytes arrive, the kernel takes bytes, or what it
    /// has taken last may still be on its way over the slowest line. An acknowledgement cannot be seen.
    pub(super) fn progress(&self, bytes: usize) -> u64 {
        let most = slowest(bytes.min(CLIENT_BUFFER_BYTES) as u64);
        let last_write = Duration::from_millis(self.last_write_ms.load(Ordering::Relaxed));
        let since = self.began.elapsed().saturating_sub(last_write);
        let carried = self.carried.load(Ordering::Relaxed);
        carried.saturating_add(millis(since.min(most)))
    }

    fn wrote(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_write_ms
            .store(millis(self.began.elapsed()), Ordering::Relaxed);
    }
}

/// A stream of a client that counts what it carries.
#[derive(Debug)]
pub(super) struct CountedStream {
    stream: TcpStream,
    traffic: Arc<Traffic>,
}

impl CountedStream {
    /// Counts what `stream` carries. Returns the counts too.
    pub(super) fn new(stream: TcpStream) -> (Self, Arc<Traffic>) {
        let traffic = Arc::new(Traffic::new());
        let counted = Self {
            stream,
            traffic: Arc::clone(&traffic),
        };
        (counted, traffic)
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len().saturating_sub(before);
        self.traffic.carried.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.traffic.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream of a server whose shutdown ends when its peer has closed too.
///
/// A kernel that has closed a socket answers later bytes with a reset. Then the peer loses what it has not read yet, for
/// example the rest of a reply.
#[derive(Debug)]
pub(super) struct Lingering<S> {
    stream: S,
    is_shut: bool,
}

impl<S> Lingering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            is_shut: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        let mut discarded = [0; DISCARD_BYTES];
        loop {
            let mut buf = ReadBuf::new(&mut discarded);
            // A peer that is gone has closed too.
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
