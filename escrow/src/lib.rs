//! The escrow of Farthing: one final decision for each purchase, and nothing about who bought what.
//!
//! An escrow never holds money. It vouches that a bank holds coins for a purchase, and then writes one of
//! `committed` (with the goods key) or `aborted`, durably, once. Everything that it says is a signature over
//! what is durable, so whoever asks again gets the same bytes.
//!
//! | what | module |
//! |---|---|
//! | what is on disk | [`rows`] |
//! | every write, as functions of rows and time | [`transactions`] |
//! | the escrow's time | [`time`] |
//! | the node: its keys, store and peers | [`escrow`] |
//! | what it answers | [`service`] |
//! | decisions, pushed to the bank until it has obeyed | [`settle`] |
//! | what its operator can ask | [`admin`] |
//! | the command line | [`cli`] |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod cli;
pub mod escrow;
pub mod migrate;
pub mod rows;
pub mod service;
pub mod settle;
pub mod time;
pub mod transactions;

pub use cli::run;
pub use escrow::{Escrow, EscrowParts};
