//! The write side of a journal. It appends one record for each batch, with all its writes.

use crate::checkpoints::Position;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::index::Head;
use crate::options::StoreOptions;
use crate::probe;
use crate::reader::{Checked, Reader};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A switch that failed is tried again after this part of a file's length.
const SWITCH_RETRY_PART: u64 = 8;

/// The end of a journal where records are appended.
pub(crate) struct Journal {
    reader: Reader,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    head: Head,
    end: u64,
    /// Length of the file, preallocated room included (bytes).
    room: u64,
    preallocate_bytes: u64,
    reserve_bytes: u64,
    /// Length of a file (bytes).
    segment_bytes: u64,
    /// The end from which the active file is ended.
    switch_at: u64,
    /// Whether a file was ended since [`Journal::take_ended`].
    ended: bool,
}

impl Journal {
    /// Continues a checked journal. It cuts off a torn record, so that only zeros follow the end. It syncs the file, because
    /// the process that wrote the last record may have died before its sync.
    pub(crate) fn resume(
        reader: Reader,
        checked: &Checked,
        options: &StoreOptions,
        dir: &Path,
    ) -> Result<Self, StoreError> {
        let file = reader.files.as_ref();
        if checked.torn_bytes > 0 {
            file.truncate(checked.end).map_err(reader.failed("cut"))?;
        }
        file.sync_data().map_err(reader.failed("sync"))?;
        let room = file.len().map_err(reader.failed("measure"))?;
        let active = file.active_begin().offset;
        Ok(Self {
            disk: Arc::clone(&options.disk),
            dir: dir.to_owned(),
            head: checked.head,
            end: checked.end,
            room,
            preallocate_bytes: options.preallocate_bytes,
            reserve_bytes: options.reserve_bytes,
            segment_bytes: options.segment_bytes,
            switch_at: active.saturating_add(options.segment_bytes),
            ended: false,
            reader,
        })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Length of the journal without preallocated room (bytes).
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    fn end(&self) -> Position {
        Position {
            offset: self.end,
            head: self.head,
        }
    }

    /// Whether a file was ended since the last call.
    pub(crate) fn take_ended(&mut self) -> bool {
        std::mem::take(&mut self.ended)
    }

    /// Ends the active file if it is long enough, and goes on in a new one. A sealed journal is always one file.
    ///
    /// # Errors
    /// [`StoreError::Halted`]. If the next file cannot be made, for example on a full disk, the active file grows on.
    fn switch_if_long(&mut self, probe: &dyn probe::Probe) -> Result<(), StoreError> {
        let files = self.reader.files.as_ref();
        let bytes = self.end.saturating_sub(files.active_begin().offset);
        if bytes == 0 || self.end < self.switch_at || self.reader.format.is_sealed() {
            return Ok(());
        }
        let end = self.end();
        probe.reached(probe::BEFORE_SWITCH);
        match files.make_next(self.reader.format, end, self.preallocate_bytes) {
            Ok(()) => {}
            Err(error) => {
                // Nothing has changed. It is tried again after another part of a file.
                tracing::warn!(%error, "the journal's file grows on: the next one cannot be made");
                files.remove_next();
                let more = (self.segment_bytes / SWITCH_RETRY_PART).max(1);
                self.switch_at = self.end.saturating_add(more);
                return Ok(());
            }
        }
        let ended = files.end_active(end);
        ended.map_err(|error| self.switch_failed(&error))?;
        probe.reached(probe::IN_SWITCH);
        let switched = files.switch(end);
        switched.map_err(|error| self.switch_failed(&error))?;
        self.switch_at = self.end.saturating_add(self.segment_bytes);
        self.reader.checkpoints.add(&[end]);
        self.room = files.len().unwrap_or(self.end);
        self.ended = true;
        // Only the counters rest on it.
        drop(files.forget_archived());
        Ok(())
    }

    fn switch_failed(&self, error: &io::Error) -> StoreError {
        let path = self.reader.path().display();
        StoreError::halted(format!("beginning another file after {path} failed: {error}"))
    }

    /// Appends one record and makes it durable.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was written. [`StoreError::Halted`]: any part may be written.
    pub(crate) fn append(&mut self, payload: &[u8], probe: &dyn probe::Probe) -> Result<Head, StoreError> {
        self.switch_if_long(probe)?;
        let payload = self.reader.seal(&self.head, payload);
        let (bytes, head) = self.reader.format.record(&self.head, &payload);
        self.make_room(bytes.len() as u64)?;
        let file = self.reader.files.as_ref();
        probe.reached(probe::BEFORE_APPEND);
        file.write_at(self.end, &bytes).map_err(|error| {
            let hint = if is_full(&error) {
                "; free some space first"
            } else {
                ""
            };
            StoreError::halted(format!(
                "writing {} failed: {error}{hint}",
                self.reader.path().display()
            ))
        })?;
        probe.reached(probe::AFTER_APPEND);
        file.sync_data().map_err(|error| {
            StoreError::halted(format!(
                "syncing {} failed: {error}",
                self.reader.path().display()
            ))
        })?;
        self.head = head;
        self.end = self.end.saturating_add(bytes.len() as u64);
        self.reader.checkpoints.keep(self.end());
        Ok(head)
    }

    /// Makes room for the next record before any of it is written.
    fn make_room(&mut self, bytes: u64) -> Result<(), StoreError> {
        let free_bytes = self.disk.free_bytes(&self.dir).unwrap_or(u64::MAX);
        let wanted = self.end.saturating_add(bytes);
        let grow = wanted.saturating_sub(self.room);
        let wanted_bytes = grow.saturating_add(self.reserve_bytes);
        if free_bytes < wanted_bytes {
            return Err(StoreError::Full {
                free_bytes,
                wanted_bytes,
            });
        }
        if grow == 0 {
            return Ok(());
        }
        let file = self.reader.files.as_ref();
        let ahead = wanted.saturating_add(self.preallocate_bytes);
        // On a disk that is nearly full, the record may fit where the preallocation step does not.
        let result = file.preallocate(ahead).or_else(|error| {
            if is_full(&error) {
                file.preallocate(wanted)
            } else {
                Err(error)
            }
        });
        self.room = file.len().unwrap_or(self.room);
        match result {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(StoreError::Full {
                free_bytes,
                wanted_bytes,
            }),
            Err(error) => {
                let path = self.reader.path().display();
                Err(StoreError::halted(format!("extending {path} failed: {error}")))
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
