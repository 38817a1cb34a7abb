//! A restore looks behind a gap where the bank itself says that there is more.
//!
//! The scan record keeps gaps short. But a bank may show an old one or none, and a wallet may be older than its record.
//! Then coins tell: one that went into an exchange that was not found, or was put to a purchase of which no note was
//! found. A restore that sees such a coin does not take a gap for the end.

use super::{
    buckets::Fetched,
    issued::restore_exchange,
    known::issued_numbers,
    records::{FoundRecord, records_of_order},
    search::{ASKED_AHEAD, ask_for, skip_to},
    used_coins::find_used_coins,
};
use crate::{
    error::WalletError,
    rows::{CoinStatus, Counter},
    wallet::Wallet,
};
use farthing_coin::{KeyBook, PublicKey};
use farthing_node::card::Card;
use farthing_protocol::{
    limits::RESTORE_GAP,
    restore::{Asked, CoinUsed, Origin},
};
use std::collections::BTreeSet;

/// How many numbers behind a gap are looked at.
const BEYOND_MAX: u64 = 4096;

/// What is missing, as the coins that were found say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Missing {
    /// An exchange that coins went into.
    exchanges: bool,
    /// An order that coins were put to.
    orders: bool,
}

/// Looks for what the coins say that there is more, behind any gap.
///
/// # Errors
/// When the bank does not answer.
pub(crate) async fn search_beyond(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    records: &mut Vec<FoundRecord>,
    asked: &mut Asked,
) -> Result<(), WalletError> {
    loop {
        let missing = missing(wallet, &bank.identity, records)?;
        let mut found = false;
        if missing.exchanges {
            found |= exchanges_beyond(wallet, bank, keys, asked).await?;
        }
        if missing.orders {
            found |= records_beyond(wallet, bank, records, asked).await?;
        }
        if !found {
            if missing != Missing::default() {
                tracing::warn!(?missing, "coins were used by what this restore cannot find");
            }
            return Ok(());
        }
        find_used_coins(wallet, bank, &mut Fetched::default(), |_| true).await?;
    }
}

fn missing(wallet: &Wallet, bank: &PublicKey, records: &[FoundRecord]) -> Result<Missing, WalletError> {
    let claimed: BTreeSet<Origin> = records
        .iter()
        .flat_map(|found| found.record.coins.iter().copied())
        .collect();
    let (mut taken_in, mut issued) = (0u64, 0u64);
    let mut orders = false;
    for row in wallet.coins()?.into_iter().filter(|row| row.bank == *bank) {
        if row.origin.exchange().is_some() {
            issued = issued.saturating_add(row.value);
        }
        match row.status {
            CoinStatus::FoundUsed(CoinUsed::Exchanged) => taken_in = taken_in.saturating_add(row.value),
            CoinStatus::FoundUsed(_) => orders |= !claimed.contains(&row.origin),
            _ => {}
        }
    }
    // An exchange issues what it takes in.
    Ok(Missing {
        exchanges: taken_in > issued,
        orders,
    })
}

/// Looks through the numbers of exchanges once more, and on behind the gap until one is found and another gap
/// follows; says whether any was.
async fn exchanges_beyond(
    wallet: &Wallet,
    bank: &Card,
    keys: &KeyBook,
    asked: &mut Asked,
) -> Result<bool, WalletError> {
    let (_, known) = issued_numbers(wallet, &bank.identity)?;
    let mut search = Beyond::new(&asked.exchanges);
    let mut fetched = Fetched::default();
    while let Some(number) = search.next(|number| known.contains(&number)) {
        ask_for(wallet, &bank.identity, Counter::Exchanges, number).await?;
        if restore_exchange(wallet, bank, keys, &mut fetched, number).await? {
            search.found();
        }
    }
    asked.exchanges.push(search.asked());
    skip_to(wallet, &bank.identity, Counter::Exchanges, search.asked().1).await?;
    Ok(search.has_found)
}

/// As [`exchanges_beyond`](Wallet::exchanges_beyond), for the notes of orders.
async fn records_beyond(
    wallet: &Wallet,
    bank: &Card,
    records: &mut Vec<FoundRecord>,
    asked: &mut Asked,
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

/// A search from the first number, through what was missing, and behind it.
struct Beyond {
    next: u64,
    end: u64,
    has_found: bool,
}

impl Beyond {
    fn new(asked: &[(u64, u64)]) -> Self {
        Beyond {
            next: 0,
            end: Asked::end(asked).saturating_add(BEYOND_MAX),
            has_found: false,
        }
    }

    /// The next number that is not known.
    fn next(&mut self, is_known: impl Fn(u64) -> bool) -> Option<u64> {
        let number = (self.next..self.end).find(|number| !is_known(*number))?;
        self.next = number.saturating_add(1);
        Some(number)
    }

    /// There was something under the last number.
    fn found(&mut self) {
        self.has_found = true;
        self.end = self.next.saturating_add(RESTORE_GAP);
    }

    /// The numbers that were asked for, with those that were noted as asked ahead of them.
    fn asked(&self) -> (u64, u64) {
        (0, self.next.saturating_add(ASKED_AHEAD))
    }
}
