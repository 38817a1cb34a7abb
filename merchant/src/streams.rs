//! Streams: items that are sold by ticks, each stream paid from one hold.
//!
//! | module | holds |
//! |---|---|
//! | [`source`] | the data: chunks of a file, or live records |
//! | [`session`] | one open stream: its keys, its encrypted ticks, its highest voucher |
//! | [`sessions`] | all open streams and live sources of a running node |
//! | `catalog` | streams in the catalogue |
//! | [`offers`] | offers on streams |
//! | [`tick_price`] | the price of one tick |
//! | [`serve`] | the answers to watch, ticks and stop |
//! | [`raise`] | shows vouchers to the escrows |
//! | [`close`] | ends streams, and learns how they have ended |
//!
//! No key ever encrypts two records. A tick of a file is always the same chunk, and its digest is checked each time. A live
//! record is lost with the process, so an offer on a live stream is of use in the run of the node that made it, and
//! an open live stream is closed after a restart.

pub(crate) mod catalog;
pub mod close;
pub mod offers;
pub mod raise;
pub mod serve;
pub mod session;
pub mod sessions;
pub mod source;
pub mod tick_price;
