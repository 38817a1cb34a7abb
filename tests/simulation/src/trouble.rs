//! Faults of machines in a campaign. Faults of messages are in `weather`.

use super::{
    backup::Backups,
    dice::Dice,
    foundation::STORE,
    machine::{CrashPoint, Death, START_POINTS, WRITE_POINTS},
    party::Party,
    world::World,
};
use farthing_store::{Store, StoreError, StoreOptions, verify};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// A fault of a machine, a disk, a clock or a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// One direction between two parties is cut for a while.
    CutOneWay,
    /// Both directions between two parties are cut for a while.
    CutBothWays,
    /// A server dies, and is started again after a while.
    Dies,
    /// A party dies at a named point of one of its next writes.
    DiesAtWrite,
    /// The same, and the party dies again while it is started.
    DiesAtStart,
    /// A server's disk has no room for a while.
    DiskFull,
    /// A server's disk fails at one of its next syncs; its operator restarts the machine.
    SyncFails,
    /// A server's disk takes long for every sync for a while.
    SyncSlow,
    /// A party's clock is wrong for a while, by up to half a day.
    ClockWrong,
    /// A bit of a server's journal flips while it is down. It must not start, and its operator repairs it.
    BitFlipped,
    /// A backup of the bank or an escrow is made. The next time, its machine is restored from it.
    OlderCopy,
}

/// The troubles with their weights.
const TROUBLES: [(Trouble, u64); 11] = [
    (Trouble::CutOneWay, 15),
    (Trouble::CutBothWays, 15),
    (Trouble::Dies, 12),
    (Trouble::DiesAtWrite, 25),
    (Trouble::DiesAtStart, 6),
    (Trouble::DiskFull, 6),
    (Trouble::SyncFails, 8),
    (Trouble::SyncSlow, 8),
    (Trouble::ClockWrong, 8),
    (Trouble::BitFlipped, 3),
    (Trouble::OlderCopy, 8),
];

const HOUR_MS: i64 = 3_600_000;

/// Causes one trouble after the other until `end`, and counts them.
pub async fn trouble(world: &Arc<World>, dice: &Dice, end: Instant) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    let mut backups = Backups::default();
    // Some days are calm.
    let often_ms = dice.one_of(&[5_000, 20_000, 60_000, 1_000_000_000]);
    loop {
        let next = Instant::now() + Duration::from_millis(1 + dice.below(often_ms));
        if next >= end {
            sleep_until(end).await;
            return counted;
        }
        sleep_until(next).await;
        let trouble = dice.weighed(&TROUBLES);
        if strike(world, dice, &mut backups, trouble, end).await {
            *counted.entry(format!("{trouble:?}")).or_default() += 1;
        }
    }
}

