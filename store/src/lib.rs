//! The durable store: an append-only journal is the truth, and an index of its rows stands beside it.
//!
//! Every change is a transaction: a closure that declares the rows it reads, and writes rows. The closure may run again.
//! One writer takes all waiting transactions and runs them one after another. It appends their writes to the journal as
//! one record and syncs it once. Then it applies the record to the index. Only then it releases the answers. So every
//! answer is about durable rows. The index takes rows into memory first. It moves them to its [`Engine`] beside later
//! commits. The default engine is sled.
//!
//! Many owners of rows can share one store and its syncs, each in a [namespace](Store::namespace) of its own.
//!
//! A record holds the hash of the record before it. So the journal's head stands for the whole history. A party that
//! knows an earlier head catches a node that rewrites its journal.
//!
//! Failures, and what the store does:
//!
//! | failure | reaction |
//! |---|---|
//! | a transaction panics or refuses | its caller gets the error; it writes nothing; the others go on |
//! | too many transactions wait | [`StoreError::Busy`], at once |
//! | the disk is full | [`StoreError::Full`] before any write; the store goes on when there is room |
//! | a write or a sync fails | [`StoreError::Halted`] until a restart: a failed sync is never tried again |
//! | a kill or a power failure | the next start cuts off a torn last record, which was never acknowledged |
//! | the index is damaged, lost, or was open when the machine went down | it is rebuilt from a snapshot and the journal |
//! | a snapshot is damaged | an older one or the whole journal is used, and the log says so |
//! | a wanted record is archived | [`StoreError::Archived`] with the last archived record |
//! | the journal is damaged, or lacks acknowledged records | [`StoreError::Damaged`] with the offset: the store does not open, or halts if it is found later |
//! | the journal is sealed, and the options have no cipher | [`StoreError::Sealed`]; [`StoreError::NotSealed`] for the opposite |
//! | a newer program has used the directory | [`StoreError::Newer`]; nothing is changed |
//! | another process has the directory | [`StoreError::InUse`]; [`Store::open_read_only`] reads beside it |
//!
//! A start checks only the end of the journal, and the rest beside the work. The journal is a row of files. After a clean stop
//! the end begins at the last checkpoint. After a kill it begins with the file that has the index's last record. A rebuild
//! of the index loads a snapshot of all rows, and replays the records after it. Old files can be [archived](archive_segments).
//!
//! # One run
//!
//! ```
//! use farthing_store::{Store, StoreError, StoreOptions, Table, disk::MemoryDisk};
//! use std::path::Path;
//!
//! const BALANCES: Table<String, u64> = Table::new(1, "balances");
//!
//! # fn main() -> Result<(), StoreError> {
//! // `StoreOptions::default()` keeps the same in real files.
//! let (store, _report) = Store::open(Path::new("/store"), StoreOptions::simulated(MemoryDisk::new(), 1))?;
//! let ann = String::from("ann");
//! store.transact_blocking([BALANCES.key(&ann)], move |tx| {
//!     let before = BALANCES.get(tx, &ann)?.unwrap_or_default();
//!     BALANCES.put(tx, &ann, &(before + 10))
//! })?;
//! // The call returns after the row is durable.
//! assert_eq!(BALANCES.peek(&store.view(), &"ann".into())?, Some(10));
//! store.close()
//! # }
//! ```

#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod archive;
mod background;
mod batch;
mod checkpoints;
mod cipher;
pub mod clock;
mod committer;
mod counts;
pub mod disk;
pub mod entropy;
mod error;
mod extract;
mod handle;
mod index;
mod index_buffered;
mod index_found;
mod index_memory;
mod index_sled;
mod job;
mod journal;
mod key;
pub mod limits;
mod migration;
mod namespace;
mod options;
mod panics;
mod past_hashes;
mod postgres;
pub mod probe;
mod read_backend;
mod read_only;
mod reader;
mod reads;
mod record;
mod recovery;
mod scan;
mod schema;
mod sealing;
mod segments;
mod shared;
mod snapshot;
mod snapshots;
mod state;
mod table;
mod transaction;
mod verify;
mod view;
mod write_backend;

pub use archive::{ArchivedSegment, archive_segments};
pub use cipher::RecordCipher;
pub use counts::StoreCounts;
pub use error::{Damage, DamageKind, StoreError};
pub use extract::JournalExtract;
pub use handle::Store;
pub use index::{Engine, Head, Index, IndexError, Row, Writes, scan_start};
pub use index_buffered::BufferedIndex;
pub use index_found::IndexFound;
pub use index_memory::{MemoryEngine, MemoryIndex};
pub use index_sled::{SledEngine, SledIndex};
pub use job::Job;
pub use key::{FixedKey, Key, RowKey};
pub use migration::Migration;
pub use options::{Progress, ProgressFn, Stage, StoreOptions, Threading};
pub use postgres::{Database, DatabaseError, DatabaseUrl, StandbyFn, WhileInUse, create_database_store};
pub use reads::{FirstStage, Reads};
pub use recovery::{OpenReport, lock_note};
pub use schema::SCHEMA_VERSION;
pub use sealing::{LockedStore, replace_journal};
pub use table::Table;
pub use transaction::Transaction;
pub use verify::{VerifyReport, verify, verify_with_archives};
pub use view::View;
