//! The shipped functions under the model checker, within the bounds that take less than a minute.

use farthing_model::catalog::Row;
use farthing_shipped::{
    catalog::{BOUND, planted},
    check::Exploration,
    model::Bound,
    stage::Flow,
};

/// More states than any flow has.
const STATES_MAX: usize = 10_000_000;

/// Explores a flow, in all of whose states every property holds.
fn holds(flow: Flow, bound: Bound) {
    let defect = None;
    let exploration = Exploration { flow, bound, defect };
    let checked = exploration.check("shipped", STATES_MAX);
    println!(
        "{flow:?} {bound:?}: {} states in {:?}",
        checked.states, checked.took
    );
    assert!(checked.complete, "it has more states than the bound");
    assert!(checked.failing().is_empty(), "{:#?}", checked.findings);
    assert!(!checked.without_faults.is_empty());
}

#[test]
fn a_sealed_purchase_is_atomic_in_every_state() {
    holds(Flow::Sealed(1), BOUND);
}

#[test]
fn a_released_purchase_that_nobody_cancels_is_atomic_in_every_state() {
    let cancels = false;
    holds(Flow::Released(1), Bound { cancels, ..BOUND });
}

#[test]
fn a_withdrawal_is_atomic_in_every_state() {
    holds(Flow::Withdrawal, BOUND);
}

#[test]
fn an_exchange_is_atomic_in_every_state() {
    holds(Flow::Exchange, BOUND);
}

#[test]
fn a_party_that_sends_before_it_writes_is_found() {
    for planted in planted() {
        let checked = planted.entry.check(STATES_MAX);
        println!("{}: {:#?}", planted.name, checked.failing());
        assert!(!checked.failing().is_empty(), "{} is not found", planted.name);
    }
}
