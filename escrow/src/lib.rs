//! The escrow of Farthing: one final decision for each purchase, and nothing about who bought what.
//!
//! An escrow never holds money. It certifies that a bank holds coins for a purchase. Then it durably writes one decision:
//! `committed` (with the goods key) or `aborted`. Each reply is a signature over durable content, so a repeated question
//! gets the same bytes.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the tables |
//! | [`transactions`] | every write as a function of rows and time |
//! | [`time`] | the escrow's time |
//! | [`escrow`] | the node: its key, store and peers |
//! | [`service`] | the answers to requests |
//! | `streams` | opens, raises and closes streams |
//! | [`settle`] | pushes decisions to the bank until it acknowledges them |
//! | [`purge`] | forgets what is long past |
//! | `books` | the books as sums, for the metrics |
//! | [`admin`] | the operator's requests |
//! | [`cli`] | the command line |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
mod books;
pub mod cli;
pub mod escrow;
pub mod migrate;
pub mod purge;
pub mod rows;
pub mod service;
pub mod settle;
mod streams;
pub mod time;
pub mod transactions;

pub use cli::run;
pub use escrow::{Escrow, EscrowParts};
