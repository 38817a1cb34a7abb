//! A network in memory. Every message has a number, and a schedule decides its fate.

use super::{
    fault::Fault,
    machine::{Death, Died, Life},
    party::Party,
    trace::{LineNumber, Trace},
    weather::{Delays, Weather},
};
use async_trait::async_trait;
use farthing_coin::PublicKey;
use farthing_node::{
    card::{Card, RoleName},
    network::{Acted, Channel, Lane, Network, NetworkError, Service},
    probe::question,
};
use farthing_protocol::api::TargetRequest;
use farthing_store::disk::MemoryDisk;
use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Delay of a late message: longer than anyone waits for one reply.
pub const LATE: Duration = Duration::from_secs(12);

/// Delay of a request that arrives again much later.
pub const MUCH_LATER: Duration = Duration::from_secs(300);

/// Duration of a partition that is a message's fault.
pub const PARTITION: Duration = Duration::from_secs(60);

/// A message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The sender.
    pub from: Party,
    /// The receiver.
    pub to: Party,
    /// The lane.
    pub lane: Lane,
    /// The connection.
    pub connection: u64,
    /// The request's bytes.
    pub request: Vec<u8>,
    /// Its fault, if it had one.
    pub fault: Option<Fault>,
    /// Every reply of its server, also the ones that did not arrive.
    pub replies: Vec<Vec<u8>>,
}

/// Kills and starts machines for the network.
#[async_trait]
pub trait Power: Send + Sync {
    /// Kills the machine's process. A server is started again.
    async fn restart(&self, party: Party, death: Death);

    /// A server's disk.
    fn disk(&self, party: Party) -> MemoryDisk;

    /// Time of a sync on a server's disk.
    fn sync_takes(&self, party: Party) -> Duration;
}

struct Server {
    party: Party,
    service: Arc<dyn Service>,
    life: Life,
}

#[derive(Default)]
struct State {
    servers: BTreeMap<PublicKey, Server>,
    parties: BTreeMap<PublicKey, Party>,
    schedule: BTreeMap<u64, Fault>,
    sent: Vec<Sent>,
    /// What servers opened of the requests that a relay brought.
    opened: Vec<Sent>,
    connections: u64,
    blocked: Option<Blocked>,
    /// End of the partition from one party to another.
    cut: BTreeMap<(Party, Party), Instant>,
    weather: Option<Weather>,
}

/// Requests that never arrive.
type Blocked = Box<dyn Fn(&Card, &[u8]) -> bool + Send>;

/// The network of a world.
#[derive(Default)]
pub struct MemoryNetwork {
    state: Mutex<State>,
    power: Mutex<Option<Arc<dyn Power>>>,
    /// The trace of the world.
    pub trace: Trace,
}

impl MemoryNetwork {
    /// A network without servers and without faults.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets who kills and starts machines.
    pub fn set_power(&self, power: Arc<dyn Power>) {
        *self.power.lock().unwrap_or_else(PoisonError::into_inner) = Some(power);
    }

    fn power(&self) -> Arc<dyn Power> {
        let power = self.power.lock().unwrap_or_else(PoisonError::into_inner).clone();
        power.expect("the world has power")
    }

    /// The network as seen by `from` while its process lives.
    pub fn wire(self: &Arc<Self>, from: Party, life: Life) -> Arc<dyn Network> {
        Arc::new(Wire {
            network: self.clone(),
            from,
            life,
        })
    }

    /// Announces who will answer for `identity`, before its server has started.
    pub fn introduce(&self, identity: PublicKey, party: Party) {
        self.state().parties.insert(identity, party);
    }

    /// Lets `service` answer for `identity`, until its life is over.
    pub fn attach(&self, identity: PublicKey, party: Party, service: Arc<dyn Service>, life: Life) {
        let mut state = self.state();
        let server = Server { party, service, life };
        state.servers.insert(identity, server);
    }

    /// Removes the server of `identity`. Calls under way end without a reply.
    pub fn detach(&self, identity: &PublicKey) {
        if let Some(server) = self.state().servers.remove(identity) {
            server.life.end();
        }
    }

