//! The suite of algorithms, as every transcript and coin names it.

/// The suite that this crate implements: Snowblind on ristretto255 with Merlin transcripts.
///
/// It is the first field of every transcript and of every coin, so that a later suite shares no hash with it.
pub const SUITE: u8 = 1;
