//! Shared code of the integration tests.
//!
//! [`processes`] is a testbed of real processes: the programs that people run, over real QUIC, with real files.
//!
//! [`court`] shows the judge every subset of the documents that a run leaves.

#![allow(clippy::disallowed_methods, reason = "it prints what it has counted itself")]

pub mod court;
pub mod processes;
