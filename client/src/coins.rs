//! A wallet's coins. Coins that are used up permanently are kept in a table of their own, so that a wallet does not
//! get slower with every coin that it has spent.

use crate::{
    error::WalletError,
    keys::{ends_soon, is_past_redeem},
    rows::{COINS, CoinRow, CoinStatus, PAST_COINS, all},
    wallet::Wallet,
};
use farthing_coin::{Coin, Denomination, KeyBook, KeyId, PublicKey, SecretKey, Seed};
use farthing_node::card::RoleName;
use farthing_protocol::{forgetting::closed_by_list, money::Amount, restore::Origin};
use farthing_store::{RowKey, StoreError, Transaction, View};
use std::collections::{BTreeMap, BTreeSet};

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

    /// What the wallet has of each bank. Every pinned bank has an entry, in the order of the cards. Amounts of two
    /// banks are never added: they may be of two currencies.
    ///
    /// # Errors
    /// When the store fails, or a bank's list of keys is damaged.
    pub fn balances(&self) -> Result<Vec<Balance>, WalletError> {
        let coins = self.present_coins()?;
        let file = self.network_file()?;
        let pinned = file.cards().iter().filter(|card| card.role == RoleName::Bank);
        let mut banks: Vec<PublicKey> = pinned.map(|card| card.identity).collect();
        let others: BTreeSet<PublicKey> = coins.iter().map(|row| row.bank).collect();
        banks.extend(others.into_iter().filter(|bank| file.by_identity(bank).is_none()));
        let of_bank = |bank: PublicKey| {
            let keys = self.known_keys(&bank)?;
            let rows = coins.iter().filter(|row| row.bank == bank);
            let mut balance = Balance::of(bank, keys.as_deref(), rows, self.now_ms());
            balance.in_withdrawals = self.in_withdrawals(&bank)?;
            balance.in_reserves = self.in_reserves(&bank)?;
            Ok(balance)
        };
        banks.into_iter().map(of_bank).collect()
    }
}

/// The money of a wallet at one bank, by state. A bank has one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The bank.
    pub bank: PublicKey,
    /// Its currency, if the wallet has the bank's list of keys.
    pub currency: Option<String>,
    /// Can be spent now.
    pub available: Amount,
    /// The part of [`available`](Balance::available) whose keys end soon.
    pub ending: Amount,
    /// When the first key of [`ending`](Balance::ending) ends (ms since 1970).
    pub ending_ms: Option<u64>,
    /// Cannot be spent any more, but the bank still exchanges it.
    pub expired: Amount,
    /// When the bank stops exchanging the first coin of [`expired`](Balance::expired) (ms since 1970).
    pub expired_until_ms: Option<u64>,
    /// In purchases that are under way.
    pub in_purchases: Amount,
    /// In payments by deposit that are under way.
    pub in_payments: Amount,
    /// In an exchange, or waiting for one.
    pub in_exchanges: Amount,
    /// The bank does not take it any more. It is shown for a year: of older coins the bank may have forgotten whether they
    /// were used, so a restored wallet cannot tell.
    pub lost: Amount,
    /// In withdrawals that are under way. The bank may not have debited the account yet.
    pub in_withdrawals: Amount,
    /// Owed by the bank in reserves of this wallet, as far as the wallet knows: change, refunds, paid requests.
    pub in_reserves: Amount,
}

/// What a coin's dates say of a coin that is in no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    /// It can be spent.
    Spendable,
    /// It can be spent until this time (ms since 1970), which is near.
    Ending(u64),
    /// It can be exchanged until this time (ms since 1970), and not be spent.
    Expired(u64),
    /// The bank does not take it any more.
    Lost,
}

impl Validity {
    /// The validity of a coin under `key`. A coin whose key is not known counts as spendable.
    pub(crate) fn of(key: Option<&Denomination>, now_ms: u64) -> Validity {
        match key {
            Some(key) if now_ms >= key.redeem_until_ms => Validity::Lost,
            Some(key) if now_ms >= key.spend_until_ms => Validity::Expired(key.redeem_until_ms),
            Some(key) if ends_soon(key, now_ms) => Validity::Ending(key.spend_until_ms),
            _ => Validity::Spendable,
        }
    }
}

