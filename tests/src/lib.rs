//! What the integration tests of Farthing share.
//!
//! [`simulation`] is one world from one seed: the very functions that the programs run, against a network,
//! disks and clocks of its own, in virtual time, with the real cryptography.
//!
//! [`processes`] is a testbed of real processes: the programs that people run, over real QUIC, with real files.
//!
//! [`by_hand`] is a customer who puts every message together herself, over either.
//!
//! [`court`] shows the judge every choice of the documents that a run leaves.

#![allow(clippy::disallowed_methods, reason = "it prints what it has counted itself")]

pub mod by_hand;
pub mod court;
pub mod processes;
pub mod simulation;
