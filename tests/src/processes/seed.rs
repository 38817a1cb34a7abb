//! Seeds: the same seed gives the same draws.

use std::hash::{BuildHasher, RandomState};

/// The environment variable with the seed of a run to repeat.
pub const SEED_VARIABLE: &str = "FARTHING_SEED";

/// The seed in [`SEED_VARIABLE`], or a fresh one. The caller prints it.
pub fn fresh_seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(seed) => seed.parse().expect("a seed is a number"),
        Err(_) => RandomState::new().hash_one(0),
    }
}
