//! Real processes over real QUIC, with real files and the commands of the users.
//!
//! | what | file |
//! |---|---|
//! | a purchase as the README shows it, and its evidence | `by_hand` |
//! | coins, verified without the code that makes them | `coins` |
//! | processes that are killed and stopped | `killed` |
//! | every program, killed at every point | `points` |
//! | an item that costs nothing | `free` |
//! | nodes that are frozen for a while | `frozen` |
//! | replies that are lost; a wallet that is lost | `lost` |
//! | the final count, which can fail; a short soak | `counted` |
//! | every step of the demo | `demo` |
//! | lines that die in one direction | `cut` |
//! | lines that lose, repeat, reorder and delay | `lossy` |
//! | machines of their own, and a network that is parted | `parted` |
//! | impostors | `pinned` |
//! | goods whose file cannot be written, is gone, or is another program's | `delivered` |
//! | stores in a PostgreSQL database, and standbys | `database` |
//! | disks that are full | `full` |
//! | files that are damaged | `damaged` |
//! | commands that a party refuses, or does not answer | `refused` |
//! | the same request, asked again and again | `repeated` |
//! | lines that are slow | `slow` |
//! | offers that are sealed, and whose merchant is down | `sealed` |
//! | nodes that are started from an older copy of their directory | `restored` |
//! | connections, which never join two matters | `lanes` |
//! | a relay between wallets and nodes | `relayed` |
//! | metrics, health and the page of every node | `metrics` |
//! | wallets whose network has no UDP | `tcp` |
//! | a wallet with a password | `password` |
//! | two commands of one wallet at the same time | `together` |
//! | a repeated command while its purchase is under way | `again` |
//! | a wallet that is looked after | `looked_after` |
//! | a stream whose customer is killed | `watched` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod again;
mod by_hand;
mod coins;
mod counted;
mod cut;
mod damaged;
mod database;
mod delivered;
mod demo;
mod free;
mod frozen;
mod full;
mod killed;
mod lanes;
mod looked_after;
mod lossy;
mod lost;
mod metrics;
mod parted;
mod password;
mod pinned;
mod points;
mod refused;
mod relayed;
mod repeated;
mod restored;
mod sealed;
mod slow;
mod tcp;
mod together;
mod watched;

use farthing_tests::processes::testbed::Testbed;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The wallet and every node, built with these tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_farthing-tested");

fn testbed() -> Testbed {
    Testbed::new(PROGRAM)
}

/// All files below `dir`, with their bytes. The zeros at their ends, which are the journal's room, are left out.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    // A socket of a running node is no file.
    let entries = entries.filter(|path| path.is_dir() || path.is_file());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => {
                let mut bytes = fs::read(&path).unwrap();
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                bytes.truncate(end);
                vec![(path, bytes)]
            }
        })
        .collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Calls `each` with every element in parallel. These tests mostly wait.
fn in_parallel<T: Copy + Send + Sync, R: Send>(of: &[T], each: impl Fn(T) -> R + Sync) -> Vec<R> {
    let each = &each;
    std::thread::scope(|scope| {
        let threads: Vec<_> = of.iter().map(|one| scope.spawn(move || each(*one))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
