//! Random campaigns: fixed seeds, seeds that have found something, and fresh ones.
//!
//! | variable | what for |
//! |---|---|
//! | `FARTHING_SEEDS=10000` | number of fresh seeds |
//! | `FARTHING_SEED=123` | the seed that `replay` runs, with its trace |

use farthing_simulation::{
    campaign::{CampaignResult, campaign},
    check::Findings,
    local,
};
use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Seeds of every run.
const FIXED: std::ops::Range<u64> = 0..40;

/// Number of fresh seeds without `FARTHING_SEEDS`.
const FRESH: u64 = 10;

/// Seeds that have found something, with the finding. Each is in every run from then on.
const FOUND: [(u64, &str); 3] = [
    (
        1_753_360_974_826_333,
        "a payment that a slow escrow brings to the bank after its customer was restored",
    ),
    (
        1_753_361_798_486_258,
        "one that comes through under a number in between those that the restore has found",
    ),
    (
        1_753_362_519_886_165,
        "one whose coins the restored wallet has put to another purchase",
    ),
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is `{text}`, which is no number")),
    )
}

/// Runs a campaign. The first failure is printed with its trace.
fn run(seed: u64, is_first_failure: bool) -> Option<CampaignResult> {
    let outcome = std::panic::catch_unwind(|| local(campaign(seed)));
    if let Ok(outcome) = &outcome
        && outcome.findings == Findings::default()
    {
        return Some(outcome.clone());
    }
    // The finding comes before the trace, because a log may keep only the beginning.
    println!(
        "seed {seed} failed; to see it again: \
         FARTHING_SEED={seed} cargo test -p farthing-tests --test simulation replay -- --nocapture"
    );
    match outcome {
        Ok(outcome) if is_first_failure => println!("{:#?}\n{}", outcome.findings, outcome.trace),
        Ok(outcome) => println!("{:#?}", outcome.findings),
        Err(_) => println!("it panicked"),
    }
    None
}

/// Runs campaigns, and prints what they contained.
///
/// # Panics
/// When one has failed, after all have run.
fn run_all(what: &str, seeds: impl Iterator<Item = u64>) {
    let began = Instant::now();
    let (mut campaigns, mut committed, mut aborted, mut messages) = (0, 0, 0, 0);
    let mut faults: BTreeMap<String, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in seeds {
        let Some(outcome) = run(seed, failed.is_empty()) else {
            failed.push(seed);
            continue;
        };
        campaigns += 1;
        committed += outcome.committed;
        aborted += outcome.aborted;
        messages += outcome.messages;
        for (fault, times) in outcome.faults {
            *faults.entry(fault).or_default() += times;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{what}: {campaigns} campaigns in {seconds:.1} s: {committed} purchases committed and {aborted} aborted or \
         dropped, {:.0} purchases a second; {messages} messages; faults: {faults:?}",
        (committed + aborted) as f64 / seconds
    );
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}

#[test]
fn campaigns_of_fixed_seeds() {
    run_all("fixed seeds", FIXED);
}

#[test]
fn campaigns_of_seeds_that_have_found_something() {
    for (seed, what) in FOUND {
        println!("seed {seed} has found: {what}");
        assert!(run(seed, true).is_some());
    }
}

#[test]
fn campaigns_of_fresh_seeds() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let first = now.as_nanos() as u64 >> 10;
    let count = number("FARTHING_SEEDS").unwrap_or(FRESH);
    println!("fresh seeds: {first} and the {} behind it", count - 1);
    run_all("fresh seeds", first..first + count);
}

#[test]
fn replay() {
    if let Some(seed) = number("FARTHING_SEED") {
        let outcome = local(campaign(seed));
        println!("{}", outcome.trace);
        outcome.findings.expect_none();
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [0, 3, 14, 15] {
        let (one, other) = (local(campaign(seed)).trace, local(campaign(seed)).trace);
        let differ = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert!(one == other, "seed {seed}: {differ:?}");
    }
}
