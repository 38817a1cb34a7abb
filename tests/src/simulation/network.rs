//! A network in memory: every message has a number, and a schedule says what becomes of it.

use async_trait::async_trait;
use farthing_coin::PublicKey;
use farthing_node::{
    card::Card,
    network::{Acted, Channel, Lane, Network, NetworkError, Service},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The request never arrives.
    LoseRequest,
    /// The request is acted on; its reply never arrives.
    LoseReply,
    /// The request arrives twice; the first reply counts.
    Repeat,
    /// The request arrives again much later, after its reply.
    RepeatLate,
    /// The server is killed before it sees the request, and started again.
    KillBefore,
    /// The server loses power after it has acted and before its reply is sent, and is started again.
    CrashAfter,
    /// The server's disk fails at its next sync: it stops, loses power, and is started again with whatever of
    /// the unsynced write happened to reach the platter.
    TornWrite,
    /// The server's disk is full while it acts, and has room again afterwards.
    DiskFull,
    /// The wallet dies before the request is sent: see [`MemoryNetwork::customer_died`].
    CustomerDiesBefore,
    /// The wallet dies after the request was acted on and before its reply is there.
    CustomerDiesAfter,
}

impl Fault {
    /// Every kind that leaves the wallet alive.
    pub const ALL: [Fault; 8] = [
        Fault::LoseRequest,
        Fault::LoseReply,
        Fault::Repeat,
        Fault::RepeatLate,
        Fault::KillBefore,
        Fault::CrashAfter,
        Fault::TornWrite,
        Fault::DiskFull,
    ];
}

/// A message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// To whom.
    pub to: String,
    /// Over which lane.
    pub lane: Lane,
    /// On which connection.
    pub connection: u64,
    /// The request's bytes.
    pub request: Vec<u8>,
    /// What became of it.
    pub fault: Option<Fault>,
}

/// How late a late repetition arrives.
const LATE: Duration = Duration::from_secs(3600);

/// Kills and starts servers for the network.
#[async_trait]
pub trait Power: Send + Sync {
    /// Kills the server of this identity; `power` says that its machine loses power, not only its process.
    async fn restart(&self, server: PublicKey, power: bool);

    /// Lets the disk of the server of this identity fail at its next sync.
    fn tear(&self, server: PublicKey);

    /// Lets the disk of the server of this identity have no room, or room again.
    fn fill(&self, server: PublicKey, full: bool);
}

#[derive(Default)]
struct State {
    servers: BTreeMap<PublicKey, (Arc<dyn Service>, watch::Sender<bool>)>,
    schedule: BTreeMap<u64, Fault>,
    sent: Vec<Sent>,
    connections: u64,
    blocked: Option<Blocked>,
}

/// Which requests never arrive.
type Blocked = Box<dyn Fn(&Card, &[u8]) -> bool + Send>;

/// The network of a world.
#[derive(Default)]
pub struct MemoryNetwork {
    state: Mutex<State>,
    died: Notify,
    power: Mutex<Option<Arc<dyn Power>>>,
}

impl MemoryNetwork {
    /// A network without servers and without faults.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who kills and starts servers.
    pub fn set_power(&self, power: Arc<dyn Power>) {
        *self.power.lock().unwrap_or_else(PoisonError::into_inner) = Some(power);
    }

    /// Lets `service` answer for `identity`.
    pub fn attach(&self, identity: PublicKey, service: Arc<dyn Service>) {
        self.state()
            .servers
            .insert(identity, (service, watch::Sender::new(false)));
    }

    /// Nobody answers for `identity` any more; calls under way there end without a reply.
    pub fn detach(&self, identity: &PublicKey) {
        if let Some((_, gone)) = self.state().servers.remove(identity) {
            gone.send_replace(true);
        }
    }

    /// What will become of messages, by their number from now on. What was recorded is forgotten.
    pub fn schedule(&self, faults: impl IntoIterator<Item = (u64, Fault)>) {
        let mut state = self.state();
        state.schedule = faults.into_iter().collect();
        state.sent.clear();
    }

    /// No request of which `blocked` says so arrives, until [`unblock`](MemoryNetwork::unblock): as if its
    /// server was down for these alone.
    pub fn block(&self, blocked: impl Fn(&Card, &[u8]) -> bool + Send + 'static) {
        self.state().blocked = Some(Box::new(blocked));
    }

    /// Every request arrives again.
    pub fn unblock(&self) {
        self.state().blocked = None;
    }

    /// Waits until a fault says that the customer's machine dies.
    pub async fn customer_died(&self) {
        self.died.notified().await;
    }

    /// What was sent since the last [`schedule`](MemoryNetwork::schedule).
    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    fn record(&self, card: &Card, lane: Lane, connection: u64, request: &[u8]) -> Option<Fault> {
        let mut state = self.state();
        let number = state.sent.len() as u64;
        let fault = state.schedule.get(&number).copied();
        let request = request.to_vec();
        state.sent.push(Sent {
            to: card.title(),
            lane,
            connection,
            request,
            fault,
        });
        fault
    }

