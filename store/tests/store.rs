//! The guarantees of a store to its callers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_store::disk::MemoryDisk;
use farthing_store::probe::{self, Probe};
use farthing_store::{
    DamageKind, Job, Reads, Store, StoreError, StoreOptions, Table, Threading, Transaction, limits,
};
use std::ops::Bound;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

const COUNTERS: Table<u64, u64> = Table::new(1, "counters");
const NOTES: Table<(u64, [u8; 32]), String> = Table::new(2, "notes");
const DIR: &str = "/store";

fn increment(tx: &mut Transaction<'_>) -> Result<u64, StoreError> {
    let next = COUNTERS.get(tx, &0)?.unwrap_or(0) + 1;
    COUNTERS.put(tx, &0, &next)?;
    Ok(next)
}

fn inline(disk: &MemoryDisk) -> Store {
    let options = StoreOptions::simulated(disk.clone(), 1);
    Store::open(Path::new(DIR), options).unwrap().0
}

fn threaded(disk: &MemoryDisk, probe: Arc<dyn Probe>, queue_max: usize) -> Store {
    let mut options = StoreOptions::simulated(disk.clone(), 1);
    options.threading = Threading::Thread;
    options.probe = probe;
    options.queue_max = queue_max;
    Store::open(Path::new(DIR), options).unwrap().0
}

/// A probe that stops the writer before its first sync until the test continues it.
struct Gate {
    reached: Mutex<Option<Sender<()>>>,
    go: Mutex<Receiver<()>>,
}

impl Gate {
    fn new() -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let (reached, at_gate) = channel();
        let (open, go) = channel();
        let gate = Self {
            reached: Mutex::new(Some(reached)),
            go: Mutex::new(go),
        };
        (Arc::new(gate), at_gate, open)
    }
}

impl Probe for Gate {
    fn reached(&self, point: &'static str) {
        if point == probe::AFTER_APPEND
            && let Some(reached) = self.reached.lock().unwrap().take()
        {
            reached.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
    }
}

/// Submits `count` transactions, each in its own thread. The threads return the results.
fn submit(store: &Store, count: usize) -> Vec<std::thread::JoinHandle<Result<u64, StoreError>>> {
    (0..count)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || store.transact_blocking([COUNTERS.key(&0)], increment))
        })
        .collect()
}

#[test]
fn waiting_transactions_share_one_sync() {
    let disk = MemoryDisk::new();
    let (gate, at_gate, open) = Gate::new();
    let store = threaded(&disk, gate, 1000);
    let mut waiting = submit(&store, 1);
    at_gate.recv().unwrap();
    let before = disk.syncs();
    waiting.extend(submit(&store, 200));
    std::thread::sleep(std::time::Duration::from_millis(300));
    open.send(()).unwrap();
    let mut seen: Vec<u64> = waiting.into_iter().map(|t| t.join().unwrap().unwrap()).collect();
    seen.sort_unstable();
    // Each has read the write of the one before it in the same batch.
    assert_eq!(seen, (1..=201).collect::<Vec<_>>());
    let syncs = disk.syncs() - before;
    assert!(syncs < 20, "{syncs} syncs for 201 transactions");
    assert_eq!(store.head().sequence, syncs);
}

#[test]
fn transactions_are_refused_at_once_when_the_queue_is_full() {
    let (gate, at_gate, open) = Gate::new();
    let store = threaded(&MemoryDisk::new(), gate, 3);
    let first = submit(&store, 1);
    at_gate.recv().unwrap();
    let more = submit(&store, 10);
    while more.iter().filter(|t| t.is_finished()).count() < 7 {
        std::thread::yield_now();
    }
    open.send(()).unwrap();
    let results: Vec<_> = more.into_iter().map(|t| t.join().unwrap()).collect();
    let busy = StoreError::Busy { waiting_max: 3 };
    assert_eq!(results.iter().filter(|r| **r == Err(busy.clone())).count(), 7);
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 3);
    assert!(first.into_iter().all(|t| t.join().unwrap().is_ok()));
}

