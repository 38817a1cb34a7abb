//! One active process, standbys that take over, and a process that does not know that it was replaced.

use crate::{COUNTERS, count, database, is_halted, made, open, schema, shared};
use farthing_database::Cluster;
use farthing_store::{Database, DatabaseError, Store, StoreError, StoreOptions, WhileInUse};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const URL_VARIABLE: &str = "FARTHING_TEST_URL";

/// Ends the session with the lock of the store.
fn cut_lock(cluster: &Cluster, name: &str) {
    let ended = cluster.execute(&format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND application_name = '{name}'"
    ));
    assert_eq!(ended, "1");
}

/// Opens the store as a standby. The first receiver gets the holder.
fn standby(database: &Database) -> (std::sync::mpsc::Receiver<String>, thread::JoinHandle<Store>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let wait = WhileInUse::Wait(Arc::new(move |by: &str| {
        tell.lock().unwrap().send(by.to_owned()).unwrap();
    }));
    let database = database.clone();
    let open = move || Store::open_database(&database, &StoreOptions::default(), wait).unwrap();
    (told, thread::spawn(open))
}

#[test]
fn a_second_process_is_refused_or_waits() {
    let Some(cluster) = shared() else { return };
    let database = made(&cluster.url(&schema()));
    let store = open(&database).unwrap();
    let error = open(&database).map(drop).unwrap_err();
    let names = matches!(&error, StoreError::Database(DatabaseError::InUse { by, .. }) if by.contains("farthing test"));
    assert!(names && error.is_in_use(), "{error}");
    let (told, waiting) = standby(&database);
    assert!(told.recv().unwrap().contains("farthing test"));
    assert_eq!(count(&store), Ok(1));
    store.close().unwrap();
    assert_eq!(count(&waiting.join().unwrap()), Ok(2));
}

#[test]
fn a_process_that_was_replaced_halts_and_answers_nothing() {
    let Some(cluster) = shared() else { return };
    for only_reads in [false, true] {
        let schema = schema();
        let store = open(&made(&cluster.url(&schema))).unwrap();
        assert_eq!(count(&store), Ok(1));
        let rows = format!("SELECT value FROM {schema}.rows");
        let before = cluster.execute(&rows);
        // Another process has taken the store over.
        cluster.execute(&format!("UPDATE {schema}.head SET process = '\\x01'"));
        let error = match only_reads {
            true => store
                .transact_blocking([COUNTERS.key(&0)], |tx| COUNTERS.get(tx, &0))
                .unwrap_err(),
            false => count(&store).unwrap_err(),
        };
        assert!(is_halted(&error), "{error}");
        assert!(store.stopped().unwrap().contains("taken the store over"));
        assert_eq!(cluster.execute(&rows), before);
        assert_eq!(count(&store), Err(error));
        assert_eq!(store.head().sequence, 1);
    }
}

#[test]
fn a_database_that_was_put_back_halts_the_process() {
    let Some(cluster) = shared() else { return };
    for change in [
        "sequence = 1, hash = (SELECT hash FROM {}.chain WHERE sequence = 1)",
        "hash = (SELECT hash FROM {}.chain WHERE sequence = 1)",
        "sequence = 3",
    ] {
        let schema = schema();
        let store = open(&made(&cluster.url(&schema))).unwrap();
        assert_eq!((count(&store), count(&store)), (Ok(1), Ok(2)));
        let change = change.replace("{}", &schema);
        cluster.execute(&format!("UPDATE {schema}.head SET {change}"));
        let error = count(&store).unwrap_err();
        assert!(is_halted(&error), "{error}");
        assert_eq!(
            cluster.execute(&format!("SELECT count(*) FROM {schema}.chain")),
            "3"
        );
    }
}

#[test]
fn a_lost_lock_is_taken_again_and_a_standby_replaces_its_process() {
    let Some(cluster) = shared() else { return };
    let mut database = made(&cluster.url(&schema()));
    database.name = format!("farthing {}", database.url.schema());
    let store = open(&database).unwrap();
    assert_eq!(count(&store), Ok(1));
    cut_lock(cluster, &database.name);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(count(&store), Ok(2));
    assert!(
        open(&database).map(drop).unwrap_err().is_in_use(),
        "it has the lock again"
    );
    let (told, waiting) = standby(&database);
    told.recv().unwrap();
    cut_lock(cluster, &database.name);
    let next = waiting.join().unwrap();
    // It finds out without a transaction.
    let began = Instant::now();
    while store.stopped().is_none() {
        assert!(began.elapsed() < Duration::from_secs(5));
        thread::sleep(Duration::from_millis(20));
    }
    let error = count(&store).unwrap_err();
    assert!(is_halted(&error), "{error}");
    assert_eq!(count(&next), Ok(3));
}

#[test]
#[ignore = "the process that another test kills"]
fn a_process_that_counts() {
    let Ok(url) = std::env::var(URL_VARIABLE) else {
        return;
    };
    let store = open(&database(&url)).unwrap();
    loop {
        let counted = count(&store).unwrap();
        println!("counted {counted}");
    }
}

#[test]
fn a_standby_takes_over_within_a_second_after_a_kill_and_nothing_acknowledged_is_lost() {
    let Some(cluster) = shared() else { return };
    // On a busy machine one try may take longer.
    let tries: Vec<_> = (0..3).map(|_| takeover(cluster)).collect();
    assert!(
        tries.iter().any(|took| *took < Duration::from_secs(1)),
        "{tries:?}"
    );
}

/// Kills the active process, checks that its standby goes on where it was, and returns how long that took.
fn takeover(cluster: &Cluster) -> Duration {
    let url = cluster.url(&schema());
    let database = made(&url);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "takeover::a_process_that_counts",
            "--ignored",
            "--nocapture",
        ])
        .env(URL_VARIABLE, &url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut counted = || {
        let number =
            |line: std::io::Result<String>| line.unwrap().strip_prefix("counted ").map(str::to_owned);
        lines
            .find_map(number)
            .map(|number| number.parse::<u64>().unwrap())
    };
    counted().unwrap();
    let (told, waiting) = standby(&database);
    told.recv().unwrap();
    let waiting = thread::spawn(move || (waiting.join().unwrap(), Instant::now()));
    let killed = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();
    let (store, taken) = waiting.join().unwrap();
    let mut last = 0;
    while let Some(number) = counted() {
        last = number;
    }
    let next = count(&store).unwrap();
    assert!(
        next == last + 1 || next == last + 2,
        "{next} after {last}: one more may be durable"
    );
    taken.duration_since(killed)
}
