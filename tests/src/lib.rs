//! What the integration tests of Farthing share.
//!
//! [`simulation`] is one world from one seed: the very functions that the programs run, against a network,
//! disks and clocks of its own, in virtual time, with the real cryptography.

pub mod simulation;
