//! A year of purchases in a bank's store: its size on disk, and the time of a start after a kill.
//!
//! `cargo run --release -p farthing-store --example store_years -- <directory> <purchases> [archive]`. The defaults are a
//! temporary directory and 100 000 purchases.
//!
//! - The purchases are written for real, two records each, with rows as long as a bank's. The disk is not synced, as only the
//!   sizes and the starts are measured.
//! - It measures at a tenth, three tenths and all of them. At each point the writing process is killed, and new processes start
//!   the store: as after the death of the process, and as after the death of the machine, which rebuilds the index.
//! - A line through the measured points gives what it says of a year at one purchase a second, and of ten million purchases.
//!   sled reads at its start what it has written since the start before. So that part grows with the purchases of one run.
//! - With `archive`, the old files of the journal are archived at each point, and removed. They then count as archived.

use farthing_store::disk::{DirectoryLock, Disk, DiskFile, FileDisk};
use farthing_store::{
    OpenReport, Reads, Store, StoreError, StoreOptions, Table, Transaction, archive_segments,
};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs, io};

type Key = ([u8; 32], [u8; 32]);
const COINS: Table<Key, Vec<u8>> = Table::new(1, "coins");
const PURCHASES: Table<Key, Vec<u8>> = Table::new(2, "purchases");
const RECOVERY: Table<([u8; 32], u8), Vec<u8>> = Table::new(3, "recovery records");
const HOLDS: Table<(u64, Key), ()> = Table::new(4, "holds");
const TOTALS: Table<(), Vec<u8>> = Table::new(5, "totals");
const HEADS: Table<[u8; 32], Vec<u8>> = Table::new(6, "heads");
const ACCOUNTS: Table<[u8; 32], Vec<u8>> = Table::new(7, "accounts");
const LEDGER: Table<([u8; 32], u64), Vec<u8>> = Table::new(8, "ledger");

/// Coins of one purchase.
const COINS_EACH: u64 = 2;
/// Lengths of the rows' values (bytes). With them a purchase takes as many bytes of the journal as the bank's does in
/// docs/PERFORMANCE.md: 4300 to 4600 for two coins.
const COIN_BYTES: usize = 180;
const PURCHASE_BYTES: usize = 560;
const RECOVERY_BYTES: usize = 700;
const SMALL_BYTES: usize = 90;
/// Merchants with an account.
const ACCOUNTS_COUNT: u64 = 100;

const YEAR: f64 = 365.0 * 24.0 * 3600.0;
const TEN_MILLION: f64 = 10_000_000.0;

/// The real disk without syncs. It has its own boots.
struct Unsynced(u32);

struct UnsyncedFile(Box<dyn DiskFile>);

impl Disk for Unsynced {
    fn share(&self) -> Arc<dyn Disk> {
        Arc::new(Unsynced(self.0))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(FileDisk.open(path)?)))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(FileDisk.create(path)?)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        FileDisk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        FileDisk.create_dir(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        FileDisk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileDisk.rename(from, to)
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        FileDisk.lock(dir)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        FileDisk.free_bytes(dir)
    }
    fn boot_id(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl DiskFile for UnsyncedFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.0.preallocate(len)
    }
}

/// Opens the store. Returns also when the verification of the journal had begun: before that the index opens.
fn open(dir: &Path, boot: u32) -> Result<(Store, OpenReport, Duration), StoreError> {
    let (begin, verifies) = (Instant::now(), Arc::new(OnceLock::new()));
    let noted = Arc::clone(&verifies);
    let options = StoreOptions {
        disk: Arc::new(Unsynced(boot)),
        progress: Arc::new(move |_| {
            noted.get_or_init(|| begin.elapsed());
        }),
        ..StoreOptions::default()
    };
    let (store, report) = Store::open(dir, options)?;
    let index = verifies.get().copied().unwrap_or_default();
    Ok((store, report, index))
}

