//! (under construction)

pub mod clock;
pub mod disk;
pub mod entropy;
pub mod probe;
pub mod store;
