//! Searches after a gap if coins show that there is more.
//!
//! The scan record keeps gaps short. But a bank may show an old record or none, and the wallet may be older than scan
//! records. Then coins tell: a coin went into an exchange that was not found, or into a purchase whose recovery
//! record was not found. A restore that sees one does not take a gap for the end.

use super::{
    buckets::Fetched,
    issued::{IssuedByNumber, restore_exchange},
    known::issued_numbers,
    records::{FoundRecord, records_of_order},
    reserves::{FromReserves, from_reserves},
    search::{ASKED_AHEAD, ask_for, skip_to},
    used_coins::find_used_coins,
};
use crate::{
    error::WalletError,
    rows::{CoinStatus, Counter},
    wallet::Wallet,
};
use farthing_coin::{KeyBook, KeyId};
use farthing_node::card::Card;
use farthing_protocol::{
    forgetting::closed_by_list,
    limits::RESTORE_GAP,
    restore::{CoinUsed, Origin, ScanRecord},
};
use std::collections::BTreeSet;

/// How many numbers after a gap are tried.
const BEYOND_MAX: u64 = 4096;

/// What is missing, as far as the found coins show.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Missing {
    /// An exchange into which coins went.
    exchanges: bool,
    /// An order into which coins were put.
    orders: bool,
}

/// Searches after any gap for everything that the coins show to be missing. Returns which of the exchanges were withdrawals
/// from reserves.
///
/// # Errors
/// When the bank does not answer.
pub(crate) async fn search_beyond(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    records: &mut Vec<FoundRecord>,
    issued: &mut IssuedByNumber,
    asked: &mut ScanRecord,
) -> Result<FromReserves, WalletError> {
    loop {
        let by_reserves = from_reserves(wallet, &bank.identity, records, issued, asked)?;
        let missing = missing(wallet, keys, records, &by_reserves.numbers)?;
        let mut found = false;
        if missing.exchanges {
            found |= exchanges_beyond(wallet, bank, keys, issued, asked).await?;
        }
        if missing.orders {
            found |= records_beyond(wallet, bank, records, asked).await?;
        }
        if !found {
            if missing != Missing::default() {
                tracing::warn!(?missing, "coins were used by what this restore cannot find");
            }
            return Ok(by_reserves);
        }
        find_used_coins(wallet, bank, &mut Fetched::default(), |_| true).await?;
    }
}

/// `by_reserves` are the numbers of exchanges under which reserves have paid for coins.
fn missing(
    wallet: &Wallet,
    keys: &KeyBook,
    records: &[FoundRecord],
    by_reserves: &BTreeSet<u64>,
) -> Result<Missing, WalletError> {
    let claimed: BTreeSet<Origin> = records
        .iter()
        .flat_map(|found| found.record.coins.iter().copied())
        .collect();
    let (mut taken_in, mut issued) = (0u64, 0u64);
    let mut orders = false;
    // The bank may have forgotten the records of such old coins.
    let closed_before_ms = closed_by_list(keys, wallet.now_ms());
    let is_kept = |id: &KeyId| {
        keys.get(id)
            .is_some_and(|key| key.issue_from_ms >= closed_before_ms)
    };
    let bank = keys.list().bank;
    for row in wallet.coins()?.into_iter().filter(|row| row.bank == bank) {
        if row
            .origin
            .exchange()
            .is_some_and(|number| !by_reserves.contains(&number))
        {
            issued = issued.saturating_add(row.value);
        }
        match row.status {
            CoinStatus::FoundUsed(CoinUsed::Exchanged) => taken_in = taken_in.saturating_add(row.value),
            // A payment leaves nothing at the bank that a restore could find.
            CoinStatus::FoundUsed(CoinUsed::Deposited) => {}
            CoinStatus::FoundUsed(_) => {
                orders |= is_kept(&row.coin.key_id) && !claimed.contains(&row.origin);
            }
            _ => {}
        }
    }
    // An exchange issues coins of the same worth as its inputs.
    Ok(Missing {
        exchanges: taken_in > issued,
        orders,
    })
}

/// Scans the numbers of exchanges once more, and on after the gap until one is found and another gap follows. Returns
/// whether any was found.
async fn exchanges_beyond(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    issued: &mut IssuedByNumber,
    asked: &mut ScanRecord,
) -> Result<bool, WalletError> {
    let (_, known) = issued_numbers(wallet, &bank.identity)?;
    let mut search = Beyond::new(&asked.exchanges);
    let mut fetched = Fetched::default();
    while let Some(number) = search.next(|number| known.contains(&number)) {
        ask_for(wallet, &bank.identity, Counter::Exchanges, number).await?;
        if let Some(record) = restore_exchange(wallet, bank, keys, &mut fetched, number).await? {
            issued.insert(number, record);
            search.found();
        }
    }
    asked.exchanges.push(search.asked());
    skip_to(wallet, &bank.identity, Counter::Exchanges, search.asked().1).await?;
    Ok(search.has_found)
}

/// Like [`exchanges_beyond`], for the recovery records of orders.
async fn records_beyond(
    wallet: &Wallet,
    bank: &Card,
    records: &mut Vec<FoundRecord>,
    asked: &mut ScanRecord,
) -> Result<bool, WalletError> {
    let known: BTreeSet<u64> = records.iter().map(|found| found.counter).collect();
    let mut search = Beyond::new(&asked.orders);
    let mut fetched = Fetched::default();
    while let Some(counter) = search.next(|number| known.contains(&number)) {
        ask_for(wallet, &bank.identity, Counter::Orders, counter).await?;
        let found = records_of_order(wallet, bank, &mut fetched, counter).await?;
        if !found.is_empty() {
            records.extend(found);
            search.found();
        }
    }
    asked.orders.push(search.asked());
    skip_to(wallet, &bank.identity, Counter::Orders, search.asked().1).await?;
    Ok(search.has_found)
}

/// A search from the first number through all missing ones, and on after the gap.
struct Beyond {
    next: u64,
    end: u64,
    has_found: bool,
}

impl Beyond {
    fn new(asked: &[(u64, u64)]) -> Self {
        Beyond {
            next: 0,
            end: ScanRecord::end(asked).saturating_add(BEYOND_MAX),
            has_found: false,
        }
    }

    /// The next unknown number to try.
    fn next(&mut self, is_known: impl Fn(u64) -> bool) -> Option<u64> {
        let number = (self.next..self.end).find(|number| !is_known(*number))?;
        self.next = number.saturating_add(1);
        Some(number)
    }

    /// Records that something was found under the last number.
    fn found(&mut self) {
        self.has_found = true;
        self.end = self.next.saturating_add(RESTORE_GAP);
    }

    /// The range of numbers that were asked for, including numbers that were reserved ahead.
    fn asked(&self) -> (u64, u64) {
        (0, self.next.saturating_add(ASKED_AHEAD))
    }
}
