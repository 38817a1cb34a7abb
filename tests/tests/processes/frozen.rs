//! Nodes that are frozen (SIGSTOP) for a while during a purchase. Their sockets still receive requests, and the nodes act
//! on them when nobody waits for the replies any more.

use crate::{in_parallel, testbed};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::{PurchaseRequest, SILENT},
    run::Wait,
};
use std::time::{Duration, Instant};

/// Duration of a freeze: longer than a wallet or a node waits for one reply.
const FROZEN: Duration = Duration::from_secs(11);

/// The exit codes for the customer with little patience: of the purchase, and of the cancel after it.
fn meanwhile(role: RoleName, request: PurchaseRequest) -> [i32; 2] {
    match (role, request) {
        // The purchase is already paid. It does not need the bank.
        (Bank, PurchaseRequest::Deliver) => [0, 1],
        // The escrow aborts it at once. The coins are exchanged when the bank answers.
        (Bank, PurchaseRequest::Hold) => [SILENT, SILENT],
        // The bank holds nothing and exchanges the coins, or the escrow aborts.
        (Escrow, PurchaseRequest::Hold) | (Merchant, _) => [SILENT, 0],
        (Escrow, PurchaseRequest::Deliver) => [SILENT, SILENT],
        (RoleName::Relay, _) => unreachable!("there is no relay here"),
    }
}

fn frozen_during_a_purchase(role: RoleName, request: PurchaseRequest) {
    let testbed = testbed();
    let [patient, hasty] = ["patient", "hasty"].map(|name| testbed.customer(name));
    let [waits, gives_up] = [(&patient, "60"), (&hasty, "5")]
        .map(|(customer, patience)| customer.starts_buying_up_to(request, patience));
    testbed.node(role).freeze().unwrap();
    let frozen = Instant::now();
    for customer in [&patient, &hasty] {
        customer.lines.to(request.server()).heal();
    }
    let codes = meanwhile(role, request);
    gives_up.end().wait().must_end_with(codes[0]);
    // A cancel that comes to an end has the time for it on a machine that does much else.
    let patience = if codes[1] == SILENT { "3" } else { "10" };
    hasty
        .run(&["--patience", patience, "cancel", "0"])
        .must_end_with(codes[1]);
    std::thread::sleep(FROZEN.saturating_sub(frozen.elapsed()));
    testbed.node(role).thaw().unwrap();
    // The patient customer does nothing.
    waits.end().wait().must_end_with(0);
    assert_eq!(patient.status(0), "committed");
    // The hasty customer has the coins or the goods. It depends on the first request that the node handles after the freeze.
    hasty.cancels("0");
    testbed.check(&[&patient, &hasty]);
}

#[test]
fn every_node_is_frozen_for_a_while_during_a_purchase() {
    let cases: Vec<_> = RoleName::PARTIES
        .into_iter()
        .flat_map(|role| [(role, PurchaseRequest::Hold), (role, PurchaseRequest::Deliver)])
        .collect();
    in_parallel(&cases, |(role, request)| frozen_during_a_purchase(role, request));
}
