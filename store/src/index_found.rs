//! The index at a start. It is kept if it agrees with the journal, and otherwise rebuilt.

use crate::disk::Disk;
use crate::error::StoreError;
use crate::index::{Head, Index};
use crate::options::StoreOptions;
use crate::reader::{Checked, Reader};
use crate::state::{Left, State};
use std::path::Path;
use std::sync::Arc;

/// The index's folder in the directory.
pub(crate) const INDEX_NAME: &str = "index";

/// Whether the index was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexFound {
    /// There was no row to index: the store is new or has no record.
    Fresh,
    /// The index was trusted, and brought up to date.
    Kept,
    /// The index was rebuilt from the journal, for this reason.
    Rebuilt(String),
}

/// The index as it was found, or why it cannot be used.
pub(crate) struct Found {
    index: Result<Arc<dyn Index>, String>,
    pub(crate) applied: Option<Head>,
}

impl Found {
    /// Why the index cannot be used, whatever the journal says, or `None`.
    pub(crate) fn unusable(&self, reader: &Reader) -> Option<String> {
        if let Err(why) = &self.index {
            return Some(why.clone());
        }
        let Some(applied) = self.applied else {
            return Some("it is empty".into());
        };
        let begin = reader.begin().head.sequence;
        // Loading a snapshot moves the index's head only at its end.
        let is_unfinished = applied.sequence == 0 && reader.files.active_begin().head.sequence > 0;
        let why = || {
            format!(
                "it ends with record {}, and a rebuild from a snapshot was interrupted",
                applied.sequence
            )
        };
        (applied.sequence < begin || is_unfinished).then(why)
    }
}

fn open_index(dir: &Path, options: &StoreOptions) -> Result<Arc<dyn Index>, String> {
    let index = options
        .index_engine()
        .open(&dir.join(INDEX_NAME), options.cache_bytes);
    index.map_err(|error| format!("it does not open: {error}"))
}

/// Opens the index in `dir`, and reads its head.
pub(crate) fn find_index(dir: &Path, options: &StoreOptions) -> Found {
    let index = open_index(dir, options);
    match index.map(|index| (index.applied(), index)) {
        Ok((Ok(applied), index)) => Found {
            index: Ok(index),
            applied,
        },
        Ok((Err(error), _)) => Found {
            index: Err(error.to_string()),
            applied: None,
        },
        Err(why) => Found {
            index: Err(why),
            applied: None,
        },
    }
}

/// Why the index is not trusted after the way in which the last process ended, or `None`. Writes of sled survive the death
/// of the process, but not a failure of the machine.
pub(crate) fn distrust_by_state(state: Option<&State>, disk: &dyn Disk) -> Option<String> {
    match state {
        None => Some("there is no record of how the last process left it".into()),
        Some(state) if state.left == Left::IndexFailed => Some("it had failed".into()),
        Some(state) if state.left == Left::Open && !state.same_boot(disk) => {
            Some("the machine went down while the store was open".into())
        }
        Some(_) => None,
    }
}

/// Why a usable index does not fit the checked journal, or `None`.
pub(crate) fn distrust(found: &Found, checked: &Checked, state: Option<&State>) -> Option<String> {
    let applied = found.applied?;
    if checked.hash_asked != Some(applied.hash) {
        return Some(format!(
            "it belongs to another history at record {}",
            applied.sequence
        ));
    }
    // sled silently cuts its own log at the first damage. The index of a killed process may lag. The index of a closed store
    // must not: it has lost rows.
    state
        .filter(|state| state.left == Left::Closed && state.head.sequence > applied.sequence)
        .map(|state| {
            format!(
                "it was closed at record {}, and is at {} now",
                state.head.sequence, applied.sequence
            )
        })
}

/// An index, the last record that it has, and whether it was kept.
type Chosen = (Arc<dyn Index>, u64, IndexFound);

/// Keeps the index, or replaces it by an empty one if it is not trusted.
pub(crate) fn keep_or_wipe(
    found: Found,
    distrust: Option<String>,
    checked: &Checked,
    dir: &Path,
    options: &StoreOptions,
) -> Result<Chosen, StoreError> {
    let applied = found.applied.map_or(0, |head| head.sequence);
    let why = match (found.index, distrust) {
        (Ok(index), None) => return Ok((index, applied, IndexFound::Kept)),
        (Ok(index), Some(_)) if found.applied.is_none() && checked.head.sequence == 0 => {
            return Ok((index, 0, IndexFound::Fresh));
        }
        // An index in memory starts empty, so it is never wrong.
        (Ok(index), Some(why)) if !options.index_engine().is_durable() => {
            return Ok((index, 0, IndexFound::Rebuilt(why)));
        }
        // Closed before its files are removed.
        (Ok(index), Some(why)) => {
            drop(index);
            why
        }
        (Err(why), _) => why,
    };
    tracing::warn!(%why, records = checked.head.sequence, "rebuilding the index from the journal");
    let path = dir.join(INDEX_NAME);
    let wiped = options.index_engine().wipe(&path);
    wiped.map_err(StoreError::disk(format!("remove {}", path.display())))?;
    let index = open_index(dir, options).map_err(|why| StoreError::Index(format!("a new one: {why}")))?;
    Ok((index, 0, IndexFound::Rebuilt(why)))
}
