//! The errors of a store.

use crate::postgres::DatabaseError;
use std::fmt;
use std::path::PathBuf;

/// Why a transaction was not carried out, or the store could not be opened.
///
/// A transaction that gets an error was not acknowledged. After [`StoreError::Halted`] or [`StoreError::Closed`] it may
/// still be durable after a restart. After any other error it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too many transactions are waiting.
    #[error("the store is busy: {waiting_max} transactions are waiting already; try again later")]
    Busy {
        /// How many may wait.
        waiting_max: usize,
    },
    /// The disk has no room. Nothing was written. The store goes on when there is room.
    #[error("the disk is full: {free_bytes} bytes are free, {wanted_bytes} are needed; free some space")]
    Full {
        /// What is free (bytes).
        free_bytes: u64,
        /// What was needed, the reserve included (bytes).
        wanted_bytes: u64,
    },
    /// The disk failed, and its content is unknown until a restart.
    #[error("the store has stopped: {why}; repair the cause and restart the node")]
    Halted {
        /// What failed.
        why: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A transaction's own code panicked. Nothing of it was written.
    #[error("a transaction failed on a bug: {0}; nothing of it was written")]
    Panicked(String),
    /// A transaction's own code refused. Nothing of it was written.
    #[error("the transaction was refused: {0}")]
    Refused(String),
    /// A transaction read a row that it did not declare.
    #[error(
        "a transaction failed on a bug: it reads a row of {table} that it did not declare; nothing of it was written"
    )]
    Undeclared {
        /// The row's table.
        table: &'static str,
    },
    /// A transaction did something else when it ran again over the same rows. Only a store that runs each transaction twice
    /// finds this.
    #[error(
        "a transaction failed on a bug: run again over the same rows, it does something else; nothing of it was written"
    )]
    Unrepeatable,
    /// A key, a value or a transaction is longer than it may be.
    #[error("a {what} is {got_bytes} bytes long, at most {max_bytes} are allowed")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// What it has (bytes).
        got_bytes: usize,
        /// What is allowed (bytes).
        max_bytes: usize,
    },
    /// A key is empty, or begins with a byte that the store keeps for itself.
    #[error("a key has to begin with its table's prefix, 1 to 254")]
    ReservedKey,
    /// A row does not decode as its table's type.
    #[error("a row of table {table} does not decode ({why}); was the data written by another version?")]
    Row {
        /// The table.
        table: &'static str,
        /// What the decoder said.
        why: String,
    },
    /// The index failed on a read.
    #[error("the index failed: {0}; restart the node, which rebuilds the index if necessary")]
    Index(String),
    /// Another process has the directory open.
    #[error("the directory {dir} is in use by another process; stop that one first")]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The database of the store.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There is no store, and none is made.
    #[error(
        "there is no store in {dir}, and an empty one would have forgotten everything; is its disk mounted? if the store is \
         lost, do what the operations guide says under `The store is gone`; nothing was changed"
    )]
    Absent {
        /// The directory of the store.
        dir: PathBuf,
    },
    /// The journal's payloads are sealed, and the options have no cipher.
    #[error("the journal {path} is sealed with a password")]
    Sealed {
        /// The journal.
        path: PathBuf,
    },
    /// The options have a cipher, and the journal's payloads are not sealed.
    #[error(
        "the journal {path} is not sealed, although the directory has a password; was it put there from elsewhere?"
    )]
    NotSealed {
        /// The journal.
        path: PathBuf,
    },
    /// A store that was opened read-only takes no transactions.
    #[error("the store was opened to read only")]
    ReadOnly,
    /// An older program was the last one that opened the directory. A store that is opened read-only is not upgraded.
    #[error("the directory {dir} was last used by an older program; a command that writes upgrades it")]
    Older {
        /// The directory.
        dir: PathBuf,
    },
    /// The journal lacks an acknowledged record, or has changed bytes.
    #[error(
        "the journal {path} is damaged: {damage}; do not delete it, and put no older copy in its place; `verify` shows which records are left, and the operations guide says what to do"
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// What is wrong, and where.
        damage: Damage,
    },
    /// A newer program has written to the directory. Nothing was changed.
    #[error(
        "{} was last used by a newer program: its format version is {found}, this program knows up to {known}; nothing \
         was changed; use the newer program again",
        .path.as_ref().map_or("the store".to_owned(), |path| format!("the journal {}", path.display()))
    )]
    Newer {
        /// The journal, if its header has the newer version. Otherwise a row has it.
        path: Option<PathBuf>,
        /// The version that was found.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The journal has no record of this number yet.
    #[error("the journal has records up to {last}, and no record {asked}")]
    NoRecord {
        /// The number that was asked for.
        asked: u64,
        /// The last record.
        last: u64,
    },
    /// The records up to `last` are archived: their files are not in the directory.
    #[error(
        "the records up to {last} are archived: their files `journal.*` are not in {dir}; name the directory that has them with \
         `--archive`, or put them back there"
    )]
    Archived {
        /// The directory of the store.
        dir: PathBuf,
        /// The last archived record.
        last: u64,
    },
    /// A file operation failed while the store was opened or verified.
    #[error("could not {doing}: {why}")]
    Disk {
        /// What was attempted, with the path.
        doing: String,
        /// What the disk said.
        why: String,
    },
}

/// Where a journal is damaged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where the damaged record begins (bytes from the start of the file).
    pub offset: u64,
    /// The sequence number that was expected there. 0 for the journal's own header.
    pub sequence: u64,
    /// The kind of damage.
    pub kind: DamageKind,
}

/// How a journal is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The journal's own header is damaged, or the file is no journal.
    Header,
    /// The file has a format version that never existed.
    Version(u32),
    /// Acknowledged records up to this sequence number are missing.
    Missing(u64),
    /// Bytes of the record have changed, and no interrupted write explains the change.
    Changed,
    /// The record is whole, but does not follow the one before it.
    Chain,
    /// The record is whole, but its payload does not decode as writes.
    Payload,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}, record {}: ", self.offset, self.sequence)?;
        match self.kind {
            DamageKind::Header => f.write_str("this is not the header of a journal"),
            DamageKind::Version(got) => {
                write!(f, "the format version is {got}, which never existed")
            }
            DamageKind::Missing(last) => {
                write!(f, "acknowledged records up to {last} are missing")
            }
            DamageKind::Changed => {
                f.write_str("its bytes have changed, and no interrupted write explains it")
            }
            DamageKind::Chain => f.write_str("it does not follow the record before it"),
            DamageKind::Payload => f.write_str("its payload does not decode as writes"),
        }
    }
}

impl StoreError {
    /// Whether another process has the store open.
    pub fn is_in_use(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. } | Self::Database(DatabaseError::InUse { .. })
        )
    }

    pub(crate) fn disk(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Disk {
            doing,
            why: error.to_string(),
        }
    }

    pub(crate) fn halted(why: impl Into<String>) -> Self {
        Self::Halted { why: why.into() }
    }
}
