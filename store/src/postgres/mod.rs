//! A store in a PostgreSQL database, in the place of a journal with an index.
//!
//! One process of a node is active, and others wait as standbys. A takeover equals a restart. So everything that holds for
//! the embedded store and its single writer holds here too:
//!
//! - The lock of the active process, which the database frees when its connection ends, tells a standby when it is needed.
//! - A process that takes the store over writes its random id into the head. Every batch compares that id, and the number
//!   and hash of the last batch, with what its process wrote last, in the statement that writes. A process that was replaced
//!   halts, and nothing of its batch is answered.
//! - A batch is answered after the database has acknowledged it. With a synchronous standby of the database, that is after
//!   the standby has it on its disk.
//!
//! Reads outside transactions see rows of other sessions. A row that is visible may not be on the synchronous standby of the
//! database yet: the wait for it can be cut short, and a restart of the primary makes all rows visible. A read of the active
//! process waits for the batch that was under way, and a takeover writes before it answers. One case is left: a process that
//! was replaced and does not know it yet reads rows of its successor, which may not be acknowledged. It can answer with them
//! until it notices that its lock is lost, within a second after the end of that connection, or until its next batch.

mod database;
mod error;
mod flight;
mod lock;
mod open;
mod pool;
mod rows;
mod runtime;
mod session;
mod tables;
mod url;
mod write_session;
mod writer;

pub use database::{Database, StandbyFn, WhileInUse};
pub use error::DatabaseError;
pub use open::create_database_store;
pub(crate) use open::open;
pub use url::DatabaseUrl;
