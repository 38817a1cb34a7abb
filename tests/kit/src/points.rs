//! The listener of the probe of real processes: it hears of each point that they reach, and makes them wait there.
//!
//! A process whose [`PROBE_VARIABLE`](farthing_node::probe::PROBE_VARIABLE) names this socket stops at each point until
//! its [`Reached`] is dropped. Only the task or thread that reached the point stops. So a script reads the points in
//! order. Before it drops one, it may cut a line, kill a process, or wait.

use farthing_node::{
    card::RoleName,
    probe::{ANSWERED, ASKED, BEFORE_ANSWERING, BEFORE_ASKING, UNANSWERED},
};
use farthing_protocol::api::Question;
use std::{io, path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// The longest line that names a reached point (bytes).
const LINE_MAX_BYTES: u64 = 256;

/// The most time that a process may take to name it.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most points in the queue. Processes with further points wait.
const WAITING_MAX: usize = 1024;

/// The party that reached a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The customer's wallet, in any of its commands.
    Wallet,
    /// A node.
    Node(RoleName),
}

/// A request to a server, or the reply to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// The server.
    pub server: RoleName,
    /// The kind of request.
    pub question: String,
}

impl Message {
    /// Whether it is this request.
    #[must_use]
    pub fn asks(&self, question: Question) -> bool {
        self.question == question.name()
    }
}

/// The event at a point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The party is about to send this request.
    BeforeAsking(Message),
    /// The party has received this request.
    Asked(Message),
    /// The party is about to reply to this request.
    BeforeAnswering(Message),
    /// The party has received the reply to this request.
    Answered(Message),
    /// The party stopped waiting for the reply.
    Unanswered(Message),
    /// An event of its store, by the names in [`farthing_node::probe`].
    Store(String),
}

/// A point that a process has reached. The process goes on when this is dropped.
#[derive(Debug)]
pub struct Reached {
    /// The time of the report.
    pub at: Instant,
    /// The party that reached the point.
    pub party: Party,
    /// The event at the point.
    pub point: Point,
    /// The process waits while this connection is open.
    waiting: UnixStream,
}

impl Reached {
    /// The process's id.
    #[must_use]
    pub fn process_id(&self) -> Option<i32> {
        self.waiting.peer_cred().ok().and_then(|cred| cred.pid())
    }

    /// Lets the process go on. The same as dropping it, but visible in the script.
    pub fn go(self) {}
}

/// Receives the points that processes reach, in their order.
#[derive(Debug)]
pub struct Points {
    reached: mpsc::Receiver<Reached>,
    task: JoinHandle<()>,
}

impl Drop for Points {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Points {
    /// Listens on a new socket at `path`, which must be short (about 100 bytes at most, like any Unix socket's).
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub fn listen(path: &Path) -> io::Result<Points> {
        let listener = UnixListener::bind(path)?;
        let (tell, reached) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            // One connection after the other, which keeps their order. A line follows once its connection is open.
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(Some(reached)) = timeout(LINE_TIMEOUT, read(stream)).await
                    && tell.send(reached).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(Points { reached, task })
    }

    /// Waits for the next point. It has no time limit: a caller that wants to stop waits for another event as well.
    pub async fn next(&mut self) -> Reached {
        match self.reached.recv().await {
            Some(reached) => reached,
            None => std::future::pending().await,
        }
    }
}

async fn read(stream: UnixStream) -> Option<Reached> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    (&mut reader)
        .take(LINE_MAX_BYTES)
        .read_line(&mut line)
        .await
        .ok()?;
    let mut fields = line.trim_end_matches('\n').split('\t');
    let (party, point, message) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Reached {
        at: Instant::now(),
        party: party_of(party)?,
        point: point_of(point, message)?,
        waiting: reader.into_inner(),
    })
}

fn party_of(name: &str) -> Option<Party> {
    match name {
        "wallet" => Some(Party::Wallet),
        role => role.parse().ok().map(Party::Node),
    }
}

fn point_of(point: &str, message: &str) -> Option<Point> {
    let kind = match point {
        BEFORE_ASKING => Point::BeforeAsking,
        ASKED => Point::Asked,
        BEFORE_ANSWERING => Point::BeforeAnswering,
        ANSWERED => Point::Answered,
        UNANSWERED => Point::Unanswered,
        store => return Some(Point::Store(store.to_owned())),
    };
    let (server, question) = message.split_once(' ')?;
    Some(kind(Message {
        server: server.parse().ok()?,
        question: question.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_node::probe::{MessageProbe, socket::SocketProbe};
    use farthing_store::probe::{AFTER_SYNC, Probe};
    use std::thread;

    #[tokio::test]
    async fn a_process_stands_still_at_each_point_until_it_is_let_go() {
        let dir = std::env::temp_dir().join(format!("farthing-points-{}", std::process::id()));
        let mut points = Points::listen(&dir).unwrap();
        let probe = SocketProbe::new(dir.clone(), "escrow");
        let process = thread::spawn(move || {
            probe.message(BEFORE_ASKING, RoleName::Bank, "hold");
            probe.reached(AFTER_SYNC);
        });
        let first = points.next().await;
        let hold = Message {
            server: RoleName::Bank,
            question: "hold".into(),
        };
        assert_eq!(first.party, Party::Node(RoleName::Escrow));
        assert_eq!(first.point, Point::BeforeAsking(hold));
        assert_eq!(first.process_id(), i32::try_from(std::process::id()).ok());
        let early = timeout(Duration::from_millis(100), points.next()).await;
        assert!(early.is_err(), "it went on by itself: {early:?}");
        first.go();
        assert_eq!(points.next().await.point, Point::Store(AFTER_SYNC.into()));
        process.join().unwrap();
        // A socket without a listener delays no process.
        drop(points);
        tokio::task::yield_now().await;
        SocketProbe::new(dir.clone(), "bank").reached(AFTER_SYNC);
        std::fs::remove_file(dir).unwrap();
    }
}
