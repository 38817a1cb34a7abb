//! A store in a PostgreSQL database: it is as good as the embedded one, and loses nothing when connections, processes or the
//! server end at any moment. Without PostgreSQL these tests do nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod conformance;
mod lost;
mod opening;
mod round_trips;
mod takeover;
mod tls;

use farthing_coin::PublicKey;
use farthing_database::Cluster;
use farthing_store::entropy::SystemEntropy;
use farthing_store::{
    Database, DatabaseError, Store, StoreError, StoreOptions, Table, Transaction, WhileInUse,
    create_database_store,
};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const COUNTERS: Table<u64, u64> = Table::new(1, "counters");
const OWNER: PublicKey = PublicKey([7; 32]);

/// The server of all tests that do not disturb others.
fn shared() -> Option<&'static Cluster> {
    static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);
    CLUSTER.as_ref()
}

/// A schema that no other test uses.
fn schema() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

fn database(url: &str) -> Database {
    Database {
        url: url.parse().unwrap(),
        password: None,
        owner: OWNER,
        name: "farthing test".to_owned(),
    }
}

/// Makes a store.
fn made(url: &str) -> Database {
    let database = database(url);
    create_database_store(&database, &SystemEntropy).unwrap();
    database
}

fn open(database: &Database) -> Result<Store, StoreError> {
    Store::open_database(database, &StoreOptions::default(), WhileInUse::Refuse)
}

fn increment(tx: &mut Transaction<'_>) -> Result<u64, StoreError> {
    let next = COUNTERS.get(tx, &0)?.unwrap_or(0) + 1;
    COUNTERS.put(tx, &0, &next)?;
    Ok(next)
}

/// Adds one to the counter, and returns it.
fn count(store: &Store) -> Result<u64, StoreError> {
    store.transact_blocking([COUNTERS.key(&0)], increment)
}

fn is_unreachable(error: &StoreError) -> bool {
    matches!(error, StoreError::Database(DatabaseError::Unreachable { .. }))
}

fn is_halted(error: &StoreError) -> bool {
    matches!(error, StoreError::Halted { .. })
}
