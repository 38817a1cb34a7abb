//! A run as steps: for a list, and for a sequence diagram.

use crate::{
    facts::Party,
    frame::{Event, EventOf, Explored, Protocol},
};
use std::collections::BTreeMap;

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Faults cease.
    Healing,
    /// A message is sent.
    Send,
    /// A message arrives after other events.
    Arrival,
    /// A party takes a step.
    Act,
    /// A party crashes or stops.
    Fault,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The kind.
    pub kind: Kind,
    /// The text.
    pub text: String,
    /// The party's place among the parties of the system.
    pub of: usize,
    /// The place of the party to which the arrow goes.
    pub to: Option<usize>,
    /// The step at which it arrives, if it arrives.
    pub arrives: Option<usize>,
    /// The text on the arrow or at the mark.
    pub label: String,
}

/// A party that crashes.
pub const CRASHED: &str = "killed";
/// A party that stops.
pub const STOPPED: &str = "stops";

/// A run as it is told, step by step.
pub struct Diagram<M> {
    /// What the parties are called, by their places.
    names: Vec<&'static str>,
    steps: Vec<Step>,
    /// The step at which each message was first sent.
    sent: BTreeMap<M, usize>,
}

impl<M: Ord> Diagram<M> {
    /// Nothing told yet, of parties with these names.
    #[must_use]
    pub fn new(names: Vec<&'static str>) -> Diagram<M> {
        Diagram {
            names,
            steps: Vec::new(),
            sent: BTreeMap::new(),
        }
    }

    /// The steps.
    #[must_use]
    pub fn done(self) -> Vec<Step> {
        self.steps
    }

    /// Something at the party in the place `of`, or for all parties if its kind is [`Kind::Healing`].
    pub fn mark(&mut self, kind: Kind, of: usize, label: String) {
        let text = match kind {
            Kind::Healing => label.clone(),
            _ => format!("{}: {label}", self.names.get(of).copied().unwrap_or_default()),
        };
        self.steps.push(Step {
            kind,
            text,
            of,
            to: None,
            arrives: None,
            label,
        });
    }

    /// Faults cease. What was on its way is lost.
    pub fn heal(&mut self) {
        let label = "faults cease, and the honest parties carry on";
        self.mark(Kind::Healing, 0, label.to_owned());
        self.sent.clear();
    }

    /// A message is sent.
    pub fn send(&mut self, message: M, (of, to): (usize, usize), label: &str) {
        self.mark(Kind::Send, of, label.to_owned());
        let at = self.steps.len().saturating_sub(1);
        if let Some(step) = self.steps.last_mut() {
            step.to = Some(to);
        }
        self.sent.insert(message, at);
    }

    /// A message arrives: for the first time, or again.
    pub fn arrive(&mut self, message: &M, (of, to): (usize, usize), label: &str) {
        let at = self.steps.len();
        let first = self.sent.get(message).copied();
        let only_sends_since = first.is_some_and(|first| {
            let since = self.steps.iter().skip(first);
            since.clone().all(|step| step.kind == Kind::Send)
        });
        let pending = first.and_then(|first| self.steps.get_mut(first).filter(|step| step.arrives.is_none()));
        match (pending, first) {
            (Some(step), Some(first)) => {
                step.arrives = Some(if only_sends_since { first } else { at });
                if !only_sends_since {
                    self.mark(Kind::Arrival, to, format!("gets “{label}”"));
                }
            }
            _ => {
                self.mark(Kind::Send, of, format!("{label} (again)"));
                if let Some(step) = self.steps.last_mut() {
                    (step.to, step.arrives) = (Some(to), Some(at));
                }
            }
        }
    }
}

struct Teller<'p, P: Protocol> {
    explored: &'p Explored<P>,
    parties: Vec<Party>,
    diagram: Diagram<P::Message>,
}

/// The parties of a system, in the order of the diagram.
pub(crate) fn parties<P: Protocol>(protocol: &P) -> Vec<Party> {
    let has = |party: &Party| protocol.name(*party).is_some();
    Party::ALL.into_iter().filter(has).collect()
}

