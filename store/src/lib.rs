//! The durable store: an append-only journal is the truth, and an index of its rows stands beside it.
//!
//! Every change is a transaction: a closure that declares the rows it reads, and writes rows. It may run again. One writer
//! takes all that are waiting, runs them one after another, appends what they wrote to the journal as one record, syncs it
//! once, takes it into the index, and only then lets the answers go. So an answer always speaks of what is durable.
//! The index takes it into memory first, and to its [`Engine`], sled unless told otherwise, beside the commits that follow.
//!
//! Many owners of rows can share one store and its syncs, each in a [namespace](Store::namespace) of its own.
//!
//! A record holds the hash of the one before it. The journal's head therefore stands for the whole history,
//! and a node that rewrites its own is caught by whoever knows an earlier head.
//!
//! What may happen, and what is done about it:
//!
//! | what | then |
//! |---|---|
//! | a transaction panics or refuses | its caller is told; nothing of it is written; the others go on |
//! | too many wait | [`StoreError::Busy`], at once |
//! | the disk is full | [`StoreError::Full`] before anything is written; goes on when there is room |
//! | a write or a sync fails | [`StoreError::Halted`] for good: a failed sync is never tried again |
//! | killed, or the power goes | the next start cuts off a torn last record, which nobody was told of |
//! | the index is damaged, lost, or was open when the machine went down | it is rebuilt from the journal |
//! | the journal is damaged, or shorter than what was acknowledged | [`StoreError::Damaged`], with the place: it does not open, or stops for good where that is found later |
//! | a newer program has had the directory | [`StoreError::Newer`], with nothing changed |
//! | another process has the directory | [`StoreError::InUse`] |
//!
//! After a clean stop a start checks the end of the journal alone, and the rest beside the work; after any other, the
//! whole of it. There are no snapshots yet: it is one file that only grows, and a rebuild replays all of it (about
//! 20 thousand rows a second).

#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod background;
mod checkpoints;
pub mod clock;
mod committer;
pub mod disk;
pub mod entropy;
mod error;
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
pub mod probe;
mod reader;
mod reads;
mod record;
mod recovery;
mod scan;
mod schema;
mod shared;
mod state;
mod table;
mod transaction;
mod verify;
mod view;

pub use error::{Damage, DamageKind, StoreError};
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
pub use reads::{FirstStage, Reads};
pub use recovery::OpenReport;
pub use schema::SCHEMA_VERSION;
pub use shared::StoreCounts;
pub use table::Table;
pub use transaction::Transaction;
pub use verify::{VerifyReport, verify};
pub use view::View;
