//! A line for datagrams between clients and one server, with configurable losses.
//!
//! A client that dials the line's address reaches the server. The line sees only encrypted QUIC.
//! Each direction has its own [`Gate`] and [`Faults`], which can change at any time. So a reply is lost
//! on the way, as in a real network, and no code of a wallet or a node takes part in it.

pub use gate::Gate;

use crate::faults::{DelayLine, Faults, Queue, delay_line};
use rustix::net::sockopt;
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    task::{AbortHandle, JoinHandle, JoinSet},
    time::{Instant, sleep},
};

/// The most clients at once. A new client replaces the one that was silent for longest.
pub const CLIENTS_MAX: usize = 1024;

/// The line forgets a client that sent nothing for this time.
pub const CLIENT_IDLE: Duration = Duration::from_secs(60);

/// The longest datagram (bytes).
const DATAGRAM_MAX_BYTES: usize = 65_535;

/// The receive buffer that each socket asks the kernel for (bytes). Only the faults should lose datagrams.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The pause after a socket's error, so that a stopped server does not keep a processor busy.
const ERROR_PAUSE: Duration = Duration::from_millis(1);

/// A direction of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From clients to the server.
    ToServer,
    /// From the server to its clients.
    ToClient,
}

impl Way {
    /// Both directions.
    pub const ALL: [Way; 2] = [Way::ToServer, Way::ToClient];
}

/// The counts of a direction's datagrams so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed, each counted once.
    pub passed: u64,
    /// Lost: by the gate, by chance, or because the queue was full.
    pub dropped: u64,
    /// Passed datagrams that arrived twice.
    pub repeated: u64,
    /// Passed datagrams that were delayed.
    pub delayed: u64,
}

/// A datagram on its way out: to a client through the line's own socket, or to the server through the client's.
struct Outgoing {
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl Outgoing {
    fn send(self) {
        // A full socket loses the datagram, like any other hop.
        let _lost = self.socket.try_send_to(&self.datagram, self.to);
    }
}

/// One direction.
struct Direction {
    state: Mutex<DirectionState>,
    later: DelayLine<Outgoing>,
}

#[derive(Default)]
struct DirectionState {
    gate: Gate,
    faults: Faults,
    counts: Counts,
    queue: Queue,
    /// The number of datagrams so far, which numbers the next one.
    arrived: u64,
}

impl Direction {
    fn state(&self) -> MutexGuard<'_, DirectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_on(&self, datagram: &[u8], socket: &Arc<UdpSocket>, to: SocketAddr) {
        let now = Instant::now();
        let (copies, datagram, due) = self.decide(datagram, now);
        for _ in 0..copies {
            let out = Outgoing {
                socket: Arc::clone(socket),
                to,
                datagram: datagram.to_vec(),
            };
            if due == now {
                out.send();
            } else if !self.later.put(due, out) {
                let counts = &mut self.state().counts;
                counts.dropped = counts.dropped.saturating_add(1);
            }
        }
    }

    /// How many copies of a datagram that comes now arrive, which part of it, and when. Datagrams of a queue stay in
    /// their order.
    fn decide<'a>(&self, datagram: &'a [u8], now: Instant) -> (u8, &'a [u8], Instant) {
        let mut state = self.state();
        let number = state.arrived;
        state.arrived = number.wrapping_add(1);
        let mut fate = state.faults.fate(number);
        let part = state.gate.part_of(datagram);
        if part.is_none() {
            fate.copies = 0;
        }
        let part = part.unwrap_or_default();
        let mut due = now;
        if fate.copies > 0 {
            let rate = state.faults.rate;
            match state.queue.pass(now, part.len(), rate) {
                Some(passed) => due = passed + Duration::from_millis(fate.delay_ms),
                None => fate.copies = 0,
            }
        }
        let counts = &mut state.counts;
        match fate.copies {
            0 => counts.dropped += 1,
            copies => {
                counts.passed += 1;
                counts.repeated += u64::from(copies > 1);
                counts.delayed += u64::from(due > now);
            }
        }
        (fate.copies, part, due)
    }
}

/// The state that all tasks of a line share.
struct Shared {
    target: SocketAddr,
    listen: Arc<UdpSocket>,
    to_server: Direction,
    to_client: Direction,
}

impl Shared {
    fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }
}

