//! Index of what recovery records name: coins by origin, and purchases by id.
//!
//! A wallet has many records, and each names a few coins. A look through all coins and purchases for each record
//! would take time quadratic in the wallet's life.

use super::records::FoundRecord;
use crate::{
    coins::peek_coin,
    error::WalletError,
    rows::{CoinRow, PURCHASES, all_from},
    wallet::Wallet,
};
use farthing_coin::{KeyId, PublicKey};
use farthing_protocol::{documents::PurchaseId, restore::Origin};
use farthing_store::StoreError;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// The keys of a bank's coins by origin, and the ids of the wallet's purchases. It is made after the records were
/// fetched: the wallet stores its own orders before their records can be at the bank.
pub(crate) struct RecordIndex {
    coins: BTreeMap<Origin, (KeyId, PublicKey)>,
    purchases: BTreeSet<PurchaseId>,
    /// Exclusive upper bound of the purchase numbers that were read.
    read_to: u64,
}

impl RecordIndex {
    /// Whether the wallet has all coins that a record names.
    pub(crate) fn has_coins_of(&self, found: &FoundRecord) -> bool {
        found
            .record
            .coins
            .iter()
            .all(|origin| self.coins.contains_key(origin))
    }
}

/// Builds the index of what the wallet has now.
pub(crate) fn record_index(wallet: &Wallet, bank: &PublicKey) -> Result<RecordIndex, WalletError> {
    let rows = wallet.coins()?.into_iter().filter(|row| row.bank == *bank);
    let mut index = RecordIndex {
        coins: rows
            .map(|row| (row.origin, (row.coin.key_id, row.coin.public)))
            .collect(),
        purchases: BTreeSet::new(),
        read_to: 0,
    };
    read_purchases(wallet, &mut index)?;
    Ok(index)
}

/// Whether the wallet knows a purchase, including purchases that were added after the index was built.
pub(crate) fn knows_purchase(
    wallet: &Wallet,
    index: &mut RecordIndex,
    purchase: &PurchaseId,
) -> Result<bool, WalletError> {
    read_purchases(wallet, index)?;
    Ok(index.purchases.contains(purchase))
}

fn read_purchases(wallet: &Wallet, index: &mut RecordIndex) -> Result<(), WalletError> {
    for (number, row) in all_from(&wallet.rows(), &PURCHASES, Bound::Included(index.read_to))? {
        index
            .purchases
            .extend(row.purchase.order().map(|order| order.purchase()));
        index.read_to = number.saturating_add(1);
    }
    Ok(())
}

/// The current rows of the coins with these origins; `None` if the wallet lacks one.
pub(crate) fn rows_of(
    wallet: &Wallet,
    index: &RecordIndex,
    origins: &[Origin],
) -> Result<Option<Vec<CoinRow>>, WalletError> {
    let view = wallet.rows();
    let row = |origin| match index.coins.get(origin) {
        Some(key) => peek_coin(&view, key),
        None => Ok(None),
    };
    let rows: Result<Vec<Option<CoinRow>>, StoreError> = origins.iter().map(row).collect();
    Ok(rows?.into_iter().collect())
}
