//! Explores a flow, and tells the runs that break a property.

use crate::{
    machine::Message,
    model::{Bound, Defect, Shipped, State, Step, not_applicable},
    stage::Flow,
    who::Who,
};
use farthing_model::{
    catalog::Row,
    check::{Checked, Explorable, check, explore},
    facts::Parties,
    frame::Scenario,
    property::Property,
    story::{CRASHED, Diagram, Kind, Step as Told},
};
use stateright::Model;
use std::net::SocketAddr;

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

impl Exploration {
    fn model(&self) -> Shipped {
        Shipped::new(self.flow, self.bound, self.defect)
    }
}

impl Row for Exploration {
    fn check(&self, system: &'static str, states_max: usize) -> Checked {
        let model = self.model();
        let checked = check(system, &model, states_max);
        // Between two writes of one step no other step can happen here.
        let writes_max = model.machine().writes_max();
        assert!(
            self.defect.is_some() || writes_max <= 1,
            "a step writes {writes_max} times"
        );
        checked
    }

    fn explore(&self, address: SocketAddr) {
        explore(&self.model(), address);
    }
}

impl Explorable for Shipped {
    fn scenario(&self) -> Scenario {
        FAILURES
    }

    fn parties(&self) -> Vec<&'static str> {
        NAMES.to_vec()
    }

    fn not_applicable(&self, property: Property) -> Option<&'static str> {
        not_applicable(self.flow, property)
    }

    fn only(&self, property: Property) -> Shipped {
        Shipped::only(self, property)
    }

    fn why(&self, state: &State, property: Property) -> Option<String> {
        Shipped::why(self, state, property)
    }

    fn tell(&self, run: Vec<Step>) -> Vec<Told> {
        let mut told = Telling::new(self);
        run.into_iter().for_each(|step| told.step(step));
        told.diagram.heal();
        told.diagram.done()
    }

    /// Each message arrives once, in order.
    fn without_faults(&self) -> Vec<Told> {
        let mut told = Telling::new(self);
        for _ in 0..STEPS_MAX {
            let mut actions = Vec::new();
            self.actions(&told.state, &mut actions);
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
                .find(|step| self.next_state(&told.state, step.clone()).is_some());
            match next {
                Some(step) => told.step(step),
                None => break,
            }
        }
        told.diagram.done()
    }
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
