//! Which cells are run, and when one is violated.

use super::*;

#[test]
fn cells_are_chosen_by_any_words_of_their_names() {
    let name = "A purchase / escrow → bank: hold / answer lost";
    let wanted = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|it| (*it).to_owned()).collect();
        is_wanted(name, &patterns)
    };
    assert!(wanted(&[]));
    assert!(wanted(&["Escrow bank: hold LOST"]));
    assert!(wanted(&["cancelled", "answer"]));
    assert!(!wanted(&["escrow killed", "cancelled"]));
}

fn counted(holds: bool) -> Audit {
    let check = Check {
        promise: "money",
        what: "coins that are still held".into(),
        is: if holds { "0.00" } else { "5.00" }.into(),
        must_be: "0.00".into(),
        holds,
    };
    Audit {
        end: End::Goods,
        checks: vec![check],
    }
}

#[test]
fn one_promise_that_is_broken_violates_a_cell_however_well_it_ended() {
    let log = Log::default();
    assert_eq!(judge(&log, Ok((counted(true), 0))).0, Outcome::Bought);
    assert_eq!(judge(&log, Ok((counted(true), 2))).0, Outcome::Retried(2));
    let broken = "money: coins that are still held is 5.00, must be 0.00";
    assert_eq!(
        judge(&log, Ok((counted(false), 0))).0,
        Outcome::Violated(vec![broken.into()])
    );
}

#[test]
fn a_node_that_does_not_start_again_violates_a_cell_and_so_does_a_customer_who_gets_nowhere() {
    let why = "the bank does not start again";
    let log = Log {
        failed: vec![why.into()],
        ..Log::default()
    };
    assert_eq!(
        judge(&log, Ok((counted(true), 0))).0,
        Outcome::Violated(vec![why.into()])
    );
    let nowhere = RunError::Broken("she gets no coins".into());
    let said = nowhere.to_string();
    assert_eq!(
        judge(&Log::default(), Err(nowhere)).0,
        Outcome::Violated(vec![said])
    );
}
