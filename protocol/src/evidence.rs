//! Evidence: who broke the protocol, judged offline from documents alone.
//!
//! | what | file |
//! |---|---|
//! | the documents of a purchase, and what they prove of escrow and bank | [`judge`], `case` |
//! | a coin that its bank denies by a signed [`Denial`](crate::denial::Denial) | [`judge`], `coins` |
//! | whether the goods are as described | [`Judge`], `delivery` |
//!
//! A party is convicted by two documents that it could not both have signed by the protocol, or by its own promise that
//! it does not keep. A promise is kept where nobody can be made to watch, so such a conviction stands *unless* the
//! party shows the one document that anybody who had kept it would have: that is [`Charge::unless`]. Whoever is accused
//! puts his own documents beside those of the accuser, and they are judged together.

mod case;
mod coins;
mod conviction;
mod delivery;
mod judge;
mod papers;

pub use conviction::{Charge, Conviction, Culprit};
pub use delivery::{Breach, Judge, NoVerdict, Verdict};
pub use judge::{PAPERS_MAX, judge};
pub use papers::{Papers, ShownUse};
