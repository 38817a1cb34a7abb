//! Evidence: a judge finds offline, from documents alone, who broke the protocol.
//!
//! | what | file |
//! |---|---|
//! | the documents of a purchase, and what they prove about escrow, bank and merchant | [`judge`], `case` |
//! | what they prove about a stream | [`judge`], `streams` |
//! | a coin that its bank denies by a signed [`Denial`](crate::denial::Denial) | [`judge`], `coins` |
//! | a reserve that its bank denies | [`judge`], `reserves` |
//! | two encryption keys of a server for one day | [`judge`], `encryption_keys` |
//! | whether the goods are as described | [`Judge`], `delivery` |
//!
//! A party is convicted by two documents that it must not both sign, or by its own promise that it does not keep. The
//! judge cannot see whether a party kept a promise. So a conviction by a promise stands *unless* the party shows the
//! document that it has if it kept the promise: see [`Charge::unless`]. An accused party adds its own documents to those
//! of the accuser, and all are judged together.

mod case;
mod coins;
mod conviction;
mod delivery;
mod encryption_keys;
mod judge;
mod papers;
mod reserves;
mod streams;

pub use conviction::{Charge, Conviction, Culprit};
pub use delivery::{Breach, Judge, NoVerdict, Verdict};
pub use judge::{PAPERS_MAX, judge};
pub use papers::{Papers, ShownDebit, ShownTick, ShownUse};
