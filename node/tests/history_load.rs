//! Journal heads under load: the head in an answer covers the write that the answer reports.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use async_trait::async_trait;
use farthing_coin::{PublicKey, SecretKey, Signed};
use farthing_node::{
    call::TxError,
    card::{Card, RoleName},
    history::{HeadsTable, History, HistoryParts},
    network::{Channel, Lane, Network, NetworkError},
    peers::Peers,
};
use farthing_protocol::history::JournalHead;
use farthing_store::{
    Reads, Store, StoreOptions, Table, Threading,
    disk::MemoryDisk,
    entropy::{Entropy, SeededEntropy},
};
use std::{path::Path, sync::Arc};

const HEADS: HeadsTable = Table::new(1, "heads");
const ROWS: Table<u64, u64> = Table::new(2, "rows");

/// The number of concurrent callers, and of the decisions of each.
const CALLERS: u64 = 64;
const DECISIONS: u64 = 40;

/// A network without servers.
struct NoNetwork;

#[async_trait]
impl Network for NoNetwork {
    async fn connect(&self, _: &Card, _: Lane) -> Result<Arc<dyn Channel>, NetworkError> {
        panic!("no peer is asked")
    }
}

fn history(threading: Threading) -> (Store, Arc<History>) {
    let options = StoreOptions {
        threading,
        ..StoreOptions::simulated(MemoryDisk::new(), 1)
    };
    let (store, _) = Store::open(Path::new("/node"), options).unwrap();
    let entropy = Arc::new(SeededEntropy::new(1));
    let seeded: &dyn Entropy = &*entropy;
    let history = History::new(HistoryParts {
        key: Arc::new(SecretKey::generate(&mut seeded.rng())),
        store: store.clone(),
        heads: HEADS,
        peers: Arc::new(Peers::new(Arc::new(NoNetwork), Vec::new())),
        witnesses: RoleName::Escrow,
        entropy,
    });
    (store, history)
}

/// Makes a decision. Returns the number of its record, and the head that the answer would carry.
async fn decided(store: &Store, history: &Arc<History>, row: u64) -> (u64, Signed<JournalHead>) {
    let here = store.clone();
    let deciding = history.decide(Reads::none(), move |tx| {
        ROWS.put(tx, &row, &row)?;
        Ok::<_, TxError>(here.head().sequence + 1)
    });
    let record = deciding.await.unwrap();
    (record, history.head())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_head_covers_its_answer_while_other_records_are_written() {
    let (store, history) = history(Threading::Thread);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (store, history) = (store.clone(), Arc::clone(&history));
        callers.spawn(async move {
            let mut stale = 0;
            for number in 0..DECISIONS {
                let (record, head) = decided(&store, &history, caller * DECISIONS + number).await;
                stale += u64::from(head.body.records < record);
            }
            stale
        });
    }
    let stale: u64 = callers.join_all().await.into_iter().sum();
    assert_eq!(
        stale,
        0,
        "of {} answers with a head that does not cover them",
        CALLERS * DECISIONS
    );
}

/// The same, deterministically: an answer is sent while the next record is being gathered.
#[tokio::test]
async fn a_head_covers_what_is_durable_while_the_next_record_is_gathered() {
    let (store, history) = history(Threading::Inline);
    let answered = history.decide(Reads::none(), |tx| Ok::<_, TxError>(ROWS.put(tx, &1, &1)?));
    answered.await.unwrap();
    let record = store.head().sequence;
    let meanwhile = Arc::clone(&history);
    let gathering = history.decide(Reads::none(), move |tx| {
        ROWS.put(tx, &2, &2)?;
        meanwhile.mark_decision();
        Ok::<_, TxError>(meanwhile.head())
    });
    let head: Signed<JournalHead> = gathering.await.unwrap();
    assert_eq!(head.body.records, record);
    let node: PublicKey = head.body.node;
    head.verify(&node).unwrap();
}

/// What is only remembered is not told: two idle nodes would write because the other has written.
#[tokio::test]
async fn a_head_ends_at_the_last_decision() {
    let (store, history) = history(Threading::Inline);
    let (record, head) = decided(&store, &history, 1).await;
    assert_eq!(head.body.records, record);
    let put = store.transact(Reads::none(), |tx| ROWS.put(tx, &2, &2));
    put.await.unwrap();
    assert!(store.head().sequence > record);
    assert_eq!(history.head(), head);
}