#[test]
fn no_transaction_gets_its_result_before_the_sync_even_without_writes() {
    let disk = MemoryDisk::new();
    let store = inline(&disk);
    let (tell, told) = channel();
    let report = |name: &'static str| {
        let tell = tell.clone();
        move |result: Result<u64, StoreError>| tell.send((name, result)).unwrap()
    };
    disk.fail_sync_after(0);
    let jobs = vec![
        Job::new([COUNTERS.key(&0)], increment, report("writes")),
        Job::new(
            [COUNTERS.key(&0)],
            |tx| Ok(COUNTERS.get(tx, &0)?.unwrap_or(0)),
            report("reads"),
        ),
        Job::new(
            Reads::none(),
            |_| Err(StoreError::Refused("no".into())),
            report("refuses"),
        ),
    ];
    store.commit(jobs).unwrap();
    let answers: Vec<_> = told.try_iter().collect();
    assert_eq!(answers.len(), 3);
    for (name, result) in answers {
        assert!(
            matches!(result, Err(StoreError::Halted { .. })),
            "{name} got {result:?}"
        );
    }
}

#[test]
fn a_batch_sees_its_own_writes_but_not_those_of_refused_or_panicking_transactions() {
    let store = inline(&MemoryDisk::new());
    let (tell, told) = channel();
    let report = || {
        let tell = tell.clone();
        move |result: Result<u64, StoreError>| tell.send(result).unwrap()
    };
    let jobs = vec![
        Job::new([COUNTERS.key(&0)], increment, report()),
        Job::new(
            Reads::none(),
            |tx| {
                COUNTERS.put(tx, &0, &77)?;
                Err(StoreError::Refused("changed my mind".into()))
            },
            report(),
        ),
        Job::new(
            Reads::none(),
            |tx| {
                COUNTERS.put(tx, &0, &99)?;
                panic!("a bug")
            },
            report(),
        ),
        Job::new(
            Reads::none(),
            |tx| {
                COUNTERS.put(tx, &0, &55)?;
                // The closure ignores the error. The whole transaction is still refused.
                let _ = tx.put(&[1, 1], vec![0; limits::VALUE_MAX_BYTES + 1]);
                Ok(0)
            },
            report(),
        ),
        Job::new([COUNTERS.key(&0)], increment, report()),
    ];
    store.commit(jobs).unwrap();
    let answers: Vec<_> = told.try_iter().collect();
    assert_eq!(answers[0], Ok(1));
    assert_eq!(answers[1], Err(StoreError::Refused("changed my mind".into())));
    assert_eq!(answers[2], Err(StoreError::Panicked("a bug".into())));
    assert!(matches!(
        answers[3],
        Err(StoreError::TooLong { what: "value", .. })
    ));
    assert_eq!(answers[4], Ok(2));
    assert_eq!(store.head().sequence, 1, "one record for all of them");
    assert_eq!(store.transact_blocking([COUNTERS.key(&0)], increment), Ok(3));
}

#[test]
fn a_transaction_without_writes_makes_no_record() {
    let disk = MemoryDisk::new();
    let store = inline(&disk);
    let before = disk.syncs();
    assert_eq!(
        store.transact_blocking([COUNTERS.key(&0)], |tx| COUNTERS.get(tx, &0)),
        Ok(None)
    );
    assert_eq!((store.head().sequence, disk.syncs()), (0, before));
}

#[test]
fn a_failed_sync_or_write_halts_the_store_until_a_restart() {
    for fail in [MemoryDisk::fail_sync_after, MemoryDisk::fail_write_after] {
        let disk = MemoryDisk::new();
        let store = inline(&disk);
        assert_eq!(store.transact_blocking([COUNTERS.key(&0)], increment), Ok(1));
        fail(&disk, 0);
        let halted = store
            .transact_blocking([COUNTERS.key(&0)], increment)
            .unwrap_err();
        assert!(matches!(halted, StoreError::Halted { .. }), "{halted}");
        // The disk works again, but its lost writes are unknown. So the store does not try again.
        fail(&disk, u64::MAX);
        let syncs = disk.syncs();
        assert_eq!(
            store.transact_blocking([COUNTERS.key(&0)], increment),
            Err(halted.clone())
        );
        assert_eq!(
            store.transact_blocking([COUNTERS.key(&0)], |tx| COUNTERS.get(tx, &0)),
            Err(halted.clone())
        );
        assert_eq!(store.clone().close(), Err(halted));
        assert_eq!(disk.syncs(), syncs);
        disk.crash(3);
        let value = inline(&disk)
            .transact_blocking([COUNTERS.key(&0)], |tx| COUNTERS.get(tx, &0))
            .unwrap();
        assert!(matches!(value, Some(1 | 2)), "{value:?}");
    }
}

