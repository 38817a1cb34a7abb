//! A line that dies in one direction during a purchase: each line, each direction. One customer waits until the line heals.
//! Another one cancels while it is dead.

use crate::{in_parallel, testbed};
use farthing_kit::{
    line::{Gate, Line, Way},
    lines::BETWEEN_NODES,
};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::{Buyer, PurchaseRequest, SILENT},
    run::Wait,
    testbed::Testbed,
};

/// The course of a purchase whose line dies when the wallet asks for the hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// It ends, because it does not need the line.
    Ends,
    /// It waits. A cancel ends it, because escrow and bank answer.
    CanBeCancelled,
    /// It waits. A cancel ends it without the escrow, because the bank answers and holds nothing.
    CanBeRecovered,
}

/// The dialling party, or `None` for a customer, and the dialled party.
type Between = (Option<RoleName>, RoleName);

fn meanwhile(line: Between, way: Way) -> Meanwhile {
    use Meanwhile::{CanBeCancelled, CanBeRecovered, Ends};
    match (line, way) {
        // The wallet needs the bank only to exchange the coins.
        ((None, Bank), _) => Ends,
        ((None, Escrow), _) => CanBeRecovered,
        // The merchant has released the key, and the wallet gets it from the escrow.
        ((None, Merchant), Way::ToClient) => Ends,
        ((None, Merchant), Way::ToServer) => CanBeCancelled,
        // Without the bank there is no hold.
        ((Some(Escrow), _), _) => CanBeCancelled,
        // Without this line the merchant cannot release. Without the reply, the wallet gets the decision from the escrow.
        ((Some(Merchant), Escrow), Way::ToServer) => CanBeCancelled,
        ((Some(Merchant), Escrow), Way::ToClient) => Ends,
        // These lines carry messages only after the purchase.
        ((Some(Merchant | Bank), _), _) => Ends,
        ((None | Some(_), RoleName::Relay), _) | ((Some(RoleName::Relay), _), _) => {
            unreachable!("there is no relay here")
        }
    }
}

/// Two customers buy while `way` of `line` is dead. One of them cancels.
fn is_cut(testbed: &Testbed, line: Between, way: Way) -> [Buyer; 2] {
    let name = format!(
        "{}-{}-{way:?}",
        line.0.map_or("customer", RoleName::as_str),
        line.1
    );
    let name = name.to_lowercase();
    let customers = ["patient", "hasty"].map(|kind| testbed.customer(&format!("{kind}-{name}")));
    let cut = |gate: Gate| {
        let set = |line: &Line| line.set_gate(way, gate);
        match line.0 {
            Some(from) => set(testbed.lines.between(from, line.1)),
            None => customers
                .iter()
                .for_each(|customer| set(customer.lines.to(line.1))),
        }
    };
    let buying = in_parallel(&customers.each_ref(), |customer| {
        customer.starts_buying_up_to(PurchaseRequest::Hold, "5")
    });
    cut(Gate::Drop);
    if (line, way) != ((None, Escrow), Way::ToServer) {
        for customer in &customers {
            customer.lines.to(Escrow).set_gate(Way::ToServer, Gate::Pass);
        }
    }
    let [patient, hasty] = &customers;
    let expected = meanwhile(line, way);
    for command in buying {
        let code = if expected == Meanwhile::Ends { 0 } else { SILENT };
        command.end().wait().must_end_with(code);
    }
    let cancelled = hasty.run(&["--patience", "3", "cancel", "0"]);
    let (code, end) = match expected {
        Meanwhile::Ends => (1, "committed"),
        Meanwhile::CanBeCancelled => (0, "aborted"),
        Meanwhile::CanBeRecovered => (0, "recovered"),
    };
    // The hold request may have arrived before the line died. Then the bank holds the coins, and no party can bring the
    // escrow's decision to the wallet before the line heals.
    let end = if expected == Meanwhile::CanBeRecovered && cancelled.code == Some(SILENT) {
        assert!(testbed.holds(hasty, 0), "{name}: {cancelled:?}");
        assert_eq!(hasty.status(0), "cancelling", "{name}");
        "aborted"
    } else {
        cancelled.must_end_with(code);
        assert_eq!(hasty.status(0), end, "{name}");
        end
    };

    cut(Gate::Pass);
    for customer in &customers {
        customer.done(&["resume"]);
    }
    assert_eq!(patient.status(0), "committed", "{name}");
    assert_eq!(hasty.status(0), end, "{name}");
    customers
}

#[test]
fn every_line_of_a_customer_dies_in_one_direction() {
    let testbed = testbed();
    let cases: Vec<_> = RoleName::PARTIES
        .into_iter()
        .flat_map(|to| Way::ALL.map(|way| (to, way)))
        .collect();
    let customers = in_parallel(&cases, |(to, way)| is_cut(&testbed, (None, to), way));
    testbed.check(&customers.iter().flatten().collect::<Vec<_>>());
}

#[test]
fn every_line_between_nodes_dies_in_one_direction() {
    in_parallel(&BETWEEN_NODES, |(from, to)| {
        let testbed = testbed();
        let customers = Way::ALL.map(|way| is_cut(&testbed, (Some(from), to), way));
        testbed.check(&customers.iter().flatten().collect::<Vec<_>>());
    });
}
