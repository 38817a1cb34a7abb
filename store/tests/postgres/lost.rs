//! Connections that end, servers that crash, and commits whose outcome is unknown.

use crate::{COUNTERS, count, is_unreachable, made, open, schema, shared};
use farthing_database::{Cluster, Cut, Line};
use farthing_store::Store;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Adds one so many times. Every result follows the one before it, so nothing is lost and nothing is doubled.
fn count_to(store: &Store, from: u64, to: u64) {
    for number in from..=to {
        assert_eq!(count(store), Ok(number));
    }
}

fn assert_counted(store: &Store, counted: u64) {
    assert_eq!(COUNTERS.peek(&store.view(), &0), Ok(Some(counted)));
    assert_eq!(store.head().sequence, counted);
    assert_eq!(store.hash_at(counted), Ok(Some(store.head().hash)));
}

#[test]
fn a_batch_whose_connection_is_cut_is_neither_lost_nor_doubled() {
    let Some(cluster) = shared() else { return };
    let line = Line::to(cluster);
    let store = open(&made(&line.url(&schema()))).unwrap();
    count_to(&store, 1, 2);
    let late = Cut::Late(Duration::from_millis(400));
    for (number, cut) in (3..).zip([Cut::Before, Cut::After, late, Cut::After, Cut::Before, late]) {
        line.cut_next(cut);
        assert_eq!(count(&store), Ok(number), "{cut:?}");
        // The late batch reaches the server meanwhile.
        thread::sleep(Duration::from_millis(500));
        assert_counted(&store, number);
    }
    assert_eq!(line.cuts(), 6);
    count_to(&store, 9, 10);
}

#[test]
fn a_batch_of_a_connection_that_was_given_up_can_no_longer_follow() {
    let Some(cluster) = shared() else { return };
    let line = Line::to(cluster);
    let store = open(&made(&line.url(&schema()))).unwrap();
    count_to(&store, 1, 1);
    line.cut_next(Cut::Late(Duration::from_millis(500)));
    let runs = AtomicU64::new(0);
    let counted = store.transact_blocking([COUNTERS.key(&0)], move |tx| {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        // The late batch arrives while the transaction runs again, and is another one.
        thread::sleep(Duration::from_millis(1000 * run));
        COUNTERS.put(tx, &0, &(10 + run))?;
        Ok(10 + run)
    });
    assert_eq!((counted, line.cuts()), (Ok(11), 1));
    assert_eq!(COUNTERS.peek(&store.view(), &0), Ok(Some(11)));
    assert_eq!(store.head().sequence, 2);
}

#[test]
fn transactions_and_reads_go_on_while_their_sessions_are_killed() {
    let Some(cluster) = shared() else { return };
    let mut database = made(&cluster.url(&schema()));
    database.name = "farthing killed".to_owned();
    let store = open(&database).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                assert!(cluster.terminate("farthing killed") > 0 || done.load(Ordering::SeqCst));
                thread::sleep(Duration::from_millis(150));
            }
        });
        scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::SeqCst) {
                let now = COUNTERS.peek(&store.view(), &0).unwrap().unwrap_or(0);
                assert!(now >= seen, "{now} after {seen}");
                seen = now;
            }
        });
        count_to(&store, 1, 150);
        done.store(true, Ordering::SeqCst);
    });
    assert_counted(&store, 150);
}

#[test]
fn nothing_is_lost_when_the_server_crashes_and_starts_again() {
    let Some(cluster) = Cluster::start() else { return };
    let store = open(&made(&cluster.url("bank"))).unwrap();
    thread::scope(|scope| {
        let counting = scope.spawn(|| count_to(&store, 1, 2000));
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(500));
            cluster.crash();
            cluster.run();
        }
        counting.join().unwrap();
    });
    assert_counted(&store, 2000);
}

#[test]
fn an_outage_refuses_transactions_that_have_changed_nothing_and_ends() {
    let Some(cluster) = Cluster::start() else { return };
    let database = made(&cluster.url("bank"));
    let store = open(&database).unwrap();
    count_to(&store, 1, 3);
    cluster.crash();
    thread::scope(|scope| {
        let counting = scope.spawn(|| count(&store).unwrap_err());
        let reading = scope.spawn(|| COUNTERS.peek(&store.view(), &0).unwrap_err());
        let (counted, read) = (counting.join().unwrap(), reading.join().unwrap());
        assert!(is_unreachable(&counted), "{counted}");
        assert!(is_unreachable(&read), "{read}");
    });
    assert!(store.counts().unreachable && store.stopped().is_none());
    let opened = open(&database).map(drop).unwrap_err();
    assert!(is_unreachable(&opened), "{opened}");
    cluster.run();
    // It finds out without a transaction.
    while store.counts().unreachable {
        thread::sleep(Duration::from_millis(20));
    }
    assert_counted(&store, 3);
    count_to(&store, 4, 5);
}

#[test]
fn a_commit_that_comes_with_a_warning_is_not_acknowledged_and_not_shown() {
    let Some(cluster) = Cluster::start() else { return };
    let store = open(&made(&cluster.url("bank"))).unwrap();
    count_to(&store, 1, 1);
    // The synchronous standby is away, so commits wait.
    cluster.set("synchronous_standby_names", "nobody");
    thread::scope(|scope| {
        let counting = scope.spawn(|| count(&store));
        let waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while cluster.execute(waits).is_empty() {
            thread::sleep(Duration::from_millis(20));
        }
        cluster.execute(&format!(
            "SELECT pg_cancel_backend(pid) FROM ({waits}) AS waiting"
        ));
        let visible = "SELECT count(*) FROM bank.chain WHERE sequence = 2";
        while cluster.execute(visible) != "1" {
            thread::sleep(Duration::from_millis(20));
        }
        let reading = scope.spawn(|| COUNTERS.peek(&store.view(), &0));
        thread::sleep(Duration::from_secs(1));
        assert!(
            !counting.is_finished(),
            "the standby of the database does not have the row"
        );
        assert!(
            !reading.is_finished(),
            "the standby of the database does not have the row"
        );
        assert_eq!(store.head().sequence, 1);
        cluster.set("synchronous_standby_names", "''");
        assert_eq!(counting.join().unwrap(), Ok(2));
        assert_eq!(reading.join().unwrap(), Ok(Some(2)));
    });
    assert_counted(&store, 2);
}
