//! Seeds: what was drawn once can be drawn again.

use std::hash::{BuildHasher, RandomState};

/// The variable that names the seed of a run that is to be repeated.
pub const SEED_VARIABLE: &str = "FARTHING_SEED";

/// The seed that [`SEED_VARIABLE`] names, or a fresh one. Whoever takes it prints it.
pub fn fresh_seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(seed) => seed.parse().expect("a seed is a number"),
        Err(_) => RandomState::new().hash_one(0),
    }
}
