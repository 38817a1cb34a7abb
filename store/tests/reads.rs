//! Transactions declare their reads, and can run again.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use farthing_store::disk::MemoryDisk;
use farthing_store::{Job, Reads, Store, StoreError, StoreOptions, Table};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

const NAMES: Table<u64, String> = Table::new(1, "names");
const NUMBERS: Table<String, u64> = Table::new(2, "numbers");

fn store(runs_twice: bool) -> Store {
    let options = StoreOptions {
        runs_twice,
        ..StoreOptions::simulated(MemoryDisk::new(), 1)
    };
    Store::open(Path::new("/store"), options).unwrap().0
}

fn undeclared(table: &'static str) -> StoreError {
    StoreError::Undeclared { table }
}

#[test]
fn an_undeclared_read_fails_the_transaction_even_if_the_closure_ignores_the_error() {
    let store = store(false);
    for store in [store.namespace(1), store] {
        let read = store.transact_blocking([NAMES.key(&1)], |tx| NAMES.get(tx, &2));
        assert_eq!(read, Err(undeclared("names")));
        let of_another_table = store.transact_blocking([NAMES.key(&1)], |tx| NUMBERS.get(tx, &"one".into()));
        assert_eq!(of_another_table, Err(undeclared("numbers")));
        let ignored = store.transact_blocking(Reads::none(), |tx| {
            let there = NAMES.get(tx, &1).unwrap_or_default().is_some();
            NAMES.put(tx, &1, &"one".into())?;
            Ok(there)
        });
        assert_eq!(ignored, Err(undeclared("names")));
        // A row that the transaction itself has written is no exception: the read may depend on other rows.
        let own = store.transact_blocking(Reads::none(), |tx| {
            NAMES.put(tx, &1, &"one".into())?;
            NAMES.get(tx, &1)
        });
        assert_eq!(own, Err(undeclared("names")));
        assert_eq!(store.head().sequence, 0, "nothing was written");
    }
}

#[test]
fn a_declared_row_is_read_in_its_own_namespace() {
    let store = store(true);
    let namespace = store.namespace(3);
    for (number, store) in (1..).zip([&namespace, &store]) {
        let written = store.transact_blocking([NUMBERS.key(&"one".into())], move |tx| {
            let before = NUMBERS.get(tx, &"one".into())?;
            NUMBERS.put(tx, &"one".into(), &number)?;
            Ok(before)
        });
        assert_eq!(written, Ok(None));
    }
    let read = namespace.transact_blocking([NUMBERS.key(&"one".into())], |tx| NUMBERS.get(tx, &"one".into()));
    assert_eq!(read, Ok(Some(1)));
}

/// The second stage sees earlier writes of the same batch. It may return no rows.
#[test]
fn a_row_whose_key_is_in_another_row_is_declared_in_a_second_stage() {
    let store = store(true);
    let by_name = || {
        Reads::from([NAMES.key(&7)]).then(|rows| {
            let name = rows.get(&NAMES, &7)?;
            Ok(name.map(|name| NUMBERS.key(&name)).into_iter().collect())
        })
    };
    let (tell, told) = channel();
    let find = || {
        let tell = tell.clone();
        Job::new(
            by_name(),
            |tx| match NAMES.get(tx, &7)? {
                Some(name) => NUMBERS.get(tx, &name),
                None => Ok(None),
            },
            move |found| tell.send(found).unwrap(),
        )
    };
    let name = Job::new(
        Reads::none(),
        |tx| {
            NAMES.put(tx, &7, &"seven".into())?;
            NUMBERS.put(tx, &"seven".into(), &70)
        },
        drop,
    );
    store.commit(vec![find(), name, find()]).unwrap();
    assert_eq!(
        [told.recv().unwrap(), told.recv().unwrap()],
        [Ok(None), Ok(Some(70))]
    );
    let stage_fails = Reads::none().then(|rows| {
        rows.get(&NAMES, &7)?;
        Ok(Vec::new())
    });
    let failed = store.transact_blocking(stage_fails, |_| Ok(()));
    assert_eq!(failed, Err(undeclared("names")));
}

#[test]
fn a_simulated_store_finds_a_transaction_whose_second_run_differs() {
    let writes_another = |store: &Store| {
        let runs = AtomicU64::new(0);
        store.transact_blocking(Reads::none(), move |tx| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            NUMBERS.put(tx, &"run".into(), &run)?;
            Ok(run)
        })
    };
    let refuses_then = |store: &Store| {
        let runs = AtomicU64::new(0);
        store.transact_blocking(Reads::none(), move |_| {
            match runs.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(0),
                _ => Err(StoreError::Refused("once is enough".into())),
            }
        })
    };
    let twice = store(true);
    assert_eq!(writes_another(&twice), Err(StoreError::Unrepeatable));
    assert_eq!(refuses_then(&twice), Err(StoreError::Unrepeatable));
    assert_eq!(twice.head().sequence, 0, "nothing was written");
    let once = store(false);
    assert_eq!((writes_another(&once), refuses_then(&once)), (Ok(0), Ok(0)));
}
