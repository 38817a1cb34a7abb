//! Builds purchases again from their recovery records.

use super::{
    record_index::{RecordIndex, knows_purchase, rows_of},
    records::FoundRecord,
    used_coins::move_coin,
};
use crate::{
    coins::coin_reads,
    counters::{next_number, number_reads, take_numbers},
    error::WalletError,
    purchase::build_order,
    rows::{CoinRow, CoinStatus, Counter, Delivery, NO_BANK, PURCHASES, PurchaseRow},
    wallet::Wallet,
};
use farthing_protocol::{
    documents::PurchaseId,
    purchase::{Plan, Purchase},
    restore::CoinUsed,
};
use std::path::{Path, PathBuf};

/// Builds the order again from its recovery record, as if its hold had just been requested. The same request then
/// gets the same answer, or the outcome. `restored_ms` is set for a purchase that the restore of that time did not
/// find.
pub(crate) async fn restore_purchase(
    wallet: &Wallet,
    index: &mut RecordIndex,
    found: FoundRecord,
    goods_dir: &Path,
    restored_ms: Option<u64>,
) -> Result<(), WalletError> {
    // Other tasks may add purchases in the meantime, and one may be this purchase.
    while !try_restore_purchase(wallet, index, found.clone(), goods_dir, restored_ms).await? {}
    Ok(())
}

async fn try_restore_purchase(
    wallet: &Wallet,
    index: &mut RecordIndex,
    found: FoundRecord,
    goods_dir: &Path,
    restored_ms: Option<u64>,
) -> Result<bool, WalletError> {
    let FoundRecord {
        counter,
        sealed,
        record,
        merchant,
    } = found;
    let Some(rows) = rows_of(wallet, index, &record.coins)? else {
        // This record is useless, but it must not stop the rest of the restore.
        tracing::warn!(
            number = counter,
            "a recovery record names coins that were not found"
        );
        return Ok(true);
    };
    let plan = Plan {
        bank: record.bank,
        escrow: record.escrow,
        offer: record.offer.clone(),
    };
    let coins = rows.iter().map(|row| row.coin).collect();
    let seed = wallet.seed_for(&plan.bank);
    let order = build_order(&seed, counter, &plan, &record, coins, Some(sealed))?;
    let purchase = order.purchase();
    let number = next_number(&wallet.rows(), &NO_BANK, Counter::Purchases)?;
    if knows_purchase(wallet, index, &purchase)? {
        return Ok(true);
    }
    let uses: Vec<Option<CoinUsed>> = rows.iter().map(|row| used_for(row, &purchase)).collect();
    let is = |any: &[CoinUsed]| uses.iter().flatten().any(|used| any.contains(used));
    let under_way = is(&[CoinUsed::Held, CoinUsed::Released]) && !is(&[CoinUsed::Spent]);
    // A past purchase waits until the customer asks for it.
    let was_under_way = restored_ms.is_some_and(|restored_ms| record.deadline_ms >= restored_ms);
    let begun_ms = wallet.now_ms();
    let goods_dir = goods_dir.to_path_buf();
    let reads = coin_reads(rows.iter().map(|row| &row.coin)).into_iter();
    let reads = reads.chain([number_reads(&NO_BANK, Counter::Purchases)]);
    wallet
        .transact(reads, move |tx| {
            if take_numbers(tx, &NO_BANK, Counter::Purchases, 1)? != number {
                return Ok(false);
            }
            let output = restored_output(&goods_dir, number, &record.offer.body.title);
            for (row, used) in rows.iter().zip(&uses) {
                if let Some(status) = status_for(row, *used, under_way, number) {
                    move_coin(tx, row, status)?;
                }
            }
            let row = PurchaseRow {
                purchase: Purchase::Holding(order.clone()),
                merchant: merchant.clone(),
                output,
                delivery: if under_way || was_under_way {
                    Delivery::Pending
                } else {
                    Delivery::OnDemand
                },
                refusal: None,
                begun_ms,
                origins: record.coins.clone(),
                exhibits: Vec::new(),
            };
            PURCHASES.put(tx, &number, &row)?;
            Ok(true)
        })
        .await
}

/// How a coin was used, as far as this purchase is concerned. If the bank has refused the coin since, the use that it
/// showed counts only if it is this purchase.
fn used_for(row: &CoinRow, purchase: &PurchaseId) -> Option<CoinUsed> {
    match row.status {
        CoinStatus::FoundUsed(used) => Some(used),
        CoinStatus::HeldElsewhere(used) if used.digest == purchase.digest() => Some(CoinUsed::Held),
        CoinStatus::UsedElsewhere(used) if used.digest == purchase.digest() => Some(CoinUsed::Spent),
        _ => None,
    }
}

/// The new status of a coin of purchase `number`; `None` if it stays as it is.
fn status_for(row: &CoinRow, used: Option<CoinUsed>, under_way: bool, number: u64) -> Option<CoinStatus> {
    let available = row.status == CoinStatus::Available;
    match used {
        // A coin that went on to an exchange is no longer part of this purchase.
        Some(CoinUsed::Exchanged) => None,
        Some(_) if under_way => Some(CoinStatus::InPurchase(number)),
        None if under_way && available => Some(CoinStatus::InPurchase(number)),
        Some(CoinUsed::Spent) => Some(CoinStatus::Spent(number)),
        _ => None,
    }
}

/// The path for the goods of a restored purchase.
fn restored_output(goods_dir: &Path, number: u64, title: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || c == '.' { c } else { '-' };
    goods_dir.join(format!(
        "{number}-{}",
        title.chars().map(plain).collect::<String>()
    ))
}