    // ---- what becomes of messages -------------------------------------------------------------------------------

    /// Sets the faults of messages, by number from now on. Forgets what was recorded.
    pub fn schedule(&self, faults: impl IntoIterator<Item = (u64, Fault)>) {
        let mut state = self.state();
        state.schedule = faults.into_iter().collect();
        state.sent.clear();
        state.opened.clear();
    }

    /// Sets the weather: delays and random faults. `None` for none.
    pub fn set_weather(&self, weather: Option<Weather>) {
        self.state().weather = weather;
    }

    /// Blocks all requests for which `blocked` is true, until [`unblock`](MemoryNetwork::unblock).
    pub fn block(&self, blocked: impl Fn(&Card, &[u8]) -> bool + Send + 'static) {
        self.state().blocked = Some(Box::new(blocked));
    }

    /// Removes the block.
    pub fn unblock(&self) {
        self.state().blocked = None;
    }

    /// Cuts off the way from `from` to `to` for a time. The other direction stays.
    pub fn cut(&self, from: Party, to: Party, lasting: Duration) {
        self.state().cut.insert((from, to), Instant::now() + lasting);
    }

    /// Removes all partitions, schedules and weather.
    pub fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.schedule.clear();
        state.weather = None;
        state.blocked = None;
    }

    fn is_cut(&self, from: Party, to: Party) -> bool {
        let state = self.state();
        state
            .cut
            .get(&(from, to))
            .is_some_and(|until| Instant::now() < *until)
    }

    // ---- what was sent ------------------------------------------------------------------------------------------

    /// All messages since the last [`schedule`](MemoryNetwork::schedule).
    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    /// Number of messages since the last [`schedule`](MemoryNetwork::schedule).
    pub fn messages(&self) -> u64 {
        self.state().sent.len() as u64
    }

    /// What servers opened of the requests that a relay brought, since the last
    /// [`schedule`](MemoryNetwork::schedule). In the order of arrival.
    pub fn all_opened(&self) -> Vec<Sent> {
        self.state().opened.clone()
    }

    /// Records an opened request. Returns its number.
    pub(super) fn opened(&self, opened: Sent) -> usize {
        let what = role_of(opened.to).map_or("nothing", |role| question(role, &opened.request));
        self.trace.note(format!("{} opens: {what}", opened.to));
        let mut state = self.state();
        state.opened.push(opened);
        state.opened.len() - 1
    }

    /// Records the reply to an opened request.
    pub(super) fn opened_replied(&self, number: usize, reply: &[u8]) {
        if let Some(opened) = self.state().opened.get_mut(number) {
            opened.replies.push(reply.to_vec());
        }
    }

    /// Whether this request is blocked.
    pub(super) fn is_blocked(&self, card: &Card, request: &[u8]) -> bool {
        let state = self.state();
        state
            .blocked
            .as_ref()
            .is_some_and(|blocked| blocked(card, request))
    }

    fn send(&self, channel: &MemoryChannel, request: &[u8]) -> Under {
        let mut state = self.state();
        let number = state.sent.len();
        let to = *state
            .parties
            .get(&channel.card.identity)
            .unwrap_or(&Party::Stranger);
        let scheduled = state.schedule.get(&(number as u64)).copied();
        let (weathered, delays) = match &mut state.weather {
            Some(weather) => weather.meet(channel.from),
            None => (None, Delays::default()),
        };
        let fault = scheduled.or(weathered);
        state.sent.push(Sent {
            from: channel.from,
            to,
            lane: channel.lane,
            connection: channel.connection,
            request: request.to_vec(),
            fault,
            replies: Vec::new(),
        });
        drop(state);
        let (from, connection) = (channel.from, channel.connection);
        let what = match channel.lane {
            Lane::Relayed => TargetRequest::decode(request)
                .map_or("nothing that is understood", |request| request.question().name()),
            _ => question(channel.card.role, request),
        };
        let line = self.trace.note(format!(
            "#{number} {from} -> {to}, connection {connection}: {what}"
        ));
        if let Some(fault) = fault {
            self.trace.became(line, fault.what());
        }
        Under {
            number,
            to,
            fault,
            delays,
            line,
        }
    }

    fn replied(&self, number: usize, reply: &[u8]) {
        // A schedule that was set in the meantime has forgotten the message.
        if let Some(sent) = self.state().sent.get_mut(number) {
            sent.replies.push(reply.to_vec());
        }
    }

    fn server(&self, identity: &PublicKey) -> Option<(Arc<dyn Service>, Life)> {
        let state = self.state();
        let server = state.servers.get(identity)?;
        (!server.life.is_over()).then(|| (server.service.clone(), server.life.clone()))
    }

    /// The party that answers for `identity`.
    pub fn party(&self, identity: &PublicKey) -> Option<Party> {
        self.state().servers.get(identity).map(|server| server.party)
    }

    /// One request at its server. Ends if the server dies.
    async fn act(&self, card: &Card, lane: Lane, request: Vec<u8>) -> Result<Vec<u8>, NetworkError> {
        let blocked = self.is_blocked(card, &request);
        let Some((service, life)) = self.server(&card.identity).filter(|_| !blocked) else {
            return Err(NetworkError::Unreachable {
                peer: card.title(),
                reason: "nobody answers".into(),
            });
        };
        // A process that died here has sent nothing.
        let reply = life.run(service.call(lane, request)).await;
        reply.ok_or_else(|| closed(card))
    }
}

