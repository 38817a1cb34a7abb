//! The frame of all models: the network, crashes, parties that stop, and what follows when faults cease.
//!
//! **The network** is the set of all messages that were ever sent. At any time any of them may arrive, once or again.
//! One that never arrives is lost. So loss, repetition, delay and reordering have no bound, and the set of states is
//! still finite. A message that some party may send without a change of any party is there at once
//! ([`Explored::one_by_one`] is without that): sent later, or never, it would do no more. A message that will never do
//! anything again is forgotten ([`Protocol::is_over`]).
//!
//! **A crash** takes what a party has not written down ([`Protocol::crash`]). A party may crash at any time, and any
//! number of times.
//!
//! **A party that stops** ignores all messages and takes no step. A party that cheats takes the steps that
//! [`Protocol::steps`] adds for it, and may stop too.
//!
//! **Healing**: from every state that is reached, faults cease. Messages on their way are lost. (That they arrive first
//! is another state, from which healing is also tried.) From then on messages arrive in order, and the honest parties
//! take the steps of [`Protocol::recover`] until none of them changes anything: a *quiet* state. Every property is
//! decided there.

use crate::{
    facts::{Facts, Paper, Parties, Party, Verdict},
    property::Property,
};
use stateright::{Model, Property as Checked};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// Steps of one healing, more than any model needs. A healing that takes more is no progress.
pub const HEALING_MAX_STEPS: usize = 400;

/// Who may do what, besides the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// The name in the table.
    pub name: &'static str,
    /// Parties that may stop for good.
    pub may_stop: Parties,
    /// Parties that may cheat. They may stop too.
    pub cheats: Parties,
}

impl Scenario {
    /// Messages are lost, repeated and reordered, parties crash, and customer or merchant stops for good.
    pub const FAILURES: Scenario = Scenario {
        name: "failures",
        may_stop: Parties::NONE.with(Party::Customer).with(Party::Merchant),
        cheats: Parties::NONE,
    };

    /// The same failures of messages and processes, and one party cheats.
    #[must_use]
    pub const fn cheating(name: &'static str, party: Party) -> Scenario {
        Scenario {
            name,
            may_stop: Parties::NONE,
            cheats: Parties::NONE.with(party),
        }
    }

    /// As [`Scenario::cheating`], with a second party that works together with the first.
    #[must_use]
    pub const fn together(name: &'static str, one: Party, other: Party) -> Scenario {
        Scenario {
            name,
            may_stop: Parties::NONE,
            cheats: Parties::NONE.with(one).with(other),
        }
    }
}

/// A protocol: its parties' state, its messages, and what each party does.
pub trait Protocol: Clone + Debug + Send + Sync + 'static {
    /// The state of all parties. By default they have done nothing.
    type State: Clone + Debug + Default + Eq + Hash + Send + Sync + 'static;
    /// A message.
    type Message: Copy + Debug + Ord + Hash + Send + Sync + 'static;
    /// A step that a party takes by itself.
    type Step: Copy + Debug + Eq + Hash + Send + Sync + 'static;

    /// Who may do what.
    fn scenario(&self) -> Scenario;
    /// What a party is called here; `None` if the system has no such party.
    fn name(&self, party: Party) -> Option<&'static str>;
    /// Sender and receiver of a message, and the message in a few words.
    fn message(&self, message: Self::Message) -> (Party, Party, &'static str);
    /// The receiver takes a message, writes what it must, and then sends.
    fn receive(&self, state: &mut Self::State, message: Self::Message, out: &mut Vec<Self::Message>);
    /// The steps that parties may take now, with those of parties that cheat.
    fn steps(&self, state: &Self::State) -> Vec<Self::Step>;
    /// The party of a step, and the step in a few words.
    fn step(&self, step: Self::Step) -> (Party, &'static str);
    /// A party takes a step, writes what it must, and then sends.
    fn take(&self, state: &mut Self::State, step: Self::Step, out: &mut Vec<Self::Message>);
    /// A party loses what it has not written down. By default it has written everything down.
    fn crash(&self, _state: &mut Self::State, _party: Party) {}
    /// What parties do after a time-out, in this order. They stop when none of it changes anything.
    fn recover(&self, state: &Self::State) -> Vec<Self::Step>;
    /// What an observer counts.
    fn facts(&self, state: &Self::State) -> Facts;
    /// What a judge says of papers. By default nothing.
    fn judge(&self, _papers: &BTreeSet<Paper>) -> Verdict {
        Verdict::Undecided
    }
    /// Why a property does not apply to the system, if it does not.
    fn not_applicable(&self, _property: Property) -> Option<&'static str> {
        None
    }
    /// Whether a message will never change a party again, and brings none that is not there without it. The network
    /// forgets it. By default it keeps all.
    fn is_over(&self, _state: &Self::State, _message: Self::Message) -> bool {
        false
    }
}

