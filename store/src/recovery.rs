//! Opening a store. After any kill or crash, it makes the journal and the index agree.

use crate::background::Background;
use crate::checkpoints::Position;
use crate::committer::Committer;
use crate::disk::{DirectoryLock, Disk, LOCK_NAME, read_file};
use crate::error::{Damage, DamageKind, StoreError};
use crate::index::{Head, Index, Writes, apply_in_parts};
use crate::index_buffered::BufferedIndex;
use crate::index_found::{
    Found, INDEX_NAME, IndexFound, distrust, distrust_by_state, find_index, keep_or_wipe,
};
use crate::journal::Journal;
use crate::limits::{LOCK_NOTE_MAX_BYTES, REBUILD_ROWS};
use crate::options::{Progress, Stage, StoreOptions, Threading};
use crate::past_hashes;
use crate::probe;
use crate::reader::{Checked, Reader};
use crate::segments::{JOURNAL_NAME, finish_switch, is_segment, names};
use crate::shared::Shared;
use crate::snapshot::{self, Snapshot};
use crate::snapshots::Snapshots;
use crate::state::{Left, STATE_NAME, State};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The result of opening a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Number of verified records: all, or only the last ones. A thread verifies the rest beside the work.
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
    find_journal_with(disk, dir, &[], state)
}