    fn server(&self, identity: &PublicKey) -> Option<(Arc<dyn Service>, watch::Receiver<bool>)> {
        let state = self.state();
        state
            .servers
            .get(identity)
            .map(|(service, gone)| (service.clone(), gone.subscribe()))
    }

    fn power(&self) -> Arc<dyn Power> {
        let power = self.power.lock().unwrap_or_else(PoisonError::into_inner).clone();
        power.expect("the world has power")
    }

    async fn restart(&self, server: PublicKey, power: bool) {
        self.power().restart(server, power).await;
    }

    /// One request at its server, unless the server dies meanwhile.
    async fn act(&self, card: &Card, lane: Lane, request: Vec<u8>) -> Result<Vec<u8>, NetworkError> {
        let blocked = self
            .state()
            .blocked
            .as_ref()
            .is_some_and(|blocked| blocked(card, &request));
        let server = self.server(&card.identity).filter(|_| !blocked);
        let Some((service, mut gone)) = server else {
            return Err(NetworkError::Unreachable {
                peer: card.title(),
                reason: "nobody answers".into(),
            });
        };
        tokio::select! {
            biased;
            reply = service.call(lane, request) => Ok(reply),
            _ = gone.wait_for(|gone| *gone) => Err(closed(card)),
        }
    }
}

fn closed(card: &Card) -> NetworkError {
    NetworkError::Closed {
        peer: card.title(),
        reason: "the server died".into(),
        acted: Acted::Unknown,
    }
}

/// The view of a [`MemoryNetwork`] that parties have.
#[derive(Clone)]
pub struct Wire(pub Arc<MemoryNetwork>);

#[async_trait]
impl Network for Wire {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let connection = {
            let mut state = self.0.state();
            state.connections += 1;
            state.connections
        };
        Ok(Arc::new(MemoryChannel {
            network: self.0.clone(),
            card: card.clone(),
            lane,
            connection,
        }))
    }
}

#[derive(Clone)]
struct MemoryChannel {
    network: Arc<MemoryNetwork>,
    card: Card,
    lane: Lane,
    connection: u64,
}

#[async_trait]
impl Channel for MemoryChannel {
    async fn call(&self, request: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, NetworkError> {
        let fault = self
            .network
            .record(&self.card, self.lane, self.connection, &request);
        // A server goes on with what it was asked, and dies when it is due to, whether or not anybody waits.
        let this = self.clone();
        let carried = tokio::spawn(async move { this.carry(fault, request).await });
        let waited_ms = timeout.as_millis() as u64;
        match tokio::time::timeout(timeout, carried).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(panic)) => panic!("a server panicked: {panic}"),
            Err(_) => Err(NetworkError::TimedOut {
                peer: self.card.title(),
                waited_ms,
                acted: Acted::Unknown,
            }),
        }
    }
}

impl MemoryChannel {
    async fn carry(&self, fault: Option<Fault>, request: Vec<u8>) -> Result<Vec<u8>, NetworkError> {
        let act = |request| self.network.act(&self.card, self.lane, request);
        match fault {
            None => act(request).await,
            Some(Fault::LoseRequest) => std::future::pending().await,
            Some(Fault::CustomerDiesBefore) => {
                self.network.died.notify_one();
                std::future::pending().await
            }
            Some(Fault::CustomerDiesAfter) => {
                let _unread = act(request).await;
                self.network.died.notify_one();
                std::future::pending().await
            }
            Some(Fault::LoseReply) => {
                let _lost = act(request).await;
                std::future::pending().await
            }
            Some(Fault::Repeat) => {
                let reply = act(request.clone()).await;
                let _second = act(request).await;
                reply
            }
            Some(Fault::RepeatLate) => {
                let (network, card, lane) = (self.network.clone(), self.card.clone(), self.lane);
                let again = request.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await;
                    let _late = network.act(&card, lane, again).await;
                });
                act(request).await
            }
            Some(Fault::TornWrite) => {
                self.network.power().tear(self.card.identity);
                let reply = act(request).await;
                self.network.restart(self.card.identity, true).await;
                reply
            }
            Some(Fault::DiskFull) => {
                self.network.power().fill(self.card.identity, true);
                let reply = act(request).await;
                self.network.power().fill(self.card.identity, false);
                reply
            }
            Some(Fault::KillBefore) => {
                self.network.restart(self.card.identity, false).await;
                Err(closed(&self.card))
            }
            Some(Fault::CrashAfter) => {
                let _lost = act(request).await;
                self.network.restart(self.card.identity, true).await;
                Err(closed(&self.card))
            }
        }
    }
}
