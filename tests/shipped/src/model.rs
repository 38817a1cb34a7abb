//! The model: which step may follow, in which order writes and messages leave, and what must hold.

use crate::{
    machine::{Effect, Machine, Message, Now},
    stage::{Flow, Job},
    who::Who,
};
use farthing_model::{
    facts::{Parties, Party, Verdict},
    property::Property,
};
use stateright::Model;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How far a model goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// How often one run of a function may wait for a reply in vain.
    pub silences_max: usize,
    /// Writes and messages leave in separate steps, also where they leave in the right order.
    pub separate: bool,
    /// The customer may cancel at any time.
    pub cancels: bool,
}

/// A party that sends before it has written.
pub type Defect = Option<Who>;

/// A state: numbers of rows, of functions that wait, and of messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    rows: [u32; 4],
    /// What the bank keeps in memory only.
    sitting: u32,
    fibers: BTreeSet<u32>,
    /// Messages that may arrive.
    pub(crate) sent: BTreeSet<u32>,
    /// Messages that have not left yet: their write is durable.
    unsent: BTreeSet<(Who, u32)>,
    /// Rows that are not written yet: their messages have left.
    unwritten: [Option<u32>; 4],
    late: bool,
}

impl State {
    /// What a function of a party finds.
    fn now(&self, who: Who) -> Now {
        Now {
            rows: self.rows[who.place()],
            sitting: self.sitting,
            late: self.late,
        }
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A message arrives, for the first time or again.
    Arrive(u32),
    /// A function waits no longer for a reply.
    Silence(u32, u32),
    /// Background work.
    Background(Who, bool),
    /// The wallet carries something on.
    Drive(Job),
    /// The customer interrupts the wallet, and cancels.
    Cancel(u64),
    /// A process dies, and starts again.
    Crash(Who),
    /// A message leaves.
    Send(Who, u32),
    /// A write becomes durable.
    Write(Who),
    /// The deadline passes.
    Pass,
}

/// The model of a flow.
#[derive(Clone)]
pub struct Shipped {
    machine: Arc<Mutex<Machine>>,
    /// What the wallet may drive.
    drives: Vec<Job>,
    bound: Bound,
    defect: Defect,
    pub(crate) flow: Flow,
    /// The properties to check. With one alone, the first path that breaks it is a shortest one.
    wanted: Vec<Property>,
}

/// How often the bank may lose its open sessions.
pub const SESSIONS_LOST_MAX: u64 = 2;

/// Why a property is not decided here, if it is not.
pub fn not_applicable(flow: Flow, property: Property) -> Option<&'static str> {
    match property {
        Property::Evidence | Property::Certified | Property::Anonymity => {
            Some("decided for the protocol, and by the tests of the judge and of blindness")
        }
        Property::Goods if flow.purchases() == 0 => Some("it has no goods"),
        _ => None,
    }
}

fn honest() -> Parties {
    Party::ALL.into_iter().fold(Parties::NONE, Parties::with)
}

impl Shipped {
    /// The model of a flow, within a bound.
    pub fn new(flow: Flow, bound: Bound, defect: Defect) -> Shipped {
        let machine = Machine::new(flow, bound.silences_max);
        let drives = match flow.purchases() {
            0 => vec![Job::CarryOn],
            _ => machine.purchases().into_iter().map(Job::Drive).collect(),
        };
        let is_wanted = |property: &Property| not_applicable(flow, *property).is_none();
        Shipped {
            machine: Arc::new(Mutex::new(machine)),
            drives,
            bound,
            defect,
            flow,
            wanted: Property::ALL.into_iter().filter(is_wanted).collect(),
        }
    }