/// An event of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event<M, S> {
    /// A message arrives.
    Arrive(M),
    /// A party takes a step.
    Act(S),
    /// A party crashes and starts again.
    Crash(Party),
    /// A party stops for good.
    Stop(Party),
}

/// A state of the whole: the parties, the network, and who has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World<S, M: Ord> {
    /// The parties.
    pub parties: S,
    /// All messages that may arrive.
    pub sent: Arc<BTreeSet<M>>,
    /// Parties that have stopped.
    pub stopped: Parties,
    /// The properties that do not hold after healing from here, as bits. It follows from the rest.
    broken: u8,
}

/// The world of a protocol.
pub type WorldOf<P> = World<<P as Protocol>::State, <P as Protocol>::Message>;
/// The events of a protocol.
pub type EventOf<P> = Event<<P as Protocol>::Message, <P as Protocol>::Step>;

/// The result of healing.
pub struct Healed<P: Protocol> {
    /// What happened, in order.
    pub events: Vec<EventOf<P>>,
    /// The quiet state; `None` if none was reached.
    pub quiet: Option<P::State>,
    last: P::State,
}

impl<P: Protocol> Healed<P> {
    /// The last state, quiet or not.
    #[must_use]
    pub fn last(&self) -> &P::State {
        &self.last
    }
}

/// The broken properties after healing from a state, by the state and by who has stopped. Healing does not depend on the
/// messages on their way, so many worlds share one.
type Verdicts<S> = Arc<Mutex<HashMap<(S, Parties), u8>>>;

/// A protocol as the checker takes it.
#[derive(Debug, Clone)]
pub struct Explored<P: Protocol> {
    /// The protocol.
    pub protocol: P,
    verdicts: Verdicts<P::State>,
    /// The one property that the checker decides; all of them if there is none.
    only: Option<Property>,
    /// Whether messages that may be sent without a change of any party are there at once.
    saturated: bool,
}

impl<P: Protocol> Explored<P> {
    /// The protocol, nothing explored yet.
    pub fn new(protocol: P) -> Explored<P> {
        let verdicts = Verdicts::default();
        Explored {
            protocol,
            verdicts,
            only: None,
            saturated: true,
        }
    }

    /// The same with one property alone. The checker then ends at the first state that breaks it.
    #[must_use]
    pub fn only(&self, property: Property) -> Explored<P> {
        Explored {
            only: Some(property),
            ..self.clone()
        }
    }

    /// The same, but messages are there only after they were sent. It has more states, and the same ones of the parties.
    #[must_use]
    pub fn one_by_one(&self) -> Explored<P> {
        Explored {
            saturated: false,
            ..self.clone()
        }
    }

