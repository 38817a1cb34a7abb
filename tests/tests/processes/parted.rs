//! Each node and the wallets have their own machines, and the network is parted between the bank and the escrow.

use crate::PROGRAM;
use farthing_kit::market::Layout;
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    buyer::{Buyer, PurchaseRequest, SILENT},
    goods::POSTCARD,
    hosts::Hosts,
    run::{Wait, tell},
    testbed::Testbed,
};
use std::{collections::BTreeMap, path::Path, thread, time::Duration};

/// Duration of the partition: longer than any party waits for one reply.
const PARTED: Duration = Duration::from_secs(12);

/// The machines' numbers.
const BANK: usize = 0;
const ESCROW: usize = 1;
const MERCHANT: usize = 2;
const WALLETS: usize = 3;

fn number(role: RoleName) -> usize {
    match role {
        Bank => BANK,
        Escrow => ESCROW,
        Merchant => MERCHANT,
        RoleName::Relay => unreachable!("there is no relay here"),
    }
}

#[test]
fn bank_and_escrow_are_parted_during_purchases_and_joined_again() {
    let hosts = match Hosts::<4>::new() {
        Ok(hosts) => hosts,
        Err(why) => {
            tell(&format!(
                "SKIPPED, since this machine does not allow it: a partition of network namespaces: {why}"
            ));
            return;
        }
    };
    let program = Path::new(PROGRAM);
    let layout = Layout {
        hosts: BTreeMap::from(RoleName::PARTIES.map(|role| (role, hosts.host(number(role), program)))),
        ..Layout::default()
    };
    let testbed = Testbed::laid_out(PROGRAM, layout);
    let wallets = hosts.host(WALLETS, program);
    let customer = |name: &str| {
        let customer = testbed.newcomer_at(&wallets.program, &testbed.dir().join(name));
        customer.done(&["withdraw", "20.00"]);
        customer
    };
    let [patient, hasty, away] = ["patient", "hasty", "away"].map(customer);
    away.buys(POSTCARD, "goods");

    // All three wallets have asked for the hold when the network is parted. The escrow has not handled the requests.
    testbed.escrow.freeze().unwrap();
    let start = |customer: &Buyer, name: &str, patience: &str| {
        let mut buying = customer.starts_buying(POSTCARD, name, patience);
        buying.until_says(PurchaseRequest::Hold.logged()).wait();
        buying
    };
    let waits = start(&patient, "goods", "60");
    let others = [start(&hasty, "goods", "5"), start(&away, "other goods", "5")];
    hosts.part(BANK, ESCROW).unwrap();
    testbed.escrow.thaw().unwrap();
    for buying in others {
        buying.end().wait().must_end_with(SILENT);
    }
    assert_eq!([hasty.status(0), away.status(1)], ["holding", "holding"]);
    // The escrow aborts without the bank. The wallet brings the abort to the bank.
    hasty.done(&["cancel", "0"]);
    assert_eq!(hasty.balance(), [2000, 0, 0]);
    thread::sleep(PARTED);
    hosts.join(BANK, ESCROW).unwrap();

    waits.end().wait().must_end_with(0);
    away.done(&["resume"]);
    assert_eq!([patient.status(0), away.status(1)], ["committed", "committed"]);
    testbed.check(&[&patient, &hasty, &away]);
}
