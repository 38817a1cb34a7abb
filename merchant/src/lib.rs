//! The merchant of Farthing: a shelf of encrypted goods, signed offers, and keys released when coins are held.
//!
//! Goods are encrypted once, when they are added to the shelf. An offer takes constant time for goods of any size, and
//! writes nothing: its goods key derives from the merchant's secret and the sale's random id. So a restarted merchant
//! delivers on every offer that it has signed.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the tables |
//! | [`secret`] | the secret from which all keys of goods and sales derive |
//! | [`shelf`] | the encrypted goods |
//! | `small_goods` | the small ones, in memory |
//! | [`check`] | checks of the documents of escrow and bank |
//! | [`transactions`] | every write as a function of rows |
//! | [`payable`] | prices that no payment can have |
//! | [`merchant`] | the node: its keys, store and peers |
//! | [`service`] | the answers to requests |
//! | [`background`] | background work: key lists, shelf |
//! | [`finish`] | finishes open sales |
//! | [`streams`] | items that are sold by ticks |
//! | `learn` | sales on sealed offers, listed by escrows |
//! | [`sales`] | the list of sales |
//! | [`stock`] | counts of items, and what offers reserve |
//! | `reservations` | ends the reservations that are over |
//! | [`refunds`] | what is given back of sales |
//! | [`purge`] | background work: what the merchant forgets |
//! | [`forgotten`] | what it keeps of forgotten sales |
//! | `books` | the books as sums, for the metrics |
//! | [`events`] | the numbered list of what happened |
//! | [`webhook`] | posts the events to a web shop; [`webhook_secret`] signs them |
//! | `evidence` | what proves a sale |
//! | `lookup` | rows by pages, and by the first characters of an id |
//! | [`admin`] | the operator's requests |
//! | [`cli`] | the command line |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod background;
mod books;
pub mod check;
pub mod cli;
mod cli_balance;
mod cli_events;
mod cli_feed;
mod cli_goods;
mod cli_home;
mod cli_refund;
mod cli_sales;
mod cli_stream;
mod cli_webhook;
pub mod events;
mod evidence;
pub mod finish;
pub mod forgotten;
mod learn;
mod lookup;
pub mod merchant;
pub mod migrate;
pub mod payable;
pub mod purge;
pub mod refunds;
mod reservations;
pub mod rows;
pub mod sales;
pub mod secret;
pub mod service;
pub mod shelf;
mod small_goods;
pub mod stock;
pub mod streams;
pub mod transactions;
pub mod webhook;
pub mod webhook_secret;

pub use cli::run;
pub use merchant::{Merchant, MerchantParts};
