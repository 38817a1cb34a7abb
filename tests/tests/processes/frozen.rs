//! Nodes that are frozen (SIGSTOP) for a while during a purchase: their sockets take requests all the while, and they
//! act on them when nobody waits for the answers any more.

use crate::{in_parallel, testbed};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::{Question, SILENT},
    run::Wait,
};
use std::time::{Duration, Instant};

/// Longer than a wallet waits for one answer, and than a node does for another's.
const FROZEN: Duration = Duration::from_secs(11);

/// The exit codes of who has little patience: of the purchase, and of the cancel after it.
fn meanwhile(role: RoleName, moment: Question) -> [i32; 2] {
    match (role, moment) {
        // It is paid already, and the bank is not needed for that.
        (Bank, Question::Deliver) => [0, 1],
        // The escrow aborts it at once; the coins are exchanged when the bank answers.
        (Bank, Question::Hold) => [SILENT, SILENT],
        // The bank holds nothing, and gives the coins back; or it does, and the escrow has to decide.
        (Escrow, Question::Hold) | (Merchant, _) => [SILENT, 0],
        (Escrow, Question::Deliver) => [SILENT, SILENT],
    }
}

fn frozen_during_a_purchase(role: RoleName, moment: Question) {
    let testbed = testbed();
    let [patient, hasty] = ["patient", "hasty"].map(|name| testbed.customer(name));
    let [waits, gives_up] = [(&patient, "60"), (&hasty, "5")]
        .map(|(customer, patience)| customer.starts_buying_up_to(moment, patience));
    testbed.node(role).freeze().unwrap();
    let frozen = Instant::now();
    for customer in [&patient, &hasty] {
        customer.lines.to(moment.asked()).heal();
    }
    let codes = meanwhile(role, moment);
    gives_up.end().wait().must_end_with(codes[0]);
    hasty
        .run(&["--patience", "3", "cancel", "0"])
        .must_end_with(codes[1]);
    std::thread::sleep(FROZEN.saturating_sub(frozen.elapsed()));
    testbed.node(role).thaw().unwrap();
    // Who waits has to do nothing.
    waits.end().wait().must_end_with(0);
    assert_eq!(patient.status(0), "committed");
    // Who gave up has the coins or the goods, whichever request the node found first when it woke.
    hasty.cancels("0");
    testbed.check(&[&patient, &hasty]);
}

#[test]
fn every_node_is_frozen_for_a_while_during_a_purchase() {
    let cases: Vec<_> = RoleName::ALL
        .into_iter()
        .flat_map(|role| [(role, Question::Hold), (role, Question::Deliver)])
        .collect();
    in_parallel(&cases, |(role, moment)| frozen_during_a_purchase(role, moment));
}
