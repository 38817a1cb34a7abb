//! Reserves of a restored wallet: what others may have paid, and change that was not received.
//!
//! A withdrawal from a reserve is found as an exchange. Its source is a digest of reserve and request, so the wallet can tell
//! which reserve has paid. It asks the bank for none of them: the questions would join its purchases by their time.

use super::{issued::IssuedByNumber, records::FoundRecord, search::skip_to};
use crate::{
    error::WalletError,
    rows::{CoinStatus, Counter, REQUESTED, RESERVES, RequestedRow, ReserveOrigin, ReserveRow},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::card::Card;
use farthing_protocol::{
    money::Amount,
    reserve::reserve_source,
    restore::{Origin, ScanRecord},
};
use farthing_store::RowKey;
use std::collections::{BTreeMap, BTreeSet};

/// The most reserves that a restore stores in one transaction.
const RESERVES_AT_ONCE: usize = 256;

/// The withdrawals from reserves among what was issued under the numbers of exchanges.
#[derive(Debug, Default)]
pub(crate) struct FromReserves {
    /// Their numbers.
    pub(crate) numbers: BTreeSet<u64>,
    /// What they are worth together, by reserve.
    received: BTreeMap<PublicKey, Amount>,
}

/// The change of a purchase whose recovery record was found.
struct Change {
    order: u64,
    amount: Amount,
    is_paid: bool,
}

/// Tells withdrawals from reserves from exchanges.
pub(crate) fn from_reserves(
    wallet: &Wallet,
    bank: &PublicKey,
    records: &[FoundRecord],
    issued: &IssuedByNumber,
    asked: &ScanRecord,
) -> Result<FromReserves, WalletError> {
    let seed = wallet.seed_for(bank);
    let orders = changes(wallet, bank, records)?.into_iter();
    let orders = orders.map(|change| ReserveOrigin::Order(change.order));
    let requests = (0..ScanRecord::end(&asked.reserves)).map(ReserveOrigin::Number);
    let reserves: Vec<PublicKey> = orders
        .chain(requests)
        .map(|origin| Ok(origin.key(&seed)?.public()))
        .collect::<Result<_, WalletError>>()?;
    let mut found = FromReserves::default();
    for (number, (source, worth)) in issued {
        let id = seed.exchange_id(*number);
        let mut paying = reserves.iter();
        if let Some(reserve) = paying.find(|reserve| reserve_source(reserve, &id) == *source) {
            found.numbers.insert(*number);
            let sum = found.received.entry(*reserve).or_default();
            sum.0 = sum.0.saturating_add(worth.0);
        }
    }
    Ok(found)
}

/// The purchases whose coins were worth more than the price.
fn changes(wallet: &Wallet, bank: &PublicKey, records: &[FoundRecord]) -> Result<Vec<Change>, WalletError> {
    let rows = wallet.coins()?.into_iter().filter(|row| row.bank == *bank);
    let coins: BTreeMap<Origin, (u64, CoinStatus)> =
        rows.map(|row| (row.origin, (row.value, row.status))).collect();
    let change = |found: &FoundRecord| {
        let paid: Option<Vec<_>> = found
            .record
            .coins
            .iter()
            .map(|origin| coins.get(origin))
            .collect();
        let paid = paid?;
        let worth = Amount::sum(paid.iter().map(|(value, _)| *value))?;
        let amount = worth.checked_sub(found.record.offer.body.price)?;
        // The commit may have come while the coins were looked up.
        let is_paid = paid
            .iter()
            .any(|(_, status)| matches!(status, CoinStatus::Spent(_)));
        (amount > Amount(0)).then_some(Change {
            order: found.counter,
            amount,
            is_paid,
        })
    };
    Ok(records.iter().filter_map(change).collect())
}

/// Stores which change banks owe: of purchases that were paid, except what was received before. The change of a purchase that
/// was under way is stored when it ends.
pub(crate) async fn restore_change(
    wallet: &Wallet,
    bank: &PublicKey,
    records: &[FoundRecord],
    by_reserves: &FromReserves,
) -> Result<(), WalletError> {
    let seed = wallet.seed_for(bank);
    // Copies of a wallet may have made two purchases under one number. They share a reserve.
    let mut by_order: BTreeMap<u64, Amount> = BTreeMap::new();
    for change in changes(wallet, bank, records)? {
        if change.is_paid {
            let sum = by_order.entry(change.order).or_default();
            sum.0 = sum.0.saturating_add(change.amount.0);
        }
    }
    for (order, proven) in by_order {
        let origin = ReserveOrigin::Order(order);
        let reserve = origin.key(&seed)?.public();
        let at = (*bank, reserve);
        let row = ReserveRow {
            proven,
            received: by_reserves.received.get(&reserve).copied().unwrap_or_default(),
            ..ReserveRow::new(origin)
        };
        wallet
            .transact([RESERVES.key(&at)], move |tx| match RESERVES.get(tx, &at)? {
                // Another task has received it since.
                Some(_) => Ok(()),
                None => RESERVES.put(tx, &at, &row),
            })
            .await?;
    }
    Ok(())
}

/// Takes every reserved number of a reserve for one that was requested: the bank does not tell which were paid.
pub(crate) async fn restore_requested(
    wallet: &Wallet,
    bank: &Card,
    asked: &ScanRecord,
) -> Result<(), WalletError> {
    let (identity, end) = (bank.identity, ScanRecord::end(&asked.reserves));
    skip_to(wallet, &identity, Counter::Reserves, end).await?;
    for first in (0..end).step_by(RESERVES_AT_ONCE) {
        let numbers = first..end.min(first.saturating_add(RESERVES_AT_ONCE as u64));
        let reads: Vec<RowKey> = numbers
            .clone()
            .map(|number| REQUESTED.key(&(identity, number)))
            .collect();
        wallet
            .transact(reads, move |tx| {
                for number in numbers.clone() {
                    if REQUESTED.get(tx, &(identity, number))?.is_none() {
                        REQUESTED.put(tx, &(identity, number), &RequestedRow::restored())?;
                    }
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}
