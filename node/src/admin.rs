//! The local administration socket of a running node.
//!
//! It is a Unix domain socket in the node's directory. Only the directory's owner can use it. A client writes one line of
//! JSON and reads one line: `{"ok": ...}` or `{"error": "..."}`. So a command that changes money goes through the node
//! that owns the store. A command opens the store itself only if no node runs.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::process::StopToken;

/// The name of the socket in the node's directory.
pub const ADMIN_SOCKET: &str = "admin.sock";

/// The longest request (bytes).
pub const ADMIN_REQUEST_MAX_BYTES: u64 = 1024 * 1024;

/// The longest reply (bytes).
pub const ADMIN_REPLY_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The most commands at once. Further commands wait.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;

/// How long a client may take to send its request, or to read its reply (ms).
pub const ADMIN_LINE_TIMEOUT_MS: u64 = 10_000;

/// How long a client waits for the reply (ms).
pub const ADMIN_REPLY_TIMEOUT_MS: u64 = 60_000;

/// How long a client waits for the reply to a long command (ms). An audit counts every row. With ten million coins it took
/// 130 s on a busy machine.
pub const ADMIN_WORK_TIMEOUT_MS: u64 = 300_000;

/// The longest path of a socket in the operating system (bytes).
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// The handler of an operator's commands.
#[async_trait]
pub trait AdminHandler: Send + Sync {
    /// Executes `request` and returns its reply.
    ///
    /// # Errors
    /// A message for the operator: what happened, what it means, what to do.
    async fn admin(&self, request: Value) -> Result<Value, String>;
}

/// The JSON of a reply.
///
/// # Errors
/// A message for the operator.
pub fn reply(reply: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(reply).map_err(|e| e.to_string())
}

/// An error of a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The socket cannot be created or used.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another node answers on the socket.
    #[error("another node is already running in {dir}; stop it first", dir = dir.display())]
    AlreadyRunning {
        /// The directory.
        dir: PathBuf,
    },
    /// The path of the socket is another kind of file.
    #[error("{path} is not a socket; move it away", path = path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The node refused the command.
    #[error("{0}")]
    Refused(String),
    /// The node took too long.
    #[error("the running node has not answered within {waited_ms} ms; whether it has acted is unknown")]
    TimedOut {
        /// How long the client waited (ms).
        waited_ms: u64,
    },
    /// The reply is not valid.
    #[error("the running node's reply is not understood: {0}; is it of another version than this command?")]
    Malformed(String),
}

/// A reply, as a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Ok(Value),
    Error(String),
}

/// The socket of a node that is starting.
#[derive(Debug)]
pub struct AdminServer {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminServer {
    /// Creates the socket in `dir`. The socket of a killed node is replaced. The socket of a running node is not.
    ///
    /// # Errors
    /// [`AdminError::AlreadyRunning`], [`AdminError::NotASocket`], [`AdminError::Io`].
    pub async fn bind(dir: &Path) -> Result<Self, AdminError> {
        let path = dir.join(ADMIN_SOCKET);
        let io = |source| io_error(&path, source);
        let short = ShortPath::of(dir).map_err(io)?;
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(AdminError::NotASocket { path });
            }
            Ok(_) => {
                if UnixStream::connect(&short.path).await.is_ok() {
                    return Err(AdminError::AlreadyRunning { dir: dir.to_owned() });
                }
                fs::remove_file(&path).map_err(io)?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
        // The mode of the directory protects the socket until the socket has its own mode.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io)?;
        let listener = UnixListener::bind(&short.path).map_err(io)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        Ok(Self { listener, path })
    }

