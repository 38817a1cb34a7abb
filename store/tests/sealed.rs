//! A store whose payloads are sealed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::{Disk, FileDisk, MemoryDisk};
use farthing_store::{
    Damage, DamageKind, Head, IndexFound, LockedStore, Reads, RecordCipher, Store, StoreError, StoreOptions,
    Table, replace_journal, verify,
};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

const ROWS: Table<u64, Vec<u8>> = Table::new(1, "rows");
const DIR: &str = "/store";
const SECRET: &[u8] = b"a secret that nobody reads";

/// A cipher without strength: it adds the key to every byte, and appends the place.
struct Weak(u8);

impl RecordCipher for Weak {
    fn seal(&self, previous: &Head, payload: &[u8]) -> Vec<u8> {
        let sealed = payload.iter().map(|byte| byte.wrapping_add(self.0));
        sealed.chain([self.0, previous.hash.0[0]]).collect()
    }

    fn open(&self, previous: &Head, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = sealed.strip_suffix(&[self.0, previous.hash.0[0]])?;
        Some(
            payload
                .iter()
                .map(|byte| byte.wrapping_sub(self.0))
                .collect::<Vec<u8>>()
                .into(),
        )
    }
}

fn options(disk: &MemoryDisk, cipher: Option<u8>) -> StoreOptions {
    StoreOptions {
        cipher: cipher.map(|key| -> Arc<dyn RecordCipher> { Arc::new(Weak(key)) }),
        segment_bytes: 4096,
        ..StoreOptions::simulated(disk.clone(), 7)
    }
}

/// The names of the store's files that have the secret in clear.
fn in_clear(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list(Path::new(DIR)).unwrap();
    let is_clear = |name: &String| {
        let bytes = disk.bytes(&Path::new(DIR).join(name)).unwrap();
        bytes.windows(SECRET.len()).any(|window| window == SECRET)
    };
    names.into_iter().filter(is_clear).collect()
}

fn open(disk: &MemoryDisk, cipher: Option<u8>) -> Result<Store, StoreError> {
    Store::open(Path::new(DIR), options(disk, cipher)).map(|(store, _)| store)
}

fn put(store: &Store, number: u64) {
    let written = store.transact_blocking(Reads::none(), move |tx| ROWS.put(tx, &number, &SECRET.to_vec()));
    written.unwrap();
}

#[test]
fn a_sealed_store_opens_only_with_its_cipher_and_a_plain_one_only_without() {
    for (made_with, other) in [(Some(9), None), (None, Some(9))] {
        let disk = MemoryDisk::new();
        let store = open(&disk, made_with).unwrap();
        (0..5).for_each(|number| put(&store, number));
        drop(store);
        let journal = disk.bytes(&Path::new(DIR).join("journal")).unwrap();
        let is_clear = journal.windows(SECRET.len()).any(|window| window == SECRET);
        assert_eq!(is_clear, made_with.is_none());

        let store = open(&disk, made_with).unwrap();
        assert_eq!(ROWS.peek(&store.view(), &4).unwrap().unwrap(), SECRET);
        put(&store, 5);
        let read = Store::open_read_only(Path::new(DIR), &options(&disk, made_with)).unwrap();
        assert_eq!(ROWS.peek(&read.unwrap().view(), &5).unwrap().unwrap(), SECRET);
        drop(store);
        let refused = open(&disk, other).map(drop).unwrap_err();
        match made_with {
            Some(_) => assert!(matches!(refused, StoreError::Sealed { .. })),
            None => assert!(matches!(refused, StoreError::NotSealed { .. })),
        }
        let report = verify(Path::new(DIR), &disk, &|_| {}).unwrap();
        assert_eq!(
            (report.records, report.damage),
            (6, None),
            "it is verified without the cipher"
        );
        assert_eq!(
            disk.bytes(&Path::new(DIR).join("journal")).unwrap()[..512],
            journal[..512]
        );
    }
}

#[test]
fn another_key_is_reported_as_damage_of_the_first_record() {
    let disk = MemoryDisk::new();
    put(&open(&disk, Some(9)).unwrap(), 0);
    let refused = open(&disk, Some(8)).map(drop).unwrap_err();
    let StoreError::Damaged { damage, .. } = refused else {
        unreachable!("{refused}");
    };
    let kind = DamageKind::Payload;
    assert_eq!(
        damage,
        Damage {
            offset: 512,
            sequence: 1,
            kind
        }
    );
}

#[test]
fn a_sealed_store_has_its_index_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        cipher: Some(Arc::new(Weak(9))),
        disk: Arc::new(FileDisk),
        ..StoreOptions::default()
    };
    for _ in 0..2 {
        let (store, report) = Store::open(dir.path(), options.clone()).unwrap();
        assert_ne!(report.index, IndexFound::Kept);
        put(&store, 0);
        store.close().unwrap();
    }
    assert!(!dir.path().join("index").exists());
}

#[test]
fn a_journal_is_copied_under_another_key_and_replaced_while_nobody_else_can_open_it() {
    let keys = [None, Some(1), Some(2), None];
    let disk = MemoryDisk::new();
    let store = open(&disk, keys[0]).unwrap();
    (0..700).for_each(|number| put(&store, number));
    store.close().unwrap();
    let (dir, fresh) = (Path::new(DIR), Path::new("/fresh"));
    let mut steps = 0;
    assert!(in_clear(&disk).iter().any(|name| name.starts_with("snapshot.")));
    for (step, pair) in (700..).zip(keys.windows(2)) {
        let (old, new) = (options(&disk, pair[0]), options(&disk, pair[1]));
        let locked = LockedStore::lock(dir, &old).unwrap();
        assert!(matches!(
            open(&disk, pair[0]).map(drop),
            Err(StoreError::InUse { .. })
        ));
        locked.copy_journal(fresh, &new).unwrap();
        // It can be repeated, as after a crash.
        (0..2).for_each(|_| replace_journal(fresh, dir, &new).unwrap());
        drop(locked);
        assert_eq!(disk.bytes(&dir.join("state")), None);
        assert_eq!(
            disk.list(dir).unwrap(),
            ["journal"],
            "nothing of the old journal is left"
        );
        assert_eq!(in_clear(&disk).is_empty(), pair[1].is_some());
        assert!(open(&disk, pair[0]).is_err());
        let store = open(&disk, pair[1]).unwrap();
        assert_eq!(store.head().sequence, step + steps);
        put(&store, step);
        for number in 0..=step {
            assert_eq!(ROWS.peek(&store.view(), &number).unwrap().unwrap(), SECRET);
        }
        (0..100).for_each(|number| put(&store, number));
        let is_one_file = !disk
            .list(dir)
            .unwrap()
            .iter()
            .any(|name| name.starts_with("journal."));
        assert_eq!(is_one_file, pair[1].is_some(), "a sealed journal is one file");
        assert_eq!(in_clear(&disk).is_empty(), pair[1].is_some());
        steps += 100;
    }
    disk.flip(&dir.join("journal"), 530, 1);
    let refused = LockedStore::lock(dir, &options(&disk, None)).map(drop);
    assert!(matches!(refused, Err(StoreError::Damaged { .. })));
}
