//! A line to a server that counts round trips, and can be cut around a batch.

use crate::cluster::{Cluster, url};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The name of PostgreSQL's sockets.
const SOCKET: &str = ".s.PGSQL.5432";

/// Words of the statement that appends a batch.
const APPEND: &[u8] = b"WITH moved AS";

/// Where the line is cut, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The batch does not reach the server.
    Before,
    /// The batch is durable, and its acknowledgement does not reach the process.
    After,
    /// The connection ends for the process, and the batch reaches the server so much later.
    Late(Duration),
}

#[derive(Default)]
struct Shared {
    round_trips: AtomicUsize,
    cut: Mutex<Option<Cut>>,
    cuts: AtomicUsize,
}

/// A line to a server, over a Unix socket of its own.
pub struct Line {
    dir: TempDir,
    shared: Arc<Shared>,
}

/// One message of the protocol, with its head.
struct Message {
    tag: u8,
    bytes: Vec<u8>,
}

/// Reads one message. The first one of a client has no tag.
fn message(from: &mut UnixStream, has_tag: bool) -> io::Result<Message> {
    let mut head = vec![0; if has_tag { 5 } else { 4 }];
    from.read_exact(&mut head)?;
    let length: [u8; 4] = head[head.len() - 4..].try_into().unwrap();
    let begin = head.len();
    let tag = if has_tag { head[0] } else { 0 };
    head.resize(begin + u32::from_be_bytes(length) as usize - 4, 0);
    from.read_exact(&mut head[begin..])?;
    Ok(Message { tag, bytes: head })
}

/// The bytes up to the next zero.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl Line {
    /// A line to `cluster`.
    pub fn to(cluster: &Cluster) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("farthing-line-")
            .tempdir()
            .unwrap();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let server = cluster.socket_dir().join(SOCKET);
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, server) = (Arc::clone(&own), server.clone());
                thread::spawn(move || drop(carry(client, &server, &shared)));
            }
        });
        Self { dir, shared }
    }

    /// The URL of a store in this schema, over the line.
    pub fn url(&self, schema: &str) -> String {
        url(self.dir.path(), schema)
    }

    /// Cuts the line at the next batch.
    pub fn cut_next(&self, cut: Cut) {
        *self.shared.cut.lock().unwrap() = Some(cut);
    }

    /// How often the line was cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// The number of round trips until now.
    pub fn round_trips(&self) -> usize {
        self.shared.round_trips.load(Ordering::SeqCst)
    }
}

/// Carries one connection.
fn carry(mut client: UnixStream, server: &PathBuf, shared: &Shared) -> io::Result<()> {
    let mut server = UnixStream::connect(server)?;
    let (mut replies, mut back) = (server.try_clone()?, client.try_clone()?);
    // The cut of the batch whose reply comes next.
    let after = Arc::new(Mutex::new(false));
    let swallow = Arc::clone(&after);
    thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(count) = replies.read(&mut bytes) {
            let swallow = *swallow.lock().unwrap();
            if count == 0 || swallow || back.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        drop(back.shutdown(Shutdown::Both));
    });
    let mut append = None;
    let mut has_tag = false;
    loop {
        let Message { tag, bytes } = message(&mut client, has_tag)?;
        has_tag = true;
        let body = bytes.get(5..).unwrap_or_default();
        match tag {
            b'S' => {
                shared.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            b'P' if body.windows(APPEND.len()).any(|part| part == APPEND) => {
                append = Some(text(body).to_vec())
            }
            b'B' => {
                let statement = text(body.get(text(body).len() + 1..).unwrap_or_default());
                let cut = match append.as_deref() == Some(statement) {
                    true => shared.cut.lock().unwrap().take(),
                    false => None,
                };
                if let Some(cut) = cut {
                    shared.cuts.fetch_add(1, Ordering::SeqCst);
                    match cut {
                        Cut::Before => return client.shutdown(Shutdown::Both),
                        Cut::After => *after.lock().unwrap() = true,
                        Cut::Late(time) => return late(&mut client, &mut server, &bytes, time),
                    }
                }
            }
            _ => {}
        }
        server.write_all(&bytes)?;
    }
}

/// Takes the rest of the batch from the client, ends the connection, and hands the batch to the server later.
fn late(client: &mut UnixStream, server: &mut UnixStream, bind: &[u8], time: Duration) -> io::Result<()> {
    let mut batch = bind.to_vec();
    loop {
        let Message { tag, bytes } = message(client, true)?;
        batch.extend(bytes);
        if tag == b'S' {
            break;
        }
    }
    client.shutdown(Shutdown::Both)?;
    thread::sleep(time);
    server.write_all(&batch)?;
    // Until the server has answered.
    thread::sleep(Duration::from_millis(500));
    Ok(())
}
