//! Nodes whose stores are in a PostgreSQL database: purchases, a standby that takes over, and a server that starts again.

use crate::{PROGRAM, in_parallel};
use farthing_database::Cluster;
use farthing_kit::{market::Layout, nodes::Node};
use farthing_node::card::RoleName::{self, Bank, Escrow, Merchant};
use farthing_tests::processes::{
    goods::POSTCARD,
    run::{Wait, runtime, until},
    testbed::Testbed,
};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const ROLES: [RoleName; 3] = [Bank, Escrow, Merchant];

/// Nodes whose stores are in schemas of `cluster`.
fn testbed(cluster: &Cluster) -> Testbed {
    let stores = ROLES.map(|role| (role, cluster.url(role.as_str())));
    let layout = Layout {
        stores: stores.into(),
        ..Layout::default()
    };
    Testbed::laid_out(PROGRAM, layout)
}

/// Waits until a standby of the node of `role` says that it waits for the `number`th time.
fn until_standby(testbed: &Testbed, role: RoleName, number: usize) {
    until("a standby waits", || {
        let log = testbed.node(role).log();
        (log.matches("standby: the store is in use").count() == number).then_some(())
    });
}

#[test]
fn a_standby_goes_on_where_a_killed_bank_escrow_or_merchant_was() {
    let Some(cluster) = Cluster::start() else { return };
    let testbed = testbed(&cluster);
    let alice = testbed.customer("alice");
    alice.done(&["withdraw", "10.00"]);
    alice.buys(POSTCARD, "before");
    let standbys = in_parallel(&ROLES, |role| {
        let dir = testbed.node(role).dir().to_owned();
        Node::existing(Path::new(PROGRAM), role, &dir).wait()
    });
    for (role, standby) in ROLES.into_iter().zip(&standbys) {
        thread::scope(|scope| {
            let starting = scope.spawn(|| {
                standby.start().wait();
                Instant::now()
            });
            until_standby(&testbed, role, 1);
            // It has not answered meanwhile, and the active node does.
            assert!(!starting.is_finished());
            let killed = Instant::now();
            testbed.node(role).kill().wait();
            let took = starting.join().unwrap().duration_since(killed);
            assert!(took < Duration::from_secs(3), "{role}: {took:?}");
        });
        alice.buys(POSTCARD, role.as_str());
    }
    testbed.check(&[&alice]);
}

#[test]
fn nodes_go_on_after_their_database_was_away() {
    let Some(cluster) = Cluster::start() else { return };
    let testbed = testbed(&cluster);
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "before");
    cluster.crash();
    alice.buys_into_silence(POSTCARD, "meanwhile");
    cluster.run();
    alice.carries_on(&["resume"]);
    alice.buys(POSTCARD, "after");
    testbed.check(&[&alice]);
}

#[test]
fn commands_on_the_files_of_a_store_are_refused_and_other_commands_work_on_a_stopped_node() {
    let Some(cluster) = Cluster::start() else { return };
    let testbed = testbed(&cluster);
    let alice = testbed.customer("alice");
    alice.buys(POSTCARD, "goods");
    for (words, rest) in [
        (["verify"], vec![]),
        (["archive"], vec!["--to", "/nowhere"]),
        (["backup"], vec!["--to", "/nowhere"]),
    ] {
        let said = testbed.bank.command(&words, &rest).wait();
        let why = said.done().unwrap_err().to_string();
        assert!(why.contains("the tools of the database"), "{why}");
    }
    let (dir, url) = (testbed.dir().join("other"), cluster.url(Escrow.as_str()));
    let other = Node::init_in(Path::new(PROGRAM), Escrow, &dir, None, Some(&url));
    let why = runtime().block_on(other).map(drop).unwrap_err().to_string();
    assert!(why.contains("another schema"), "{why}");
    // Without a running node, commands open the store themselves.
    testbed.merchant.stop().wait();
    let sales = testbed.merchant.admin(&["sales"], &[]).wait();
    assert_eq!(sales["sales"].as_array().unwrap().len(), 1, "{sales}");
    let drained = testbed.merchant.admin(&["drain"], &[]).wait();
    assert!(drained["since_ms"].is_u64(), "{drained}");
    testbed.merchant.admin(&["drain"], &["--off"]).wait();
    testbed.merchant.start().wait();
    alice.buys(POSTCARD, "again");
    testbed.check(&[&alice]);
}

/// Runs a command of the lab with the stores in a database, and returns what it prints.
fn in_the_lab(cluster: &Cluster, args: &[&str]) -> Value {
    let mut lab = Command::new(PROGRAM);
    let said = lab.args(args).args(["--json", "--store", &cluster.database()]);
    let said = said.output().unwrap();
    let printed = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{printed}");
    serde_json::from_str(&printed).unwrap()
}

#[test]
fn every_step_of_the_demo_ends_well_in_a_database() {
    let Some(cluster) = Cluster::start() else { return };
    let report = in_the_lab(&cluster, &["demo", "--all"]);
    assert_eq!(report["ok"], true);
}

#[test]
#[ignore = "the whole matrix takes some minutes"]
fn no_cell_of_the_fault_matrix_is_violated_in_a_database() {
    let Some(cluster) = Cluster::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("faults.html");
    let matrix = in_the_lab(&cluster, &["faults", "--out", page.to_str().unwrap()]);
    let cells = matrix["cells"].as_array().unwrap();
    println!("{} cells, {} s", cells.len(), matrix["seconds"]);
}
