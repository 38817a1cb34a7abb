//! Draining: a node begins nothing new, and finishes what is under way. Its operator turns it on, for example before the
//! node is moved or closed.
//!
//! It is a file in the node's directory, so a node that is started again drains on. Each role asks [`Drain::check`] where
//! a request would begin something new. Everything else is answered as before.

use crate::home::files::{self, Mode};
use farthing_protocol::refusal::Later;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file that exists while the node drains.
pub const DRAIN_FILE: &str = "draining";

/// The longest content of the file (bytes).
const FILE_MAX_BYTES: u64 = 256;

/// Whether a node drains, and since when.
#[derive(Debug, Default)]
pub struct Drain {
    /// `None` for a node without a directory, which forgets it when it stops.
    path: Option<PathBuf>,
    /// When it began (ms since 1970).
    since_ms: Mutex<Option<u64>>,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    since_ms: u64,
}

impl Drain {
    /// Reads whether the node in `dir` drains.
    ///
    /// # Errors
    /// When the file cannot be read. A damaged file counts as one without a date: the node drains.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let path = dir.join(DRAIN_FILE);
        let since_ms = match files::read_bounded(&path, FILE_MAX_BYTES) {
            Ok(bytes) => {
                let content = serde_json::from_slice(&bytes);
                Some(content.map_or(0, |Content { since_ms }| since_ms))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: Some(path),
            since_ms: Mutex::new(since_ms),
        })
    }

    /// When the draining began (ms since 1970). `None` if the node does not drain.
    pub fn since_ms(&self) -> Option<u64> {
        *self.since_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses to begin something new while the node drains.
    ///
    /// # Errors
    /// [`Later::Draining`]. It is not final: the requester may ask again later.
    pub fn check(&self) -> Result<(), Later> {
        match self.since_ms() {
            Some(_) => Err(Later::Draining),
            None => Ok(()),
        }
    }

    /// Begins to drain, or ends it, durably if the node has a directory. Beginning again keeps the first date.
    ///
    /// # Errors
    /// The errors of the operating system. Nothing has changed then.
    pub fn set(&self, on: bool, now_ms: u64) -> io::Result<()> {
        let mut since_ms = self.since_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if on == since_ms.is_some() {
            return Ok(());
        }
        match &self.path {
            Some(path) if on => {
                let content = serde_json::to_vec(&Content { since_ms: now_ms })?;
                files::replace(path, &content, Mode::Secret)?;
            }
            Some(path) => {
                fs::remove_file(path)?;
                files::sync_parent(path)?;
            }
            None => {}
        }
        *since_ms = on.then_some(now_ms);
        Ok(())
    }
}

/// What a draining node has still to finish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The open work, each kind with its number.
    pub open: Vec<OpenWork>,
    /// Until when work may still come that began before the draining (ms since 1970). `None` if the node knows all of it.
    pub until_ms: Option<u64>,
}

/// One kind of open work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenWork {
    /// What it is, in the plural.
    pub what: String,
    /// How many there are.
    pub count: usize,
    /// Whether there are more than were counted.
    pub more: bool,
}

impl UnderWay {
    /// Whether nothing is left at `now_ms`.
    pub fn is_done(&self, now_ms: u64) -> bool {
        let is_past = self.until_ms.is_none_or(|until_ms| until_ms <= now_ms);
        is_past && self.open.iter().all(|work| work.count == 0)
    }

    /// Adds `rows`, which were scanned with this limit.
    #[must_use]
    pub fn and<T>(mut self, what: &str, rows: &[T], limit: usize) -> Self {
        self.open.push(OpenWork {
            what: what.to_owned(),
            count: rows.len(),
            more: rows.len() >= limit,
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_drains_on_after_a_restart_until_it_is_turned_off() {
        let dir = tempfile::tempdir().unwrap();
        let drain = Drain::of(dir.path()).unwrap();
        drain.check().unwrap();
        drain.set(false, 1).unwrap();
        drain.set(true, 7).unwrap();
        drain.set(true, 9).unwrap();
        assert_eq!(drain.check(), Err(Later::Draining));
        let again = Drain::of(dir.path()).unwrap();
        assert_eq!(again.since_ms(), Some(7));
        again.set(false, 10).unwrap();
        again.check().unwrap();
        assert_eq!(Drain::of(dir.path()).unwrap().since_ms(), None);
        fs::write(dir.path().join(DRAIN_FILE), "?").unwrap();
        assert_eq!(Drain::of(dir.path()).unwrap().since_ms(), Some(0));
    }

    #[test]
    fn nothing_is_left_when_no_work_is_open_and_its_time_has_passed() {
        let mut left = UnderWay::default();
        assert!(left.is_done(0));
        left.until_ms = Some(5);
        assert!(!left.is_done(4) && left.is_done(5));
        let left = left.and("holds", &[1, 2], 2);
        assert_eq!((left.open[0].count, left.open[0].more), (2, true));
        assert!(!left.is_done(9));
    }
}