/// What a server is.
pub(super) fn role_of(party: Party) -> Option<RoleName> {
    match party {
        Party::Bank => Some(RoleName::Bank),
        Party::Escrow(_) => Some(RoleName::Escrow),
        Party::Merchant(_) => Some(RoleName::Merchant),
        Party::Relay => Some(RoleName::Relay),
        Party::Customer(_) | Party::Stranger => None,
    }
}

fn closed(card: &Card) -> NetworkError {
    NetworkError::Closed {
        peer: card.title(),
        reason: "the server died".into(),
        acted: Acted::Unknown,
    }
}

/// The view of a [`MemoryNetwork`] that a process has.
struct Wire {
    network: Arc<MemoryNetwork>,
    from: Party,
    life: Life,
}

#[async_trait]
impl Network for Wire {
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        let connection = {
            let mut state = self.network.state();
            state.connections += 1;
            state.connections
        };
        Ok(Arc::new(MemoryChannel {
            network: self.network.clone(),
            from: self.from,
            life: self.life.clone(),
            card: card.clone(),
            lane,
            connection,
        }))
    }
}

#[derive(Clone)]
struct MemoryChannel {
    network: Arc<MemoryNetwork>,
    from: Party,
    life: Life,
    card: Card,
    lane: Lane,
    connection: u64,
}

/// A message under way.
#[derive(Clone, Copy)]
struct Under {
    number: usize,
    to: Party,
    fault: Option<Fault>,
    delays: Delays,
    line: LineNumber,
}

impl MemoryChannel {
    async fn exchange(&self, request: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, NetworkError> {
        if self.life.is_over() {
            // A dead process sends nothing.
            return std::future::pending().await;
        }
        let under = self.network.send(self, &request);
        // A server carries out the request and dies when it is due to, whether or not anyone waits.
        let this = self.clone();
        let carried = tokio::spawn(async move { this.carry(under, request).await });
        let waited_ms = timeout.as_millis() as u64;
        match tokio::time::timeout(timeout, carried).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(panicked)) => match panicked.into_panic() {
                died if Died::is(died.as_ref()) => Err(closed(&self.card)),
                failure => resume_unwind(failure),
            },
            Err(_) => Err(NetworkError::TimedOut {
                peer: self.card.title(),
                waited_ms,
                acted: Acted::Unknown,
            }),
        }
    }
}

#[async_trait]
impl Channel for MemoryChannel {
    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError> {
        *reply = self.exchange(request, timeout).await?;
        Ok(())
    }
}