/// A running line. Dropping it stops the line.
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("address", &self.address)
            .field("target", &self.shared.target)
            .finish_non_exhaustive()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Line {
    /// Starts a line to `target`, on a free port of the loopback device.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn start(target: SocketAddr) -> io::Result<Line> {
        let loopback: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
        };
        let listen = bind(loopback).await?;
        let address = listen.local_addr()?;
        let (later, line_end) = delay_line();
        let direction = || Direction {
            state: Mutex::default(),
            later: later.clone(),
        };
        let shared = Arc::new(Shared {
            target,
            listen,
            to_server: direction(),
            to_client: direction(),
        });
        let tasks = [
            tokio::spawn(run(Arc::clone(&shared))),
            tokio::spawn(line_end.run(Outgoing::send)),
        ];
        Ok(Line {
            address,
            shared,
            tasks,
        })
    }

    /// The address that clients dial instead of the server's.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's address.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        self.shared.target
    }

    /// Sets the gate of one direction from now on.
    pub fn set_gate(&self, way: Way, gate: Gate) {
        self.shared.direction(way).state().gate = gate;
    }

    /// Sets the faults of one direction from now on. Datagrams are numbered from the line's start.
    pub fn set_faults(&self, way: Way, faults: Faults) {
        self.shared.direction(way).state().faults = faults;
    }

    /// Lets everything through again, in both directions.
    pub fn heal(&self) {
        for way in [Way::ToServer, Way::ToClient] {
            let mut state = self.shared.direction(way).state();
            state.gate = Gate::Pass;
            state.faults = Faults::default();
        }
    }

    /// The counts of one direction's datagrams so far.
    #[must_use]
    pub fn counts(&self, way: Way) -> Counts {
        self.shared.direction(way).state().counts
    }
}

/// A client of the line: the socket that the line uses towards the server for it.
struct Client {
    upstream: Arc<UdpSocket>,
    task: AbortHandle,
    heard: Instant,
}

/// Receives the clients' datagrams until the line is dropped. The tasks of all clients end with this task.
async fn run(shared: Arc<Shared>) {
    let mut clients: BTreeMap<SocketAddr, Client> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
    loop {
        let Ok((length, from)) = shared.listen.recv_from(&mut buffer).await else {
            sleep(ERROR_PAUSE).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        let client = match clients.get_mut(&from) {
            Some(client) => client,
            None => {
                make_room(&mut clients);
                let Ok(upstream) = upstream(shared.target).await else {
                    sleep(ERROR_PAUSE).await;
                    continue;
                };
                let task = tasks.spawn(answers(Arc::clone(&shared), Arc::clone(&upstream), from));
                clients.entry(from).or_insert(Client {
                    upstream,
                    task,
                    heard: Instant::now(),
                })
            }
        };
        client.heard = Instant::now();
        let datagram = buffer.get(..length).unwrap_or_default();
        shared
            .to_server
            .hand_on(datagram, &client.upstream, shared.target);
    }
}

/// Passes the server's datagrams on to one client.
async fn answers(shared: Arc<Shared>, upstream: Arc<UdpSocket>, client: SocketAddr) {
    let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
    loop {
        match upstream.recv_from(&mut buffer).await {
            // Only datagrams from the server are accepted here.
            Ok((length, from)) if from == shared.target => {
                let datagram = buffer.get(..length).unwrap_or_default();
                shared.to_client.hand_on(datagram, &shared.listen, client);
            }
            Ok(_) => {}
            Err(_) => sleep(ERROR_PAUSE).await,
        }
    }
}

/// A socket towards the server for one client.
async fn upstream(target: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    bind(any).await
}

/// A socket that has become writable. A socket that was never polled would lose the first datagram.
async fn bind(address: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::bind(address).await?;
    // A smaller buffer works too.
    let _granted = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
    socket.writable().await?;
    Ok(Arc::new(socket))
}

/// Forgets clients that were silent for long, or else the one that was silent for longest.
fn make_room(clients: &mut BTreeMap<SocketAddr, Client>) {
    clients.retain(|_, client| {
        let stays = client.heard.elapsed() < CLIENT_IDLE;
        if !stays {
            client.task.abort();
        }
        stays
    });
    if clients.len() >= CLIENTS_MAX
        && let Some(longest) = clients
            .iter()
            .min_by_key(|(_, client)| client.heard)
            .map(|(from, _)| *from)
        && let Some(client) = clients.remove(&longest)
    {
        client.task.abort();
    }
}

mod gate;
#[cfg(test)]
mod tests;
