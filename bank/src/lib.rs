//! The bank of Farthing: accounts, issuing keys, and the state of every coin that it has seen.
//!
//! `farthing_protocol` has the decisions. This crate reads the rows that a request names, calls the decision, writes its
//! result in one durable step, and only then signs and answers.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the tables, and the sums beside them |
//! | [`keys`] | the issuing keys and their list |
//! | [`transactions`] | each change as a function of rows, request and time |
//! | [`reserves`] | the transactions on reserves: withdrawals from them, deposits, refunds |
//! | `balances` | changes of the balances of accounts and reserves |
//! | [`bank`] | the state in memory |
//! | [`service`] | verify, decide, sign, answer |
//! | `denying` | signs final refusals, with their proof |
//! | [`restore`] | pages for wallets that are restored from their seed |
//! | [`overdue`] | background work: overdue holds, keys, journals |
//! | [`purge`] | background work: what the bank forgets |
//! | [`movement`] | a movement of money on an account |
//! | [`ledger`] | the movements of each account, with their dates, and the reports about them |
//! | [`policy`] | which movements are reported |
//! | [`desk`] | the cash desk: accounts, money in and out |
//! | [`audit`] | the books, counted twice |
//! | `books` | the books as sums, for the metrics |
//! | [`statement`] | statements, reports, and the audit of the movements since a date |
//! | [`admin`] | the operator's commands |
//! | [`replies`] | the replies to them |
//! | [`node`] | the bank in its directory, as a running node |
//! | [`cli`] | `farthing-bank` |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
mod args;
pub mod audit;
mod balances;
pub mod bank;
mod books;
pub mod cli;
mod denying;
pub mod desk;
pub mod evidence;
pub mod keys;
pub mod ledger;
pub mod migrate;
pub mod movement;
pub mod node;
mod output;
pub mod overdue;
pub mod policy;
pub mod purge;
pub mod replies;
pub mod reserves;
pub mod restore;
pub mod rows;
pub mod service;
pub mod statement;
pub mod transactions;