    /// The same with one property alone.
    #[must_use]
    pub fn only(&self, property: Property) -> Shipped {
        Shipped {
            wanted: vec![property],
            ..self.clone()
        }
    }

    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a property does not hold after faults have ceased in this state.
    pub fn why(&self, state: &State, property: Property) -> Option<String> {
        let mut rows = state.rows;
        // Processes live on: what they have begun to write becomes durable.
        for (rows, unwritten) in rows.iter_mut().zip(state.unwritten) {
            *rows = unwritten.unwrap_or(*rows);
        }
        let facts = self.machine().healed(rows, state.late);
        property.broken(&facts, honest(), &|_| Verdict::Undecided)
    }

    fn apply(&self, state: &mut State, who: Who, before: Option<u32>, effect: Effect) {
        if let Some(before) = before {
            state.fibers.remove(&before);
        }
        state.fibers.extend(effect.fiber);
        state.sitting = effect.sitting.unwrap_or(state.sitting);
        let place = who.place();
        let writes = effect.rows != state.rows[place];
        if self.defect == Some(who) && writes {
            state.unwritten[place] = Some(effect.rows);
            state.sent.extend(effect.sends);
            return;
        }
        state.rows[place] = effect.rows;
        match self.bound.separate {
            true => state.unsent.extend(effect.sends.into_iter().map(|it| (who, it))),
            false => state.sent.extend(effect.sends),
        }
    }

    /// A reply belongs to the stream of its request: when nobody waits for it, nobody can get it any more.
    fn close_streams(&self, state: &mut State) {
        let machine = self.machine();
        let State {
            fibers, sent, unsent, ..
        } = state;
        let awaited: BTreeSet<u32> = fibers
            .iter()
            .flat_map(|fiber| {
                machine
                    .fiber(*fiber)
                    .asks
                    .iter()
                    .map(|(_, request)| *request)
                    .collect::<Vec<_>>()
            })
            .collect();
        let is_open = |number: u32| match &*machine.message(number) {
            Message::Request { .. } => true,
            Message::Reply { to, .. } => awaited.contains(to),
        };
        sent.retain(|number| is_open(*number));
        unsent.retain(|(_, number)| is_open(*number));
    }

    fn arrive(&self, state: &mut State, number: u32) {
        let mut machine = self.machine();
        match &*machine.message(number) {
            Message::Request { to, lane, bytes, .. } => {
                let to = *to;
                let busy = |fiber: &u32| {
                    let fiber = machine.fiber(*fiber);
                    fiber.who == to && fiber.serves == Some(number)
                };
                if state.unwritten[to.place()].is_some() || state.fibers.iter().any(busy) {
                    return;
                }
                let job = Job::Serve(*lane, bytes.clone());
                let effect = machine.start((to, job), Some(number), state.now(to));
                drop(machine);
                self.apply(state, to, None, effect);
            }
            Message::Reply { to: request, .. } => {
                drop(machine);
                self.answer(state, *request, Some(number));
            }
        }
    }

    /// The first function that waits for this request gets its reply, or waits no longer.
    fn answer(&self, state: &mut State, request: u32, reply: Option<u32>) {
        let mut machine = self.machine();
        let waits = |fiber: &&u32| {
            machine
                .fiber(**fiber)
                .asks
                .iter()
                .any(|(_, asked)| *asked == request)
        };
        let Some(fiber) = state.fibers.iter().find(waits).copied() else {
            return;
        };
        let who = machine.fiber(fiber).who;
        if state.unwritten[who.place()].is_some() {
            return;
        }
        let effect = machine.arrive(fiber, request, reply, state.rows[who.place()], state.late);
        drop(machine);
        if let Some(effect) = effect {
            self.apply(state, who, Some(fiber), effect);
        }
    }

    fn begin(&self, state: &mut State, who: Who, job: Job) {
        if state.unwritten[who.place()].is_some() {
            return;
        }
        let effect = self.machine().start((who, job), None, state.now(who));
        self.apply(state, who, None, effect);
    }

    fn forget(&self, state: &mut State, who: Who) {
        let mut machine = self.machine();
        if who == Who::Bank && !machine.sitting(state.sitting).served.is_empty() {
            state.sitting = machine.sessions_lost(state.sitting);
        }
        state.fibers.retain(|fiber| machine.fiber(*fiber).who != who);
        state.unsent.retain(|(of, _)| *of != who);
        state.unwritten[who.place()] = None;
    }
}

