//! Opening a store. After any kill or crash, it makes the journal and the index agree.

use crate::background::Background;
use crate::committer::Committer;
use crate::disk::{DirectoryLock, Disk, LOCK_NAME, read_file};
use crate::error::{Damage, DamageKind, StoreError};
use crate::index::{Head, Index, Writes, apply_in_parts};
use crate::index_buffered::BufferedIndex;
use crate::index_found::{INDEX_NAME, IndexFound, distrust, distrust_by_state, find_index, keep_or_wipe};
use crate::journal::Journal;
use crate::limits::{LOCK_NOTE_MAX_BYTES, REBUILD_ROWS};
use crate::options::{Progress, Stage, StoreOptions, Threading};
use crate::probe;
use crate::reader::{Checked, JOURNAL_NAME, Reader};
use crate::shared::Shared;
use crate::state::{Left, STATE_NAME, State};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The result of opening a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Number of verified records: all, or only the last ones after a clean stop.
    pub verified: u64,
    /// Number of records that were copied from the journal to the index.
    pub replayed: u64,
    /// Whether the index was kept.
    pub index: IndexFound,
    /// Length of the torn record that was cut off the journal's end (bytes).
    pub cut_torn_bytes: u64,
    /// Whether the last process closed the store.
    pub was_clean: bool,
}

impl OpenReport {
    /// Whether the index was rebuilt.
    pub fn rebuilt(&self) -> bool {
        matches!(self.index, IndexFound::Rebuilt(_))
    }
}

/// Takes the lock of `dir`.
pub(crate) fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn DirectoryLock>, StoreError> {
    disk.lock(dir).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StoreError::InUse { dir: dir.to_owned() },
        _ => StoreError::disk(format!("lock {}", dir.display()))(error),
    })
}

/// Makes `dir` if it is not there, and takes its lock with the note of the options.
pub(crate) fn lock_with_note(
    dir: &Path,
    options: &StoreOptions,
) -> Result<Box<dyn DirectoryLock>, StoreError> {
    let disk = options.disk.as_ref();
    disk.create_dir(dir)
        .map_err(StoreError::disk(format!("create {}", dir.display())))?;
    let lock = lock(disk, dir)?;
    if let Some(note) = &options.lock_note
        && let Err(error) = lock.note(note)
    {
        tracing::warn!(%error, "the lock has no note");
    }
    Ok(lock)
}

/// The note of the process that has the store in `dir` open: the `lock_note` of its options. It may be the note of an
/// earlier process. `None` if there is none.
pub fn lock_note(dir: &Path, disk: &dyn Disk) -> Option<String> {
    let bytes = read_file(disk, &dir.join(LOCK_NAME), LOCK_NOTE_MAX_BYTES).ok()??;
    String::from_utf8(bytes).ok()
}

/// The journal in `dir`, or `None` if the directory never had a journal.
pub(crate) fn find_journal(
    disk: &dyn Disk,
    dir: &Path,
    state: Option<&State>,
) -> Result<Option<Reader>, StoreError> {
    if let Some(reader) = Reader::open(disk, dir)? {
        return Ok(Some(reader));
    }
    // The journal is created first. If there are other files, the journal is lost. A new journal would forget every spent
    // coin.
    let names = disk
        .list(dir)
        .map_err(StoreError::disk(format!("list {}", dir.display())))?;
    if names.iter().any(|name| name == INDEX_NAME || name == STATE_NAME) {
        let last = state.map_or(0, |state| state.head.sequence);
        let damage = Damage {
            offset: 0,
            sequence: 0,
            kind: DamageKind::Missing(last),
        };
        return Err(StoreError::Damaged {
            path: dir.join(JOURNAL_NAME),
            damage,
        });
    }
    Ok(None)
}

/// Refuses a directory that never had a journal, or has lost it with all files beside it. Changes nothing.
pub(crate) fn refuse_absent(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let names = disk
        .list(dir)
        .map_err(StoreError::disk(format!("list {}", dir.display())))?;
    let of_store = [JOURNAL_NAME, INDEX_NAME, STATE_NAME];
    match names.iter().any(|name| of_store.contains(&name.as_str())) {
        true => Ok(()),
        false => Err(StoreError::Absent { dir: dir.to_owned() }),
    }
}

pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<(Committer, OpenReport), StoreError> {
    let disk = options.disk.as_ref();
    let lock = lock_with_note(dir, options)?;
    options.probe.reached(probe::BEFORE_RECOVERY);
    let state = State::read(disk, dir);
    let reader = match find_journal(disk, dir, state.as_ref())? {
        Some(reader) => reader.with_cipher(options.cipher.clone())?,
        None => Reader::create(options, dir)?,
    };
    let state_distrust = distrust_by_state(state.as_ref(), disk);
    if let (Some(state), None) = (&state, &state_distrust) {
        // Before any use of the index: if the machine goes down from here on, the next start does not trust the index. If the
        // index is not trusted now, the state file already says so. It stays until the index is rebuilt.
        State::new(Left::Open, disk, state.head).write(disk, dir)?;
    }
    let found = find_index(dir, options);
    let checked = check(&reader, state.as_ref(), found.applied, options)?;
    if checked.torn_bytes > 0 {
        tracing::warn!(
            bytes = checked.torn_bytes,
            "cut off a record that was never acknowledged"
        );
    }
    let journal = Journal::resume(reader.clone(), &checked, options, dir)?;
    // A damaged journal stays unchanged: `check` has returned its error by now. The version of a whole journal is raised
    // before any record is written.
    reader.raise_version()?;
    options.probe.reached(probe::BEFORE_REPLAY);
    let distrust = distrust(&found, &checked, state.as_ref()).or(state_distrust);
    let (index, applied, index_found) = keep_or_wipe(found, distrust, &checked, dir, options)?;
    let replayed = replay(&reader, index.as_ref(), applied, checked.head, options)?;
    let index: Arc<dyn Index> = match options.index_engine().is_durable() {
        false => index,
        true => Arc::new(BufferedIndex::new(index, checked.head, options.buffer_bytes)),
    };
    State::new(Left::Open, disk, checked.head).write(disk, dir)?;
    options.probe.reached(probe::AFTER_OPEN);
    let report = OpenReport {
        verified: checked.head.sequence.saturating_sub(checked.from.head.sequence),
        replayed,
        index: index_found,
        cut_torn_bytes: checked.torn_bytes,
        was_clean: state.is_some_and(|state| state.left == Left::Closed),
    };
    let has_skipped = checked.from.head.sequence > 0;
    let background = has_skipped.then(|| Background::start(reader.clone(), checked.from));
    let committer = Committer {
        background: background.transpose()?,
        shared: Arc::new(Shared::new(index, reader, checked.head, journal.bytes())),
        journal,
        probe: Arc::clone(&options.probe),
        disk: Arc::clone(&options.disk),
        dir: dir.to_owned(),
        runs_twice: options.runs_twice,
        halted: None,
        _lock: lock,
    };
    Ok((committer, report))
}

/// Checks the end of the journal after a clean stop, and otherwise the whole journal.
///
/// Records that the index or the last process knew were acknowledged. So the check can tell a torn record from a lost one.
fn check(
    reader: &Reader,
    state: Option<&State>,
    applied: Option<Head>,
    options: &StoreOptions,
) -> Result<Checked, StoreError> {
    let closed = state.filter(|state| {
        let threads = options.threading == Threading::Thread;
        threads && state.left == Left::Closed && applied == Some(state.head)
    });
    if let Some(closed) = closed
        && let Some(checked) = check_end(reader, closed, options)?
    {
        return Ok(checked);
    }
    let known = state.map_or(0, |state| state.head.sequence);
    let applied = applied.map(|head| head.sequence);
    let acknowledged = known.max(applied.unwrap_or(0));
    reader
        .check(reader.begin(), acknowledged, applied, options.progress.as_ref())?
        .map_err(|(damage, _)| reader.damaged(damage))
}

/// Checks the journal from the last checkpoint on. This is at least one record, which contains the hash of the record before
/// it. `None` unless the end is the same to the byte as at the clean stop.
fn check_end(reader: &Reader, closed: &State, options: &StoreOptions) -> Result<Option<Checked>, StoreError> {
    let Some(last) = closed.checkpoints.first() else {
        return Ok(None);
    };
    let sequence = closed.head.sequence;
    let checked = reader.check(*last, sequence, Some(sequence), options.progress.as_ref())?;
    let same = checked
        .ok()
        .filter(|end| end.head == closed.head && end.torn_bytes == 0);
    if same.is_some() {
        reader.trust(*last, &closed.checkpoints);
    }
    Ok(same)
}

/// Brings the index from `applied` up to `head`.
fn replay(
    reader: &Reader,
    index: &dyn Index,
    applied: u64,
    head: Head,
    options: &StoreOptions,
) -> Result<u64, StoreError> {
    let failed = |error: super::index::IndexError| StoreError::Index(error.to_string());
    let mut scanner = reader.scan_from(applied);
    let total_bytes = reader.len()?;
    let mut gathered = Writes::new();
    let mut replayed = 0u64;
    let mut from = scanner.at.head;
    while scanner.at.head.sequence < head.sequence {
        let before = scanner.at;
        if gathered.is_empty() {
            from = before.head;
        }
        let payload = scanner.next().map_err(reader.failed("read"))?;
        let Some(writes) = payload.and_then(|payload| reader.writes(&before.head, payload)) else {
            // The check just found this record whole.
            return Err(reader.damaged(before.damage(DamageKind::Changed)));
        };
        if before.head.sequence < applied {
            continue;
        }
        gathered.extend(writes);
        replayed = replayed.saturating_add(1);
        if gathered.len() >= REBUILD_ROWS || scanner.at.head == head {
            apply_in_parts(index, &gathered, from, scanner.at.head).map_err(failed)?;
            gathered.clear();
            let done_bytes = scanner.at.offset;
            (options.progress)(Progress {
                stage: Stage::Replay,
                done_bytes,
                total_bytes,
            });
        }
    }
    if applied == 0 && head.sequence == 0 {
        index.apply(&gathered, head).map_err(failed)?;
    }
    Ok(replayed)
}
