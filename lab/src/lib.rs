//! The whole of Farthing, shown on real processes: [`demo`] at work and at its worst, [`faults`] under every fault at
//! every message and write.
//!
//! Nodes, relays and the points that processes wait at are in `farthing_kit`; [`cli`] is the program `farthing-lab`.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod demo;
pub mod faults;
mod session;
