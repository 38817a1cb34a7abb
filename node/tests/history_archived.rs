//! The comparison of journals over archived records: their hashes stay. A lost hash makes no node behind.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use async_trait::async_trait;
use farthing_coin::{SecretKey, Signed};
use farthing_node::{
    card::{Card, RoleName},
    history::{HeadsTable, History, HistoryParts},
    network::{Channel, Lane, Network, NetworkError},
    peers::Peers,
};
use farthing_protocol::{
    history::{JournalHead, WitnessRequest},
    ids::{JournalRun, RecordHash, WitnessNonce},
    refusal::Later,
};
use farthing_store::{
    Reads, Store, StoreError, StoreOptions, Table, archive_segments,
    disk::{Disk, MemoryDisk},
    entropy::{Entropy, SeededEntropy},
};
use std::{path::Path, sync::Arc};

const HEADS: HeadsTable = Table::new(1, "heads");
const ROWS: Table<u64, Vec<u8>> = Table::new(2, "rows");
const DIR: &str = "/node";
const RECORDS: u64 = 100;

/// A network without servers.
struct NoNetwork;

#[async_trait]
impl Network for NoNetwork {
    async fn connect(&self, _: &Card, _: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        panic!("no peer is asked")
    }
}

fn key(seed: u64) -> SecretKey {
    let entropy = SeededEntropy::new(seed);
    let seeded: &dyn Entropy = &entropy;
    SecretKey::generate(&mut seeded.rng())
}

fn open(disk: &MemoryDisk) -> Store {
    let options = StoreOptions {
        segment_bytes: 2048,
        ..StoreOptions::simulated(disk.clone(), 1)
    };
    Store::open(Path::new(DIR), options).unwrap().0
}

/// A node that starts on this disk.
fn started(disk: &MemoryDisk) -> (Store, Arc<History>) {
    let store = open(disk);
    let history = History::new(HistoryParts {
        key: Arc::new(key(1)),
        store: store.clone(),
        heads: HEADS,
        peers: Arc::new(Peers::new(Arc::new(NoNetwork), Vec::new())),
        witnesses: RoleName::Escrow,
        entropy: Arc::new(SeededEntropy::new(1)),
    });
    (store, history)
}

/// A disk with a journal whose first files are archived, the last archived record, and the hash of the first.
fn archived() -> (MemoryDisk, u64, RecordHash) {
    let disk = MemoryDisk::new();
    let store = open(&disk);
    for number in 1..=RECORDS {
        let put = store.transact_blocking(Reads::none(), move |tx| ROWS.put(tx, &number, &vec![1; 100]));
        put.unwrap();
    }
    let first = store.hash_at(1).unwrap().unwrap();
    store.close().unwrap();
    let moved = archive_segments(Path::new(DIR), Path::new("/archive"), &disk).unwrap();
    (disk, moved.last().unwrap().last, first)
}

/// A peer remembers this head of the node. Returns whether the node may decide after the peer's question.
fn asked(history: &Arc<History>, records: u64, hash: RecordHash) -> Result<(), Later> {
    let (node, peer) = (key(1), key(2));
    let head = JournalHead {
        node: node.public(),
        run: JournalRun([7; 32]),
        records,
        hash,
    };
    let request = WitnessRequest {
        asker: peer.public(),
        witness: node.public(),
        nonce: WitnessNonce([3; 32]),
        remembered: Some(Signed::sign(head, &node)),
    };
    history.testify(Signed::sign(request, &peer)).unwrap();
    history.standing()
}

#[tokio::test]
async fn a_head_that_is_archived_is_known_and_another_one_stops_the_node() {
    let (disk, last, first) = archived();
    assert!(last > 1);
    let (_store, history) = started(&disk);
    assert_eq!(asked(&history, 1, first), Ok(()));
    assert_eq!(asked(&history, 1, RecordHash([9; 32])), Err(Later::Behind));
}

#[tokio::test]
async fn a_lost_hash_is_neither_a_sign_of_an_older_copy_nor_an_answer() {
    let (disk, last, first) = archived();
    let (store, history) = started(&disk);
    for name in disk.list(Path::new(DIR)).unwrap() {
        if name.starts_with("hashes.") {
            disk.remove(&Path::new(DIR).join(name)).unwrap();
        }
    }
    let unknown = store.hash_at(1);
    assert!(matches!(unknown, Err(StoreError::Archived { .. })), "{unknown:?}");
    assert_eq!(asked(&history, 1, first), Ok(()));
    assert_eq!(asked(&history, last - 1, RecordHash([9; 32])), Ok(()));
    // What is here is still compared.
    assert_eq!(asked(&history, RECORDS, RecordHash([9; 32])), Err(Later::Behind));
}
