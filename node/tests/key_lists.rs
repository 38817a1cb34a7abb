//! Key lists in the stores of wallets, merchants and escrows. They can have the maximum length, and a new epoch writes
//! one row.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use farthing_coin::{Calendar, EpochKeys, KeyList, PublicKey, SecretKey, Signed};
use farthing_node::key_lists::{KeyListEpochsTable, KeyListRootsTable, KeyListTables};
use farthing_store::{
    Store, StoreOptions, Table,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::path::Path;

const ROOTS: KeyListRootsTable = Table::new(1, "roots");
const EPOCHS: KeyListEpochsTable = Table::new(2, "epochs");
const LISTS: KeyListTables = KeyListTables {
    roots: &ROOTS,
    epochs: &EPOCHS,
};

/// The first epoch of every list in these tests.
const FIRST: u32 = 20_000;

fn key(seed: u64) -> SecretKey {
    let entropy: &dyn Entropy = &SeededEntropy::new(seed);
    SecretKey::generate(&mut entropy.rng())
}

/// A bank's list. Its keys are not valid points: only `KeyBook::new` checks them.
fn list(bank: &SecretKey, values: u32, epochs: u32) -> Signed<KeyList> {
    let key = |epoch: u32, value: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&epoch.to_le_bytes());
        bytes[4..8].copy_from_slice(&value.to_le_bytes());
        PublicKey(bytes)
    };
    let epoch_keys = |epoch| EpochKeys {
        epoch,
        keys: (0..values).map(|value| key(epoch, value)).collect(),
    };
    let list = KeyList {
        bank: bank.public(),
        currency: "FTH".into(),
        calendar: Calendar {
            epoch_ms: 1000,
            spend_epochs: 2,
            redeem_epochs: 1,
        },
        values: (0..values).map(|power| 1 << power).collect(),
        epochs: (FIRST..FIRST + epochs).map(epoch_keys).collect(),
    };
    Signed::sign(list, bank)
}

async fn save(store: &Store, signed: &Signed<KeyList>) -> u64 {
    let before = store.counts().journal_bytes;
    let signed = signed.clone();
    let reads = [LISTS.save_reads(&signed.body.bank)];
    let saved = store.transact(reads, move |tx| LISTS.save(tx, &signed));
    saved.await.unwrap();
    store.counts().journal_bytes - before
}

fn open(disk: &MemoryDisk) -> Store {
    let options = StoreOptions::simulated(disk.clone(), 1);
    Store::open(Path::new("/node"), options).unwrap().0
}

#[tokio::test]
async fn a_list_of_the_maximum_length_is_stored_and_extended_by_one_row() {
    let disk = MemoryDisk::new();
    let store = open(&disk);
    let (one, other) = (key(1), key(2));
    // One list of 512 KiB, and one of 4096 epochs.
    let (wide, long) = (list(&one, 40, 404), list(&other, 1, 4096));
    save(&store, &wide).await;
    save(&store, &long).await;
    assert_eq!(LISTS.load(&store.view(), &one.public()).unwrap(), Some(wide));
    let wider = list(&one, 40, 405);
    let bytes = save(&store, &wider).await;
    assert!(bytes < 4096, "a new epoch has written {bytes} bytes");
    drop(store);
    disk.kill();
    let store = open(&disk);
    assert_eq!(LISTS.load(&store.view(), &one.public()).unwrap(), Some(wider));
    assert_eq!(LISTS.load(&store.view(), &other.public()).unwrap(), Some(long));
    assert_eq!(LISTS.load(&store.view(), &key(3).public()).unwrap(), None);
}
