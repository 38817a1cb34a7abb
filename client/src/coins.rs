//! A wallet's coins. Coins that are used up permanently are kept in a table of their own, so that a wallet does not
//! get slower with every coin that it has spent.

use crate::{
    error::WalletError,
    rows::{COINS, CoinRow, CoinStatus, PAST_COINS, all},
    wallet::Wallet,
};
use farthing_coin::{Coin, KeyId, PublicKey, SecretKey, Seed};
use farthing_protocol::{money::Amount, restore::Origin};
use farthing_store::{RowKey, StoreError, Transaction};
use std::collections::BTreeMap;

impl Wallet {
    /// All coins that the wallet has ever had.
    ///
    /// # Errors
    /// When the store fails.
    pub fn coins(&self) -> Result<Vec<CoinRow>, WalletError> {
        // The order matters: a coin that is used up between the two reads is seen twice. In the other order it would
        // be missed.
        let present = all(&self.rows(), &COINS)?;
        let by_key: BTreeMap<_, CoinRow> = present
            .into_iter()
            .chain(all(&self.rows(), &PAST_COINS)?)
            .collect();
        Ok(by_key.into_values().collect())
    }

    /// The coins that may still be spent or exchanged.
    ///
    /// # Errors
    /// When the store fails.
    pub fn present_coins(&self) -> Result<Vec<CoinRow>, WalletError> {
        let rows = all(&self.rows(), &COINS)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// What the wallet has, by state.
    ///
    /// # Errors
    /// When the store fails.
    pub fn balance(&self) -> Result<Balance, WalletError> {
        let mut balance = Balance::default();
        for row in self.present_coins()? {
            let part = match row.status {
                CoinStatus::Available => &mut balance.available,
                CoinStatus::InPurchase(_) => &mut balance.in_purchases,
                CoinStatus::InExchange(_) | CoinStatus::Released(_) => &mut balance.in_exchanges,
                _ => continue,
            };
            part.0 = part.0.saturating_add(row.value);
        }
        Ok(balance)
    }
}

/// The money of a wallet, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Balance {
    /// Can be spent now.
    pub available: Amount,
    /// In purchases that are under way.
    pub in_purchases: Amount,
    /// In an exchange, or waiting for one.
    pub in_exchanges: Amount,
}

impl Balance {
    /// The sum of all parts.
    pub fn total(&self) -> Amount {
        Amount(
            self.available
                .0
                .saturating_add(self.in_purchases.0)
                .saturating_add(self.in_exchanges.0),
        )
    }
}

/// The secret keys of the coins with these origins, in the same order. `seed` is the seed for the bank.
pub(crate) fn coin_keys(seed: &Seed, origins: &[Origin]) -> Vec<SecretKey> {
    let key = |origin: &Origin| seed.coin_key(&origin.request_id(seed), origin.slot.into());
    origins.iter().map(key).collect()
}

/// The rows that [`coin_row`], [`put_coin`] and [`set_status`] read for these coins.
pub(crate) fn coin_reads<'c>(coins: impl IntoIterator<Item = &'c Coin>) -> Vec<RowKey> {
    let keys = coins.into_iter().flat_map(|coin| {
        let key = (coin.key_id, coin.public);
        [COINS.key(&key), PAST_COINS.key(&key)]
    });
    keys.collect()
}

/// A coin's row, from either table.
pub(crate) fn coin_row(
    tx: &mut Transaction<'_>,
    key: &(KeyId, PublicKey),
) -> Result<Option<CoinRow>, StoreError> {
    match COINS.get(tx, key)? {
        Some(row) => Ok(Some(row)),
        None => PAST_COINS.get(tx, key),
    }
}

/// Writes a coin's row to the table for its status, and removes it from the other table.
pub(crate) fn put_coin(tx: &mut Transaction<'_>, row: &CoinRow) -> Result<(), StoreError> {
    let key = (row.coin.key_id, row.coin.public);
    let (table, other_table) = if row.status.is_past() {
        (PAST_COINS, COINS)
    } else {
        (COINS, PAST_COINS)
    };
    if other_table.get(tx, &key)?.is_some() {
        other_table.delete(tx, &key)?;
    }
    table.put(tx, &key, row)
}

