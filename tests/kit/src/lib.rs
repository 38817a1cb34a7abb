//! Farthing's programs as real processes, for whoever shows or tests the whole system: the lab, the integration tests,
//! the load generator.
//!
//! | what | file |
//! |---|---|
//! | one executable that is every program | [`program`] |
//! | a program that runs, and what it says | [`process`] |
//! | the nodes as processes | [`nodes`]; the ports that they come back to: [`ports`] |
//! | bank, escrow and merchant, who know each other | [`market`] |
//! | a customer: the wallet's command line | [`customer`] |
//! | the network that loses things | [`lines`] between any two, [`relay`], [`faults`] |
//! | a disk that can be filled | [`disk`] |
//! | the points that processes reach, and wait at | [`points`] |
//! | something done at an exact moment of a wallet's work | [`script`] |
//! | what the nodes' operators see | [`books`] |
//! | a directory for a run | [`scratch`] |
//! | why a run did not come to its end | [`error`] |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod books;
pub mod customer;
pub mod disk;
pub mod error;
pub mod faults;
pub mod lines;
pub mod market;
pub mod nodes;
pub mod points;
pub mod ports;
pub mod process;
pub mod program;
pub mod relay;
pub mod scratch;
pub mod script;
