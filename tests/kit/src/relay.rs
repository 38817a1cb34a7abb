//! A relay for datagrams, between clients and one server, that loses what it is told to.
//!
//! Whoever dials the relay's address reaches the server behind it; the relay sees nothing but encrypted QUIC.
//! Each direction has a [`Gate`] and [`Faults`] of its own, which can be changed at any time. So a reply is lost
//! where networks lose it, on the way, and no code of a wallet or a node takes part in it.

use crate::faults::{DelayLine, Fate, Faults, Queue, delay_line};
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

/// The most clients at once. The one that was silent for longest makes room for a new one.
pub const CLIENTS_MAX: usize = 1024;

/// A client that has sent nothing for so long is forgotten.
pub const CLIENT_IDLE: Duration = Duration::from_secs(60);

/// The longest datagram (bytes).
const DATAGRAM_MAX_BYTES: usize = 65_535;

/// The pause after a socket's error, so that a server that is down does not keep a processor busy.
const ERROR_PAUSE: Duration = Duration::from_millis(1);

/// The bit of a datagram's first byte that tells QUIC's long headers, which only handshakes have, from the short
/// ones, which carry everything afterwards (RFC 9000, section 17).
const LONG_HEADER: u8 = 0x80;

/// A direction of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From clients to the server.
    ToServer,
    /// From the server to its clients.
    ToClient,
}

impl Way {
    /// Both.
    pub const ALL: [Way; 2] = [Way::ToServer, Way::ToClient];
}

/// What a direction lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// Everything.
    #[default]
    Pass,
    /// QUIC's handshakes and nothing that comes after: connections come about, but nobody is answered on them. Only
    /// so is a request certain to arrive whose reply does not.
    Handshakes,
    /// Nothing.
    Drop,
}

impl Gate {
    fn lets_through(self, datagram: &[u8]) -> bool {
        match self {
            Gate::Pass => true,
            Gate::Handshakes => datagram.first().is_some_and(|first| first & LONG_HEADER != 0),
            Gate::Drop => false,
        }
    }
}

/// What has become of a direction's datagrams so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed on, each counted once.
    pub passed: u64,
    /// Lost: by the gate, by chance, or because too many were waiting.
    pub dropped: u64,
    /// Of those passed, how many arrived twice.
    pub repeated: u64,
    /// Of those passed, how many were kept back for a while.
    pub delayed: u64,
}

/// A datagram on its way out: to a client through the relay's own socket, or to the server through the client's.
struct Outgoing {
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl Outgoing {
    fn send(self) {
        // What a full socket does not take is lost, as it would be on any other hop.
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
    /// How many datagrams have come, which numbers the next one.
    arrived: u64,
}

impl Direction {
    fn state(&self) -> MutexGuard<'_, DirectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_on(&self, datagram: &[u8], socket: &Arc<UdpSocket>, to: SocketAddr) {
        let fate = self.decide(datagram);
        for _ in 0..fate.copies {
            let out = Outgoing {
                socket: Arc::clone(socket),
                to,
                datagram: datagram.to_vec(),
            };
            if fate.delay_ms == 0 {
                out.send();
            } else if !self.later.put(fate.delay_ms, out) {
                let counts = &mut self.state().counts;
                counts.dropped = counts.dropped.saturating_add(1);
            }
        }
    }

    fn decide(&self, datagram: &[u8]) -> Fate {
        let mut state = self.state();
        let number = state.arrived;
        state.arrived = number.wrapping_add(1);
        let mut fate = state.faults.fate(number);
        if !state.gate.lets_through(datagram) {
            fate.copies = 0;
        }
        if fate.copies > 0 {
            let rate = state.faults.rate;
            match state.queue.pass(datagram.len(), rate) {
                Some(time) => fate.delay_ms += u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
                None => fate.copies = 0,
            }
        }
        let counts = &mut state.counts;
        match fate.copies {
            0 => counts.dropped += 1,
            copies => {
                counts.passed += 1;
                counts.repeated += u64::from(copies > 1);
                counts.delayed += u64::from(fate.delay_ms > 0);
            }
        }
        fate
    }
}

/// What all tasks of a relay share.
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

/// A running relay. It ends when it is dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("address", &self.address)
            .field("target", &self.shared.target)
            .finish_non_exhaustive()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Relay {
    /// Starts a relay to `target`, on a free port of the loopback device.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub async fn start(target: SocketAddr) -> io::Result<Relay> {
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
        Ok(Relay {
            address,
            shared,
            tasks,
        })
    }

    /// Where clients dial instead of the server's own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's address.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        self.shared.target
    }

    /// Sets what one direction lets through from now on.
    pub fn set_gate(&self, way: Way, gate: Gate) {
        self.shared.direction(way).state().gate = gate;
    }

    /// Sets what goes wrong on one direction from now on. Datagrams are numbered from when the relay started.
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

    /// What has become of one direction's datagrams so far.
    #[must_use]
    pub fn counts(&self, way: Way) -> Counts {
        self.shared.direction(way).state().counts
    }
}

/// A client as the relay knows it: the socket with which the relay speaks to the server in its place.
struct Client {
    upstream: Arc<UdpSocket>,
    task: AbortHandle,
    heard: Instant,
}

/// Takes what clients send, until the relay is dropped, and with this task every client's.
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

/// Hands the server's datagrams for one client on to it.
async fn answers(shared: Arc<Shared>, upstream: Arc<UdpSocket>, client: SocketAddr) {
    let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
    loop {
        match upstream.recv_from(&mut buffer).await {
            // Nobody but the server has anything to say here.
            Ok((length, from)) if from == shared.target => {
                let datagram = buffer.get(..length).unwrap_or_default();
                shared.to_client.hand_on(datagram, &shared.listen, client);
            }
            Ok(_) => {}
            Err(_) => sleep(ERROR_PAUSE).await,
        }
    }
}

/// A socket to speak to the server with, for one client.
async fn upstream(target: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    bind(any).await
}

/// A socket that is known to take datagrams: a new one would lose the first, for want of having been asked.
async fn bind(address: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::bind(address).await?;
    socket.writable().await?;
    Ok(Arc::new(socket))
}

/// Forgets clients that were silent for long, and the longest silent one if that is not enough.
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

#[cfg(test)]
mod tests;
