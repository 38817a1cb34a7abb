//! The merchant of Farthing: a shelf of encrypted goods, signed offers, and keys released when coins are held.
//!
//! Goods are encrypted once, when they are put on the shelf. An offer takes constant time whatever their size and
//! writes nothing: its goods key follows from the merchant's secret and the sale's random id. So a merchant that
//! was restarted delivers on every offer that it has ever signed.
//!
//! | what | module |
//! |---|---|
//! | what is on disk besides the goods | [`rows`] |
//! | the secret that all keys of goods and sales follow from | [`secret`] |
//! | the encrypted goods | [`shelf`] |
//! | what a released purchase must look like | [`check`] |
//! | every write, as functions of rows | [`transactions`] |
//! | the node: its keys, store and peers | [`merchant`] |
//! | what it answers | [`service`] |
//! | keys kept fresh, the shelf kept tidy | [`background`] |
//! | sales brought to their end | [`finish`] |
//! | sales on sealed offers, which escrows tell of | `learn` |
//! | what its operator can ask | [`admin`] |
//! | the command line | [`cli`] |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod background;
pub mod check;
pub mod cli;
mod cli_goods;
mod cli_home;
pub mod finish;
mod learn;
pub mod merchant;
pub mod migrate;
pub mod rows;
pub mod secret;
pub mod service;
pub mod shelf;
pub mod transactions;

pub use cli::run;
pub use merchant::{Merchant, MerchantParts};
