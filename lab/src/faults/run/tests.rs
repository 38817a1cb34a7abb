//! The selection of cells, and the result of a cell.

use super::*;

#[test]
fn cells_are_selected_by_words_of_their_names() {
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

fn counted(holds: bool) -> RunAudit {
    let check = Check {
        promise: "money",
        what: "coins that are still held".into(),
        is: if holds { "0.00" } else { "5.00" }.into(),
        must_be: "0.00".into(),
        holds,
    };
    RunAudit {
        end: End::Goods,
        checks: vec![check],
    }
}

#[test]
fn a_cell_with_a_broken_promise_is_violated_even_if_the_goods_are_bought() {
    let log = Log::default();
    assert_eq!(judge(&log, Ok((counted(true), 0))).0, CellResult::Bought);
    assert_eq!(judge(&log, Ok((counted(true), 2))).0, CellResult::Retried(2));
    let broken = "money: coins that are still held is 5.00, must be 0.00";
    assert_eq!(
        judge(&log, Ok((counted(false), 0))).0,
        CellResult::Violated(vec![broken.into()])
    );
}

#[test]
fn a_cell_is_violated_if_a_node_does_not_restart_or_the_customer_makes_no_progress() {
    let why = "the bank does not start again";
    let log = Log {
        failed: vec![why.into()],
        ..Log::default()
    };
    assert_eq!(
        judge(&log, Ok((counted(true), 0))).0,
        CellResult::Violated(vec![why.into()])
    );
    let nowhere = RunError::Broken("the customer gets no coins".into());
    let said = nowhere.to_string();
    assert_eq!(
        judge(&Log::default(), Err(nowhere)).0,
        CellResult::Violated(vec![said])
    );
}