impl MemoryChannel {
    /// Carries a message there and its reply back, with the message's fault.
    async fn carry(&self, under: Under, request: Vec<u8>) -> Result<Vec<u8>, NetworkError> {
        self.request_travels(under).await;
        self.fails_before_service(under, &request).await?;
        wait(self.network.power().sync_takes(under.to)).await;
        let reply = self.act(under, request.clone()).await;
        self.fails_after_service(under, request).await?;
        self.reply_travels(under).await;
        if reply.is_ok() {
            self.network.trace.became(under.line, "the reply arrives");
        }
        reply
    }

    /// Returns when the request arrives. A lost request never does.
    async fn request_travels(&self, under: Under) {
        let Under { to, fault, .. } = under;
        match fault {
            Some(Fault::Partition) => {
                self.network.cut(self.from, to, PARTITION);
                self.network.cut(to, self.from, PARTITION);
            }
            Some(Fault::SenderDiesBefore) => {
                self.restart(self.from, Death::Killed).await;
                return std::future::pending().await;
            }
            _ => {}
        }
        let late = if fault == Some(Fault::DelayRequest) {
            LATE
        } else {
            Duration::ZERO
        };
        wait(under.delays.request + late).await;
        if fault == Some(Fault::LoseRequest) || self.network.is_cut(self.from, to) {
            self.network.trace.became(under.line, "lost");
            std::future::pending().await
        }
    }

    /// Causes a fault that is due before the request is carried out.
    async fn fails_before_service(&self, under: Under, request: &[u8]) -> Result<(), NetworkError> {
        let to = under.to;
        match under.fault {
            Some(Fault::KillBefore) => {
                self.restart(to, Death::Killed).await;
                return Err(closed(&self.card));
            }
            Some(Fault::TornWrite) => self.network.power().disk(to).fail_sync_after(0),
            Some(Fault::DiskFull) => self.network.power().disk(to).set_capacity(Some(0)),
            Some(Fault::RepeatLate) => {
                let (this, again) = (self.clone(), request.to_vec());
                tokio::spawn(async move {
                    sleep(MUCH_LATER).await;
                    let _late = this.act(under, again).await;
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Causes a fault that is due after the request was carried out.
    async fn fails_after_service(&self, under: Under, request: Vec<u8>) -> Result<(), NetworkError> {
        let to = under.to;
        match under.fault {
            Some(Fault::Repeat) => {
                let _second = self.act(under, request).await;
            }
            Some(Fault::TornWrite) => self.restart(to, Death::PowerLost).await,
            Some(Fault::DiskFull) => self.network.power().disk(to).set_capacity(None),
            Some(Fault::CrashAfter) => {
                self.restart(to, Death::PowerLost).await;
                return Err(closed(&self.card));
            }
            Some(Fault::CrashReplied) => self.restart(to, Death::PowerLost).await,
            Some(Fault::SenderDiesAfter) => {
                self.restart(self.from, Death::PowerLost).await;
                return std::future::pending().await;
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns when the reply arrives. A lost reply never does.
    async fn reply_travels(&self, under: Under) {
        let late = if under.fault == Some(Fault::DelayReply) {
            LATE
        } else {
            Duration::ZERO
        };
        wait(under.delays.reply + late).await;
        if under.fault == Some(Fault::LoseReply) || self.network.is_cut(under.to, self.from) {
            self.network.trace.became(under.line, "its reply is lost");
            std::future::pending().await
        }
    }

    async fn restart(&self, party: Party, death: Death) {
        self.network.power().restart(party, death).await;
    }

    /// The request arrives and is carried out.
    async fn act(&self, under: Under, request: Vec<u8>) -> Result<Vec<u8>, NetworkError> {
        // The wait is registered first. If a server works in another thread, time stands still until it is done. So
        // the order of events does not depend on that thread.
        let acting = self.network.act(&self.card, self.lane, request);
        let ((), reply) = tokio::join!(biased; wait(under.delays.service), acting);
        match &reply {
            Ok(bytes) => {
                let how = if bytes.first() == Some(&0) {
                    "answered"
                } else {
                    "refused"
                };
                self.network.trace.became(under.line, how);
                self.network.replied(under.number, bytes);
            }
            Err(error) => {
                self.network.trace.became(under.line, error.to_string());
            }
        }
        reply
    }
}

/// Waits. A zero delay does not even yield.
async fn wait(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
