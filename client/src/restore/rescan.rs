//! Scans again for requests that were under way when the wallet was lost.
//!
//! A request may still have been in the network, or waiting at a party, during the restore. When it is carried out
//! later, a payment takes coins that the restore found unspent, and a withdrawal or an exchange makes coins that it
//! did not find. All of it appears under numbers that the restore has asked for without result, and that are never
//! used again. So `resume` scans these numbers again, until every deadline of that time has passed. It also scans
//! again whenever a coin turns out to be used by something unknown, so that no clock decides.

use super::{
    buckets::Fetched,
    issued::{restore_exchange, restore_withdrawal, withdrawal_records},
    known::{issued_numbers, order_numbers},
    purchases::restore_purchase,
    record_index::record_index,
    records::records_of_order,
    used_coins::find_used_coins,
};
use crate::{
    error::WalletError,
    keys::fetch_keys,
    rescan_schedule::change_restored,
    rows::{RESTORED, RestoredRow, all},
    wallet::Wallet,
};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{limits::DEADLINE_HORIZON_MS, restore::Origin};
use std::collections::BTreeSet;

/// Scans each bank from which the wallet was restored, as long as something may come through there.
///
/// # Errors
/// When the store fails.
pub(crate) async fn rescan_all(wallet: &Wallet) -> Result<Vec<WalletError>, WalletError> {
    let mut failed = Vec::new();
    for (identity, row) in all(&wallet.rows(), &RESTORED)? {
        if row.late_until_ms.is_none() && !row.has_come {
            continue;
        }
        let looked = match wallet.party_by_key(RoleName::Bank, &identity) {
            Ok(bank) => rescan_bank(wallet, &bank, &row).await,
            Err(unknown) => Err(unknown),
        };
        failed.extend(looked.err());
    }
    Ok(failed)
}

/// The latest time, over all banks, at which something may still come through (ms since 1970).
pub(crate) fn rescan_until_ms(wallet: &Wallet) -> Result<Option<u64>, WalletError> {
    let rows = all(&wallet.rows(), &RESTORED)?;
    Ok(rows.into_iter().filter_map(|(_, row)| row.late_until_ms).max())
}

/// Scans one bank, and records that it did.
pub(crate) async fn rescan_bank(wallet: &Wallet, bank: &Card, row: &RestoredRow) -> Result<(), WalletError> {
    let began_ms = wallet.now_ms();
    find_arrivals(wallet, bank, row).await?;
    // If the clock was ahead during the restore, its time is too far away to wait for.
    let until_ms = row.late_until_ms.map(|until_ms| {
        let most_ms = began_ms.saturating_add(DEADLINE_HORIZON_MS);
        until_ms.min(most_ms)
    });
    let (bank, before) = (bank.identity, row.late_until_ms);
    wallet
        .transact([RESTORED.key(&bank)], move |tx| {
            change_restored(tx, &bank, |now| {
                // What was recorded in the meantime is for the next scan.
                let late_until_ms = if now.late_until_ms == before {
                    until_ms.filter(|until_ms| began_ms < *until_ms)
                } else {
                    now.late_until_ms
                };
                RestoredRow {
                    late_until_ms,
                    has_come: false,
                    ..now
                }
            })
        })
        .await
}

async fn find_arrivals(wallet: &Wallet, bank: &Card, row: &RestoredRow) -> Result<(), WalletError> {
    let identity = bank.identity;
    let keys = fetch_keys(wallet, bank).await?;
    let seed = wallet.seed_for(&identity);
    let records = withdrawal_records(wallet, bank).await?;
    let (withdrawals, exchanges) = issued_numbers(wallet, &identity)?;
    for number in missing(row.withdrawals, &withdrawals) {
        if let Some(record) = records.get(&seed.withdraw_id(number)) {
            restore_withdrawal(wallet, bank, &keys, number, record).await?;
        }
    }
    let mut fetched = Fetched::default();
    for number in missing(row.exchanges, &exchanges) {
        restore_exchange(wallet, bank, &keys, &mut fetched, number).await?;
    }
    let orders = order_numbers(wallet, &identity)?;
    let mut records = Vec::new();
    for counter in missing(row.orders, &orders) {
        records.extend(records_of_order(wallet, bank, &mut fetched, counter).await?);
    }
    let mut index = record_index(wallet, &identity)?;
    records.retain(|record| index.has_coins_of(record));
    let has_come = RESTORED
        .peek(&wallet.rows(), &identity)?
        .is_some_and(|now| now.has_come);
    if records.is_empty() && !has_come {
        return Ok(());
    }
    // Coins are checked only if something has arrived, and only coins that the lost machine can have had. All others
    // were made later.
    let is_old = |origin: &Origin| {
        origin.withdrawal().is_some_and(|number| number < row.withdrawals)
            || origin.exchange().is_some_and(|number| number < row.exchanges)
    };
    find_used_coins(wallet, bank, &mut fetched, is_old).await?;
    for record in records {
        restore_purchase(wallet, &mut index, record, &row.goods_dir, Some(row.began_ms)).await?;
    }
    Ok(())
}

/// The numbers below `end` that are not among `known`.
fn missing(end: u64, known: &BTreeSet<u64>) -> impl Iterator<Item = u64> + '_ {
    (0..end).filter(|number| !known.contains(number))
}
