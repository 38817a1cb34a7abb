//! The wallet of Farthing: a library, and the command line over it.
//!
//! Everything is written down before it is sent, so that after a crash the wallet asks the same again.
//!
//! | what | file |
//! |---|---|
//! | the wallet and its parties | [`wallet`]; the banks' keys in `keys` |
//! | which key names it at a bank | `accounts` |
//! | what it keeps | [`rows`]; its coins in [`coins`], its numbers in `counters` |
//! | new coins | `issuance` |
//! | what is for sale | [`catalog`] |
//! | purchases, and their goods | [`purchase`] |
//! | what a bank's denial says of a coin | `coin_finding`; when a purchase ends with its coins' exchange, `recovery` |
//! | what the wallet can prove | [`evidence`] |
//! | after a crash | [`resume`] |
//! | from the phrase alone | [`restore`]; what it looks for again, `rescan`; how far it has to look, `scan_record` |
//! | one conversation, asked again until answered | [`peer_client`] |
//! | what it tells whoever watches | [`observer`] |
//! | the command line over it | [`cli`] |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod accounts;
pub mod catalog;
pub mod cli;
mod coin_finding;
pub mod coins;
mod counters;
pub mod error;
pub mod evidence;
mod goods_names;
mod issuance;
mod keys;
mod migrate;
pub mod observer;
pub mod peer_client;
pub mod purchase;
mod recovery;
mod rescan_schedule;
pub mod restore;
pub mod resume;
pub mod rows;
mod scan_record;
pub mod wallet;
