//! Forgetting: when the servers may drop what they have kept of a purchase, and how long a judge hears claims about it.
//!
//! ```text
//!   deadline         + a year             end of the epoch + 30 days + a year + four epochs
//!   |----------------|--------------------|-------------------------------------------->
//!   evidence is kept   claims have expired   bank, escrow and merchant may forget it
//! ```
//!
//! Nobody can be convicted for lack of a document that they may have forgotten, as claims expire first.

use crate::limits::{CLAIM_MS, CLOSED_AFTER_EPOCHS, CLOSED_AFTER_MS, RELEASED_GRACE_MS};
use farthing_coin::KeyBook;

/// The begin of the first epoch on the list that is not closed (ms since 1970). All epochs before it are. 0 if the list has none.
///
/// An epoch is closed when its coins have not been taken back in any way for [`CLOSED_AFTER_MS`] and
/// [`CLOSED_AFTER_EPOCHS`]. Servers may then forget the states of its coins, and all of purchases with an earlier deadline. A coin
/// is older than the purchase that it pays, so its epoch has begun before the deadline.
///
/// The clock counts no farther than the begin of the list's newest epoch. A bank adds epochs as its time passes. So a clock that
/// is years ahead makes nobody forget what is young.
pub fn closed_by_list(keys: &KeyBook, now_ms: u64) -> u64 {
    let begins = keys.denominations().map(|(_, key)| key.issue_from_ms);
    closed_before(keys, now_ms.min(begins.max().unwrap_or(0)))
}

/// The same, for a clock that is right.
fn closed_before(keys: &KeyBook, now_ms: u64) -> u64 {
    let epoch_ms = keys.list().calendar.epoch_ms;
    let kept_ms = epoch_ms
        .saturating_mul(CLOSED_AFTER_EPOCHS.into())
        .saturating_add(CLOSED_AFTER_MS)
        .saturating_add(RELEASED_GRACE_MS);
    let is_closed = |redeem_until_ms: u64| redeem_until_ms.saturating_add(kept_ms) <= now_ms;
    let open = keys
        .denominations()
        .filter(|(_, key)| !is_closed(key.redeem_until_ms));
    open.map(|(_, key)| key.issue_from_ms).min().unwrap_or(0)
}

/// Whether claims about a purchase with this deadline have expired.
///
/// After that a judge hears no charge that a document could clear, since its owner may have forgotten it.
pub fn claims_expired(deadline_ms: u64, now_ms: u64) -> bool {
    deadline_ms.saturating_add(CLAIM_MS) <= now_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_coin::{Calendar, DenominationSecret, EpochKeys, KeyList, MasterSecret, SecretKey, Signed};

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    /// A list with epochs of 30 days. Epoch 5 ends with day 180.
    fn list(epochs: std::ops::Range<u32>) -> KeyBook {
        let bank = SecretKey::from_wide(&[9; 64]).unwrap();
        let master = MasterSecret::from_bytes([7; 32]);
        let epoch = |epoch| EpochKeys {
            epoch,
            keys: vec![DenominationSecret::derive(&master, 1, epoch).public()],
        };
        let list = KeyList {
            bank: bank.public(),
            currency: "FTH".into(),
            calendar: Calendar {
                epoch_ms: 30 * DAY_MS,
                spend_epochs: 2,
                redeem_epochs: 1,
            },
            values: vec![1],
            epochs: epochs.map(epoch).collect(),
        };
        KeyBook::new(Signed::sign(list, &bank), &bank.public()).unwrap()
    }

    /// When epoch 5 is closed. Its coins are taken for 90 days, and then for 30. 365 days and four epochs follow.
    const CLOSED_MS: u64 = (180 + 90 + 30 + 365 + 4 * 30) * DAY_MS;

    #[test]
    fn epochs_are_closed_one_after_the_other_and_never_before_a_year() {
        let keys = list(5..7);
        assert_eq!(closed_before(&keys, CLOSED_MS - 1), 150 * DAY_MS);
        assert_eq!(closed_before(&keys, CLOSED_MS), 180 * DAY_MS);
        // A list without an open epoch is not the list of a bank that runs.
        assert_eq!(closed_before(&keys, CLOSED_MS + 30 * DAY_MS), 0);
    }

    #[test]
    fn a_clock_is_believed_only_as_far_as_the_list_goes() {
        // The newest epoch begins with day 780 or 810. Epoch 5 is closed on day 785.
        let (before, after) = (list(5..27), list(5..28));
        for now_ms in [CLOSED_MS, u64::MAX] {
            assert_eq!(closed_by_list(&before, now_ms), 150 * DAY_MS);
        }
        assert_eq!(closed_by_list(&after, CLOSED_MS - 1), 150 * DAY_MS);
        for now_ms in [CLOSED_MS, u64::MAX] {
            assert_eq!(closed_by_list(&after, now_ms), 180 * DAY_MS);
        }
    }

    #[test]
    fn claims_expire_before_anything_is_forgotten() {
        let keys = list(5..28);
        // The last deadline that a purchase with coins of epoch 5 can have, if nothing of it is kept.
        let deadline_ms = 180 * DAY_MS - 1;
        assert!(closed_before(&keys, CLOSED_MS) > deadline_ms);
        assert!(claims_expired(
            deadline_ms,
            CLOSED_MS - RELEASED_GRACE_MS - 4 * 30 * DAY_MS
        ));
        assert!(!claims_expired(deadline_ms, deadline_ms + CLAIM_MS - 1));
        assert!(claims_expired(deadline_ms, deadline_ms + CLAIM_MS));
    }
}
