//! The round trips of a batch, counted on the line.

use crate::{COUNTERS, made, schema, shared};
use farthing_database::Line;
use farthing_store::probe::{self, Probe};
use farthing_store::{Reads, Store, StoreOptions, Table, WhileInUse};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

const NAMES: Table<u8, u64> = Table::new(2, "names");

/// Stops the writer before its first batch is sent, until the test continues it.
struct Gate {
    reached: Mutex<Option<Sender<()>>>,
    go: Mutex<Receiver<()>>,
}

impl Probe for Gate {
    fn reached(&self, point: &'static str) {
        if point == probe::BEFORE_APPEND
            && let Some(reached) = self.reached.lock().unwrap().take()
        {
            reached.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
    }
}

/// A store, a way to continue its first batch, and the line.
fn gated() -> Option<(Store, Receiver<()>, Sender<()>, Line)> {
    let line = Line::to(shared()?);
    let database = made(&line.url(&schema()));
    let ((reached, at_gate), (open, go)) = (channel(), channel());
    let gate = Gate {
        reached: Mutex::new(Some(reached)),
        go: Mutex::new(go),
    };
    let options = StoreOptions {
        probe: Arc::new(gate),
        ..StoreOptions::default()
    };
    let store = Store::open_database(&database, &options, WhileInUse::Refuse).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    Some((store, at_gate, open, line))
}

/// The row of the counter that has this name.
fn by_name(name: u8) -> Reads {
    Reads::from([NAMES.key(&name)]).then(move |rows| {
        let number = rows.get(&NAMES, &name)?;
        Ok(number.map(|number| COUNTERS.key(&number)).into_iter().collect())
    })
}

#[test]
fn a_batch_takes_one_or_two_reads_and_one_write() {
    let Some(cluster) = shared() else { return };
    let line = Line::to(cluster);
    let store = crate::open(&made(&line.url(&schema()))).unwrap();
    // The client closes the statements of the start beside the first transactions.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let trips = |work: &dyn Fn()| {
        let before = line.round_trips();
        work();
        line.round_trips() - before
    };
    let write = |tx: &mut farthing_store::Transaction<'_>| NAMES.put(tx, &1, &5);
    assert_eq!(
        trips(&|| store.transact_blocking(Reads::none(), write).unwrap()),
        1
    );
    assert_eq!(trips(&|| assert_eq!(crate::count(&store), Ok(1))), 2);
    let two_stages = || {
        let added = store.transact_blocking(by_name(1), |tx| {
            let number = NAMES.get(tx, &1)?.unwrap();
            let next = COUNTERS.get(tx, &number)?.unwrap_or(0) + 1;
            COUNTERS.put(tx, &number, &next)
        });
        added.unwrap();
    };
    assert_eq!(trips(&two_stages), 3);
    let read = || {
        let read = store.transact_blocking([COUNTERS.key(&5)], |tx| COUNTERS.get(tx, &5));
        assert_eq!(read, Ok(Some(1)));
    };
    assert_eq!(
        trips(&read),
        2,
        "one to read, and one to see that the store is still ours"
    );
}

#[test]
fn waiting_transactions_share_their_round_trips() {
    let Some((store, at_gate, open, line)) = gated() else {
        return;
    };
    let mut waiting = Vec::new();
    let mut submit = |many: usize| {
        waiting.extend((0..many).map(|_| {
            let store = store.clone();
            std::thread::spawn(move || crate::count(&store))
        }));
    };
    submit(1);
    at_gate.recv().unwrap();
    let before = line.round_trips();
    submit(100);
    // Until all are in the queue.
    std::thread::sleep(std::time::Duration::from_millis(300));
    open.send(()).unwrap();
    let mut seen: Vec<_> = waiting
        .into_iter()
        .map(|one| one.join().unwrap().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=101).collect::<Vec<_>>());
    assert_eq!(
        line.round_trips() - before,
        1 + 2,
        "the write of the first, and the batch of the others"
    );
    assert_eq!(store.head().sequence, 2);
}

#[test]
fn waiting_transactions_share_their_second_stages() {
    let Some((store, at_gate, open, line)) = gated() else {
        return;
    };
    let first = store.transact(Reads::none(), |tx| {
        (0..50).try_for_each(|name| NAMES.put(tx, &name, &name.into()))
    });
    at_gate.recv().unwrap();
    open.send(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(first).unwrap();
    // One batch, as all wait for a slow first one.
    let slow = store.transact(Reads::none(), |_| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        Ok(())
    });
    let named = (0..50u8).map(|name| {
        store.transact(by_name(name), move |tx| {
            let number = NAMES.get(tx, &name)?.unwrap();
            let next = COUNTERS.get(tx, &number)?.unwrap_or(0) + 1;
            COUNTERS.put(tx, &number, &next)
        })
    });
    let before = line.round_trips();
    let named: Vec<_> = named.collect();
    runtime.block_on(async {
        slow.await.unwrap();
        for one in named {
            one.await.unwrap();
        }
    });
    let trips = line.round_trips() - before;
    assert!(
        trips <= 1 + 3 + 3,
        "the slow one, and one or two batches: {trips}"
    );
}

#[test]
fn a_second_stage_that_the_batch_has_changed_is_read_when_it_is_needed() {
    let Some((store, at_gate, open, line)) = gated() else {
        return;
    };
    let first = store.transact(Reads::none(), |tx| {
        NAMES.put(tx, &1, &5)?;
        COUNTERS.put(tx, &5, &50)?;
        COUNTERS.put(tx, &6, &60)
    });
    at_gate.recv().unwrap();
    let renamed = store.transact(Reads::none(), |tx| NAMES.put(tx, &1, &6));
    let read = store.transact(by_name(1), |tx| {
        let number = NAMES.get(tx, &1)?.unwrap();
        COUNTERS.get(tx, &number)
    });
    let before = line.round_trips();
    open.send(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        first.await.unwrap();
        renamed.await.unwrap();
        assert_eq!(read.await, Ok(Some(60)));
    });
    assert_eq!(
        line.round_trips() - before,
        1 + 4,
        "two reads of the batch, one on demand, one write"
    );
}