    /// Why a property does not apply, if it does not.
    #[must_use]
    pub fn not_applicable(&self, property: Property) -> Option<&'static str> {
        let cheats = self.protocol.scenario().cheats.has(Party::Customer);
        match property {
            Property::Anonymity if cheats => Some("it is promised to an honest customer"),
            _ => self.protocol.not_applicable(property),
        }
    }

    /// The parties that follow the protocol.
    #[must_use]
    pub fn honest(&self, stopped: Parties) -> Parties {
        let scenario = self.protocol.scenario();
        Party::ALL
            .into_iter()
            .filter(|party| !stopped.has(*party) && !scenario.cheats.has(*party))
            .fold(Parties::NONE, Parties::with)
    }

    /// Why a property does not hold after healing from `world`, if it does not.
    #[must_use]
    pub fn why(&self, world: &WorldOf<P>, property: Property) -> Option<String> {
        let healed = self.heal(world);
        self.verdict(world.stopped, &healed, property)
    }

    fn verdict(&self, stopped: Parties, healed: &Healed<P>, property: Property) -> Option<String> {
        if self.not_applicable(property).is_some() {
            return None;
        }
        match (&healed.quiet, property) {
            (None, Property::Progress) => Some("the honest parties come to no end".to_owned()),
            // The other properties speak of quiet states.
            (None, _) => None,
            (Some(quiet), _) => {
                let facts = self.protocol.facts(quiet);
                property.broken(&facts, self.honest(stopped), &|papers| {
                    self.protocol.judge(papers)
                })
            }
        }
    }

    /// Lets faults cease: the honest parties carry on until nothing changes.
    #[must_use]
    pub fn heal(&self, world: &WorldOf<P>) -> Healed<P> {
        let mut state = world.parties.clone();
        let mut events = Vec::new();
        while events.len() < HEALING_MAX_STEPS {
            let steps = self.protocol.recover(&state);
            let next = steps
                .into_iter()
                .filter(|step| !world.stopped.has(self.protocol.step(*step).0))
                .find_map(|step| self.fruitful(world.stopped, &state, step));
            let Some((more, after)) = next else {
                return Healed {
                    events,
                    quiet: Some(state.clone()),
                    last: state,
                };
            };
            state = after;
            events.extend(more);
        }
        Healed {
            events,
            quiet: None,
            last: state,
        }
    }

    /// Takes a step, and delivers everything that follows from it. `None` if that changes nothing.
    fn fruitful(
        &self,
        stopped: Parties,
        before: &P::State,
        step: P::Step,
    ) -> Option<(Vec<EventOf<P>>, P::State)> {
        let mut state = before.clone();
        let mut out = Vec::new();
        let mut events = vec![Event::Act(step)];
        self.protocol.take(&mut state, step, &mut out);
        let mut under_way: VecDeque<P::Message> = out.drain(..).collect();
        while let Some(message) = under_way.pop_front() {
            if stopped.has(self.protocol.message(message).1) || events.len() > HEALING_MAX_STEPS {
                continue;
            }
            events.push(Event::Arrive(message));
            self.protocol.receive(&mut state, message, &mut out);
            under_way.extend(out.drain(..));
        }
        (state != *before).then_some((events, state))
    }

    fn world(&self, parties: P::State, mut sent: BTreeSet<P::Message>, stopped: Parties) -> WorldOf<P> {
        if self.saturated {
            self.saturate(&parties, stopped, &mut sent);
        }
        // Nobody takes what is sent to a party that has stopped.
        sent.retain(|message| !stopped.has(self.protocol.message(*message).1));
        if self.saturated {
            sent.retain(|message| !self.protocol.is_over(&parties, *message));
        }
        let mut world = World {
            parties,
            sent: Arc::new(sent),
            stopped,
            broken: 0,
        };
        world.broken = self.broken(&world);
        world
    }

    fn broken(&self, world: &WorldOf<P>) -> u8 {
        let key = (world.parties.clone(), world.stopped);
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        *verdicts.entry(key).or_insert_with(|| {
            let healed = self.heal(world);
            Property::ALL
                .into_iter()
                .filter(|property| self.verdict(world.stopped, &healed, *property).is_some())
                .fold(0, |bits, property| bits | property.bit())
        })
    }

    /// The world at the start.
    #[must_use]
    pub fn first(&self) -> WorldOf<P> {
        self.world(P::State::default(), BTreeSet::new(), Parties::NONE)
    }

    /// The world after an event; `None` if the event changes nothing.
    #[must_use]
    pub fn after(&self, world: &WorldOf<P>, event: EventOf<P>) -> Option<WorldOf<P>> {
        let mut parties = world.parties.clone();
        let mut stopped = world.stopped;
        let mut out = Vec::new();
        match event {
            Event::Arrive(message) => self.protocol.receive(&mut parties, message, &mut out),
            Event::Act(step) => self.protocol.take(&mut parties, step, &mut out),
            Event::Crash(party) => self.protocol.crash(&mut parties, party),
            Event::Stop(party) => stopped = stopped.with(party),
        }
        let same = parties == world.parties && stopped == world.stopped;
        let brings = || out.iter().any(|message| !world.sent.contains(message));
        // What an event brings that changes no party was there before, if the world is saturated.
        if same && (self.saturated || !brings()) {
            return None;
        }
        let mut sent = BTreeSet::clone(&world.sent);
        sent.extend(out);
        Some(self.world(parties, sent, stopped))
    }

    /// The messages that a run sends.
    pub(crate) fn sent_in(&self, events: &[EventOf<P>]) -> BTreeSet<P::Message> {
        let mut parties = P::State::default();
        let mut sent = Vec::new();
        for event in events {
            match *event {
                Event::Arrive(message) => self.protocol.receive(&mut parties, message, &mut sent),
                Event::Act(step) => self.protocol.take(&mut parties, step, &mut sent),
                Event::Crash(party) => self.protocol.crash(&mut parties, party),
                Event::Stop(_) => {}
            }
        }
        sent.into_iter().collect()
    }

    /// Adds everything that may be sent without a change of any party. Returns the events that bring it, in order.
    ///
    /// Such an event takes nothing away, and what it brings may be lost. So a world with it reaches the same states of the
    /// parties as a world without it, and one of the two is enough.
    pub(crate) fn saturate(
        &self,
        parties: &P::State,
        stopped: Parties,
        sent: &mut BTreeSet<P::Message>,
    ) -> Vec<(EventOf<P>, P::Message)> {
        let mut brought = Vec::new();
        let runs = |party: Party| !stopped.has(party);
        let steps = self.protocol.steps(parties).into_iter().map(Event::Act);
        let mut events: Vec<EventOf<P>> = steps.chain(sent.iter().copied().map(Event::Arrive)).collect();
        let mut out = Vec::new();
        while let Some(event) = events.pop() {
            let mut after = parties.clone();
            match event {
                Event::Act(step) if runs(self.protocol.step(step).0) => {
                    self.protocol.take(&mut after, step, &mut out);
                }
                Event::Arrive(message) if runs(self.protocol.message(message).1) => {
                    self.protocol.receive(&mut after, message, &mut out);
                }
                _ => continue,
            }
            let silent = after == *parties;
            for message in out.drain(..).filter(|_| silent) {
                if sent.insert(message) {
                    brought.push((event, message));
                    events.push(Event::Arrive(message));
                }
            }
        }
        brought
    }

    fn events(&self, world: &WorldOf<P>) -> Vec<EventOf<P>> {
        let runs = |party: Party| !world.stopped.has(party);
        let scenario = self.protocol.scenario();
        let steps = self
            .protocol
            .steps(&world.parties)
            .into_iter()
            .filter(|step| runs(self.protocol.step(*step).0));
        let arrivals = world
            .sent
            .iter()
            .copied()
            .filter(|message| runs(self.protocol.message(*message).1));
        let running = || {
            Party::ALL
                .into_iter()
                .filter(|party| runs(*party) && self.protocol.name(*party).is_some())
        };
        let stops = running().filter(|party| scenario.may_stop.has(*party) || scenario.cheats.has(*party));
        arrivals
            .map(Event::Arrive)
            .chain(steps.map(Event::Act))
            .chain(running().map(Event::Crash))
            .chain(stops.map(Event::Stop))
            .collect()
    }
}

impl<P: Protocol> Model for Explored<P> {
    type State = WorldOf<P>;
    type Action = EventOf<P>;

    fn init_states(&self) -> Vec<Self::State> {
        vec![self.first()]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        actions.extend(self.events(state));
    }

    fn next_state(&self, state: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.after(state, action)
    }

    fn properties(&self) -> Vec<Checked<Self>> {
        macro_rules! always {
            ($property:expr) => {
                Checked::always($property.name(), |_, world: &Self::State| {
                    world.broken & $property.bit() == 0
                })
            };
        }
        let mut properties = vec![
            always!(Property::Money),
            always!(Property::Consent),
            always!(Property::Goods),
            always!(Property::Evidence),
            always!(Property::Certified),
            always!(Property::Anonymity),
            always!(Property::Progress),
            // The checker ends when it has found all properties broken. This one holds, so it explores everything.
            Checked::always("everything is explored", |_, _| true),
        ];
        if let Some(only) = self.only {
            properties.retain(|property| property.name == only.name());
        }
        properties
    }
}