/// 32 bytes that look random, from two numbers. So the order of the keys is not that of the purchases.
fn bytes(kind: u64, number: u64) -> [u8; 32] {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ kind.wrapping_mul(0xD1B5_4A32_D192_ED03) | 1;
    let mut bytes = [0; 32];
    for part in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        part.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// A value of this length that no compression shortens.
fn value(kind: u64, number: u64, length: usize) -> Vec<u8> {
    let parts = (0..length.div_ceil(32) as u64).flat_map(|part| bytes(kind << 8 | part, number));
    parts.take(length).collect()
}

fn coins(number: u64) -> impl Iterator<Item = (Key, u64)> {
    (0..COINS_EACH).map(move |coin| {
        let coin = number * COINS_EACH + coin;
        (([7; 32], bytes(1, coin)), coin)
    })
}

/// The first record of a purchase: its coins are held.
fn hold(tx: &mut Transaction<'_>, number: u64) -> Result<(), StoreError> {
    let purchase = (bytes(2, number), [8; 32]);
    for (key, coin) in coins(number) {
        COINS.put(tx, &key, &value(3, coin, COIN_BYTES))?;
    }
    PURCHASES.put(tx, &purchase, &value(4, number, PURCHASE_BYTES))?;
    let record = (bytes(5, number), 0);
    RECOVERY.put(tx, &record, &value(6, number, RECOVERY_BYTES))?;
    HOLDS.put(tx, &(number, purchase), &())?;
    TOTALS.put(tx, &(), &value(7, number, SMALL_BYTES))?;
    HEADS.put(tx, &[9; 32], &value(8, number, 2 * SMALL_BYTES))
}

/// The second record: the merchant is credited.
fn settle(tx: &mut Transaction<'_>, number: u64) -> Result<(), StoreError> {
    let purchase = (bytes(2, number), [8; 32]);
    let account = bytes(9, number % ACCOUNTS_COUNT);
    for (key, coin) in coins(number) {
        COINS.put(tx, &key, &value(10, coin, COIN_BYTES))?;
    }
    PURCHASES.put(tx, &purchase, &value(11, number, PURCHASE_BYTES + SMALL_BYTES))?;
    HOLDS.delete(tx, &(number, purchase))?;
    ACCOUNTS.put(tx, &account, &value(12, number, SMALL_BYTES))?;
    LEDGER.put(tx, &(account, number), &value(13, number, SMALL_BYTES))?;
    TOTALS.put(tx, &(), &value(14, number, SMALL_BYTES))?;
    HEADS.put(tx, &[9; 32], &value(15, number, 2 * SMALL_BYTES))
}

/// Writes purchases, and dies as a killed process does.
fn fill(dir: &Path, boot: u32, from: u64, to: u64) -> Result<(), StoreError> {
    let (store, ..) = open(dir, boot)?;
    for number in from..to {
        store.transact_blocking(Reads::none(), move |tx| hold(tx, number))?;
        store.transact_blocking(Reads::none(), move |tx| settle(tx, number))?;
    }
    println!("{}", store.counts().journal_bytes);
    std::process::abort()
}

/// Starts the store and dies. Prints what the start did.
fn start(dir: &Path, boot: u32) -> Result<(), StoreError> {
    let begin = Instant::now();
    let (_store, report, index) = open(dir, boot)?;
    let took = begin.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak
        .and_then(|text| text.split_whitespace().next())
        .unwrap_or("0");
    let OpenReport {
        verified, replayed, ..
    } = report;
    println!(
        "{} {verified} {replayed} {peak} {}",
        took.as_micros(),
        index.as_micros()
    );
    std::process::abort()
}

/// Runs this program again with these arguments, and returns the numbers that it prints.
fn child(arguments: &[&str]) -> Result<Vec<u64>, Box<dyn Error>> {
    let output = Command::new(env::current_exe()?).args(arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
    match numbers {
        Ok(numbers) if !numbers.is_empty() => Ok(numbers),
        _ => Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// One start: its time, the part of it in which the index opens, and what it read.
#[derive(Debug, Clone, Copy)]
struct Start {
    seconds: f64,
    index_seconds: f64,
    verified: u64,
    replayed: u64,
    memory_mb: f64,
}

impl Start {
    fn measured(dir: &str, boot: &str) -> Result<Self, Box<dyn Error>> {
        let numbers = child(&[dir, "start", boot])?;
        let [took, verified, replayed, peak, index] = numbers.as_slice() else {
            return Err("a start printed something else".into());
        };
        Ok(Self {
            seconds: *took as f64 / 1e6,
            index_seconds: *index as f64 / 1e6,
            verified: *verified,
            replayed: *replayed,
            memory_mb: *peak as f64 / 1e3,
        })
    }
}

/// The sizes and starts after some purchases.
#[derive(Debug, Clone, Copy)]
struct Point {
    purchases: f64,
    /// Purchases that the killed process had written.
    in_one_run: f64,
    /// Bytes of the journal, those in the directory, of the index, and of the snapshots.
    journal: f64,
    files: f64,
    index: f64,
    snapshots: f64,
    /// A start after the death of the process.
    killed: Start,
    /// A start after the death of the machine.
    crashed: Start,
}

/// Bytes on the disk of the files in `dir` whose names begin with one of `stems`.
fn disk_bytes(dir: &Path, stems: &[&str]) -> f64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let wanted = stems.iter().any(|stem| name.starts_with(stem));
        match entry.metadata() {
            Ok(meta) if meta.is_dir() && wanted => disk_bytes(&entry.path(), &[""]),
            Ok(meta) if wanted => (meta.blocks() * 512) as f64,
            _ => 0.0,
        }
    });
    sizes.sum()
}

fn measure(dir: &Path, from: u64, to: u64, archive: bool, boot: u32) -> Result<Point, Box<dyn Error>> {
    let path = dir.to_string_lossy();
    let begin = Instant::now();
    let (before, after) = (boot.to_string(), boot.saturating_add(1).to_string());
    let written = child(&[&path, "fill", &before, &from.to_string(), &to.to_string()])?;
    eprintln!(
        "{to} purchases written after {:.0} s",
        begin.elapsed().as_secs_f64()
    );
    let killed = Start::measured(&path, &before)?;
    let crashed = Start::measured(&path, &after)?;
    if archive {
        let away = dir.join("archive");
        archive_segments(dir, &away, &FileDisk)?;
        fs::remove_dir_all(&away)?;
    }
    Ok(Point {
        purchases: to as f64,
        in_one_run: (to - from) as f64,
        journal: written.first().copied().unwrap_or_default() as f64,
        files: disk_bytes(dir, &["journal", "hashes"]),
        index: disk_bytes(dir, &["index"]),
        snapshots: disk_bytes(dir, &["snapshot"]),
        killed,
        crashed,
    })
}

/// The value at `at` on the line that fits the points best. `by` and `of` are the coordinates of a point.
fn line(points: &[Point], by: fn(&Point) -> f64, of: fn(&Point) -> f64, at: f64) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(by).sum::<f64>() / count;
    let mean_y = points.iter().map(of).sum::<f64>() / count;
    let both = points
        .iter()
        .map(|point| (by(point) - mean_x) * (of(point) - mean_y));
    let square = points.iter().map(|point| (by(point) - mean_x).powi(2));
    let slope = both.sum::<f64>() / square.sum::<f64>().max(1.0);
    mean_y + slope * (at - mean_x)
}

