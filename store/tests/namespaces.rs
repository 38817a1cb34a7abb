//! Namespaces of one store are independent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::MemoryDisk;
use farthing_store::{
    Engine, MemoryEngine, Reads, SledEngine, Store, StoreError, StoreOptions, Table, Transaction, limits,
};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

const COUNTERS: Table<u64, u64> = Table::new(1, "counters");
const NOTES: Table<(u64, [u8; 32]), String> = Table::new(2, "notes");

fn increment(tx: &mut Transaction<'_>) -> Result<u64, StoreError> {
    let next = COUNTERS.get(tx, &0)?.unwrap_or(0) + 1;
    COUNTERS.put(tx, &0, &next)?;
    Ok(next)
}

#[tokio::test]
async fn namespaces_have_their_own_rows_in_one_journal() {
    let engines: [Arc<dyn Engine>; 2] = [Arc::new(SledEngine), Arc::new(MemoryEngine)];
    for engine in engines {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            engine,
            ..StoreOptions::default()
        };
        let (store, _) = Store::open(dir.path(), options).unwrap();
        let namespaces = [
            store.clone(),
            store.namespace(0),
            store.namespace(1),
            store.namespace(1).namespace(7),
        ];
        for (times, namespace) in (1..).zip(&namespaces) {
            for _ in 0..times {
                namespace.transact([COUNTERS.key(&0)], increment).await.unwrap();
            }
            let note = format!("of {times}");
            namespace
                .transact(Reads::none(), move |tx| NOTES.put(tx, &(times, [0; 32]), &note))
                .await
                .unwrap();
        }
        for (times, namespace) in (1..).zip(&namespaces) {
            let view = namespace.view();
            assert_eq!(COUNTERS.peek(&view, &0).unwrap(), Some(times));
            let notes = NOTES.scan(&view, Bound::Unbounded, 10).unwrap();
            assert_eq!(notes, [((times, [0; 32]), format!("of {times}"))]);
            assert_eq!(
                NOTES.scan(&view, Bound::Excluded(&(times, [0; 32])), 10).unwrap(),
                []
            );
            assert_eq!(namespace.head(), store.head());
        }
        assert_eq!(store.head().sequence, 1 + 2 + 3 + 4 + 4);
        namespaces[2]
            .transact(Reads::none(), |tx| COUNTERS.delete(tx, &0))
            .await
            .unwrap();
        assert_eq!(COUNTERS.peek(&namespaces[2].view(), &0).unwrap(), None);
        assert_eq!(COUNTERS.peek(&namespaces[3].view(), &0).unwrap(), Some(4));
        for namespace in namespaces.into_iter().skip(1) {
            namespace.close().unwrap();
        }
        store.transact([COUNTERS.key(&0)], increment).await.unwrap();
    }
}

#[test]
fn a_key_outside_its_namespace_is_refused() {
    let options = StoreOptions::simulated(MemoryDisk::new(), 1);
    let (store, _) = Store::open(Path::new("/store"), options).unwrap();
    let namespace = store.namespace(3);
    let reserved =
        |store: &Store, key: Vec<u8>| store.transact_blocking(Reads::none(), move |tx| tx.put(&key, vec![]));
    for first in [0, 255] {
        assert_eq!(reserved(&store, vec![first, 1]), Err(StoreError::ReservedKey));
        assert_eq!(reserved(&namespace, vec![first, 1]), Err(StoreError::ReservedKey));
        assert_eq!(namespace.view().get(&[first]), Err(StoreError::ReservedKey));
        assert!(namespace.view().scan_prefix(&[first], None, 1).is_err());
    }
    assert_eq!(reserved(&namespace, vec![]), Err(StoreError::ReservedKey));
    let long = reserved(&namespace, vec![1; limits::KEY_MAX_BYTES]);
    assert!(
        matches!(long, Err(StoreError::TooLong { what: "key", .. })),
        "{long:?}"
    );
}
