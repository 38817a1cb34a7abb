//! The other side of the probe of real processes: hears of each point that they reach, and has them wait there.
//!
//! A process that was started with [`PROBE_VARIABLE`](farthing_node::probe::PROBE_VARIABLE) naming this socket stands
//! still at each point (only the task or thread that reached it does) until its [`Reached`] is dropped. So a script
//! reads them in order, and before it drops one it may cut a line, kill a process, or keep it for as long as it likes.

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

/// The longest line that says which point is reached (bytes).
const LINE_MAX_BYTES: u64 = 256;

/// How long a process may take to say it.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most points that wait to be looked at; processes whose points are beyond stand still.
const WAITING_MAX: usize = 1024;

/// Who reached a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The customer's wallet, whichever command of it runs.
    Wallet,
    /// A node.
    Node(RoleName),
}

/// A question to a server, or the answer to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Who is asked.
    pub server: RoleName,
    /// What is asked.
    pub question: String,
}

impl Message {
    /// Whether this is asked.
    #[must_use]
    pub fn asks(&self, question: Question) -> bool {
        self.question == question.name()
    }
}

/// What happens at a point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The party is about to ask this.
    BeforeAsking(Message),
    /// It was asked this.
    Asked(Message),
    /// It is about to answer this.
    BeforeAnswering(Message),
    /// The answer to this is here.
    Answered(Message),
    /// It gave up waiting for the answer.
    Unanswered(Message),
    /// Something of its store, by the names in [`farthing_node::probe`].
    Store(String),
}

/// A point that a process has reached. It goes on when this is dropped.
#[derive(Debug)]
pub struct Reached {
    /// When it was heard of.
    pub at: Instant,
    /// Who reached it.
    pub party: Party,
    /// What happens there.
    pub point: Point,
    /// The process stands still for as long as the connection is open.
    waiting: UnixStream,
}

impl Reached {
    /// The process, as the kernel knows it.
    #[must_use]
    pub fn process_id(&self) -> Option<i32> {
        self.waiting.peer_cred().ok().and_then(|cred| cred.pid())
    }

    /// Lets the process go on; the same as dropping it, for whoever wants to say so.
    pub fn go(self) {}
}

/// Hears of the points that processes reach, in the order in which they do.
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
    /// Listens on a new socket at `path`, which is short (at most about 100 bytes, as all addresses of such sockets).
    ///
    /// # Errors
    /// When there is no socket to be had there.
    pub fn listen(path: &Path) -> io::Result<Points> {
        let listener = UnixListener::bind(path)?;
        let (tell, reached) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            // One after the other, which keeps their order; a line is there as soon as its connection is.
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

    /// The next point that is reached. Never returns nothing: whoever has enough waits for something else as well.
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
        // Nobody is held up by a socket that nobody listens on.
        drop(points);
        tokio::task::yield_now().await;
        SocketProbe::new(dir.clone(), "bank").reached(AFTER_SYNC);
        std::fs::remove_file(dir).unwrap();
    }
}
