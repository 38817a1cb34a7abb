//! Has one fault happen at its place, and writes down all that happens.
//!
//! Every process of the world waits at every point until the director has seen it there. So the line is cut before the
//! request is sent, and the process killed after the record is synced, and not about then.

use super::{
    matrix::{Cell, Fault, Route, Tracker, What},
    world::Stage,
};
use crate::{
    demo::{
        error::DemoError,
        faults::Faults,
        relay::{Gate, Way},
    },
    lab::points::{Message, Party, Point, Points, Reached},
};
use farthing_node::{
    card::RoleName,
    probe::{AFTER_APPEND, AFTER_INDEX, AFTER_OPEN, AFTER_REPLY, AFTER_SYNC, BEFORE_APPEND},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long a node that was killed is away.
const AWAY: Duration = Duration::from_millis(300);

/// How often a node is started before it is said not to start.
const STARTS_MAX: usize = 5;

/// How long a process is frozen: longer than a wallet waits for an answer.
const FROZEN: Duration = Duration::from_millis(2600);

/// How long a disk is full: longer than anybody needs to meet it, and shorter than a wallet's patience.
const FULL: Duration = Duration::from_millis(1500);

/// How long a line stays cut at most, if nobody gives up sooner: longer than a server waits for another.
const CUT_MAX: Duration = Duration::from_secs(12);

/// The pause between two looks whether everything runs again.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// What a lossy line does to its datagrams.
const LOSSY: Faults = Faults {
    seed: 0,
    lose_percent: 30,
    repeat_percent: 10,
    reorder_percent: 20,
    delay_ms: 0,
    jitter_ms: 0,
};

/// Something that was done to the world, or by its customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The customer runs a command.
    Runs(String),
    /// It has ended so.
    Ends(String),
    /// SIGKILL.
    Killed(Party),
    /// It runs again.
    Restarted(Party),
    /// SIGSTOP.
    Frozen(Party),
    /// SIGCONT.
    Thawed(Party),
    /// What goes this way on the line is lost: what comes after the handshakes, or everything.
    Cut(Party, RoleName, Way),
    /// Some datagrams of the line are lost, in both directions.
    Lossy(Party, RoleName),
    /// The line is whole again.
    Healed(Party, RoleName),
    /// A request has arrived and is not looked at.
    KeptBack(Party),
    /// It is looked at now.
    LetGo(Party),
    /// There is no room on its disk.
    DiskFull(Party),
    /// There is room again.
    DiskFree(Party),
    /// It could not be done.
    Failed(String),
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A process reached a point.
    Reached(Party, Point),
    /// Something was done.
    Done(Deed),
}

/// What has happened, and when since the beginning (ms).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub ms: u64,
    /// What.
    pub what: Happened,
}

/// How far the fault has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its place is ahead.
    Ahead,
    /// Its place is here, and its moment is ahead.
    Here,
    /// The server has the request that it is about.
    Served,
    /// It has happened.
    Over,
}

/// How a run has gone, as far as the director knows.
#[derive(Debug, Clone)]
pub struct Log {
    /// Everything, in order.
    pub events: Vec<Event>,
    /// The places that were passed, in order.
    pub passed: Vec<(What, usize)>,
    /// Whether the fault has happened.
    pub happened: bool,
    /// What could not be done, such as to start a node again.
    pub failed: Vec<String>,
    /// The nodes that still wait for an answer that was lost.
    pub waiting: BTreeSet<RoleName>,
}

struct State {
    begun: Instant,
    recording: bool,
    log: Log,
    tracker: Tracker,
    phase: Phase,
    /// Whether the places of the route itself have begun.
    on_route: bool,
    /// The questions that are asked and not answered.
    in_flight: Vec<(Party, Message)>,
    /// Who must wait so that nobody else's question is taken for the one that the fault is about.
    parked: Vec<Reached>,
    /// The request that is kept back.
    kept: Option<Reached>,
    /// Which line is healed when its asker gives the question up.
    heal: Option<(Party, Message)>,
    /// The command of the wallet that runs.
    wallet: Option<u32>,
    /// How many processes, lines and disks are about to be mended.
    mending: usize,
}