impl Model for Shipped {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            rows: [0; 4],
            sitting: 0,
            fibers: BTreeSet::new(),
            sent: BTreeSet::new(),
            unsent: BTreeSet::new(),
            unwritten: [None; 4],
            late: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        let machine = self.machine();
        actions.extend(state.sent.iter().map(|message| Step::Arrive(*message)));
        let mut busy = BTreeSet::new();
        for number in &state.fibers {
            let fiber = machine.fiber(*number);
            busy.insert((fiber.who, fiber.serves.is_none()));
            actions.extend(
                fiber
                    .asks
                    .iter()
                    .map(|(_, request)| Step::Silence(*number, *request)),
            );
        }
        let nodes: &[Who] = match self.flow.purchases() {
            0 => &[],
            _ => &[Who::Bank, Who::Escrow, Who::Merchant],
        };
        for who in nodes.iter().copied() {
            if !busy.contains(&(who, true)) {
                actions.push(Step::Background(who, false));
                if self.flow.is_sealed() && who == Who::Merchant {
                    actions.push(Step::Background(who, true));
                }
            }
        }
        for job in &self.drives {
            if !busy.contains(&(Who::Wallet, true)) {
                actions.push(Step::Drive(job.clone()));
            }
            if let (Job::Drive(number), true) = (job, self.bound.cancels) {
                actions.push(Step::Cancel(*number));
            }
        }
        let sitting = machine.sitting(state.sitting);
        let has_sessions = !sitting.served.is_empty();
        for who in Who::ALL {
            let place = who.place();
            let runs = busy.contains(&(who, true)) || busy.contains(&(who, false));
            let has_unsent = state.unsent.iter().any(|(of, _)| *of == who);
            let is_unwritten = state.unwritten[place].is_some();
            let at_work = runs || has_unsent || is_unwritten || (who == Who::Bank && has_sessions);
            let may_crash = who != Who::Bank || !has_sessions || sitting.start < SESSIONS_LOST_MAX;
            if at_work && may_crash {
                actions.push(Step::Crash(who));
            }
            if is_unwritten {
                actions.push(Step::Write(who));
            }
        }
        actions.extend(
            state
                .unsent
                .iter()
                .map(|(who, message)| Step::Send(*who, *message)),
        );
        if !state.late {
            actions.push(Step::Pass);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Arrive(message) => self.arrive(&mut state, message),
            Step::Silence(_, request) => self.answer(&mut state, request, None),
            Step::Background(who, learns) => {
                let job = if learns { Job::Learn } else { Job::Round };
                self.begin(&mut state, who, job);
            }
            Step::Drive(job) => self.begin(&mut state, Who::Wallet, job),
            Step::Cancel(number) => {
                self.forget(&mut state, Who::Wallet);
                self.begin(&mut state, Who::Wallet, Job::Cancel(number));
            }
            Step::Crash(who) => self.forget(&mut state, who),
            Step::Send(who, message) => {
                state.unsent.remove(&(who, message));
                state.sent.insert(message);
            }
            Step::Write(who) => {
                if let Some(rows) = state.unwritten[who.place()].take() {
                    state.rows[who.place()] = rows;
                }
            }
            Step::Pass => state.late = true,
        }
        self.close_streams(&mut state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        let holds = |property: &Property| {
            let condition: fn(&Shipped, &State) -> bool = match property {
                Property::Money => |model, state| model.why(state, Property::Money).is_none(),
                Property::Consent => |model, state| model.why(state, Property::Consent).is_none(),
                Property::Goods => |model, state| model.why(state, Property::Goods).is_none(),
                _ => |model, state| model.why(state, Property::Progress).is_none(),
            };
            stateright::Property::always(property.name(), condition)
        };
        self.wanted.iter().map(holds).collect()
    }
}
