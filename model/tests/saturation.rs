//! The checker leaves out events that change no party. No state of the parties may be lost by that.

use farthing_model::{
    catalog::FARTHING_SCENARIOS,
    facts::{Parties, Party},
    frame::{Explored, Protocol, Scenario, WorldOf},
    systems::{
        cashu::{Cache, Cashu},
        chaum::Chaum,
        digicash::DigiCash,
        farthing::{Farthing, Offer},
        first_virtual::FirstVirtual,
        metered::{COPIES, Metered},
        netbill::NetBill,
        payment::Payment,
        stream::Stream,
        taler::Taler,
        withdrawal::Withdrawal,
    },
};
use stateright::Model;
use std::collections::HashSet;

/// The states of the parties, and who has stopped, in all worlds that at most `events_max` events reach.
fn states<P: Protocol>(explored: &Explored<P>, events_max: usize) -> HashSet<(P::State, Parties)> {
    let mut seen = HashSet::new();
    let mut last: Vec<WorldOf<P>> = explored.init_states();
    for _ in 0..=events_max {
        let fresh: Vec<WorldOf<P>> = last
            .into_iter()
            .filter(|world| seen.insert(world.clone()))
            .collect();
        last = fresh
            .iter()
            .flat_map(|world| explored.next_states(world))
            .collect();
        if last.is_empty() {
            break;
        }
    }
    let state = |world: WorldOf<P>| (world.parties, world.stopped);
    seen.into_iter().map(state).collect()
}

fn assert_same<P: Protocol>(protocol: P) {
    let explored = Explored::new(protocol);
    let few = states(&explored, usize::MAX);
    let all = states(&explored.one_by_one(), usize::MAX);
    let name = explored.protocol.scenario().name;
    assert!(few == all, "{name}: {} of {} states", few.len(), all.len());
}

/// Events that are tried one by one, where all are too many.
const EVENTS_MAX: usize = 6;
const FAILURES: Scenario = Scenario::FAILURES;
const BANK: Scenario = Scenario::cheating("bank cheats", Party::Bank);

#[test]
fn small_systems_have_the_same_states() {
    assert_same(Chaum(FAILURES));
    assert_same(DigiCash(FAILURES));
    assert_same(FirstVirtual(FAILURES));
    for scenario in [FAILURES, BANK] {
        assert_same(NetBill(scenario));
        assert_same(Cashu(scenario, Cache::Expires));
        let defect = None;
        assert_same(Withdrawal { scenario, defect });
        let defect = None;
        assert_same(Payment { scenario, defect });
    }
    for scenario in [FAILURES, BANK, COPIES] {
        let defect = None;
        assert_same(Metered { scenario, defect });
    }
    assert_same(Taler(FAILURES));
}

#[test]
fn the_purchase_has_the_same_states() {
    let [failures, customer, ..] = FARTHING_SCENARIOS;
    for scenario in [failures, customer] {
        assert_same(Farthing {
            scenario,
            offer: Offer::Sealed,
            defect: None,
        });
    }
}

/// The network of a stream also forgets messages that are over.
#[test]
fn a_stream_has_the_same_states() {
    assert_same(Stream {
        ticks: 1,
        ..Stream::raised_first(FAILURES)
    });
}

/// The same, for what a few events reach of three ticks, and of each party that cheats.
#[test]
fn a_longer_stream_reaches_the_same_states() {
    for scenario in FARTHING_SCENARIOS {
        let explored = Explored::new(Stream::raised_first(scenario));
        let all = states(&explored, EVENTS_MAX);
        let some = states(&explored.one_by_one(), EVENTS_MAX);
        assert!(some.is_subset(&all), "{}", scenario.name);
    }
}

/// All worlds of a cheating escrow are too many. Each state that a few events reach has to be among the states.
#[test]
fn a_cheating_escrow_reaches_the_same_states() {
    let cheats = FARTHING_SCENARIOS.into_iter();
    for scenario in cheats.filter(|scenario| scenario.cheats.has(Party::Third)) {
        let explored = Explored::new(Farthing {
            scenario,
            offer: Offer::Released,
            defect: None,
        });
        let all = states(&explored, usize::MAX);
        let some = states(&explored.one_by_one(), EVENTS_MAX);
        assert!(some.is_subset(&all), "{}", scenario.name);
    }
}