/// Causes a trouble. Returns whether it had an effect. It is over by `end`.
async fn strike(
    world: &Arc<World>,
    dice: &Dice,
    backups: &mut Backups,
    trouble: Trouble,
    end: Instant,
) -> bool {
    let servers = world.servers();
    let everyone = world.everyone();
    let (server, anyone) = (dice.one_of(&servers), dice.one_of(&everyone));
    let a_while = Duration::from_millis(1_000 + dice.below(120_000)).min(end - Instant::now());
    let death = dice.one_of(&[Death::Killed, Death::PowerLost]);
    let write = 1 + dice.below(4);
    let at = |point| CrashPoint { write, point, death };
    let (trace, machine) = (&world.network.trace, world.machine(server));
    let note = |what: &str| trace.note(format!("{server}: {what}, for {} s", a_while.as_secs()));
    match trouble {
        Trouble::CutOneWay | Trouble::CutBothWays => {
            world.network.cut(server, anyone, a_while);
            if trouble == Trouble::CutBothWays {
                world.network.cut(anyone, server, a_while);
            }
            note(&format!("cut off from {anyone}, {trouble:?}"));
        }
        Trouble::Dies => {
            world.stop(server);
            machine.die(death);
            later(world, a_while, async move |world| world.start(server).await);
        }
        Trouble::DiesAtWrite => world.machine(anyone).arm([at(dice.one_of(&WRITE_POINTS))]),
        Trouble::DiesAtStart => {
            let again = CrashPoint {
                write: 0,
                point: dice.one_of(&START_POINTS),
                death,
            };
            world.machine(anyone).arm([at(dice.one_of(&WRITE_POINTS)), again]);
        }
        Trouble::DiskFull => {
            note("its disk is full");
            machine.disk.set_capacity(Some(0));
            later(world, a_while, async move |_| machine.disk.set_capacity(None));
        }
        Trouble::SyncFails => {
            note("its disk fails soon");
            machine.disk.fail_sync_after(dice.below(3));
            later(world, a_while, async move |world| {
                world.restart(server, Death::PowerLost).await
            });
        }
        Trouble::SyncSlow => {
            note("its disk is slow");
            machine.set_sync_takes(Duration::from_millis(dice.below(20_000)));
            later(world, a_while, async move |_| {
                machine.set_sync_takes(Duration::ZERO)
            });
        }
        Trouble::ClockWrong => set_clock_wrong(world, anyone, dice, a_while),
        // A relay has no journal.
        Trouble::BitFlipped if server == Party::Relay => return false,
        Trouble::BitFlipped => flip_a_bit(world, server, dice).await,
        Trouble::OlderCopy => {
            let escrow = Party::Escrow(dice.below(world.foundation.population.escrows as u64) as usize);
            let node = dice.one_of(&[Party::Bank, escrow]);
            return backups.run_from(world, node, death, a_while).await;
        }
    }
    true
}

/// Sets a party's clock wrong, and right again after a while.
fn set_clock_wrong(world: &Arc<World>, party: Party, dice: &Dice, a_while: Duration) {
    let wrong_by_ms = dice.below(24 * HOUR_MS as u64) as i64 - 12 * HOUR_MS;
    let clock = world.machine(party).clock.clone();
    world.network.trace.note(format!(
        "{party}: its clock is wrong by {} s, for {} s",
        wrong_by_ms / 1000,
        a_while.as_secs()
    ));
    clock.set_wrong_by_ms(wrong_by_ms);
    later(world, a_while, async move |_| clock.set_wrong_by_ms(0));
}

/// Runs `what` after a pause, unless the world has ended.
fn later(world: &Arc<World>, a_while: Duration, what: impl AsyncFnOnce(Arc<World>) + 'static) {
    let world = Arc::downgrade(world);
    tokio::task::spawn_local(async move {
        sleep(a_while).await;
        if let Some(world) = world.upgrade() {
            what(world).await;
        }
    });
}

/// A flipped bit in a server's files is found and named at its start, and never used.
async fn flip_a_bit(world: &World, server: Party, dice: &Dice) {
    world.stop(server);
    let machine = world.machine(server);
    machine.die(Death::PowerLost);
    machine.disk.set_capacity(None);
    let journal = Path::new(STORE).join("journal");
    let whole = verify(Path::new(STORE), &machine.disk, &|_| {}).expect("the journal is whole");
    let (offset, mask) = (dice.below(whole.bytes), 1 << dice.below(8));
    machine.disk.flip(&journal, offset, mask);
    let options = StoreOptions::simulated(machine.disk.clone(), 0);
    let refused = Store::open(Path::new(STORE), options).map(|_| ());
    assert!(
        matches!(refused, Err(StoreError::Damaged { .. })),
        "{server} has used its journal although byte {offset} is changed: {refused:?}"
    );
    world.network.trace.note(format!(
        "{server}: byte {offset} of its journal is changed, and found"
    ));
    machine.disk.flip(&journal, offset, mask);
    machine.die(Death::Killed);
    world.start(server).await;
}
