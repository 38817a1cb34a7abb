//! Farthing's programs as real processes, for the lab, the integration tests and the load generator.
//!
//! | what | file |
//! |---|---|
//! | one executable that is every program | [`program`] |
//! | a running program and its output | [`process`] |
//! | the nodes as processes | [`nodes`]; their fixed ports: [`ports`] |
//! | bank, escrow and merchant that know each other | [`market`] |
//! | a customer: the wallet's command line | [`customer`] |
//! | a customer that makes every message by hand | [`by_hand`] |
//! | every request that a stranger can send | [`stranger`] |
//! | a faulty network | [`lines`] between any two parties, [`line`](mod@line), [`faults`] |
//! | lines over TCP, and a proxy | [`tcp_line`], [`socks`] |
//! | a disk that can be filled | [`disk`] |
//! | the points at which processes wait | [`points`] |
//! | actions at an exact moment of a wallet's work | [`script`] |
//! | the books as the nodes' operators see them | [`books`] |
//! | a directory for a run | [`scratch`] |
//! | the errors of a run | [`error`] |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod books;
pub mod by_hand;
pub mod customer;
pub mod disk;
pub mod error;
pub mod faults;
pub mod line;
pub mod lines;
pub mod market;
pub mod nodes;
pub mod points;
pub mod ports;
pub mod process;
pub mod program;
pub mod scratch;
pub mod script;
pub mod socks;
pub mod stranger;
pub mod tcp_line;
