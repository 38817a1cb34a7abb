//! The wallet of Farthing, as a library, and its command line.
//!
//! A [`wallet::Wallet`] is a directory with a seed and a store. It withdraws coins from an account at a bank, and buys
//! digital goods at merchants. A purchase ends with the goods, or with the coins back.
//!
//! The wallet stores every step before it sends a request. After a crash or an error, [`resume`](wallet::Wallet::resume)
//! sends the same request again. So no error loses a coin.
//!
//! # One run
//!
//! ```no_run
//! use farthing_client::{purchase::{Parties, goods::judge}, wallet::{Env, Wallet}};
//! use farthing_node::card::RoleName;
//! use farthing_protocol::{evidence::Verdict, money::Amount};
//! use std::path::Path;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let wallet = Wallet::open(Path::new("wallet"), Env::system())?;
//! let parties = Parties {
//!     bank: wallet.party(RoleName::Bank, None)?,
//!     merchant: wallet.party(RoleName::Merchant, Some("studio"))?,
//!     escrow: wallet.party(RoleName::Escrow, None)?,
//! };
//! wallet.withdraw(&parties.bank, Amount(2000)).await?;
//! let number = wallet.buy(&parties, "Evening postcard", Path::new("postcard.txt")).await?;
//!
//! let verdict = judge(&wallet.papers(number)?, &wallet.goods_file(number)?)??;
//! assert_eq!(verdict, Verdict::Delivered);
//! # Ok(())
//! # }
//! ```
//!
//! The example `buy` is a whole program.
//!
//! # Modules
//!
//! | what | module |
//! |---|---|
//! | the wallet, its environment and its parties | [`wallet`] |
//! | the process that has a wallet open | [`holder`] |
//! | a wallet's password | [`vault`] |
//! | lists of a bank's keys | `keys` |
//! | account keys | `accounts` |
//! | tables and rows; coins; counters | [`rows`], [`coins`], `coin_memory`, `counters` |
//! | withdrawals and exchanges | `issuance` |
//! | payments by deposit | [`deposit`] |
//! | requests for payments, and donations; their URIs | [`request`], [`pay_uri`] |
//! | what proves a payment; the list of proofs that were shown | [`payment_proof`], [`proof_register`] |
//! | gifts, as URIs | [`gift`], [`gift_uri`]; what a link is, [`link`] |
//! | what banks owe: paid requests, change, refunds | [`receive`], `reserves` |
//! | a merchant's catalogue | [`catalog`] |
//! | purchases and their goods | [`purchase`] |
//! | everything that was done, with dates | [`history`] |
//! | what a bank's denial says of a coin | `coin_finding` |
//! | the end of a purchase or a payment by an exchange | `recovery` |
//! | documents that prove something | [`evidence`] |
//! | the wallet's parties as a file | [`exported`] |
//! | carrying on after a crash | [`resume`] |
//! | exchanges that no purchase waits for | [`upkeep`] |
//! | a wallet from its phrase | [`restore`], `rescan_schedule`, `scan_record` |
//! | the relay, and the keys that it tells | [`relay_keys`] |
//! | which parties can be reached | [`network_check`] |
//! | a client of one party, which repeats requests | [`peer_client`] |
//! | events | [`observer`] |
//! | the command line | [`cli`] |

#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod accounts;
pub mod catalog;
pub mod cli;
mod coin_finding;
mod coin_memory;
pub mod coins;
mod counters;
pub mod deposit;
pub mod error;
pub mod evidence;
pub mod exported;
mod file_names;
pub mod gift;
pub mod gift_uri;
mod goods_names;
pub mod history;
pub mod holder;
mod issuance;
mod keys;
pub mod link;
mod migrate;
pub mod network_check;
pub mod observer;
pub mod payment_proof;
pub mod peer_client;
pub mod proof_register;
pub mod purchase;
pub mod receive;
mod recovery;
pub mod relay_keys;
pub mod request;
mod rescan_schedule;
mod reserves;
pub mod restore;
pub mod resume;
pub mod rows;
mod scan_record;
pub mod upkeep;
pub mod vault;
pub mod wallet;

pub use farthing_node::pay_uri;