/// Sets the status of `coins` to what `status` returns for each row. Unknown coins are skipped.
pub(crate) fn set_status(
    tx: &mut Transaction<'_>,
    coins: &[Coin],
    status: impl Fn(&CoinRow) -> CoinStatus,
) -> Result<(), StoreError> {
    for coin in coins {
        if let Some(mut row) = coin_row(tx, &(coin.key_id, coin.public))? {
            row.status = status(&row);
            put_coin(tx, &row)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::{observer::NoObserver, peer_client::RetryPolicy, wallet::Env};
    use farthing_coin::{EncodedPoint, EncodedScalar};
    use farthing_node::quic::QuicNetwork;
    use farthing_store::{
        Store, StoreOptions,
        clock::ManualClock,
        disk::MemoryDisk,
        entropy::{Entropy, SeededEntropy},
    };
    use std::{path::Path, sync::Arc};

    fn wallet(dir: &Path, part: u64, store: &Store) -> Wallet {
        let env = Env {
            network: Arc::new(QuicNetwork::new()),
            clock: Arc::new(ManualClock::new(1)),
            entropy: Arc::new(SeededEntropy::new(1)),
            observer: Arc::new(NoObserver),
            retry: RetryPolicy::default(),
            store: StoreOptions::default(),
        };
        let dir = dir.join(part.to_string());
        let entropy: &dyn Entropy = &SeededEntropy::new(part);
        let seed = Seed::generate(&mut entropy.rng());
        Wallet::create(&dir, &seed).unwrap();
        Wallet::open_in(&dir, store.namespace(part), env).unwrap()
    }

    fn coin(number: u8) -> CoinRow {
        let key = [number; 32];
        let coin = Coin {
            suite: farthing_coin::SUITE,
            key_id: KeyId([7; 32]),
            public: PublicKey(key),
            r: EncodedPoint(key),
            z: EncodedScalar(key),
            y: EncodedScalar(key),
        };
        CoinRow {
            coin,
            bank: PublicKey([9; 32]),
            value: 4,
            origin: Origin::withdrawn(0, number),
            status: CoinStatus::Available,
        }
    }

    #[tokio::test]
    async fn used_coins_are_kept_apart_and_wallets_in_one_store_see_only_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::simulated(MemoryDisk::new(), 1);
        let (store, _) = Store::open(Path::new("/wallets"), options).unwrap();
        let (mine, other) = (wallet(dir.path(), 0, &store), wallet(dir.path(), 1, &store));
        let rows: Vec<CoinRow> = (0..3).map(coin).collect();
        let coins: Vec<Coin> = rows.iter().map(|row| row.coin).collect();
        let put = rows.clone();
        mine.transact(coin_reads(put.iter().map(|row| &row.coin)), move |tx| {
            put.iter().try_for_each(|row| put_coin(tx, row))
        })
        .await
        .unwrap();
        assert_eq!(mine.coins().unwrap(), rows);

        let spent = coins.clone();
        mine.transact(coin_reads(&spent[..2]), move |tx| {
            set_status(tx, &spent[..2], |_| CoinStatus::Spent(1))
        })
        .await
        .unwrap();
        assert_eq!(mine.present_coins().unwrap(), rows[2..]);
        assert_eq!(mine.balance().unwrap().total(), Amount(4));
        let all = mine.coins().unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].status, CoinStatus::Spent(1));

        // What a copy of the wallet has done may bring one back.
        mine.transact(coin_reads(&coins[..1]), move |tx| {
            set_status(tx, &coins[..1], |_| CoinStatus::Available)
        })
        .await
        .unwrap();
        assert_eq!(mine.present_coins().unwrap().len(), 2);
        assert_eq!(mine.coins().unwrap().len(), 3);

        assert!(other.coins().unwrap().is_empty());
        other.close().unwrap();
        assert_eq!(mine.coins().unwrap().len(), 3, "the store is still open");
    }
}
