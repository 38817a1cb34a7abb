//! A wallet's life, with restores from the words at random moments.
//!
//! | variable | what for |
//! |---|---|
//! | `FARTHING_LIVES=10` | number of lives of fresh seeds, of 2 000 commands each |
//! | `FARTHING_LIFE=123` | the seed of the life that `replay_a_life` runs |
//! | `FARTHING_COMMANDS=300` | number of commands instead of 2 000 |
//!
//! A life ends at the first broken invariant. So a short life is the beginning of a long one from the same seed.

use farthing_simulation::{life::life, local};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Number of commands of a long life without `FARTHING_COMMANDS`.
const COMMANDS: u64 = 2_000;

/// Number of commands of the life in every run, and its seed.
const SHORT: (usize, u64) = (150, 1);

fn long() -> usize {
    number("FARTHING_COMMANDS").unwrap_or(COMMANDS) as usize
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is `{text}`, which is no number")))
}

/// Runs a life. A failure prints how to run it again.
fn live(seed: u64, commands: usize) {
    let began = Instant::now();
    let outcome = local(life(seed, commands));
    println!(
        "seed {seed}: {} commands and {} restores in {:.1} s: {:?}",
        outcome.done.values().sum::<u64>(),
        outcome.checked,
        began.elapsed().as_secs_f64(),
        outcome.done
    );
    if !outcome.findings.is_empty() {
        println!("{}", outcome.told.join("\n"));
        println!(
            "to see it again: FARTHING_LIFE={seed} cargo test -p farthing-tests --test simulation replay_a_life -- \
             --nocapture"
        );
        panic!("seed {seed}: {:#?}", outcome.findings);
    }
}

#[test]
fn a_short_life() {
    let (commands, seed) = SHORT;
    live(seed, commands);
}

#[test]
fn long_lives_of_fresh_seeds() {
    let Some(lives) = number("FARTHING_LIVES") else {
        return;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let first = now.as_nanos() as u64 >> 10;
    for seed in first..first + lives {
        live(seed, long());
    }
}

#[test]
fn replay_a_life() {
    if let Some(seed) = number("FARTHING_LIFE") {
        live(seed, long());
    }
}