#[test]
fn a_store_on_a_full_disk_refuses_writes_and_goes_on_when_there_is_room() {
    let disk = MemoryDisk::new();
    let store = inline(&disk);
    let fill = |byte: u8| {
        move |tx: &mut Transaction<'_>| {
            let next = increment(tx)?;
            tx.put(&[9, byte, next as u8], vec![byte; 60_000])?;
            Ok(next)
        }
    };
    disk.set_capacity(Some(400_000));
    let mut done = 0;
    let full = loop {
        match store.transact_blocking([COUNTERS.key(&0)], fill(1)) {
            Ok(next) => done = next,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert!(done >= 4, "only {done} rows fitted");
    assert_eq!(
        store.transact_blocking([COUNTERS.key(&0)], |tx| COUNTERS.get(tx, &0)),
        Ok(Some(done)),
        "reads go on"
    );
    disk.set_capacity(None);
    assert_eq!(store.transact_blocking([COUNTERS.key(&0)], fill(2)), Ok(done + 1));
    drop(store);
    disk.crash(1);
    assert_eq!(
        inline(&disk).transact_blocking([COUNTERS.key(&0)], |tx| COUNTERS.get(tx, &0)),
        Ok(Some(done + 1))
    );
}

#[test]
fn a_closed_store_refuses_transactions_and_opens_after_a_clean_stop() {
    for threading in [Threading::Inline, Threading::Thread] {
        let disk = MemoryDisk::new();
        let mut options = StoreOptions::simulated(disk.clone(), 1);
        options.threading = threading;
        let (store, _) = Store::open(Path::new(DIR), options.clone()).unwrap();
        assert_eq!(store.transact_blocking([COUNTERS.key(&0)], increment), Ok(1));
        let other = store.clone();
        store.close().unwrap();
        assert_eq!(
            other.transact_blocking([COUNTERS.key(&0)], increment),
            Err(StoreError::Closed)
        );
        // The directory's lock is released although a clone still exists.
        let (store, report) = Store::open(Path::new(DIR), options).unwrap();
        assert!(report.was_clean);
        assert_eq!(store.transact_blocking([COUNTERS.key(&0)], increment), Ok(2));
    }
}

#[test]
fn a_second_open_of_a_directory_is_refused_as_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let second = Store::open(dir.path(), StoreOptions::default()).map(|_| ());
    assert_eq!(
        second,
        Err(StoreError::InUse {
            dir: dir.path().to_owned()
        })
    );
    drop(store);
    Store::open(dir.path(), StoreOptions::default()).unwrap();
}

#[tokio::test]
async fn async_callers_write_rows_and_scans_return_them_in_key_order() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    for group in 0..3u64 {
        for item in 0..10u8 {
            let put = move |tx: &mut Transaction<'_>| {
                NOTES.put(tx, &(group, [item; 32]), &format!("{group}/{item}"))
            };
            store.transact(Reads::none(), put).await.unwrap();
        }
    }
    let view = store.view();
    let all = NOTES.scan(&view, Bound::Unbounded, 1000).unwrap();
    assert_eq!(all.len(), 30);
    assert!(all.is_sorted());
    let first = NOTES.scan_under(&view, &1u64, Bound::Unbounded, 4).unwrap();
    assert_eq!(first.last().unwrap(), &((1, [3; 32]), "1/3".to_string()));
    let rest = NOTES
        .scan_under(&view, &1u64, Bound::Excluded(&first.last().unwrap().0), 100)
        .unwrap();
    assert_eq!(rest.len(), 6);
    assert_eq!(rest[0].0, (1, [4; 32]));
    assert_eq!(NOTES.peek(&view, &(2, [9; 32])).unwrap().unwrap(), "2/9");
    assert_eq!(COUNTERS.scan(&view, Bound::Unbounded, 10).unwrap(), []);
    store
        .transact(Reads::none(), |tx| NOTES.delete(tx, &(2, [9; 32])))
        .await
        .unwrap();
    assert_eq!(NOTES.peek(&view, &(2, [9; 32])).unwrap(), None);
}