/// As [`find_journal`], with the archived segments in `archives`.
pub(crate) fn find_journal_with(
    disk: &dyn Disk,
    dir: &Path,
    archives: &[&Path],
    state: Option<&State>,
) -> Result<Option<Reader>, StoreError> {
    if let Some(reader) = Reader::open(disk, dir, archives)? {
        return Ok(Some(reader));
    }
    // The journal is created first. If there are other files, the journal is lost. A new journal would forget every spent
    // coin.
    if names(disk, dir)?.iter().any(|name| is_beside_journal(name)) {
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

/// Whether a file of this name stands beside a journal only: a segment, a snapshot, the hashes of archived records, the
/// index, or the state.
pub(crate) fn is_beside_journal(name: &str) -> bool {
    let is_numbered = is_segment(name) || snapshot::is_snapshot(name) || past_hashes::is_hashes(name);
    is_numbered || [INDEX_NAME, STATE_NAME].contains(&name)
}

/// Refuses a journal whose oldest files are gone without having been archived: an archival leaves the hashes of their records.
fn has_hashes_before(reader: Reader) -> Result<Reader, StoreError> {
    let last = reader.begin().head;
    let (disk, dir) = (reader.files.disk(), reader.files.dir());
    match past_hashes::find(disk, dir, reader.format, last.sequence)? == Some(last.hash) {
        true => Ok(reader),
        false => Err(StoreError::Damaged {
            path: reader.path().to_owned(),
            damage: Damage {
                offset: 0,
                sequence: 1,
                kind: DamageKind::Missing(last.sequence),
            },
        }),
    }
}

/// Refuses a directory that never had a journal, or has lost it with all files beside it. Changes nothing.
pub(crate) fn refuse_absent(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let is_of_store = |name: &String| name == JOURNAL_NAME || is_beside_journal(name);
    match names(disk, dir)?.iter().any(is_of_store) {
        true => Ok(()),
        false => Err(StoreError::Absent { dir: dir.to_owned() }),
    }
}

pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<(Committer, OpenReport), StoreError> {
    let disk = options.disk.as_ref();
    let lock = lock_with_note(dir, options)?;
    options.probe.reached(probe::BEFORE_RECOVERY);
    finish_switch(disk, dir)?;
    snapshot::remove_unfinished(disk, dir)?;
    let state = State::read(disk, dir);
    let reader = match find_journal(disk, dir, state.as_ref())? {
        Some(reader) => has_hashes_before(reader)?.with_cipher(options.cipher.clone())?,
        None => Reader::create(options, dir)?,
    };
    let state_distrust = distrust_by_state(state.as_ref(), disk);
    if let (Some(state), None) = (&state, &state_distrust) {
        // Before any use of the index: if the machine goes down from here on, the next start does not trust the index. If the
        // index is not trusted now, the state file already says so. It stays until the index is rebuilt.
        State::new(Left::Open, disk, state.head).write(disk, dir)?;
    }
    let found = find_index(dir, options);
    let Base {
        checked,
        distrust,
        snapshot,
    } = check(&reader, state.as_ref(), state_distrust, &found, options)?;
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
    let (index, mut applied, index_found) = keep_or_wipe(found, distrust, &checked, dir, options)?;
    if let Some(snapshot) = snapshot {
        applied = load(&snapshot, index.as_ref(), &reader, options)?;
    }
    let replayed = replay(&reader, index.as_ref(), applied, checked.head, options)?;
    let index: Arc<dyn Index> = match options.index_engine().is_durable() {
        false => index,
        true => Arc::new(BufferedIndex::new(index, checked.head, options.buffer_bytes)),
    };
    State::new(Left::Open, disk, checked.head).write(disk, dir)?;
    options.probe.reached(probe::AFTER_OPEN);
    let verified = checked.head.sequence.saturating_sub(checked.from.head.sequence);
    let report = OpenReport {
        verified,
        replayed,
        index: index_found,
        cut_torn_bytes: checked.torn_bytes,
        was_clean: state.is_some_and(|state| state.left == Left::Closed),
    };
    let has_skipped = checked.from.head.sequence > reader.begin().head.sequence;
    let background = has_skipped.then(|| Background::verify(reader.clone(), checked.from));
    let newest = snapshot::newest(disk, dir, reader.format);
    let shared = Shared::new(index, reader, checked.head, journal.bytes());
    shared.set_snapshot(newest.map_or(0, |newest| newest.from.head.sequence));
    let committer = Committer {
        background: background.transpose()?,
        snapshots: Snapshots::new(options),
        shared: Arc::new(shared),
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

/// What a start rests on: a checked end of the journal, and the index, a snapshot, or nothing but the journal.
struct Base {
    checked: Checked,
    /// Why the index is replaced, if it is.
    distrust: Option<String>,
    /// The rows from which the replaced index begins.
    snapshot: Option<Snapshot>,
}

/// Checks the journal from the last place that can be trusted, and chooses what the index is made from.
///
/// The older files of a journal are durable, as they were synced before they got their names. So a start that keeps its index
/// checks the journal from the file with the index's head, and a start with a snapshot from the snapshot's begin. An inline
/// store has no thread for the rest, so it checks everything.
fn check(
    reader: &Reader,
    state: Option<&State>,
    state_distrust: Option<String>,
    found: &Found,
    options: &StoreOptions,
) -> Result<Base, StoreError> {
    let kept = |checked| Base {
        checked,
        distrust: None,
        snapshot: None,
    };
    let closed = state.filter(|state| {
        let threads = options.threading == Threading::Thread;
        threads && state.left == Left::Closed && found.applied == Some(state.head)
    });
    if let Some(closed) = closed
        && let Some(checked) = check_end(reader, closed, options)?
    {
        return Ok(kept(checked));
    }
    let known = state.map_or(0, |state| state.head.sequence);
    let acknowledged = known.max(found.applied.map_or(0, |head| head.sequence));
    let distrust = match (found.unusable(reader), state_distrust) {
        (Some(why), _) | (None, Some(why)) => why,
        (None, None) => {
            let applied = found.applied.map_or(0, |head| head.sequence);
            let checked = check_from(
                reader,
                reader.files.begin_before(applied),
                acknowledged,
                applied,
                options,
            )?;
            match distrust(found, &checked, state) {
                None => return Ok(kept(checked)),
                Some(why) => why,
            }
        }
    };
    // A snapshot may have been made from an index that was failing.
    let has_failed = state.is_some_and(|state| state.left == Left::IndexFailed);
    let (checked, snapshot) = check_for_rebuild(reader, acknowledged, has_failed, options)?;
    Ok(Base {
        checked,
        distrust: Some(distrust),
        snapshot,
    })
}

/// Checks the journal for a rebuild of the index: from the begin of the newest usable snapshot, or all of it.
fn check_for_rebuild(
    reader: &Reader,
    acknowledged: u64,
    has_failed: bool,
    options: &StoreOptions,
) -> Result<(Checked, Option<Snapshot>), StoreError> {
    let (disk, dir) = (options.disk.as_ref(), reader.files.dir());
    let is_whole = reader.begin().head.sequence == 0;
    if has_failed && !is_whole {
        tracing::warn!(
            "the index had failed, and old files of the journal are archived: the rows come from a snapshot; run `verify` with \
             `--archive`"
        );
    }
    let snapshots = match reader.format.is_sealed() || (has_failed && is_whole) {
        true => None,
        false => Some(snapshot::whole(disk, dir, reader.format)?),
    };
    for snapshot in snapshots.into_iter().flatten() {
        // A snapshot beyond the end is of a longer journal, so this one has lost records: the check below says so.
        let is_inside = snapshot.from.offset < reader.files.active_begin().offset;
        if is_inside && !reader.has_begin(snapshot.from) {
            tracing::warn!(
                record = snapshot.to.sequence,
                "a snapshot begins where no file of this journal begins; the start takes longer"
            );
            continue;
        }
        // The snapshot's end was durable, so a journal without it has lost records.
        let acknowledged = acknowledged.max(snapshot.to.sequence);
        let checked = check_from(reader, snapshot.from, acknowledged, snapshot.to.sequence, options)?;
        if checked.hash_asked == Some(snapshot.to.hash) {
            return Ok((checked, Some(snapshot)));
        }
        tracing::warn!(
            record = snapshot.to.sequence,
            "a snapshot belongs to another history; the start takes longer"
        );
    }
    reader.need_from(0)?;
    let checked = check_from(reader, reader.begin(), acknowledged, 0, options)?;
    Ok((checked, None))
}

/// Checks the journal from `from` on, and asks for the hash at `asked`. An inline store checks everything.
fn check_from(
    reader: &Reader,
    from: Position,
    acknowledged: u64,
    asked: u64,
    options: &StoreOptions,
) -> Result<Checked, StoreError> {
    let from = match options.threading {
        Threading::Thread => from,
        Threading::Inline => reader.begin(),
    };
    let checked = reader
        .check(from, acknowledged, Some(asked), options.progress.as_ref())?
        .map_err(|(damage, _)| reader.damaged(damage))?;
    reader.trust(from, &[]);
    Ok(checked)
}

/// Loads the rows of a snapshot into the empty index. Returns the record up to which it has all rows.
fn load(
    snapshot: &Snapshot,
    index: &dyn Index,
    reader: &Reader,
    options: &StoreOptions,
) -> Result<u64, StoreError> {
    let total_bytes = reader.len()?;
    tracing::info!(
        records = snapshot.from.head.sequence,
        "the index begins with the rows of a snapshot"
    );
    snapshot.load(index, || {
        (options.progress)(Progress {
            stage: Stage::Replay,
            done_bytes: snapshot.from.offset,
            total_bytes,
        });
    })?;
    Ok(snapshot.from.head.sequence)
}

/// Checks the journal from the last checkpoint on. This is at least one record, which contains the hash of the record before
/// it. `None` unless the end is the same to the byte as at the clean stop.
fn check_end(reader: &Reader, closed: &State, options: &StoreOptions) -> Result<Option<Checked>, StoreError> {
    let is_here = |last: &&Position| last.offset >= reader.begin().offset;
    let Some(last) = closed.checkpoints.first().filter(is_here) else {
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
