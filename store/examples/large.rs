//! The cost of a store with many rows: spent coins a second in an empty and in a full store, reads, memory, and starts.
//!
//! `cargo run --release -p farthing-store --example large -- <directory> <rows> <engine>`. The defaults are ten million rows
//! and sled. It needs about 600 bytes of disk for each row.
//!
//! - `<directory> <rows> all` measures every engine in turn, each in its own process and directory.
//! - `<directory> start` starts the store that sled has left there once more, in a new process.

mod engines;
mod rows;

use farthing_store::{Engine, Progress, Reads, Stage, Store, StoreError, StoreOptions};
use rows::{is_spent, random_key, spend, spend_reads};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Duration of the measurement of a rate.
const RUN: Duration = Duration::from_secs(10);
/// Number of concurrent transactions.
const CONCURRENT: usize = 64;
/// Rows in one transaction that fills the store.
const FILL_ROWS: u64 = 2048;
/// Number of measured reads, of present rows and of absent rows.
const READS: usize = 100_000;

/// Looks up and spends two new coins, as in a purchase.
async fn spend_two(store: &Store) -> Result<(), StoreError> {
    let keys = [random_key(), random_key()];
    let spent = store.transact(keys.map(spend_reads), move |tx| {
        keys.iter().try_for_each(|key| spend(tx, *key).map(drop))
    });
    spent.await
}

/// Transactions of two coins a second, each durable.
async fn rate(store: &Store) -> f64 {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..CONCURRENT)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0u64;
                while begin.elapsed() < RUN && spend_two(&store).await.is_ok() {
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap_or(0);
    }
    done as f64 / begin.elapsed().as_secs_f64()
}

/// Fills the store. Returns some of the keys.
fn fill(store: &Store, rows: u64) -> Result<Vec<[u8; 32]>, StoreError> {
    let begin = Instant::now();
    let mut some = Vec::new();
    for done in (0..rows).step_by(FILL_ROWS as usize) {
        let keys: Vec<_> = (0..FILL_ROWS).map(|_| random_key()).collect();
        let step = usize::try_from(rows).unwrap_or(READS).div_ceil(READS);
        some.extend(keys.iter().copied().step_by(step));
        store.transact_blocking(Reads::none(), move |tx| {
            keys.iter().try_for_each(|key| rows::put(tx, *key))
        })?;
        if done % (FILL_ROWS * 256) == 0 {
            eprint!("\r{done} of {rows} rows, {:.0} s ", begin.elapsed().as_secs_f64());
        }
    }
    eprintln!();
    println!(
        "filled with {rows} rows: {:.0} a second",
        rows as f64 / begin.elapsed().as_secs_f64()
    );
    Ok(some)
}

/// The rate of reads of these keys, in one thread (rows a second).
fn reads(store: &Store, keys: &[[u8; 32]]) -> Result<f64, StoreError> {
    let (view, begin) = (store.view(), Instant::now());
    for key in keys {
        is_spent(&view, *key)?;
    }
    Ok(keys.len() as f64 / begin.elapsed().as_secs_f64())
}

/// The current and the peak memory of the process (`VmRSS`, `VmHWM`).
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_in(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Opens the store and prints the time of each stage.
fn start(dir: &Path, engine: &Arc<dyn Engine>, what: &str) -> Result<Store, StoreError> {
    let verified_ms = Arc::new(AtomicU64::new(0));
    let (begin, noted) = (Instant::now(), Arc::clone(&verified_ms));
    let progress = move |progress: Progress| {
        if progress.stage == Stage::Verify {
            noted.store(begin.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    };
    let options = StoreOptions {
        progress: Arc::new(progress),
        engine: Arc::clone(engine),
        ..StoreOptions::default()
    };
    let (store, report) = Store::open(dir, options)?;
    println!(
        "{what}: {:.2} s, the journal verified after {:.2} s, {report:?}",
        begin.elapsed().as_secs_f64(),
        verified_ms.load(Ordering::Relaxed) as f64 / 1000.0
    );
    Ok(store)
}

/// Starts once, prints the memory of the process, and waits until the rest of the journal is verified.
fn start_again(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let begin = Instant::now();
    let store = start(dir, &named("sled")?, "start")?;
    println!("{}", memory());
    while store.counts().unverified > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!(
        "all verified after {:.2} s; {}",
        begin.elapsed().as_secs_f64(),
        memory()
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    println!(
        "{:.0} transactions of two coins a second; {}",
        runtime.block_on(rate(&store)),
        memory()
    );
    Ok(store.close()?)
}

fn named(engine: &str) -> Result<Arc<dyn Engine>, String> {
    engines::named(engine)
        .ok_or_else(|| format!("no engine {engine}; there are {}", engines::NAMES.join(", ")))
}

/// Measures each engine in its own process, so that the measured memory belongs to this engine.
fn measure_all(dir: &Path, rows: &str) -> Result<(), Box<dyn std::error::Error>> {
    for engine in engines::NAMES {
        println!("\n{engine}");
        let mut command = std::process::Command::new(std::env::current_exe()?);
        let status = command.arg(dir.join(engine)).args([rows, engine]).status()?;
        if !status.success() {
            return Err(format!("{engine}: {status}").into());
        }
    }
    Ok(())
}

fn measure(dir: &Path, rows: u64, engine: &Arc<dyn Engine>) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let spend = |store: &Store, when: &str| {
        println!(
            "{when}: {:.0} transactions of two coins a second; {}",
            runtime.block_on(rate(store)),
            memory()
        );
    };
    let store = start(dir, engine, "start of a new store")?;
    spend(&store, "empty");
    let keys = fill(&store, rows)?;
    spend(&store, "full");
    let absent: Vec<_> = (0..READS).map(|_| random_key()).collect();
    println!(
        "read: {:.0} rows a second that are there, {:.0} that are not",
        reads(&store, &keys)?,
        reads(&store, &absent)?
    );
    let begin = Instant::now();
    store.close()?;
    println!(
        "closed in {:.2} s; {} MB on disk, {} MB of it the index",
        begin.elapsed().as_secs_f64(),
        bytes_in(dir) / 1_000_000,
        bytes_in(&dir.join("index")) / 1_000_000
    );

    let store = start(dir, engine, "start after a clean stop")?;
    spend(&store, "just started");
    store.close()?;
    std::fs::remove_dir_all(dir.join("index"))?;
    start(dir, engine, "start with the index rebuilt")?.close()?;
    println!("{}", memory());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which directory?")?);
    let rows = arguments.next().unwrap_or_else(|| "10000000".into());
    let store = dir.join("store");
    match arguments.next().as_deref() {
        _ if rows == "start" => start_again(&store),
        Some("all") => measure_all(&dir, &rows),
        engine => measure(&store, rows.parse()?, &named(engine.unwrap_or("sled"))?),
    }
}