struct Inner {
    stage: Arc<Stage>,
    route: Route,
    cell: Option<Cell>,
    seed: u64,
    state: Mutex<State>,
}

/// Has one fault happen in one run.
#[derive(Clone)]
pub struct Director(Arc<Inner>);

impl Director {
    /// For a run on `route`, with the fault of `cell` or none.
    #[must_use]
    pub fn new(stage: Arc<Stage>, route: Route, cell: Option<Cell>, seed: u64) -> Director {
        let log = Log {
            events: Vec::new(),
            passed: Vec::new(),
            happened: false,
            failed: Vec::new(),
            waiting: BTreeSet::new(),
        };
        let state = State {
            begun: Instant::now(),
            recording: false,
            log,
            tracker: Tracker::default(),
            phase: Phase::Ahead,
            on_route: route == Route::Bought,
            in_flight: Vec::new(),
            parked: Vec::new(),
            kept: None,
            heal: None,
            wallet: None,
            mending: 0,
        };
        Director(Arc::new(Inner {
            stage,
            route,
            cell,
            seed,
            state: Mutex::new(state),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The route.
    #[must_use]
    pub fn route(&self) -> Route {
        self.0.route
    }

    /// Whether the route's own places have begun.
    #[must_use]
    pub fn is_on_route(&self) -> bool {
        self.state().on_route
    }

    /// Sees every point, for ever.
    pub async fn conduct(&self, points: &mut Points) {
        loop {
            let reached = points.next().await;
            self.see(reached);
        }
    }

    /// From now on what happens is written down, and the fault may happen.
    pub fn begin(&self) {
        let mut state = self.state();
        state.begun = Instant::now();
        state.recording = true;
    }

    /// Mends everything and waits until it is. What is written down so far is all.
    pub async fn mend(&self) {
        self.let_go();
        self.0.stage.heal();
        while self.state().mending > 0 {
            sleep(LOOK_PAUSE).await;
        }
        self.0.stage.heal();
    }

    /// Ends the record.
    pub fn end(&self) -> Log {
        let mut state = self.state();
        state.recording = false;
        state.parked.clear();
        state.heal = None;
        state.log.happened = state.phase == Phase::Over;
        let waiting = state.in_flight.iter().filter_map(|(asker, _)| match asker {
            Party::Wallet => None,
            Party::Node(role) => Some(*role),
        });
        state.log.waiting = waiting.collect();
        state.log.clone()
    }

    /// Writes down what was done.
    pub fn note(&self, deed: Deed) {
        let mut state = self.state();
        if let Deed::Failed(why) = &deed {
            let why = why.clone();
            state.log.failed.push(why);
        }
        state.write(Happened::Done(deed));
    }

    /// A command of the wallet runs, or has ended.
    pub fn wallet_is(&self, process: Option<u32>) {
        let mut state = self.state();
        state.wallet = process;
        if process.is_none() {
            state.in_flight.retain(|(asker, _)| *asker != Party::Wallet);
            self.give_up(&mut state, Party::Wallet, None);
            self.unpark(&mut state);
        }
    }

    // ---- what happens ---------------------------------------------------------------------------------------------

    fn see(&self, reached: Reached) {
        let mut state = self.state();
        if !state.recording {
            return;
        }
        if self.must_wait(&state, &reached) {
            state.parked.push(reached);
            return;
        }
        self.pass(&mut state, reached);
        self.unpark(&mut state);
    }

    /// Whether somebody else's same question is on its way, or this one is not yet the one that is meant. Until the
    /// fault has happened the question that it is about is asked by one at a time, so that the server's side of it is
    /// known.
    fn must_wait(&self, state: &State, reached: &Reached) -> bool {
        let (Some((_, message)), Point::BeforeAsking(asked)) = (self.target_message(), &reached.point) else {
            return false;
        };
        let same = |(asker, other): &(Party, Message)| *asker != reached.party && other == message;
        state.phase != Phase::Over && asked == message && state.in_flight.iter().any(same)
    }

    fn unpark(&self, state: &mut State) {
        for reached in std::mem::take(&mut state.parked) {
            if self.must_wait(state, &reached) {
                state.parked.push(reached);
            } else {
                self.pass(state, reached);
            }
        }
    }

    fn target_message(&self) -> Option<(Party, &Message)> {
        match &self.0.cell.as_ref()?.place.what {
            What::Message { asker, message } => Some((*asker, message)),
            What::Write { .. } => None,
        }
    }

    fn pass(&self, state: &mut State, reached: Reached) {
        let (party, point) = (reached.party, reached.point.clone());
        state.write(Happened::Reached(party, point.clone()));
        match &point {
            Point::BeforeAsking(message) => state.in_flight.push((party, message.clone())),
            Point::Answered(message) | Point::Unanswered(message) => {
                let known = (party, message.clone());
                if let Some(index) = state.in_flight.iter().position(|one| *one == known) {
                    state.in_flight.remove(index);
                }
                if matches!(point, Point::Unanswered(_)) {
                    self.give_up(state, party, Some(message));
                }
            }
            _ => {}
        }
        let entered = state.tracker.enters(party, &point);
        if self.lead_onto_route(state, &reached) {
            return;
        }
        if let Some(place) = entered.clone()
            && state.on_route
        {
            state.log.passed.push(place);
        }
        self.act(state, reached, entered);
    }

    /// Does what leads onto the route, before its places begin. `true` if it was done here.
    fn lead_onto_route(&self, state: &mut State, reached: &Reached) -> bool {
        let Party::Node(server) = reached.party else {
            let (Route::Cancelled, false, Point::BeforeAsking(message)) =
                (self.0.route, state.on_route, &reached.point)
            else {
                return false;
            };
            if message.question != "deliver" {
                return false;
            }
            self.kill(state, Party::Wallet);
            state.enter_route();
            return true;
        };
        let Point::BeforeAnswering(message) = &reached.point else {
            return false;
        };
        let loses = match (self.0.route, server) {
            (Route::ReceiptLost | Route::BothLost, RoleName::Merchant) => message.question == "deliver",
            (Route::BothLost, RoleName::Escrow) => message.question == "outcome",
            _ => false,
        };
        if loses {
            self.cut(state, Party::Wallet, server, Way::ToClient, Gate::Handshakes);
            let last = match self.0.route {
                Route::BothLost => RoleName::Escrow,
                _ => RoleName::Merchant,
            };
            if server == last && !state.on_route {
                state.enter_route();
            }
        }
        loses
    }

    // ---- the fault ------------------------------------------------------------------------------------------------

    fn act(&self, state: &mut State, reached: Reached, entered: Option<(What, usize)>) {
        let Some(cell) = &self.0.cell else { return };
        if !state.on_route || state.phase == Phase::Over {
            self.let_late_go(state, &reached);
            return;
        }
        let target = (cell.place.what.clone(), cell.place.nth);
        if let (Fault::DiskFull, What::Write { party, .. }) = (cell.fault, &cell.place.what) {
            let before =
                !matches!(&reached.point, Point::Store(name) if name != AFTER_OPEN && name != AFTER_REPLY);
            if before && reached.party == *party && state.tracker.next_write(*party) == target {
                state.phase = Phase::Over;
                self.fill_disk(state, *party);
            }
            return;
        }
        if entered == Some(target) {
            state.phase = Phase::Here;
        }
        if state.phase != Phase::Ahead {
            match &cell.place.what {
                What::Message { asker, message } => {
                    let (asker, message) = (*asker, message.clone());
                    self.act_on_message(state, reached, cell.fault, asker, &message);
                }
                What::Write { party, .. } => self.act_on_write(state, &reached, cell.fault, *party),
            }
        }
    }

    fn act_on_message(
        &self,
        state: &mut State,
        reached: Reached,
        fault: Fault,
        asker: Party,
        message: &Message,
    ) {
        let server = Party::Node(message.server);
        let (party, of) = (reached.party, &reached.point);
        let asking = party == asker && *of == Point::BeforeAsking(message.clone());
        let asked = party == server && *of == Point::Asked(message.clone());
        let answering =
            party == server && *of == Point::BeforeAnswering(message.clone()) && state.phase == Phase::Served;
        let answered = party == asker && *of == Point::Answered(message.clone());
        if asked && state.phase == Phase::Here {
            state.phase = Phase::Served;
        }
        let line = message.server;
        let now = match fault {
            Fault::RequestLost | Fault::Lossy | Fault::DeadThere | Fault::DeadBack | Fault::AskerKilled => {
                asking
            }
            Fault::ServerKilled | Fault::ServerFrozen | Fault::Late => asked,
            Fault::ReplyLost | Fault::ServerKilledAnswering | Fault::AskerFrozen => answering,
            Fault::AskerKilledAnswered => answered,
            _ => false,
        };
        if !now {
            return;
        }
        state.phase = Phase::Over;
        let (there, back) = (Way::ToServer, Way::ToClient);
        match fault {
            Fault::RequestLost => self.lose(state, asker, message, there, Gate::Handshakes),
            Fault::ReplyLost => self.lose(state, asker, message, back, Gate::Handshakes),
            Fault::DeadThere => self.lose(state, asker, message, there, Gate::Drop),
            Fault::DeadBack => self.lose(state, asker, message, back, Gate::Drop),
            Fault::Lossy => {
                if let Some(relay) = self.0.stage.line(asker, line) {
                    for (way, more) in [(there, 0), (back, 1)] {
                        let seed = self.0.seed.wrapping_mul(2).wrapping_add(more);
                        relay.set_faults(way, Faults { seed, ..LOSSY });
                    }
                }
                state.write(Happened::Done(Deed::Lossy(asker, line)));
            }
            Fault::Late => {
                state.write(Happened::Done(Deed::KeptBack(server)));
                state.kept = Some(reached);
            }
            Fault::AskerKilled | Fault::AskerKilledAnswered => self.kill(state, asker),
            Fault::ServerKilled | Fault::ServerKilledAnswering => self.kill(state, server),
            Fault::ServerFrozen => self.freeze(state, server),
            Fault::AskerFrozen => self.freeze(state, asker),
            _ => {}
        }
    }

    fn act_on_write(&self, state: &mut State, reached: &Reached, fault: Fault, party: Party) {
        let moment = match fault {
            Fault::KilledBefore => BEFORE_APPEND,
            Fault::KilledUnsynced | Fault::Frozen => AFTER_APPEND,
            Fault::KilledSynced => AFTER_SYNC,
            _ => AFTER_INDEX,
        };
        if reached.party != party || reached.point != Point::Store(moment.into()) {
            return;
        }
        state.phase = Phase::Over;
        match fault {
            Fault::Frozen => self.freeze(state, party),
            _ => self.kill(state, party),
        }
    }

    /// A request that is kept back is let go when the same was asked again and answered.
    fn let_late_go(&self, state: &mut State, reached: &Reached) {
        let again = match self.target_message() {
            Some((asker, message)) => {
                reached.party == asker && reached.point == Point::Answered(message.clone())
            }
            None => false,
        };
        if again && let Some(kept) = state.kept.take() {
            state.write(Happened::Done(Deed::LetGo(kept.party)));
        }
    }

    fn let_go(&self) {
        let mut state = self.state();
        if let Some(kept) = state.kept.take() {
            state.write(Happened::Done(Deed::LetGo(kept.party)));
        }
    }

    // ---- what is done ---------------------------------------------------------------------------------------------

    fn cut(&self, state: &mut State, asker: Party, server: RoleName, way: Way, gate: Gate) {
        if let Some(line) = self.0.stage.line(asker, server) {
            line.set_gate(way, gate);
            state.write(Happened::Done(Deed::Cut(asker, server, way)));
        }
    }

    /// Cuts a line until its asker gives `message` up.
    fn lose(&self, state: &mut State, asker: Party, message: &Message, way: Way, gate: Gate) {
        self.cut(state, asker, message.server, way, gate);
        state.heal = Some((asker, message.clone()));
        let director = self.clone();
        // Nobody waits for this: when the run ends all lines are healed.
        tokio::spawn(async move {
            sleep(CUT_MAX).await;
            let mut state = director.state();
            director.give_up(&mut state, asker, None);
        });
    }

    /// `asker` has given `message` up (or whatever it was): its line is healed.
    fn give_up(&self, state: &mut State, asker: Party, message: Option<&Message>) {
        let cut = state.heal.as_ref();
        let meant =
            cut.is_some_and(|(of, what)| *of == asker && message.is_none_or(|message| message == what));
        if meant && let Some((_, message)) = state.heal.take() {
            if let Some(line) = self.0.stage.line(asker, message.server) {
                line.heal();
            }
            state.write(Happened::Done(Deed::Healed(asker, message.server)));
        }
    }

    fn process_of(&self, state: &State, party: Party) -> Option<Pid> {
        let id = match party {
            Party::Wallet => state.wallet,
            Party::Node(role) => self.0.stage.node(role).ok()?.process_id(),
        };
        Pid::from_raw(i32::try_from(id?).ok()?)
    }

    fn signal(&self, state: &mut State, party: Party, signal: Signal) {
        let process = self.process_of(state, party);
        let sent = process.map(|process| kill_process(process, signal));
        if !matches!(sent, Some(Ok(()))) {
            state
                .log
                .failed
                .push(format!("the {} took no signal", super::matrix::called(party)));
        }
    }

    /// Kills a party. A node is started again after a while; a wallet's command is run again by its customer.
    fn kill(&self, state: &mut State, party: Party) {
        self.signal(state, party, Signal::KILL);
        state.write(Happened::Done(Deed::Killed(party)));
        state.in_flight.retain(|(asker, _)| *asker != party);
        let Party::Node(role) = party else { return };
        let director = self.clone();
        self.later(state, AWAY, async move {
            director.note(match director.restart(role).await {
                Ok(()) => Deed::Restarted(party),
                Err(why) => Deed::Failed(format!("the {role} does not start again: {why}")),
            });
        });
    }

    /// Starts a node again, as often as it takes: as service managers do, since a command of its operator's that ran
    /// while it was away may have its directory open.
    async fn restart(&self, role: RoleName) -> Result<(), DemoError> {
        let node = self.0.stage.node(role)?;
        for _ in 1..STARTS_MAX {
            if node.restart().await.is_ok() {
                return Ok(());
            }
            sleep(AWAY).await;
        }
        Ok(node.restart().await?)
    }

    fn freeze(&self, state: &mut State, party: Party) {
        self.signal(state, party, Signal::STOP);
        state.write(Happened::Done(Deed::Frozen(party)));
        let director = self.clone();
        self.later(state, FROZEN, async move {
            let mut state = director.state();
            director.signal(&mut state, party, Signal::CONT);
            state.write(Happened::Done(Deed::Thawed(party)));
        });
    }

    fn fill_disk(&self, state: &mut State, party: Party) {
        let Some(disk) = self.0.stage.disks.get(&party) else {
            state.log.failed.push("its disk cannot be filled".into());
            return;
        };
        if let Err(error) = disk.fill() {
            state
                .log
                .failed
                .push(format!("its disk cannot be filled: {error}"));
        }
        state.write(Happened::Done(Deed::DiskFull(party)));
        let director = self.clone();
        self.later(state, FULL, async move {
            let freed = director
                .0
                .stage
                .disks
                .get(&party)
                .map(super::disk::SmallDisk::free);
            director.note(match freed {
                Some(Ok(())) => Deed::DiskFree(party),
                _ => Deed::Failed("its disk cannot be made larger again".into()),
            });
        });
    }

    /// Mends something after a while; the run does not end before.
    fn later(&self, state: &mut State, after: Duration, mend: impl Future<Output = ()> + Send + 'static) {
        state.mending += 1;
        let director = self.clone();
        tokio::spawn(async move {
            sleep(after).await;
            mend.await;
            director.state().mending -= 1;
        });
    }
}

impl State {
    fn write(&mut self, what: Happened) {
        if self.recording {
            let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.log.events.push(Event { ms, what });
        }
    }

    fn enter_route(&mut self) {
        self.on_route = true;
        self.tracker.begin_again();
    }
}
