//! The clock as a trait.
