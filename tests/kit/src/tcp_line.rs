//! A line over TCP to one server. It can be cut in the middle of a reply.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// The bytes that are carried at once.
const CHUNK_BYTES: usize = 1024;

/// A running line. It ends when it is dropped.
#[derive(Debug)]
pub struct TcpLine {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Shared {
    connections: AtomicUsize,
    /// After how many bytes from the server the next connection is cut.
    cut: Mutex<Option<usize>>,
}

impl Drop for TcpLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TcpLine {
    /// Starts a line to `server`.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn start(server: SocketAddr) -> io::Result<TcpLine> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                own.connections.fetch_add(1, Ordering::SeqCst);
                let cut = own.cut.lock().unwrap_or_else(PoisonError::into_inner).take();
                clients.spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        carry(client, server, cut).await;
                    }
                });
            }
        });
        Ok(TcpLine {
            address,
            shared,
            task: task.abort_handle(),
        })
    }

    /// The address of the line. Nobody listens there on UDP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Cuts the next connection after this many bytes from the server.
    pub fn cut_next_after(&self, bytes: usize) {
        *self.shared.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    /// Whether the connection that was to be cut has begun.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.shared
            .cut
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }
}

/// Carries bytes in both directions, until one side closes or `cut` bytes have come from the server.
pub(crate) async fn carry(client: TcpStream, server: TcpStream, cut: Option<usize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let _ended = copy(&mut from_client, &mut to_server).await;
        // The other direction may go on.
        let _closed = to_server.shutdown().await;
        if cut.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    };
    let down = async {
        let mut left = cut.unwrap_or(usize::MAX);
        let mut chunk = [0; CHUNK_BYTES];
        while left > 0 {
            let most = left.min(CHUNK_BYTES);
            let Some(room) = chunk.get_mut(..most) else { return };
            let read = match from_server.read(room).await {
                Ok(read) if read > 0 => read,
                _ => return,
            };
            let Some(bytes) = chunk.get(..read) else { return };
            if to_client.write_all(bytes).await.is_err() {
                return;
            }
            left -= read;
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