    /// Answers until `stop`. Then waits for the commands under way and removes the socket.
    pub async fn run(self, handler: Arc<dyn AdminHandler>, stop: StopToken) {
        let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
        loop {
            let accepted = async {
                let place = places.clone().acquire_owned().await.ok()?;
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
                    let handler = handler.clone();
                    tokio::spawn(async move {
                        serve_one(stream, &*handler).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Usually there are no free file descriptors. During the pause others may close some.
                    tracing::warn!(%error, "cannot accept an administration command");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let all = u32::try_from(ADMIN_CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let timeout = Duration::from_millis(ADMIN_LINE_TIMEOUT_MS);
        let _all_done = tokio::time::timeout(timeout, places.acquire_many(all)).await;
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "cannot remove the administration socket");
        }
    }
}

/// Creates the socket in `dir` and answers until `stop`.
///
/// # Errors
/// Those of [`AdminServer::bind`].
pub async fn serve_admin(
    dir: &Path,
    handler: Arc<dyn AdminHandler>,
    stop: StopToken,
) -> Result<(), AdminError> {
    AdminServer::bind(dir).await?.run(handler, stop).await;
    Ok(())
}

/// Sends `request` to the node that runs in `dir` and returns its reply. `None` if no node runs there.
///
/// # Errors
/// [`AdminError::Refused`] is the answer of the node. The other errors mean that no answer came.
pub async fn admin_call(dir: &Path, request: &Value) -> Result<Option<Value>, AdminError> {
    admin_call_within(dir, request, ADMIN_REPLY_TIMEOUT_MS).await
}

/// As [`admin_call`], waiting for the reply for `timeout_ms` at most.
pub(crate) async fn admin_call_within(
    dir: &Path,
    request: &Value,
    timeout_ms: u64,
) -> Result<Option<Value>, AdminError> {
    let path = dir.join(ADMIN_SOCKET);
    let io = |source| io_error(&path, source);
    let short = match ShortPath::of(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        short => short.map_err(io)?,
    };
    let stream = match UnixStream::connect(&short.path).await {
        Ok(stream) => stream,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(io(e)),
    };
    let exchange = async {
        let (read, mut write) = stream.into_split();
        write.write_all(&line_of(request)?).await?;
        read_line(read, ADMIN_REPLY_MAX_BYTES).await
    };
    let line = tokio::time::timeout(Duration::from_millis(timeout_ms), exchange)
        .await
        .map_err(|_| AdminError::TimedOut {
            waited_ms: timeout_ms,
        })?
        .map_err(io)?;
    match serde_json::from_slice(&line) {
        Ok(Reply::Ok(value)) => Ok(Some(value)),
        Ok(Reply::Error(message)) => Err(AdminError::Refused(message)),
        Err(e) => Err(AdminError::Malformed(e.to_string())),
    }
}

/// Answers one request. Errors of the connection are ignored, as the command at its other end reports them.
async fn serve_one(stream: UnixStream, handler: &dyn AdminHandler) {
    let (read, mut write) = stream.into_split();
    let timeout = Duration::from_millis(ADMIN_LINE_TIMEOUT_MS);
    let Ok(Ok(line)) = tokio::time::timeout(timeout, read_line(read, ADMIN_REQUEST_MAX_BYTES)).await else {
        return;
    };
    let reply = match serde_json::from_slice(&line) {
        Ok(request) => handler.admin(request).await.map_or_else(Reply::Error, Reply::Ok),
        Err(e) => Reply::Error(format!("the request is not a line of JSON: {e}")),
    };
    if let Ok(line) = line_of(&reply) {
        let _gone = tokio::time::timeout(timeout, write.write_all(&line)).await;
    }
}

/// `value` as one line.
fn line_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads one line of at most `max_bytes`. The line must be complete.
async fn read_line(read: impl tokio::io::AsyncRead + Unpin, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(read.take(max_bytes))
        .read_until(b'\n', &mut line)
        .await?;
    if line.pop() != Some(b'\n') {
        let message = format!("expected a line of at most {max_bytes} bytes, got none that ended");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(line)
}

/// A path to the socket that is short enough for the operating system (about one hundred bytes).
struct ShortPath {
    path: PathBuf,
    /// Keeps the directory open while the path is used.
    _dir: Option<fs::File>,
}

impl ShortPath {
    /// The plain path if it is short enough, otherwise a path through an open directory.
    fn of(dir: &Path) -> io::Result<Self> {
        let plain = dir.join(ADMIN_SOCKET);
        if plain.as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
            return Ok(Self {
                path: plain,
                _dir: None,
            });
        }
        let open = fs::File::open(dir)?;
        let detour = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        if !detour.exists() {
            let message = format!(
                "the path of the socket has {} bytes, at most {SOCKET_PATH_MAX_BYTES} are possible; use a shorter \
                 directory, or name it by a path relative to where you are",
                plain.as_os_str().len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(Self {
            path: detour.join(ADMIN_SOCKET),
            _dir: Some(open),
        })
    }
}

fn io_error(path: &Path, source: io::Error) -> AdminError {
    AdminError::Io {
        path: path.to_owned(),
        source,
    }
}
