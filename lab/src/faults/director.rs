//! The director of a run: it causes one fault at its place, and records all events.
//!
//! Every process of a theatre waits at every probe point until the director lets it continue. So faults are exact: the
//! line is cut before the request is sent, and the process is killed after the record is synced.

mod actions;
mod fault;

use super::{
    matrix::{Cell, Route, Tracker, What},
    record::{Action, Event, EventKind, Log},
    stage::Stage,
};
use farthing_kit::{
    line::{Gate, Way},
    points::{Message, Party, Point, Points, Reached},
};
use farthing_node::card::RoleName;
use farthing_protocol::api::Question;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The pause between two checks whether everything is mended.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The progress of the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its place is not reached yet.
    Ahead,
    /// Its place is reached, but not its moment.
    Here,
    /// The server has the fault's request.
    Served,
    /// It has happened.
    Over,
}

struct State {
    begun: Instant,
    recording: bool,
    log: Log,
    tracker: Tracker,
    phase: Phase,
    /// Whether the places of the route have begun.
    on_route: bool,
    /// The questions without an answer.
    in_flight: Vec<(Party, Message)>,
    /// Processes that must wait, so that their question is not taken for the question of the fault.
    parked: Vec<Reached>,
    /// The delayed request.
    kept: Option<Reached>,
    /// The line that is healed when its asker gives up the question.
    heal: Option<(Party, Message)>,
    /// The process of the wallet's current command.
    wallet: Option<u32>,
    /// The killed processes. A killed process does not pass the point at which it waited.
    killed: BTreeSet<i32>,
    /// The number of processes, lines and disks that will be mended.
    mending: usize,
}

struct Inner {
    stage: Arc<Stage>,
    route: Route,
    cell: Option<Cell>,
    seed: u64,
    state: Mutex<State>,
}

/// The director of one run. It causes at most one fault.
#[derive(Clone)]
pub struct Director(Arc<Inner>);

impl Director {
    /// The director of a run on `route`, with the fault of `cell`, or without a fault.
    #[must_use]
    pub fn new(stage: Arc<Stage>, route: Route, cell: Option<Cell>, seed: u64) -> Director {
        let state = State {
            begun: Instant::now(),
            recording: false,
            log: Log::default(),
            tracker: Tracker::default(),
            phase: Phase::Ahead,
            on_route: matches!(route, Route::Bought | Route::Sealed | Route::Changed),
            in_flight: Vec::new(),
            parked: Vec::new(),
            kept: None,
            heal: None,
            wallet: None,
            killed: BTreeSet::new(),
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

    /// Whether the places of the route have begun.
    #[must_use]
    pub fn is_on_route(&self) -> bool {
        self.state().on_route
    }

    /// Lets the places of the route begin, if they have not begun.
    pub fn enter_route(&self) {
        let mut state = self.state();
        if !state.on_route {
            state.enter_route();
            // An operator's command writes without a point before it.
            self.fill_before_write(&mut state);
        }
    }

    /// Handles every point. Never returns.
    pub async fn conduct(&self, points: &mut Points) {
        loop {
            let reached = points.next().await;
            self.see(reached);
        }
    }

    /// Begins the record. The fault may happen from now on.
    pub fn begin(&self) {
        let mut state = self.state();
        state.begun = Instant::now();
        state.recording = true;
    }

    /// Mends everything, and waits until everything is mended.
    pub async fn mend(&self) {
        self.let_go();
        self.0.stage.heal();
        while self.is_mending() {
            sleep(LOOK_PAUSE).await;
        }
        self.0.stage.heal();
    }

    /// Whether a process, a line or a disk will be mended.
    pub fn is_mending(&self) -> bool {
        self.state().mending > 0
    }

    /// Ends the record. No fault happens after it.
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

    /// Records an action.
    pub fn record(&self, action: Action) {
        let mut state = self.state();
        if let Action::Failed(why) = &action {
            let why = why.clone();
            state.log.failed.push(why);
        }
        state.write(EventKind::Done(action));
    }

    /// Sets the process of the wallet's current command, or `None` when it has ended.
    pub fn wallet_is(&self, process: Option<u32>) {
        let mut state = self.state();
        state.wallet = process;
        if process.is_none() {
            state.in_flight.retain(|(asker, _)| *asker != Party::Wallet);
            self.give_up(&mut state, Party::Wallet, None);
            self.unpark(&mut state);
        }
    }

    // ---- points ---------------------------------------------------------------------------------------------------

    fn see(&self, reached: Reached) {
        let mut state = self.state();
        if !state.recording || state.is_dead(&reached) {
            return;
        }
        if self.must_wait(&state, &reached) {
            state.parked.push(reached);
            return;
        }
        self.pass(&mut state, reached);
        self.unpark(&mut state);
    }

    /// Whether another party's same question is under way. Until the fault has happened, only one party at a time may
    /// ask its question. So it is clear which question the server answers.
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
            } else if !state.is_dead(&reached) {
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
        state.write(EventKind::Reached(party, point.clone()));
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

    /// Causes the event that leads to the route, before the places of the route. Returns whether it did so.
    fn lead_onto_route(&self, state: &mut State, reached: &Reached) -> bool {
        let Party::Node(server) = reached.party else {
            let (Route::Cancelled, false, Point::BeforeAsking(message)) =
                (self.0.route, state.on_route, &reached.point)
            else {
                return false;
            };
            if !message.asks(Question::Deliver) {
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
            (Route::ReceiptLost | Route::BothLost, RoleName::Merchant) => message.asks(Question::Deliver),
            (Route::BothLost, RoleName::Escrow) => message.asks(Question::Outcome),
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
}

impl State {
    fn write(&mut self, what: EventKind) {
        if self.recording {
            let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.log.events.push(Event { ms, what });
        }
    }

    fn is_dead(&self, reached: &Reached) -> bool {
        reached.process_id().is_some_and(|id| self.killed.contains(&id))
    }

    fn enter_route(&mut self) {
        self.on_route = true;
        self.tracker.begin_again();
    }
}
