//! Explores a flow, and tells the runs that break a property.

use crate::{
    machine::Message,
    model::{Bound, Defect, Shipped, State, Step, not_applicable},
    stage::Flow,
    who::Who,
};
use farthing_model::{
    catalog::Row,
    check::{Checked, Finding},
    facts::Parties,
    frame::Scenario,
    property::Property,
    story::{CRASHED, Diagram, Kind, Step as Told},
};
use stateright::{Checker, Model};
use std::{net::SocketAddr, time::Instant};

/// Messages are lost, repeated and reordered, and processes crash. Nobody stops for good.
pub const FAILURES: Scenario = Scenario {
    name: "failures",
    may_stop: Parties::NONE,
    cheats: Parties::NONE,
};

/// Steps of a run without faults, more than any flow needs.
const STEPS_MAX: usize = 100;

/// The names in the order of a diagram.
const NAMES: [&str; 4] = ["customer", "merchant", "bank", "escrow"];

fn place(who: Who) -> usize {
    match who {
        Who::Wallet => 0,
        Who::Merchant => 1,
        Who::Bank => 2,
        Who::Escrow => 3,
    }
}

/// A flow to explore.
#[derive(Debug, Clone, Copy)]
pub struct Exploration {
    /// The flow.
    pub flow: Flow,
    /// How far.
    pub bound: Bound,
    /// The mistake, if there is one.
    pub defect: Defect,
}

impl Row for Exploration {
    fn check(&self, system: &'static str, states_max: usize) -> Checked {
        let model = Shipped::new(self.flow, self.bound, self.defect);
        let checked = check(system, self.flow, &model, states_max);
        // Between two writes of one step no other step can happen here.
        let writes_max = model.machine().writes_max();
        assert!(
            self.defect.is_some() || writes_max <= 1,
            "a step writes {writes_max} times"
        );
        checked
    }

    fn explore(&self, address: SocketAddr) {
        Shipped::new(self.flow, self.bound, self.defect)
            .checker()
            .serve(address);
    }
}

/// Explores a model breadth first, on one thread. It ends after about `states_max` generated states, if there are more.
pub fn check(system: &'static str, flow: Flow, model: &Shipped, states_max: usize) -> Checked {
    let began = Instant::now();
    let checker = model
        .clone()
        .checker()
        .target_state_count(states_max)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let findings = Property::ALL.into_iter().map(|property| {
        let finding = match (
            not_applicable(flow, property),
            found.contains_key(property.name()),
        ) {
            (Some(why), _) => Finding::NotApplicable(why),
            (None, false) => Finding::Holds,
            (None, true) => shortest(model, property),
        };
        (property, finding)
    });
    Checked {
        system,
        scenario: FAILURES,
        parties: NAMES.to_vec(),
        findings: findings.collect(),
        without_faults: without_faults(model),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        complete: checker.state_count() < states_max,
        took: began.elapsed(),
    }
}

/// The shortest run that breaks a property.
fn shortest(model: &Shipped, property: Property) -> Finding {
    let checker = model.only(property).checker().spawn_bfs().join();
    let path = checker.discovery(property.name()).expect("it was found before");
    let why = model.why(path.last_state(), property).unwrap_or_default();
    let mut told = Telling::new(model);
    path.into_actions().into_iter().for_each(|step| told.step(step));
    told.diagram.heal();
    let run = told.diagram.done();
    Finding::Fails { why, run }
}

/// A run in which each message arrives once, in order.
fn without_faults(model: &Shipped) -> Vec<Told> {
    let mut told = Telling::new(model);
    for _ in 0..STEPS_MAX {
        let mut actions = Vec::new();
        model.actions(&told.state, &mut actions);
        // A message that arrives, or else the wallet, or else a node: whichever changes something.
        let order = |step: &Step| match step {
            Step::Arrive(message) if !told.arrived.contains(message) => Some(0),
            Step::Drive(_) => Some(1),
            Step::Background(..) => Some(2),
            _ => None,
        };
        actions.retain(|step| order(step).is_some());
        actions.sort_by_key(order);
        let next = actions
            .into_iter()
            .find(|step| model.next_state(&told.state, step.clone()).is_some());
        match next {
            Some(step) => told.step(step),
            None => break,
        }
    }
    told.diagram.done()
}

struct Telling<'m> {
    model: &'m Shipped,
    state: State,
    /// The messages that have arrived.
    arrived: Vec<u32>,
    diagram: Diagram<u32>,
}

impl Telling<'_> {
    fn new(model: &Shipped) -> Telling<'_> {
        Telling {
            model,
            state: model.init_states().remove(0),
            arrived: Vec::new(),
            diagram: Diagram::new(NAMES.to_vec()),
        }
    }

    /// Sender, receiver and words of a message.
    fn message(&self, number: u32) -> ((usize, usize), String) {
        let machine = self.model.machine();
        let words = machine.words(number);
        match &*machine.message(number) {
            Message::Request { from, to, .. } => ((place(*from), place(*to)), words),
            Message::Reply { to, .. } => match &*machine.message(*to) {
                Message::Request { from, to, .. } => ((place(*to), place(*from)), words),
                Message::Reply { .. } => panic!("a reply has no reply"),
            },
        }
    }

    fn act(&mut self, who: Who, label: &str) {
        self.diagram.mark(Kind::Act, place(who), label.to_owned());
    }

    fn step(&mut self, step: Step) {
        let Some(after) = self.model.next_state(&self.state, step.clone()) else {
            return;
        };
        match step {
            Step::Arrive(number) => {
                let (places, label) = self.message(number);
                self.diagram.arrive(&number, places, &label);
                self.arrived.push(number);
            }
            Step::Send(..) => {}
            Step::Pass => self
                .diagram
                .mark(Kind::Healing, 0, "the deadline passes".to_owned()),
            Step::Crash(who) => self.diagram.mark(Kind::Fault, place(who), CRASHED.to_owned()),
            Step::Background(who, _) => self.act(who, "background work"),
            Step::Write(who) => self.act(who, "its write is durable"),
            Step::Silence(fiber, _) => {
                let who = self.model.machine().fiber(fiber).who;
                self.act(who, "waits no longer");
            }
            Step::Drive(_) => self.act(Who::Wallet, "carries on"),
            Step::Cancel(_) => self.act(Who::Wallet, "cancels"),
        }
        for number in after.sent.difference(&self.state.sent) {
            let (places, label) = self.message(*number);
            self.diagram.send(*number, places, &label);
        }
        self.state = after;
    }
}
