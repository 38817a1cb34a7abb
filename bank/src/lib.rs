//! The bank of Farthing: accounts, issuing keys, and the state of every coin it has ever seen.
//!
//! What it decides is in `farthing_protocol`; what is here loads the rows that a request names, has the
//! protocol decide, writes what was decided in one durable step, and only then signs and answers.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the tables, and the sums beside them |
//! | [`keys`] | the issuing keys and their list |
//! | [`transactions`] | every change, as a function of rows, request and time |
//! | [`bank`] | what is in memory |
//! | [`service`] | verify, decide, sign, answer |
//! | `denying` | signs refusals that are final, with their proof |
//! | [`restore`] | pages for wallets rebuilt from their seed |
//! | [`overdue`] | asks escrows about holds whose deadline has passed |
//! | [`desk`] | the cash desk: accounts, money in and out |
//! | [`audit`] | the books, counted twice |
//! | [`admin`] | the operator's commands |
//! | [`replies`] | the replies to them |
//! | [`node`] | a bank in its directory, as a running node |
//! | [`cli`] | `farthing-bank` |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
mod args;
pub mod audit;
pub mod bank;
pub mod cli;
mod denying;
pub mod desk;
pub mod evidence;
pub mod keys;
pub mod migrate;
pub mod node;
mod output;
pub mod overdue;
pub mod replies;
pub mod restore;
pub mod rows;
pub mod service;
pub mod transactions;