#[test]
fn a_row_of_another_type_and_bad_keys_and_sizes_are_refused() {
    const SAME: Table<u64, String> = Table::new(1, "same prefix, other type");
    let store = inline(&MemoryDisk::new());
    store.transact_blocking([COUNTERS.key(&0)], increment).unwrap();
    let row = store.transact_blocking([SAME.key(&0)], |tx| SAME.get(tx, &0));
    assert!(matches!(row, Err(StoreError::Row { .. })), "{row:?}");
    let reserved = store.transact_blocking(Reads::none(), |tx| tx.put(&[0, 1], vec![]));
    assert_eq!(reserved, Err(StoreError::ReservedKey));
    let long = store.transact_blocking(Reads::none(), |tx| {
        tx.put(&[1; limits::KEY_MAX_BYTES + 1], vec![])
    });
    assert!(
        matches!(long, Err(StoreError::TooLong { what: "key", .. })),
        "{long:?}"
    );
    let big = store.transact_blocking(Reads::none(), |tx| {
        (0..100u8).try_for_each(|n| tx.put(&[1, n], vec![0; 60_000]))
    });
    assert!(
        matches!(
            big,
            Err(StoreError::TooLong {
                what: "transaction",
                ..
            })
        ),
        "{big:?}"
    );
}

#[test]
fn the_hash_of_every_past_record_can_be_read_also_after_a_restart() {
    let disk = MemoryDisk::new();
    let store = inline(&disk);
    let mut hashes = vec![store.head().hash];
    for _ in 0..600 {
        store.transact_blocking([COUNTERS.key(&0)], increment).unwrap();
        hashes.push(store.head().hash);
    }
    let check = |store: &Store| {
        for (sequence, hash) in hashes.iter().enumerate() {
            assert_eq!(store.hash_at(sequence as u64).unwrap(), Some(*hash), "{sequence}");
        }
        assert_eq!(store.hash_at(601).unwrap(), None);
    };
    check(&store);
    drop(store);
    check(&inline(&disk));
}

#[test]
fn a_request_for_a_hash_after_a_changed_record_halts_the_store() {
    let disk = MemoryDisk::new();
    let store = inline(&disk);
    let journal = Path::new(DIR).join("journal");
    for _ in 0..600 {
        store.transact_blocking([COUNTERS.key(&0)], increment).unwrap();
    }
    let earlier = store.hash_at(100).unwrap();
    disk.flip(&journal, store.counts().journal_bytes / 2, 4);
    assert_eq!(
        store.hash_at(100).unwrap(),
        earlier,
        "before a checkpoint that comes before the change"
    );
    // Record 300 is after the change, 260 before it. Both hashes depend on the changed record.
    for sequence in [300, 260] {
        let damaged = store.hash_at(sequence).unwrap_err();
        let StoreError::Damaged { path, damage } = &damaged else {
            panic!("{damaged}");
        };
        assert_eq!((path, damage.kind), (&journal, DamageKind::Changed));
        assert!((290..=300).contains(&damage.sequence), "{damage}");
        assert_eq!(
            store.transact_blocking([COUNTERS.key(&0)], increment),
            Err(damaged.clone())
        );
        assert_eq!(
            store.clone().hash_at(601).unwrap(),
            None,
            "there is no such record"
        );
    }
    let damaged = store
        .transact_blocking([COUNTERS.key(&0)], increment)
        .unwrap_err();
    assert_eq!(store.close(), Err(damaged.clone()));
    let again = Store::open(Path::new(DIR), StoreOptions::simulated(disk, 1)).map(|_| ());
    assert_eq!(again, Err(damaged));
}

#[test]
fn the_same_calls_leave_the_same_bytes() {
    let journal = |seed| {
        let disk = MemoryDisk::new();
        let (store, _) = Store::open(Path::new(DIR), StoreOptions::simulated(disk.clone(), seed)).unwrap();
        for _ in 0..5 {
            store.transact_blocking([COUNTERS.key(&0)], increment).unwrap();
        }
        disk.bytes(&Path::new(DIR).join("journal")).unwrap()
    };
    assert_eq!(journal(1), journal(1));
    assert_ne!(journal(1), journal(2));
}
