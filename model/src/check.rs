//! Checks a protocol in a scenario, and keeps what the table and the page show.

use crate::{
    frame::{Explored, Protocol, Scenario},
    property::Property,
    story::{Step, names, tell},
};
use stateright::{Checker, Model};
use std::time::{Duration, Instant};

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

/// Explores a protocol breadth first, on one thread, so that each counterexample is a shortest one. It ends after about
/// `states_max` generated states, if there are more.
#[must_use]
pub fn check<P: Protocol>(system: &'static str, protocol: &P, states_max: usize) -> Checked {
    let began = Instant::now();
    let explored = Explored::new(protocol.clone());
    let checker = explored
        .clone()
        .checker()
        .target_state_count(states_max)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let findings = Property::ALL.into_iter().map(|property| {
        let finding = match (explored.not_applicable(property), found.get(property.name())) {
            (Some(why), _) => Finding::NotApplicable(why),
            (None, None) => Finding::Holds,
            (None, Some(_)) => shortest(&explored, property),
        };
        (property, finding)
    });
    Checked {
        system,
        scenario: protocol.scenario(),
        parties: names(protocol),
        findings: findings.collect(),
        without_faults: tell(&explored, &[]),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        complete: checker.state_count() < states_max,
        took: began.elapsed(),
    }
}

/// The shortest run that breaks a property.
///
/// While it explores everything, the checker keeps the last such run that it finds. If the property is alone it ends at
/// the first, and that is a shortest one.
fn shortest<P: Protocol>(explored: &Explored<P>, property: Property) -> Finding {
    let checker = explored.only(property).checker().spawn_bfs().join();
    let Some(path) = checker.discovery(property.name()) else {
        return Finding::Holds;
    };
    Finding::Fails {
        why: explored.why(path.last_state(), property).unwrap_or_default(),
        run: tell(explored, &path.into_actions()),
    }
}

/// Serves the checker's own explorer of a protocol at an address, for a browser. It does not return.
pub fn explore<P: Protocol>(protocol: &P, address: std::net::SocketAddr) {
    Explored::new(protocol.clone()).checker().serve(address);
}