fn print(points: &[Point]) {
    let gb = |bytes: f64| bytes / 1e9;
    println!("measured, with the process killed after the last purchase:");
    for point in points {
        let Point { killed, crashed, .. } = point;
        println!(
            "{:>10} purchases, the last {} in one run: journal {:.2} GB ({:.0} bytes each), {:.2} GB of it here; index {:.2} GB, \
             snapshots {:.2} GB",
            point.purchases,
            point.in_one_run,
            gb(point.journal),
            point.journal / point.purchases,
            gb(point.files),
            gb(point.index),
            gb(point.snapshots)
        );
        println!(
            "           start after the death of the process: {:.2} s, {:.2} s of it for sled's own log; {} records verified",
            killed.seconds, killed.index_seconds, killed.verified
        );
        println!(
            "           start after the death of the machine: {:.1} s; {} records verified, {} replayed over a snapshot, {:.0} MB \
             of memory",
            crashed.seconds, crashed.verified, crashed.replayed, crashed.memory_mb
        );
    }
    println!("computed, on the line through these points:");
    let rest = points
        .iter()
        .map(|point| point.killed.seconds - point.killed.index_seconds);
    let rest = rest.fold(0.0, f64::max);
    for (what, at) in [
        ("one year at one a second", YEAR),
        ("ten million purchases", TEN_MILLION),
    ] {
        let size = |of| gb(line(points, |point| point.purchases, of, at));
        println!(
            "  {what}: journal {:.0} GB, index {:.0} GB, snapshots {:.0} GB",
            size(|point| point.journal),
            size(|point| point.index),
            size(|point| point.snapshots)
        );
        println!(
            "    start after the death of the process: at most {rest:.1} s for the journal, and {:.0} s for sled's own log if all \
             was written in one run",
            line(
                points,
                |point| point.in_one_run,
                |point| point.killed.index_seconds,
                at
            )
        );
        println!(
            "    start after the death of the machine: {:.0} s",
            line(points, |point| point.purchases, |point| point.crashed.seconds, at)
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |place: usize| arguments.get(place).map(String::as_str);
    let dir = PathBuf::from(argument(0).map_or_else(
        || env::temp_dir().join("store_years").to_string_lossy().into_owned(),
        str::to_owned,
    ));
    let number = |place: usize| argument(place).and_then(|text| text.parse::<u64>().ok());
    let boot = number(2).and_then(|boot| u32::try_from(boot).ok()).unwrap_or(1);
    match argument(1) {
        Some("fill") => {
            let (from, to) = (number(3).unwrap_or(0), number(4).unwrap_or(0));
            return Ok(fill(&dir, boot, from, to)?);
        }
        Some("start") => return Ok(start(&dir, boot)?),
        _ => {}
    }
    let purchases = number(1).unwrap_or(100_000);
    let archive = argument(2) == Some("archive");
    let mut points = Vec::new();
    let mut from = 0;
    for (to, boot) in [purchases / 10, purchases * 3 / 10, purchases]
        .into_iter()
        .zip(1..)
    {
        points.push(measure(&dir, from, to, archive, boot)?);
        from = to;
    }
    print(&points);
    Ok(())
}