/// A run with the events that the checker leaves out: those that change no party and only bring a message that arrives
/// later. Each is put as late as it can happen.
fn whole_run<P: Protocol>(explored: &Explored<P>, events: &[EventOf<P>]) -> Vec<EventOf<P>> {
    let mut worlds = vec![explored.first()];
    for event in events {
        let world = worlds.last().and_then(|world| explored.after(world, *event));
        worlds.extend(world);
    }
    let mut told: Vec<Vec<EventOf<P>>> = events.iter().map(|event| vec![*event]).collect();
    for (number, event) in events.iter().enumerate() {
        let Event::Arrive(message) = *event else {
            continue;
        };
        for (at, world) in worlds.iter().enumerate().take(number.saturating_add(1)).rev() {
            let before: Vec<EventOf<P>> = told.iter().take(at).flatten().copied().collect();
            let mut sent = explored.sent_in(&before);
            if at == number && sent.contains(&message) {
                break;
            }
            let brought = explored.saturate(&world.parties, world.stopped, &mut sent);
            let way = way_to(&brought, message);
            if let (false, Some(here)) = (way.is_empty(), told.get_mut(at)) {
                here.splice(0..0, way);
                break;
            }
        }
    }
    told.into_iter().flatten().collect()
}

/// The events that bring a message, in order. Empty if none does.
fn way_to<M: Copy + Ord, S: Copy>(brought: &[(Event<M, S>, M)], message: M) -> Vec<Event<M, S>> {
    let mut way = Vec::new();
    let mut wanted = Some(message);
    while let Some((event, _)) = brought.iter().find(|(_, it)| Some(*it) == wanted) {
        way.push(*event);
        wanted = match event {
            Event::Arrive(before) => Some(*before),
            _ => None,
        };
    }
    way.reverse();
    way
}

/// What the parties of a system are called, in the order of the diagram.
pub(crate) fn names<P: Protocol>(protocol: &P) -> Vec<&'static str> {
    let name = |party: &Party| protocol.name(*party);
    Party::ALL.iter().filter_map(name).collect()
}

/// Tells a run: its events, and after them the healing.
pub(crate) fn tell<P: Protocol>(explored: &Explored<P>, events: &[EventOf<P>]) -> Vec<Step> {
    let events = &whole_run(explored, events);
    let explored = &explored.one_by_one();
    let mut teller = Teller {
        explored,
        parties: parties(&explored.protocol),
        diagram: Diagram::new(names(&explored.protocol)),
    };
    let mut world = explored.first();
    for event in events {
        teller.event(&mut world.parties.clone(), event);
        if let Some(after) = explored.after(&world, *event) {
            world = after;
        }
    }
    let healed = explored.heal(&world);
    if !events.is_empty() {
        teller.diagram.heal();
    }
    let mut state = world.parties;
    for event in &healed.events {
        teller.event(&mut state, event);
    }
    teller.diagram.done()
}

impl<P: Protocol> Teller<'_, P> {
    fn place(&self, party: Party) -> usize {
        self.parties
            .iter()
            .position(|it| *it == party)
            .unwrap_or_default()
    }

    fn mark(&mut self, kind: Kind, of: Party, label: &str) {
        let place = self.place(of);
        self.diagram.mark(kind, place, label.to_owned());
    }

    /// Tells an event, and changes `state` as it does.
    fn event(&mut self, state: &mut P::State, event: &EventOf<P>) {
        let protocol = &self.explored.protocol;
        let mut out = Vec::new();
        match *event {
            Event::Arrive(message) => {
                let (of, to, label) = protocol.message(message);
                let places = (self.place(of), self.place(to));
                self.diagram.arrive(&message, places, label);
                protocol.receive(state, message, &mut out);
            }
            Event::Act(step) => {
                let (of, words) = protocol.step(step);
                protocol.take(state, step, &mut out);
                self.mark(Kind::Act, of, words);
            }
            Event::Crash(party) => {
                protocol.crash(state, party);
                self.mark(Kind::Fault, party, CRASHED);
            }
            Event::Stop(party) => self.mark(Kind::Fault, party, STOPPED),
        }
        for message in out {
            let (of, to, label) = protocol.message(message);
            let places = (self.place(of), self.place(to));
            self.diagram.send(message, places, label);
        }
    }
}
