//! Streams: goods that are paid by the tick, from one hold. A tick is a record of live data or a piece of a large file.
//!
//! ```text
//! wallet                     escrow                      bank
//!   OpenRequest   --------->   verifies contract and coins
//!                              BankHoldRequest --------->  holds in one write
//!                              <-----------------------  Signed<BankHold>
//!                              opens the sealed key; writes that the stream is open
//!                 <---------  Outcome::Streaming
//!
//! wallet                     merchant                    escrow
//!   WatchRequest  --------->   stores the sale
//!   TicksRequest  --------->   voucher for the ticks that the wallet holds
//!                 <---------  their key, and further ticks, encrypted
//!                              RaiseRequest ------------>  stores the highest voucher
//!   StopRequest   --------->   CloseRequest ------------>  writes the decision: what the highest voucher says
//!                 <---------  Outcome::Streamed
//! ```
//!
//! A stream is a purchase on an offer whose sealed goods key is sold by ticks. The price of the offer is that of all its
//! ticks. The keys of the ticks are a [hash chain](chain), so the key of tick k opens ticks 1 to k and no later one.
//! The customer pays with a [`Voucher`]: the purchase key signs how many ticks are paid for in all.
//!
//! Each tick is goods-atomic. The customer signs a voucher only for ticks that they hold, encrypted and signed by the merchant.
//! Whoever has the voucher gets paid by the escrow, and whoever shows it there gets the key. Micali's *Simple and fast
//! optimistic protocols* (2003) has this shape. A voucher that is a signature takes the place of the hash chain of PayWord
//! (Rivest and Shamir, 1996): it needs no state in the wallet, and nobody can use one chain for two streams.

pub mod chain;
mod documents;
mod escrow;
mod merchant;
mod price;

pub use crate::documents::Close;
pub use documents::{Opened, Raised, StreamCommit, TickBatch, Voucher};
pub use escrow::{
    CloseRequest, Ending, KnownStream, OpenRequest, OpenStream, PreparedEnding, RaiseReply, RaiseRequest,
    VerifiedClose, VerifiedOpen, VerifiedRaise, open_stream, verify_close, verify_open, verify_raise,
};
pub use merchant::{
    Batch, StopRequest, Ticks, TicksRequest, VerifiedWatch, WatchRequest, check_batch, check_voucher,
    tick_digest, verify_stop, verify_watch,
};
pub use price::{pay_until_ms, price_of, ticks_for};
