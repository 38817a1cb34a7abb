//! A line that dies in one direction during a purchase: each line, each direction. Then it heals; or it does not, and
//! she wants her coins back meanwhile.

use crate::{in_parallel, testbed};
use farthing_kit::{
    lines::BETWEEN_NODES,
    relay::{Gate, Relay, Way},
};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::{Buyer, Question, SILENT},
    run::Wait,
    testbed::Testbed,
};

/// How a purchase goes on whose line has died when the hold was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// It ends: nobody needs that line now.
    Ends,
    /// It waits. A cancel ends it, since escrow and bank answer.
    CanBeCancelled,
    /// It waits. A cancel ends it without the escrow, since the bank holds nothing and answers.
    CanBeRecovered,
}

/// Who dials, whom, and which direction dies. A customer has no role.
type Line = (Option<RoleName>, RoleName);

fn meanwhile(line: Line, way: Way) -> Meanwhile {
    use Meanwhile::{CanBeCancelled, CanBeRecovered, Ends};
    match (line, way) {
        // The bank has nothing to say to her before the coins are to be exchanged.
        ((None, Bank), _) => Ends,
        ((None, Escrow), _) => CanBeRecovered,
        // He has released it, and the escrow tells her.
        ((None, Merchant), Way::ToClient) => Ends,
        ((None, Merchant), Way::ToServer) => CanBeCancelled,
        // Without the bank there is no hold.
        ((Some(Escrow), _), _) => CanBeCancelled,
        // He cannot release; or he has, and was not told, but again the escrow tells her.
        ((Some(Merchant), Escrow), Way::ToServer) => CanBeCancelled,
        ((Some(Merchant), Escrow), Way::ToClient) => Ends,
        // These have their time when the purchase is over.
        ((Some(Merchant | Bank), _), _) => Ends,
    }
}

/// One buys, and one buys and gives up, while `way` of `line` is dead.
fn is_cut(testbed: &Testbed, line: Line, way: Way) -> [Buyer; 2] {
    let name = format!(
        "{}-{}-{way:?}",
        line.0.map_or("customer", RoleName::as_str),
        line.1
    );
    let name = name.to_lowercase();
    let customers = ["patient", "hasty"].map(|kind| testbed.customer(&format!("{kind}-{name}")));
    let cut = |gate: Gate| {
        let set = |relay: &Relay| relay.set_gate(way, gate);
        match line.0 {
            Some(from) => set(testbed.lines.between(from, line.1)),
            None => customers
                .iter()
                .for_each(|customer| set(customer.lines.to(line.1))),
        }
    };
    let buying = in_parallel(&customers.each_ref(), |customer| {
        customer.starts_buying_up_to(Question::Hold, "5")
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
    // What was sent before the line died may arrive after all. Then the bank holds the coins, and nobody can tell her the
    // escrow's decision before the line heals.
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
    let cases: Vec<_> = RoleName::ALL
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
