//! Randomness as a trait.
