//! Builds a wallet again from its phrase alone: its coins and its purchases.
//!
//! | what | file |
//! |---|---|
//! | scan through numbers; no number is used again | `search` |
//! | coins of withdrawals and exchanges | `issued` |
//! | recovery records of orders | `records` |
//! | used coins | `used_coins` |
//! | purchases, built from their records | `purchases`, with the `record_index` |
//! | reserves: requests, and change that was not received | `reserves` |
//! | search after a gap, where coins show that there is more | `beyond` |
//! | repeated scan for late requests | `rescan` |
//! | the bank's public records | `buckets` |
//! | parties whose cards are not there | `lacking` |

mod beyond;
mod buckets;
mod issued;
mod known;
mod lacking;
mod purchases;
mod record_index;
mod records;
pub(crate) mod rescan;
mod reserves;
mod search;
mod used_coins;

pub use self::lacking::LackingParty;
use self::{
    beyond::search_beyond,
    buckets::Fetched,
    issued::{IssuedByNumber, restore_exchanges, restore_withdrawals},
    known::{issued_numbers, order_numbers},
    purchases::restore_purchase,
    record_index::record_index,
    records::find_records,
    rescan::rescan_bank,
    reserves::{restore_change, restore_requested},
    search::skip_to,
    used_coins::find_used_coins,
};
use crate::{
    error::WalletError,
    keys::fetch_keys,
    rows::{Counter, NO_BANK, RESTORED, RestoredRow},
    scan_record::{extend_scan_record, scan_record},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::card::Card;
use farthing_protocol::{limits::DEADLINE_HORIZON_MS, restore::ScanRecord};
use farthing_store::Reads;
use std::path::Path;

/// What a wallet has of a bank after a restore.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// Number of withdrawals.
    pub withdrawals: u64,
    /// Number of exchanges.
    pub exchanges: u64,
    /// Number of purchases.
    pub purchases: u64,
    /// Number of coins, used ones included.
    pub coins: u64,
}

impl Wallet {
    /// Finds the coins and purchases of this seed at one bank. Purchases that were under way are left for
    /// [`resume`](Wallet::resume). So are requests that come through later. Goods go to `goods_dir`. After a restore
    /// that has ended, a repetition scans for late requests.
    ///
    /// # Errors
    /// When the bank does not answer. The restore can be repeated.
    pub async fn restore(&self, bank: &Card, goods_dir: &Path) -> Result<Restored, WalletError> {
        match RESTORED.peek(&self.rows(), &bank.identity)? {
            Some(row) => rescan_bank(self, bank, &row).await?,
            None => restore_first(self, bank, goods_dir).await?,
        }
        restored_from(self, &bank.identity)
    }
}

async fn restore_first(wallet: &Wallet, bank: &Card, goods_dir: &Path) -> Result<(), WalletError> {
    let began_ms = wallet.now_ms();
    let keys = fetch_keys(wallet, bank).await?;
    let mut asked = scan_record(wallet, bank).await?;
    restore_withdrawals(wallet, bank, &keys, &mut asked).await?;
    let mut issued = IssuedByNumber::new();
    restore_exchanges(wallet, bank, &keys, &mut issued, &mut asked).await?;
    let mut fetched = Fetched::default();
    let mut records = find_records(wallet, bank, &mut fetched, &mut asked).await?;
    find_used_coins(wallet, bank, &mut fetched, |_| true).await?;
    let by_reserves = search_beyond(wallet, bank, &keys, &mut records, &mut issued, &mut asked).await?;
    let mut index = record_index(wallet, &bank.identity)?;
    for record in &records {
        restore_purchase(wallet, &mut index, record.clone(), goods_dir, None).await?;
    }
    restore_change(wallet, &bank.identity, &records, &by_reserves).await?;
    restore_requested(wallet, bank, &asked).await?;
    // A payment leaves nothing that a restore could find, and the salt of its text must not be used again.
    skip_to(wallet, &NO_BANK, Counter::Deposits, began_ms / 1000).await?;
    // Before any new number is used: the next restore must know which numbers this one has reserved.
    extend_scan_record(wallet, bank, &asked).await?;
    let identity = bank.identity;
    let row = RestoredRow {
        withdrawals: ScanRecord::end(&asked.withdrawals),
        exchanges: ScanRecord::end(&asked.exchanges),
        orders: ScanRecord::end(&asked.orders),
        began_ms,
        goods_dir: goods_dir.to_path_buf(),
        // A request that was sent before this moment is under way until its deadline at the latest.
        late_until_ms: Some(began_ms.saturating_add(DEADLINE_HORIZON_MS)),
        has_come: false,
    };
    wallet
        .transact(Reads::none(), move |tx| RESTORED.put(tx, &identity, &row))
        .await
}

/// Counts what the wallet has of a bank.
fn restored_from(wallet: &Wallet, bank: &PublicKey) -> Result<Restored, WalletError> {
    let (withdrawals, exchanges) = issued_numbers(wallet, bank)?;
    Ok(Restored {
        withdrawals: withdrawals.len() as u64,
        exchanges: exchanges.len() as u64,
        purchases: order_numbers(wallet, bank)?.len() as u64,
        coins: wallet.coins()?.iter().filter(|row| row.bank == *bank).count() as u64,
    })
}
