//! Which process has a wallet open: a note in the lock of its store.

use farthing_store::{disk::Disk, lock_note};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The process that has a wallet open. The note has no more than this, because it is not encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the command, for example `buy`.
    pub command: String,
    /// Id of the process.
    pub process: u32,
    /// When the process opened the wallet (ms since 1970).
    pub since_ms: u64,
}

impl Holder {
    /// This process, as the holder since `now_ms`.
    #[must_use]
    pub fn this_process(command: &str, now_ms: u64) -> Holder {
        Holder {
            command: command.to_owned(),
            process: std::process::id(),
            since_ms: now_ms,
        }
    }

    /// The note for [`StoreOptions::lock_note`](farthing_store::StoreOptions::lock_note).
    #[must_use]
    pub fn note(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// The note of the process that has the store in `dir` open.
    pub(crate) fn read(dir: &Path, disk: &dyn Disk) -> Option<Holder> {
        serde_json::from_str(&lock_note(dir, disk)?).ok()
    }
}
