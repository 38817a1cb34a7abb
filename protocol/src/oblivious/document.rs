//! The encryption key of a target as a signed document, and the proof that a target has signed two for one day.

use crate::ids::ObliviousKey;
use farthing_coin::{Document, PublicKey, Signed, Transcript, TranscriptExt};
use serde::{Deserialize, Serialize};

/// The length of a day (ms).
pub const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// The number of the day of `now_ms` (ms since 1970).
pub(super) fn day_of(now_ms: u64) -> u32 {
    u32::try_from(now_ms / MS_PER_DAY).unwrap_or(u32::MAX)
}

/// The key to which requests for one target are encrypted on one day. Signed by the target.
///
/// A target signs one key a day. With a key for each wallet it could tell wallets apart, although it does not see who
/// asks. So two signed keys of one day convict the target ([`TwoKeys`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionKey {
    /// The identity key of the target.
    pub target: PublicKey,
    /// The number of the day (UTC, days since 1970, by the target's clock).
    pub day: u32,
    /// The key.
    pub key: ObliviousKey,
}

impl EncryptionKey {
    /// Whether the day of the key is at most `days` before or after `now_ms` (ms since 1970).
    #[must_use]
    pub fn is_of(&self, now_ms: u64, days: u32) -> bool {
        self.day.abs_diff(day_of(now_ms)) <= days
    }
}

impl Document for EncryptionKey {
    const LABEL: &'static str = "farthing encryption key";

    fn describe(&self, t: &mut Transcript) {
        t.bytes(b"target", &self.target.0);
        t.u32(b"day", self.day);
        t.bytes(b"key", &self.key.0);
    }
}

/// Two keys of one target for one day. They prove that the target tells wallets apart, or that its secrets are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoKeys {
    /// The key that was seen first.
    pub first: Signed<EncryptionKey>,
    /// The other key.
    pub second: Signed<EncryptionKey>,
}

impl TwoKeys {
    /// Whether the documents prove the fault of `target`.
    #[must_use]
    pub fn convict(&self, target: &PublicKey) -> bool {
        let (first, second) = (&self.first, &self.second);
        let by_target =
            |signed: &Signed<EncryptionKey>| signed.body.target == *target && signed.verify(target).is_ok();
        first.body.day == second.body.day
            && first.body.key != second.body.key
            && by_target(first)
            && by_target(second)
    }
}
