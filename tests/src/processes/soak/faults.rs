//! The faults of nodes and lines in a soak.

use super::tally::Tally;
use crate::processes::{lines::spoil, run::Wait, testbed::Testbed};
use farthing_kit::{
    faults::Draws,
    line::{Gate, Line, Way},
    lines::Lines,
};
use farthing_node::card::RoleName;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Interval between two kills of nodes.
const EVERY: Duration = Duration::from_secs(1);

/// Longest time that a node stays down (ms).
const DOWN_MAX_MS: u64 = 700;

/// Longest time, after the first 500 ms, that a node is frozen or a line is cut in one direction (ms).
const LASTS_MAX_MS: u64 = 6_000;

/// Highest percentage of datagrams that a line loses, repeats and reorders, each.
const BAD_MAX_PERCENT: u64 = 20;

/// A fault that ends at a set time.
enum Passing<'a> {
    Frozen(RoleName),
    Cut(&'a Line, Way),
}

/// Kills a node every second, and at random freezes nodes, cuts lines and makes lines bad, until `over` is set. Then it
/// repairs everything.
pub fn happen(testbed: &Testbed, lines: &[Arc<Lines>], tally: &Tally, seed: u64, over: &AtomicBool) {
    let mut draws = Draws(seed);
    let chosen: Vec<&Line> = lines
        .iter()
        .flat_map(|lines| lines.all())
        .chain(testbed.lines.all())
        .collect();
    let mut passing: Vec<(Instant, Passing<'_>)> = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let begun = Instant::now();
        passing.retain(|(until, what)| {
            let lasts = begun < *until;
            if !lasts {
                pass(testbed, what);
            }
            lasts
        });
        let until = begun + Duration::from_millis(500 + draws.below(LASTS_MAX_MS));
        if draws.hits(20) {
            let role = any(&mut draws, &RoleName::PARTIES);
            testbed.node(role).freeze().unwrap();
            tally.count("nodes frozen");
            passing.push((until, Passing::Frozen(role)));
        }
        if draws.hits(50) {
            let (line, way) = (any(&mut draws, &chosen), any(&mut draws, &Way::ALL));
            line.set_gate(way, Gate::Drop);
            tally.count("lines cut in one direction");
            passing.push((until, Passing::Cut(line, way)));
        }
        if draws.hits(50) {
            let line = any(&mut draws, &chosen);
            let percent = u8::try_from(draws.below(BAD_MAX_PERCENT + 1)).expect("below a hundred");
            spoil(line, percent, draws.draw());
            tally.count("lines made better or worse");
        }
        kill(testbed, tally, &mut draws);
        thread::sleep(EVERY.saturating_sub(begun.elapsed()));
    }
    passing.iter().for_each(|(_, what)| pass(testbed, what));
    for line in chosen {
        line.heal();
        tally.line(line);
    }
}

/// Kills a node, and starts it again after a while.
fn kill(testbed: &Testbed, tally: &Tally, draws: &mut Draws) {
    let role = any(draws, &RoleName::PARTIES);
    let node = testbed.node(role);
    node.kill().wait();
    tally.count(match role {
        RoleName::Bank => "kills of the bank",
        RoleName::Escrow => "kills of the escrow",
        RoleName::Merchant => "kills of the merchant",
        RoleName::Relay => "kills of the relay",
    });
    thread::sleep(Duration::from_millis(draws.below(DOWN_MAX_MS)));
    node.start().wait();
    tally.count("nodes started again");
}

fn pass(testbed: &Testbed, what: &Passing<'_>) {
    match what {
        Passing::Frozen(role) => testbed.node(*role).thaw().unwrap(),
        Passing::Cut(line, way) => line.set_gate(*way, Gate::Pass),
    }
}

fn any<T: Copy>(draws: &mut Draws, of: &[T]) -> T {
    of[usize::try_from(draws.below(of.len() as u64)).expect("within the list")]
}
