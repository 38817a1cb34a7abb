//! A restore looks through numbers, one after the other, and uses none again that it has asked for.

use crate::{
    error::WalletError,
    rows::{COUNTERS, Counter},
    wallet::Wallet,
};
use farthing_coin::PublicKey;

/// How many numbers at a time are noted as asked for.
pub(crate) const ASKED_AHEAD: u64 = 64;

/// A search through numbers, which ends after a gap. Those that earlier restores have reserved are looked at as well, as
/// something may have come under them since, but are no part of a gap.
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

    /// The next number to look for, unless `gap` were missing in a row.
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
            // Whatever was used after that restore begins behind it.
            self.found();
        } else {
            self.misses = self.misses.saturating_add(1);
        }
        Some(number)
    }

    /// There was something under the number.
    pub(crate) fn found(&mut self) {
        self.after_last = self.next;
        self.misses = 0;
    }

    /// The numbers at the end that were asked for in vain, and those that were noted as asked ahead of them.
    fn reserved(&self) -> (u64, u64) {
        let end = self.next.saturating_add(ASKED_AHEAD);
        (self.after_last, end)
    }
}

/// Notes that numbers up to `number` and some beyond it were asked for, before they are: whatever was asked
/// for is never used again, found or not, even if this restore is cut off.
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

/// Goes on behind all that a search has asked for, and adds what it has asked for in vain to `asked`.
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
