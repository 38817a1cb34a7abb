//! Shows the whole of Farthing on real processes: [`demo`] at work and under some faults, [`faults`] under every fault
//! at every message and write. [`atomicity`] decides the definitions of `farthing_model` and shows what it finds.
//!
//! `farthing_kit` has the nodes, the lines and the probe points. [`cli`] is the program `farthing-lab`.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod atomicity;
pub mod cli;
pub mod demo;
pub mod faults;
pub mod page;
mod session;
