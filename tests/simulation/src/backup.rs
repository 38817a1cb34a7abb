//! Backups of the bank and the escrows, and machines that are restored from an older backup. The node learns that
//! from its peers' memory. It decides and pays nothing until its operator has restored the newest journal.

use super::{foundation::STORE, machine::Death, party::Party, world::World};
use farthing_bank::rows::HEADS as HEADS_OF_ESCROWS;
use farthing_coin::PublicKey;
use farthing_escrow::rows::HEADS as HEADS_OF_BANKS;
use farthing_store::{Store, StoreOptions, disk::MemoryDisk, verify};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tokio::time::sleep;

/// The last backup of each node.
#[derive(Default)]
pub struct Backups(BTreeMap<Party, MemoryDisk>);

impl Backups {
    /// Runs a bank or an escrow from its backup for a while, and then from its newest journal again. Returns whether
    /// it did. If there is no backup, one is made. If no peer remembers anything after the backup, the node is left
    /// alone: what no peer has heard would be forgotten unseen (PROTOCOL.md, History).
    pub async fn run_from(&mut self, world: &World, node: Party, death: Death, a_while: Duration) -> bool {
        let machine = world.machine(node);
        let Some(backup) = self.0.get(&node) else {
            world
                .network
                .trace
                .note(format!("{node}: a backup of it is made"));
            self.0.insert(node, machine.disk.synced());
            return false;
        };
        let known = records(backup);
        if remembered_by_all(world, node).is_none_or(|remembered| remembered <= known) {
            return false;
        }
        world.stop(node);
        machine.die(death);
        let newest = machine.disk.copy();
        machine.disk.restore(backup);
        world.network.trace.note(format!(
            "{node}: runs from a backup with {known} of {} records, for {} s",
            records(&newest),
            a_while.as_secs()
        ));
        world.start(node).await;
        sleep(a_while).await;
        check_undecided(world, node, known);
        world.stop(node);
        machine.die(Death::Killed);
        machine.disk.restore(&newest);
        world
            .network
            .trace
            .note(format!("{node}: has its newest journal again"));
        world.start(node).await;
        self.0.remove(&node);
        true
    }
}

/// It has stored which record it lacks, and nothing else.
fn check_undecided(world: &World, node: Party, known: u64) {
    let written = records(&world.machine(node).disk) - known;
    assert!(
        written <= 1,
        "money: {node} has written {written} records though it runs from an older copy"
    );
    assert_ne!(
        world.standing(node),
        Some(Ok(())),
        "money: {node} decides though it runs from an older copy"
    );
}

fn records(disk: &MemoryDisk) -> u64 {
    // A copy, because files in use must not be read.
    let whole = verify(Path::new(STORE), &disk.copy(), &|_| {});
    whole.expect("the journal is whole").records
}

/// The number of records of the node's journal that every peer durably remembers.
fn remembered_by_all(world: &World, node: Party) -> Option<u64> {
    let witnesses = match node {
        Party::Bank => (0..world.foundation.population.escrows)
            .map(Party::Escrow)
            .collect(),
        _ => vec![Party::Bank],
    };
    let key = world.card(node).identity;
    let each = witnesses
        .into_iter()
        .map(|witness| remembered(world, witness, &key));
    each.min().flatten()
}

fn remembered(world: &World, witness: Party, node: &PublicKey) -> Option<u64> {
    let heads = match witness {
        Party::Bank => HEADS_OF_ESCROWS,
        _ => HEADS_OF_BANKS,
    };
    let disk = world.machine(witness).disk.synced();
    let (store, _) = Store::open(Path::new(STORE), StoreOptions::simulated(disk, 0)).ok()?;
    let head = heads.peek(&store.view(), node).expect("the row can be read");
    head.map(|head| head.body.records)
}
