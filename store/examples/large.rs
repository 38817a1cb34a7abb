//! What a store of many rows costs: coins spent a second in an empty and in a full one, memory, and starts.
//!
//! `cargo run --release -p farthing-store --example large -- <directory> <rows>`, with ten million rows unless told
//! otherwise. It needs about 600 bytes of disk for each. `<directory> start` starts once more, in a process of its own,
//! what was left there.

mod rows;

use farthing_store::{Progress, Reads, Stage, Store, StoreError, StoreOptions};
use rows::{random_key, spend, spend_reads};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long rates are measured.
const RUN: Duration = Duration::from_secs(10);
/// How many transactions are under way meanwhile.
const UNDER_WAY: usize = 64;
/// The rows of one transaction while the store is filled.
const FILL_ROWS: u64 = 2048;

/// Two coins that nobody has seen are looked up and spent, as in a purchase.
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
    let tasks: Vec<_> = (0..UNDER_WAY)
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

fn fill(store: &Store, rows: u64) -> Result<(), StoreError> {
    let begin = Instant::now();
    for done in (0..rows).step_by(FILL_ROWS as usize) {
        let keys: Vec<_> = (0..FILL_ROWS).map(|_| random_key()).collect();
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
    Ok(())
}

/// What the process has and had in memory (`VmRSS`, `VmHWM`).
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

/// Opens the store and says how long what took.
fn start(dir: &Path, what: &str) -> Result<Store, StoreError> {
    let verified_ms = Arc::new(AtomicU64::new(0));
    let (begin, noted) = (Instant::now(), Arc::clone(&verified_ms));
    let progress = move |progress: Progress| {
        if progress.stage == Stage::Verify {
            noted.store(begin.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    };
    let options = StoreOptions {
        progress: Arc::new(progress),
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

/// Starts once, tells how much memory that takes, and waits until the rest of the journal is verified.
fn start_again(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let begin = Instant::now();
    let store = start(dir, "start")?;
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which directory?")?).join("store");
    let rows = match arguments.next() {
        Some(word) if word == "start" => return start_again(&dir),
        Some(rows) => rows.to_string_lossy().parse()?,
        None => 10_000_000,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;

    let store = start(&dir, "start of a new store")?;
    println!(
        "empty: {:.0} transactions of two coins a second; {}",
        runtime.block_on(rate(&store)),
        memory()
    );
    fill(&store, rows)?;
    println!(
        "full: {:.0} transactions of two coins a second; {}",
        runtime.block_on(rate(&store)),
        memory()
    );
    let begin = Instant::now();
    store.close()?;
    println!(
        "closed in {:.2} s; {} MB on disk",
        begin.elapsed().as_secs_f64(),
        bytes_in(&dir) / 1_000_000
    );

    let store = start(&dir, "start after a clean stop")?;
    println!(
        "just started: {:.0} transactions of two coins a second; {}",
        runtime.block_on(rate(&store)),
        memory()
    );
    store.close()?;
    std::fs::remove_dir_all(dir.join("index"))?;
    start(&dir, "start with the index rebuilt")?.close()?;
    println!("{}", memory());
    Ok(())
}
