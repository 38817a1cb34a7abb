//! The search through numbers of a restore. A number that was asked for is never used again.

use crate::{
    error::WalletError,
    rows::{COUNTERS, Counter},
    wallet::Wallet,
};
use farthing_coin::PublicKey;

/// How many numbers at a time are recorded as asked for.
pub(crate) const ASKED_AHEAD: u64 = 64;

/// A search through numbers that ends after a gap. Numbers that earlier restores have reserved are tried too, since
/// something may have arrived under them. They do not count as part of a gap.
pub(crate) struct Search {
    reserved: Vec<(u64, u64)>,
    next: u64,
    after_last: u64,
    misses: u64,
}

impl Search {
    pub(crate) fn new(reserved: &[(u64, u64)]) -> Self {
        Search {
            reserved: reserved.to_vec(),
            next: 0,
            after_last: 0,
            misses: 0,
        }
    }

    /// The next number to try; `None` after `gap` missing numbers in a row.
    pub(crate) fn next(&mut self, gap: u64) -> Option<u64> {
        if self.misses >= gap {
            return None;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        if self
            .reserved
            .iter()
            .any(|(from, end)| (*from..*end).contains(&number))
        {
            // The wallet went on after the reserved numbers, so the gap starts again there.
            self.found();
        } else {
            self.misses = self.misses.saturating_add(1);
        }
        Some(number)
    }

    /// Records that something was found under the last number.
    pub(crate) fn found(&mut self) {
        self.after_last = self.next;
        self.misses = 0;
    }

    /// The range of numbers at the end that were asked for without result, with the numbers recorded ahead.
    fn reserved(&self) -> (u64, u64) {
        let end = self.next.saturating_add(ASKED_AHEAD);
        (self.after_last, end)
    }
}

/// Records that numbers up to `number` and some after it were asked for, before they are. A number that was asked for
/// is never used again, found or not, even if this restore is cut off.
pub(crate) async fn ask_for(
    wallet: &Wallet,
    bank: &PublicKey,
    counter: Counter,
    number: u64,
) -> Result<(), WalletError> {
    if number.is_multiple_of(ASKED_AHEAD) {
        skip_to(wallet, bank, counter, number.saturating_add(ASKED_AHEAD)).await?;
    }
    Ok(())
}

/// Moves the counter past all numbers that a search has asked for, and adds the empty ones at the end to `asked`.
pub(crate) async fn reserve(
    wallet: &Wallet,
    bank: &PublicKey,
    counter: Counter,
    search: &Search,
    asked: &mut Vec<(u64, u64)>,
) -> Result<(), WalletError> {
    let reserved = search.reserved();
    asked.push(reserved);
    skip_to(wallet, bank, counter, reserved.1).await
}

pub(crate) async fn skip_to(
    wallet: &Wallet,
    bank: &PublicKey,
    counter: Counter,
    number: u64,
) -> Result<(), WalletError> {
    let key = (*bank, counter as u8);
    wallet
        .transact([COUNTERS.key(&key)], move |tx| {
            let next = COUNTERS.get(tx, &key)?.unwrap_or(0);
            COUNTERS.put(tx, &key, &next.max(number))
        })
        .await
}