impl Balance {
    /// The balance of `rows`, which are coins of `bank`.
    fn of<'r>(
        bank: PublicKey,
        keys: Option<&KeyBook>,
        rows: impl Iterator<Item = &'r CoinRow>,
        now_ms: u64,
    ) -> Balance {
        let mut balance = Balance::empty(bank, keys.map(|keys| keys.list().currency.clone()));
        let closed_before_ms = keys.map_or(0, |keys| closed_by_list(keys, now_ms));
        for row in rows {
            let key = keys.and_then(|keys| keys.get(&row.coin.key_id));
            let is_unused = matches!(row.status, CoinStatus::Available | CoinStatus::Released(_));
            if is_unused && key.is_some_and(|key| key.issue_from_ms < closed_before_ms) {
                continue;
            }
            balance.add(row, key, is_past_redeem(keys, row, now_ms), now_ms);
        }
        balance
    }

    /// A balance without money.
    pub(crate) fn empty(bank: PublicKey, currency: Option<String>) -> Balance {
        Balance {
            bank,
            currency,
            available: Amount(0),
            ending: Amount(0),
            ending_ms: None,
            expired: Amount(0),
            expired_until_ms: None,
            in_purchases: Amount(0),
            in_payments: Amount(0),
            in_exchanges: Amount(0),
            lost: Amount(0),
            in_withdrawals: Amount(0),
            in_reserves: Amount(0),
        }
    }

    /// Adds a coin. The bank takes a released coin for longer than another; `is_past` says that this time is over.
    pub(crate) fn add(&mut self, row: &CoinRow, key: Option<&Denomination>, is_past: bool, now_ms: u64) {
        let part = match (row.status, Validity::of(key, now_ms)) {
            (CoinStatus::Available, Validity::Lost) => &mut self.lost,
            (CoinStatus::Available, Validity::Expired(until_ms)) => {
                self.expired_until_ms = earlier(self.expired_until_ms, until_ms);
                &mut self.expired
            }
            (CoinStatus::Available, Validity::Ending(until_ms)) => {
                self.ending_ms = earlier(self.ending_ms, until_ms);
                self.ending.0 = self.ending.0.saturating_add(row.value);
                &mut self.available
            }
            (CoinStatus::Available, Validity::Spendable) => &mut self.available,
            (CoinStatus::InPurchase(_), _) => &mut self.in_purchases,
            (CoinStatus::InDeposit(_), _) => &mut self.in_payments,
            (CoinStatus::Released(_), _) if is_past => &mut self.lost,
            (CoinStatus::InExchange(_) | CoinStatus::Released(_), _) => &mut self.in_exchanges,
            _ => return,
        };
        part.0 = part.0.saturating_add(row.value);
    }

    /// The sum of all coins that are not lost, and of what the bank owes. Withdrawals under way are no coins yet.
    pub fn total(&self) -> Amount {
        let parts = [
            self.available,
            self.expired,
            self.in_purchases,
            self.in_payments,
            self.in_exchanges,
            self.in_reserves,
        ];
        Amount(parts.iter().fold(0, |sum, part| sum.saturating_add(part.0)))
    }
}

fn earlier(known_ms: Option<u64>, other_ms: u64) -> Option<u64> {
    Some(known_ms.map_or(other_ms, |known_ms| known_ms.min(other_ms)))
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

/// Whether every coin of `coins` still has this status. A coin that is used up, or that is not known, has not.
pub(crate) fn have_status<'c>(
    tx: &mut Transaction<'_>,
    coins: impl IntoIterator<Item = &'c Coin>,
    status: CoinStatus,
) -> Result<bool, StoreError> {
    for coin in coins {
        let now = COINS.get(tx, &(coin.key_id, coin.public))?;
        if now.is_none_or(|now| now.status != status) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A coin's row as it is now, from either table. It may move from the second table to the first between two reads.
pub(crate) fn peek_coin(view: &View, key: &(KeyId, PublicKey)) -> Result<Option<CoinRow>, StoreError> {
    for table in [COINS, PAST_COINS, COINS] {
        if let Some(row) = table.peek(view, key)? {
            return Ok(Some(row));
        }
    }
    Ok(None)
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
            key: None,
            route: Default::default(),
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
        let balances = mine.balances().unwrap();
        assert_eq!(balances.len(), 1);
        assert_eq!(balances[0].total(), Amount(4));
        let all = mine.coins().unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].status, CoinStatus::Spent(1));

        let mut elsewhere = coin(9);
        elsewhere.bank = PublicKey([8; 32]);
        let foreign = elsewhere.coin;
        mine.transact(coin_reads(&[foreign]), move |tx| put_coin(tx, &elsewhere))
            .await
            .unwrap();
        let balances = mine.balances().unwrap();
        let worth: Vec<_> = balances.iter().map(|it| (it.bank.0[0], it.available)).collect();
        assert_eq!(
            worth,
            [(8, Amount(4)), (9, Amount(4))],
            "two banks are never added"
        );
        mine.transact(coin_reads(&[foreign]), move |tx| {
            set_status(tx, &[foreign], |_| CoinStatus::Spent(2))
        })
        .await
        .unwrap();

        // What a copy of the wallet has done may bring one back.
        mine.transact(coin_reads(&coins[..1]), move |tx| {
            set_status(tx, &coins[..1], |_| CoinStatus::Available)
        })
        .await
        .unwrap();
        assert_eq!(mine.present_coins().unwrap().len(), 2);
        assert_eq!(mine.coins().unwrap().len(), 4);

        assert!(other.coins().unwrap().is_empty());
        other.close().unwrap();
        assert_eq!(mine.coins().unwrap().len(), 4, "the store is still open");
    }
}
