//! The wallet of Farthing: a library, and the command line over it.
//!
//! Everything is written down before it is sent, so that after a crash the wallet asks the same again.
//!
//! | what | file |
//! |---|---|
//! | the wallet and its parties | [`wallet`] |
//! | which key names it at a bank | `accounts` |
//! | what it keeps | [`rows`]; its coins in [`coins`] |
//! | new coins | `withdraw`, `exchange`, and what they share in `mint` |
//! | what is for sale | [`catalog`] |
//! | purchases | [`buy`]; one driven to its end in `drive`; without its escrow in `recover` |
//! | goods, fetched and opened | [`goods`] |
//! | after a crash | [`resume`] |
//! | from the phrase alone | [`restore`], which reads `buckets`, and looks `beyond` gaps; what comes through after that in `late` |
//! | how far a restore has to look | `scan_record` |
//! | coins and purchases, as a restore's records name them | `record_index` |
//! | one conversation, asked again until answered | [`talk`] |
//! | what it tells whoever watches | [`watch`] |
//! | the command line over it | [`cli`] |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod accounts;
mod beyond;
mod buckets;
pub mod buy;
pub mod catalog;
pub mod cli;
pub mod coins;
mod drive;
pub mod error;
pub mod evidence;
mod exchange;
pub mod goods;
mod late;
mod migrate;
mod mint;
mod record_index;
mod recover;
pub mod restore;
pub mod resume;
pub mod rows;
mod scan_record;
pub mod talk;
pub mod wallet;
pub mod watch;
mod withdraw;
