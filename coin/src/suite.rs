//! The number of the suite of algorithms. Every transcript and coin contains it.

/// The suite that this crate implements: Snowblind on ristretto255 with Merlin transcripts.
///
/// It is the first field of every transcript and of every coin. So a later suite shares no hash with this one.
pub const SUITE: u8 = 1;
