//! Reading a store while another process has it open, or without opening it.

use crate::checkpoints::Position;
use crate::error::{DamageKind, StoreError};
use crate::index::{Index, IndexError};
use crate::index_memory::MemoryIndex;
use crate::options::StoreOptions;
use crate::reader::Reader;
use crate::recovery::find_journal;
use crate::shared::Shared;
use crate::state::State;
use std::path::Path;
use std::sync::Arc;

/// Reads the journal in `dir` into an index in memory, and verifies it. `None` if the directory never had a journal.
/// Takes no lock and writes nothing.
///
/// # Errors
/// [`StoreError::Older`], [`StoreError::Newer`], [`StoreError::Damaged`], [`StoreError::Archived`], [`StoreError::Disk`].
pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<Option<Shared>, StoreError> {
    let disk = options.disk.as_ref();
    // Read before the journal, so that the journal has every record that the state file names.
    let state = State::read(disk, dir);
    let Some(reader) = find_journal(disk, dir, state.as_ref())? else {
        return Ok(None);
    };
    let reader = reader.with_cipher(options.cipher.clone())?;
    if reader.is_old() {
        return Err(StoreError::Older { dir: dir.to_owned() });
    }
    let index = MemoryIndex::new();
    let acknowledged = state.map_or(0, |state| state.head.sequence);
    reader.need_from(0)?;
    let end = read_to_end(&reader, &index, acknowledged)?;
    Ok(Some(Shared::new(Arc::new(index), reader, end.head, end.offset)))
}

/// Applies all whole records. The last record may be half written at this moment, so it counts as torn. Bytes that look
/// damaged are read a second time: the other process may have completed the record meanwhile.
fn read_to_end(reader: &Reader, index: &MemoryIndex, acknowledged: u64) -> Result<Position, StoreError> {
    let mut suspect = None;
    let mut at = reader.begin();
    loop {
        at = read_from(reader, index, at)?;
        match reader.judge(at, acknowledged)? {
            Ok(_torn_bytes) => return Ok(at),
            Err(damage) if suspect == Some(at) => return Err(reader.damaged(damage)),
            Err(_) => suspect = Some(at),
        }
    }
}

/// Applies the whole records from `at` on, and returns where they end.
fn read_from(reader: &Reader, index: &MemoryIndex, at: Position) -> Result<Position, StoreError> {
    let failed = |error: IndexError| StoreError::Index(error.to_string());
    let mut scanner = reader.scanner(at);
    loop {
        let before = scanner.at;
        let Some(payload) = scanner.next().map_err(reader.failed("read"))? else {
            return Ok(scanner.at);
        };
        let Some(writes) = reader.writes(&before.head, payload) else {
            return Err(reader.damaged(before.damage(DamageKind::Payload)));
        };
        index.apply(&writes, scanner.at.head).map_err(failed)?;
        reader.checkpoints.keep(scanner.at);
    }
}
