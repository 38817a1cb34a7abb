//! The coins of an open wallet, in memory. A purchase chooses among them without a scan of the store.
//!
//! The store stays the truth: a transaction looks at each coin again before it takes it. After a transaction the rows that
//! it has written are read again, when they are durable. So the memory follows the store, and is a moment behind at most.

use crate::rows::{COINS, CoinRow, all};
use farthing_coin::{KeyId, PublicKey};
use farthing_store::{StoreError, View};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The most coins that are kept in memory. With more of them, each choice reads the store.
const COINS_MAX: usize = 4096;

/// The key of a coin's row.
pub(crate) type CoinKey = (KeyId, PublicKey);

/// The coins of an open wallet.
#[derive(Default)]
pub(crate) struct CoinMemory(Mutex<Memory>);

#[derive(Default)]
enum Memory {
    /// Nothing was read yet, or it was forgotten.
    #[default]
    Empty,
    /// All rows of the table.
    Known(BTreeMap<CoinKey, CoinRow>),
    /// A transaction was given up by its caller, so nobody can tell when it becomes durable. The store is read each time.
    Unusable,
}

/// A transaction that may change coins. If it is dropped before its end is known, the memory is of no use any more.
pub(crate) struct Changing<'m> {
    memory: &'m CoinMemory,
    is_ended: bool,
}

impl CoinMemory {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The coins for which `is_wanted` holds, in the order of the store.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn coins(
        &self,
        rows: &View,
        is_wanted: impl Fn(&CoinRow) -> bool,
    ) -> Result<Vec<CoinRow>, StoreError> {
        let mut memory = self.lock();
        if let Memory::Known(coins) = &*memory {
            return Ok(coins.values().filter(|row| is_wanted(row)).cloned().collect());
        }
        // Under the lock: a transaction that ends meanwhile reads its rows again after this.
        let coins = all(rows, &COINS)?;
        let wanted = coins.iter().map(|(_, row)| row).filter(|row| is_wanted(row));
        let wanted = wanted.cloned().collect();
        if matches!(*memory, Memory::Empty) && coins.len() <= COINS_MAX {
            *memory = Memory::Known(coins.into_iter().collect());
        }
        Ok(wanted)
    }

    /// Says that a transaction begins.
    pub(crate) fn changing(&self) -> Changing<'_> {
        Changing {
            memory: self,
            is_ended: false,
        }
    }

    /// Reads the rows of `keys` again.
    fn refresh(&self, rows: &View, keys: &[CoinKey]) -> Result<(), StoreError> {
        let mut memory = self.lock();
        let Memory::Known(coins) = &mut *memory else {
            return Ok(());
        };
        for key in keys {
            match COINS.peek(rows, key) {
                Ok(Some(row)) => drop(coins.insert(*key, row)),
                Ok(None) => drop(coins.remove(key)),
                Err(error) => {
                    *memory = Memory::Empty;
                    return Err(error);
                }
            }
        }
        if coins.len() > COINS_MAX {
            *memory = Memory::Empty;
        }
        Ok(())
    }
}

impl Changing<'_> {
    /// The transaction is durable, and has written the rows of `keys`.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn ended(mut self, rows: &View, keys: &[CoinKey]) -> Result<(), StoreError> {
        self.is_ended = true;
        self.memory.refresh(rows, keys)
    }

    /// The transaction has failed.
    pub(crate) fn failed(mut self) {
        self.is_ended = true;
        let mut memory = self.memory.lock();
        if matches!(*memory, Memory::Known(_)) {
            *memory = Memory::Empty;
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if !self.is_ended {
            *self.memory.lock() = Memory::Unusable;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::rows::CoinStatus;
    use farthing_coin::{Coin, EncodedPoint, EncodedScalar};
    use farthing_protocol::restore::Origin;
    use farthing_store::{Reads, Store, StoreOptions, Transaction, disk::MemoryDisk};
    use std::path::Path;

    fn coin(number: u8) -> CoinRow {
        CoinRow {
            coin: Coin {
                suite: farthing_coin::SUITE,
                key_id: KeyId([7; 32]),
                public: PublicKey([number; 32]),
                r: EncodedPoint([1; 32]),
                z: EncodedScalar([2; 32]),
                y: EncodedScalar([3; 32]),
            },
            bank: PublicKey([9; 32]),
            value: 4,
            origin: Origin::withdrawn(0, number),
            status: CoinStatus::Available,
        }
    }

    fn key(row: &CoinRow) -> CoinKey {
        (row.coin.key_id, row.coin.public)
    }

    struct Fixture {
        store: Store,
        memory: CoinMemory,
    }

    impl Fixture {
        fn new() -> Fixture {
            let options = StoreOptions::simulated(MemoryDisk::new(), 1);
            let (store, _) = Store::open(Path::new("/wallet"), options).unwrap();
            let memory = CoinMemory::default();
            Fixture { store, memory }
        }

        /// Runs a transaction, as the wallet does.
        fn transact(&self, run: impl Fn(&mut Transaction<'_>) + Send + 'static) {
            let changing = self.memory.changing();
            let done = self.store.transact_blocking(Reads::none(), move |tx| {
                run(tx);
                COINS.written(tx)
            });
            changing.ended(&self.store.view(), &done.unwrap()).unwrap();
        }

        fn available(&self) -> Vec<CoinRow> {
            let is_available = |row: &CoinRow| row.status == CoinStatus::Available;
            self.memory.coins(&self.store.view(), is_available).unwrap()
        }

        fn is_known(&self) -> bool {
            matches!(*self.memory.lock(), Memory::Known(_))
        }
    }

    #[test]
    fn the_memory_follows_every_transaction() {
        let wallet = Fixture::new();
        assert!(wallet.available().is_empty() && wallet.is_known());
        for number in [3, 1, 2] {
            let row = coin(number);
            wallet.transact(move |tx| COINS.put(tx, &key(&row), &row).unwrap());
        }
        assert_eq!(wallet.available(), [coin(1), coin(2), coin(3)]);
        let held = CoinRow {
            status: CoinStatus::InPurchase(1),
            ..coin(1)
        };
        wallet.transact(move |tx| COINS.put(tx, &key(&held), &held).unwrap());
        // A spent coin leaves the table.
        wallet.transact(|tx| COINS.delete(tx, &key(&coin(2))).unwrap());
        assert_eq!(wallet.available(), [coin(3)]);
        assert!(wallet.is_known());
    }

    #[test]
    fn after_a_failure_the_store_is_read_again_and_after_a_given_up_transaction_each_time() {
        let wallet = Fixture::new();
        assert!(wallet.available().is_empty());
        wallet.memory.changing().failed();
        assert!(!wallet.is_known());
        assert!(wallet.available().is_empty() && wallet.is_known());
        drop(wallet.memory.changing());
        assert!(wallet.available().is_empty() && !wallet.is_known());
        wallet.memory.changing().failed();
        assert!(wallet.available().is_empty() && !wallet.is_known());
    }
}
