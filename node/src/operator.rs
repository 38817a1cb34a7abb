//! What the programs that run nodes have in common on the command line.

pub mod report;
