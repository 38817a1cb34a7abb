//! Checks a model, and keeps what the table and the page show.

use crate::{
    frame::{Explored, Protocol, Scenario},
    property::Property,
    story::{Step, names, tell},
};
use stateright::{Checker, Model, Path};
use std::{
    fmt::Debug,
    hash::Hash,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What the checker found of one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No state breaks it.
    Holds,
    /// The shortest run that breaks it, and why it does.
    Fails {
        /// Why.
        why: String,
        /// The run, with the healing after it.
        run: Vec<Step>,
    },
    /// The system has nothing that the property is about.
    NotApplicable(&'static str),
}

impl Finding {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        *self == Finding::Holds
    }

    /// Whether it fails.
    #[must_use]
    pub fn fails(&self) -> bool {
        matches!(self, Finding::Fails { .. })
    }
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The system.
    pub system: &'static str,
    /// The scenario.
    pub scenario: Scenario,
    /// What the parties are called.
    pub parties: Vec<&'static str>,
    /// The finding for each property, in the order of [`Property::ALL`].
    pub findings: Vec<(Property, Finding)>,
    /// A run without faults.
    pub without_faults: Vec<Step>,
    /// Number of different states.
    pub states: usize,
    /// Length of the longest of the shortest paths to a state.
    pub depth: usize,
    /// Whether every state was explored.
    pub complete: bool,
    /// The time that it took.
    pub took: Duration,
}

impl Checked {
    /// The finding for a property.
    #[must_use]
    pub fn of(&self, property: Property) -> Option<&Finding> {
        self.findings
            .iter()
            .find_map(|(of, finding)| (*of == property).then_some(finding))
    }

    /// The names of the properties that fail.
    #[must_use]
    pub fn failing(&self) -> Vec<&'static str> {
        let fails = self.findings.iter().filter(|(_, finding)| finding.fails());
        fails.map(|(property, _)| property.name()).collect()
    }
}

/// What can be explored: a model for the checker, with what the table and the page show of it.
pub trait Explorable:
    Model<
        State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
        Action: Clone + Debug + PartialEq + Send + Sync + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The scenario.
    fn scenario(&self) -> Scenario;
    /// What the parties are called, in the order of a diagram.
    fn parties(&self) -> Vec<&'static str>;
    /// Why a property does not apply, if it does not.
    fn not_applicable(&self, property: Property) -> Option<&'static str>;
    /// The same with one property alone. The checker then ends at the first state that breaks it.
    #[must_use]
    fn only(&self, property: Property) -> Self;
    /// Why a property does not hold after healing from a state, if it does not.
    fn why(&self, state: &Self::State, property: Property) -> Option<String>;
    /// Tells a run, with the healing after it.
    fn tell(&self, run: Vec<Self::Action>) -> Vec<Step>;
    /// Tells a run without faults.
    fn without_faults(&self) -> Vec<Step>;
}

impl<P: Protocol> Explorable for Explored<P> {
    fn scenario(&self) -> Scenario {
        self.protocol.scenario()
    }

    fn parties(&self) -> Vec<&'static str> {
        names(&self.protocol)
    }

    fn not_applicable(&self, property: Property) -> Option<&'static str> {
        Explored::not_applicable(self, property)
    }

    fn only(&self, property: Property) -> Self {
        Explored::only(self, property)
    }

    fn why(&self, state: &Self::State, property: Property) -> Option<String> {
        Explored::why(self, state, property)
    }

    fn tell(&self, run: Vec<Self::Action>) -> Vec<Step> {
        tell(self, &run)
    }

    fn without_faults(&self) -> Vec<Step> {
        tell(self, &[])
    }
}

/// Explores a model breadth first, on one thread, so that each counterexample is a shortest one. It ends after about
/// `states_max` generated states, if there are more.
#[must_use]
pub fn check<M: Explorable>(system: &'static str, model: &M, states_max: usize) -> Checked {
    let began = Instant::now();
    let checker = model
        .clone()
        .checker()
        .target_state_count(states_max)
        .spawn_bfs()
        .join();
    let mut found = checker.discoveries();
    let findings = Property::ALL.into_iter().map(|property| {
        let finding = match (model.not_applicable(property), found.remove(property.name())) {
            (Some(why), _) => Finding::NotApplicable(why),
            (None, None) => Finding::Holds,
            (None, Some(path)) => shortest(model, property, path),
        };
        (property, finding)
    });
    Checked {
        system,
        scenario: model.scenario(),
        parties: model.parties(),
        findings: findings.collect(),
        without_faults: model.without_faults(),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        complete: checker.state_count() < states_max,
        took: began.elapsed(),
    }
}

/// The shortest run that breaks a property, of which `found` is one.
///
/// While it explores everything, the checker keeps the last such run that it finds. If the property is alone it ends at
/// the first, and that is a shortest one.
fn shortest<M: Explorable>(model: &M, property: Property, found: Path<M::State, M::Action>) -> Finding {
    let checker = model.only(property).checker().spawn_bfs().join();
    let path = checker.discovery(property.name()).unwrap_or(found);
    Finding::Fails {
        why: model.why(path.last_state(), property).unwrap_or_default(),
        run: model.tell(path.into_actions()),
    }
}

/// Serves the checker's own explorer of a model at an address, for a browser. It does not return.
pub fn explore<M: Explorable>(model: &M, address: SocketAddr) {
    model.clone().checker().serve(address);
}
