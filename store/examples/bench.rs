//! Durable commits a second at several batch sizes, on the disk that holds the given directory.
//!
//! `cargo run --release -p farthing-store --example bench -- <directory> [<url>]`. The default is a temporary directory. With the
//! URL of a database, it measures a new store there instead.

mod rows;

use farthing_coin::PublicKey;
use farthing_store::entropy::SystemEntropy;
use farthing_store::{
    Database, Engine, Job, MemoryEngine, SledEngine, Store, StoreError, StoreOptions, Threading, WhileInUse,
    create_database_store,
};
use rows::{random_key, spend, spend_reads};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const RUN: Duration = Duration::from_secs(3);

const TASKS: [usize; 4] = [1, 16, 64, 256];

/// A job that spends one coin and passes its result to `reply`.
fn spend_one(reply: impl FnOnce(Result<bool, StoreError>) + Send + 'static) -> Job {
    let key = random_key();
    Job::new([spend_reads(key)], move |tx| spend(tx, key), reply)
}

fn options(engine: impl Engine + 'static, threading: Threading) -> StoreOptions {
    StoreOptions {
        engine: Arc::new(engine),
        threading,
        ..StoreOptions::default()
    }
}

/// Batches of exactly `batch` transactions, one after another, in the caller's thread.
fn batches(
    dir: PathBuf,
    engine: impl Engine + Debug + Copy + 'static,
    batch: usize,
) -> Result<(), StoreError> {
    let (store, _) = Store::open(&dir, options(engine, Threading::Inline))?;
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < RUN {
        let (tell, told) = channel();
        let jobs = (0..batch).map(|_| {
            let tell = tell.clone();
            spend_one(move |result| drop(tell.send(result)))
        });
        let one = Instant::now();
        store.commit(jobs.collect())?;
        times.push(one.elapsed());
        drop(tell);
        for answer in told {
            answer?;
        }
    }
    let rate = (times.len() * batch) as f64 / begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |part: f64| {
        let place = (times.len() as f64 * part) as usize;
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    println!(
        "{engine:?}, batch {batch:3}: {rate:8.0} commits/s, p50 {:.2} ms, p99 {:.2} ms",
        at(0.5),
        at(0.99)
    );
    store.close()
}

/// Runs `tasks` tasks over the store's own thread. Each has one transaction at a time.
fn tasks(store: &Store, tasks: usize) -> Result<(), StoreError> {
    let records_before = store.head().sequence;
    let runtime = tokio::runtime::Builder::new_multi_thread().build();
    let runtime = runtime.map_err(|error| StoreError::Refused(error.to_string()))?;
    let begin = Instant::now();
    let done = runtime.block_on(async {
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut done = 0u64;
                    while begin.elapsed() < RUN {
                        let key = random_key();
                        let spent = store.transact([spend_reads(key)], move |tx| spend(tx, key));
                        if spent.await.is_err() {
                            break;
                        }
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in running {
            done += task.await.unwrap_or(0);
        }
        done
    });
    let rate = done as f64 / begin.elapsed().as_secs_f64();
    let records = store.head().sequence - records_before;
    println!("{tasks:3} tasks over the store's thread: {rate:8.0} commits/s, {done} in {records} records");
    Ok(())
}

/// Measures a new store in a database.
fn in_database(url: &str) -> Result<(), StoreError> {
    let database = Database {
        url: url.parse()?,
        password: None,
        owner: PublicKey([0; 32]),
        name: "bench".to_owned(),
    };
    create_database_store(&database, &SystemEntropy)?;
    let store = Store::open_database(&database, &StoreOptions::default(), WhileInUse::Refuse)?;
    println!("in {url}, {} s each", RUN.as_secs());
    for count in TASKS {
        tasks(&store, count)?;
    }
    store.close()
}

/// Measures a start that checks the journal, and a start that also rebuilds the index.
fn rebuild(dir: PathBuf) -> Result<(), StoreError> {
    let (store, _) = Store::open(&dir, options(SledEngine, Threading::Inline))?;
    for _ in 0..200 {
        store.commit((0..256).map(|_| spend_one(drop)).collect())?;
    }
    store.close()?;
    for (name, wipe) in [("start, all in order", false), ("start with a rebuild", true)] {
        if wipe {
            drop(std::fs::remove_dir_all(dir.join("index")));
        }
        let begin = Instant::now();
        let (store, report) = Store::open(&dir, options(SledEngine, Threading::Inline))?;
        println!(
            "{name}: {:.2} s for 51200 rows, {report:?}",
            begin.elapsed().as_secs_f64()
        );
        store.close()?;
    }
    Ok(())
}

fn main() -> Result<(), StoreError> {
    if let Some(url) = std::env::args().nth(2) {
        return in_database(&url);
    }
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let base = given
        .unwrap_or_else(std::env::temp_dir)
        .join(format!("store-bench-{}", std::process::id()));
    println!("in {}, {} s each", base.display(), RUN.as_secs());
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        base.join(number.to_string())
    };
    for batch in [1, 16, 64, 256] {
        batches(fresh(), MemoryEngine, batch)?;
    }
    for batch in [1, 16, 64, 256] {
        batches(fresh(), SledEngine, batch)?;
    }
    for count in TASKS {
        let (store, _) = Store::open(&fresh(), options(SledEngine, Threading::Thread))?;
        tasks(&store, count)?;
        store.close()?;
    }
    rebuild(fresh())?;
    drop(std::fs::remove_dir_all(&base));
    Ok(())
}
