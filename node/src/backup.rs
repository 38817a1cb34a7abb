//! Backups of a node that has a store: one file with its settings, keys, cards and journal.
//!
//! | module | holds |
//! |---|---|
//! | [`archive`] | the file: its layout, how it is written, and its check before anything of it is used |
//! | [`restore`] | makes a node of a backup and the archived segments that follow it |
//!
//! The journal in a backup ends with a record that was durable. A full backup begins with the first record. An archived
//! segment has the records after a known one, and the same settings, keys and cards.

pub mod archive;
pub mod restore;

use crate::card::RoleName;
use crate::home::HomeError;
use crate::home::files::OutputError;
use farthing_store::StoreError;
use std::io;
use std::path::PathBuf;

/// An error of a backup or of its restore.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The backup file cannot be put in its place.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The directory of the node.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is no backup, or not whole.
    #[error("{path} is {what}; nothing was restored. Use another copy of it", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A newer program wrote the file.
    #[error("{path} was written by a newer program (backup format {found}); use the newer program", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The backup is of another role.
    #[error("{path} is the backup of the {found} `{name}`; use `farthing-{found} restore-backup`", path = path.display())]
    OtherRole {
        /// The file.
        path: PathBuf,
        /// The role in it.
        found: RoleName,
        /// The name in it.
        name: String,
    },
    /// The first file is an archived segment.
    #[error(
        "{path} is an archived segment: it has the records after {after}; name first the backup with the records up to \
         there",
        path = path.display()
    )]
    NotFull {
        /// The file.
        path: PathBuf,
        /// The record after which it begins.
        after: u64,
    },
    /// A segment does not continue what is before it.
    #[error("{path} does not continue the files before it: {why}; nothing was restored", path = path.display())]
    Gap {
        /// The segment.
        path: PathBuf,
        /// Which records do not fit.
        why: String,
    },
    /// There are too many files to copy.
    #[error("the node has {found} files to back up, at most {most} fit; copy `goods/` on its own")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many fit.
        most: usize,
    },
}

impl BackupError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            what: what.into(),
        }
    }
}
