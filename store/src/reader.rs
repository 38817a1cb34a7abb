//! The read side of a journal: open or create it, check it, and find the hash of any record.

use crate::checkpoints::{Checkpoints, Position};
use crate::cipher::RecordCipher;
use crate::disk::{Disk, DiskFile};
use crate::error::{Damage, DamageKind, StoreError};
use crate::index::{Head, Writes};
use crate::limits::{BACKGROUND_PIECE_BYTES, CHECKPOINT_RECORDS};
use crate::options::{Progress, Stage, StoreOptions};
use crate::past_hashes;
use crate::record::{Format, RECORDS_BEGIN, decode_writes};
use crate::scan::{Scanner, Tail, judge};
use crate::schema::SCHEMA_VERSION;
use crate::segments::{JOURNAL_NAME, NEXT_NAME, Segments};
use farthing_protocol::ids::RecordHash;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// A journal that can be read while the writer appends. All its files read as one.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) files: Arc<Segments>,
    pub(crate) format: Format,
    /// Whether the journal's own header has an older version than this program's.
    is_old: bool,
    path: PathBuf,
    cipher: Option<Arc<dyn RecordCipher>>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    /// Number of records that are not verified yet. A quick start skips them.
    unverified: Arc<AtomicU64>,
    /// The damage that was found after the start.
    broken: Arc<OnceLock<StoreError>>,
}

/// A journal that was checked, from some position on.
pub(crate) struct Checked {
    pub(crate) from: Position,
    pub(crate) head: Head,
    /// Where the next record begins (bytes).
    pub(crate) end: u64,
    /// Bytes of an interrupted write after the end.
    pub(crate) torn_bytes: u64,
    /// The hash at the sequence number that was asked for, if the journal reaches it.
    pub(crate) hash_asked: Option<RecordHash>,
}

impl Reader {
    /// Opens the journal in `dir`, with the archived segments in `archives`; `None` when there is none.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, archives: &[&Path]) -> Result<Option<Self>, StoreError> {
        let Some((files, header)) = Segments::open(disk, dir, archives)? else {
            return Ok(None);
        };
        let mut reader = Self::new(files, header.format);
        reader.is_old = header.is_old;
        Ok(Some(reader))
    }

    /// Raises the version in the journal's own header, durably, so that no older program opens the directory. A crash in
    /// the middle leaves a header that is read all the same.
    pub(crate) fn raise_version(&self) -> Result<(), StoreError> {
        if !self.is_old {
            return Ok(());
        }
        let fields = self.format.header_fields(SCHEMA_VERSION);
        let raised = self.files.write_header_fields(&fields);
        raised.map_err(self.failed("raise the format version of"))?;
        tracing::info!(
            path = %self.path().display(),
            version = SCHEMA_VERSION,
            "the format version is raised: no older program opens this directory any more"
        );
        Ok(())
    }

    /// Makes a new journal in `dir`. Its name appears only once it is whole.
    pub(crate) fn create(options: &StoreOptions, dir: &Path) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        options.entropy.fill(&mut id);
        let format = match options.cipher {
            Some(_) => Format::sealed(id),
            None => Format::new(id),
        };
        let path = dir.join(JOURNAL_NAME);
        let fresh = dir.join(NEXT_NAME);
        let disk = options.disk.as_ref();
        let make = || {
            let file = disk.create(&fresh)?;
            file.write_at(0, &format.file_header(format.begin()))?;
            file.preallocate(RECORDS_BEGIN.saturating_add(options.preallocate_bytes))?;
            file.sync_data()?;
            disk.rename(&fresh, &path)?;
            disk.sync_dir(dir)?;
            match dir.parent().map(|above| disk.sync_dir(above)) {
                // A folder above that we may not read was made by someone else, before us.
                Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
            disk.open(&path)
        };
        let file = make().map_err(StoreError::disk(format!("create {}", path.display())))?;
        let files = Segments::new(disk, dir, file, format.begin());
        Self::new(files, format).with_cipher(options.cipher.clone())
    }

    fn new(files: Segments, format: Format) -> Self {
        Self {
            path: files.dir().join(JOURNAL_NAME),
            checkpoints: Arc::new(Checkpoints::new(files.begin())),
            files: Arc::new(files),
            format,
            is_old: false,
            cipher: None,
            unverified: Arc::default(),
            broken: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The journal's length, archived files and preallocated room included (bytes).
    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        self.files.len().map_err(self.failed("measure"))
    }

    /// The error of the disk. A file that is not there any more is archived.
    pub(crate) fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> StoreError {
        let doing = format!("{doing} {}", self.path.display());
        move |error| match error.kind() {
            io::ErrorKind::NotFound => self.archived(),
            _ => StoreError::disk(doing)(error),
        }
    }

    /// The error for records that are archived.
    pub(crate) fn archived(&self) -> StoreError {
        // If this fails, the error names fewer records.
        drop(self.files.forget_archived());
        StoreError::Archived {
            dir: self.files.dir().to_owned(),
            last: self.begin().head.sequence,
        }
    }

    /// Refuses unless the record after `sequence` is here.
    pub(crate) fn need_from(&self, sequence: u64) -> Result<(), StoreError> {
        match sequence < self.begin().head.sequence {
            true => Err(self.archived()),
            false => Ok(()),
        }
    }

    /// Records that the journal is broken. The store stops before its next batch.
    pub(crate) fn fail(&self, error: StoreError) -> StoreError {
        let first = self.broken.set(error.clone()).is_ok();
        if first {
            tracing::error!(%error, "the store stops accepting");
        }
        error
    }

    /// The damage that was found after the start.
    pub(crate) fn broken(&self) -> Option<&StoreError> {
        self.broken.get()
    }

    /// The error for this damage of this journal. It names the file.
    pub(crate) fn damaged(&self, damage: Damage) -> StoreError {
        let (path, damage) = self.located(damage);
        StoreError::Damaged { path, damage }
    }

    /// The file with this damage, and the damage with its offset in this file.
    pub(crate) fn located(&self, damage: Damage) -> (PathBuf, Damage) {
        let (path, offset) = self.files.locate(damage.offset);
        (path, Damage { offset, ..damage })
    }

    /// Where the first record begins that is not archived.
    pub(crate) fn begin(&self) -> Position {
        self.files.begin()
    }

    /// The journal with the cipher of its payloads.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] and [`StoreError::NotSealed`] unless a sealed journal gets a cipher, and any other gets none.
    pub(crate) fn with_cipher(mut self, cipher: Option<Arc<dyn RecordCipher>>) -> Result<Self, StoreError> {
        match (self.format.is_sealed(), cipher.is_some()) {
            (true, false) => return Err(StoreError::Sealed { path: self.path }),
            (false, true) => return Err(StoreError::NotSealed { path: self.path }),
            _ => {}
        }
        self.cipher = cipher;
        Ok(self)
    }

    /// The payload as it is stored in the record after `previous`.
    pub(crate) fn seal<'a>(&self, previous: &Head, payload: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.cipher {
            Some(cipher) => Cow::Owned(cipher.seal(previous, payload)),
            None => Cow::Borrowed(payload),
        }
    }

    /// The payload of the record after `previous`, as it was before [`seal`](Reader::seal). `None` if it does not open.
    pub(crate) fn payload(&self, previous: &Head, stored: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match &self.cipher {
            Some(cipher) => cipher.open(previous, stored),
            None => Some(Zeroizing::new(stored.to_vec())),
        }
    }

    /// The writes in the stored payload of the record after `previous`. `None` if it does not open or decode.
    pub(crate) fn writes(&self, previous: &Head, stored: &[u8]) -> Option<Writes> {
        match &self.cipher {
            Some(cipher) => decode_writes(&cipher.open(previous, stored)?),
            None => decode_writes(stored),
        }
    }

    /// Whether the stored payload is valid. Without the cipher, a sealed one counts as valid.
    fn is_valid(&self, previous: &Head, stored: &[u8]) -> bool {
        let is_opaque = self.format.is_sealed() && self.cipher.is_none();
        is_opaque || self.writes(previous, stored).is_some()
    }

    /// Whether an older program was the last one that opened the directory.
    pub(crate) fn is_old(&self) -> bool {
        self.is_old
    }

    pub(crate) fn scanner(&self, at: Position) -> Scanner<'_> {
        Scanner::new(self.files.as_ref(), self.format, at)
    }

    /// Reads and checks all records from `from` on, and forgets all earlier checkpoints. `acknowledged` is the last record
    /// that is known to be durable.
    pub(crate) fn check(
        &self,
        from: Position,
        acknowledged: u64,
        asked: Option<u64>,
        progress: &dyn Fn(Progress),
    ) -> Result<Result<Checked, (Damage, Head)>, StoreError> {
        let total_bytes = self.len()?;
        let begins = asked.filter(|asked| *asked == from.head.sequence);
        let mut hash_asked = begins.map(|_| from.head.hash);
        self.checkpoints.reset(from);
        let mut scanner = self.scanner(from);
        loop {
            let before = scanner.at;
            let Some(payload) = scanner.next().map_err(self.failed("read"))? else {
                break;
            };
            if !self.is_valid(&before.head, payload) {
                return Ok(Err((before.damage(DamageKind::Payload), scanner.at.head)));
            }
            let head = scanner.at.head;
            if Some(head.sequence) == asked {
                hash_asked = Some(head.hash);
            }
            self.checkpoints.keep(scanner.at);
            if head.sequence.is_multiple_of(CHECKPOINT_RECORDS) {
                progress(Progress {
                    stage: Stage::Verify,
                    done_bytes: scanner.at.offset,
                    total_bytes,
                });
            }
        }
        let head = scanner.at.head;
        let torn_bytes = match self.judge(scanner.at, acknowledged)? {
            Ok(bytes) => bytes,
            Err(damage) => return Ok(Err((damage, head))),
        };
        Ok(Ok(Checked {
            from,
            head,
            end: scanner.at.offset,
            torn_bytes,
            hash_asked,
        }))
    }

    /// Whether a file of the journal begins here.
    pub(crate) fn has_begin(&self, at: Position) -> bool {
        self.files.all().iter().any(|file| file.begin == at)
    }

    /// Trusts the records before `from` until [`Reader::verify_before`] has read them. `checkpoints` lie among them. The begin of
    /// each file is a checkpoint too.
    pub(crate) fn trust(&self, from: Position, checkpoints: &[Position]) {
        let begin = self.begin();
        let begins = self.files.all().into_iter().map(|file| file.begin);
        let is_before = |at: &Position| (begin.offset..=from.offset).contains(&at.offset);
        let trusted = checkpoints.iter().copied().chain(begins);
        let trusted: Vec<Position> = trusted.filter(is_before).collect();
        self.checkpoints.add(&trusted);
        self.set_unverified(begin, from);
    }

    fn set_unverified(&self, from: Position, to: Position) {
        let left = to.head.sequence.saturating_sub(from.head.sequence);
        self.unverified.store(left, Ordering::Relaxed);
    }

    /// Number of records that are not verified yet.
    pub(crate) fn unverified(&self) -> u64 {
        self.unverified.load(Ordering::Relaxed)
    }

    /// Reads and checks the records before `to`, and keeps checkpoints. It asks `goes_on` between pieces. Returns whether it
    /// reached `to`.
    pub(crate) fn verify_before(
        &self,
        to: Position,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<bool, StoreError> {
        let begin = self.begin();
        if begin.head.sequence > to.head.sequence {
            // They were archived meanwhile, which has verified them.
            self.unverified.store(0, Ordering::Relaxed);
            return Ok(true);
        }
        let mut scanner = self.scanner(begin);
        let mut piece_end = scanner.at.offset.saturating_add(BACKGROUND_PIECE_BYTES);
        while scanner.at.head.sequence < to.head.sequence {
            let before = scanner.at;
            match scanner.next().map_err(self.failed("read"))? {
                Some(payload) if self.is_valid(&before.head, payload) => self.checkpoints.keep(scanner.at),
                Some(_) => return Err(self.damaged(before.damage(DamageKind::Payload))),
                None => return Err(self.no_record(before, to.head.sequence)?),
            }
            if scanner.at.offset >= piece_end {
                self.set_unverified(scanner.at, to);
                if !goes_on() {
                    return Ok(false);
                }
                piece_end = scanner.at.offset.saturating_add(BACKGROUND_PIECE_BYTES);
            }
        }
        if scanner.at != to {
            return Err(self.damaged(to.damage(DamageKind::Chain)));
        }
        self.unverified.store(0, Ordering::Relaxed);
        Ok(true)
    }

    /// Judges the bytes at `at`, where no record follows: the bytes of a torn record, or the damage.
    pub(crate) fn judge(&self, at: Position, acknowledged: u64) -> Result<Result<u64, Damage>, StoreError> {
        // Offsets count the bytes of all files, so the sectors of this one do not begin at multiples of their size.
        let active = self.files.active_begin();
        let sector = active.offset;
        // The older files were durable before the active file was made.
        let acknowledged = acknowledged.max(active.head.sequence);
        let tail = judge(self.files.as_ref(), self.format, at, acknowledged, sector);
        Ok(match tail.map_err(self.failed("read"))? {
            Tail::End => Ok(0),
            Tail::Torn(bytes) => Ok(bytes),
            Tail::Damaged(kind) => Err(at.damage(kind)),
        })
    }

    /// A scanner that starts at or before the record after `sequence`.
    pub(crate) fn scan_from(&self, sequence: u64) -> Scanner<'_> {
        let begin = self.begin();
        // A checkpoint may be in a file that was archived since.
        let known = self.checkpoints.at_or_before(sequence);
        self.scanner(known.filter(|at| at.offset >= begin.offset).unwrap_or(begin))
    }

    /// The hash at `sequence`, which is at most the head's. It scans between two checkpoints. The hash is trusted if the
    /// chain leads from the first to the second.
    pub(crate) fn hash_at(&self, sequence: u64) -> Result<RecordHash, StoreError> {
        match self.hash_here(sequence) {
            Err(archived @ StoreError::Archived { .. }) => {
                let disk = self.files.disk();
                let hash = past_hashes::find(disk, self.files.dir(), self.format, sequence)?;
                hash.ok_or(archived)
            }
            hash => hash,
        }
    }

    fn hash_here(&self, sequence: u64) -> Result<RecordHash, StoreError> {
        self.need_from(sequence)?;
        let to = self.checkpoints.at_or_after(sequence);
        let end = to.map_or(sequence, |to| to.head.sequence);
        let mut scanner = self.scan_from(sequence);
        let mut hash = scanner.at.head.hash;
        while scanner.at.head.sequence < end {
            let before = scanner.at;
            if scanner.next().map_err(self.failed("read"))?.is_none() {
                return Err(self.fail(self.no_record(before, end)?));
            }
            if scanner.at.head.sequence == sequence {
                hash = scanner.at.head.hash;
            }
        }
        match to.filter(|to| *to != scanner.at) {
            Some(to) => Err(self.fail(self.damaged(to.damage(DamageKind::Chain)))),
            None => Ok(hash),
        }
    }

    /// The error when no record follows `at`, although records up to `last` must exist.
    pub(crate) fn no_record(&self, at: Position, last: u64) -> Result<StoreError, StoreError> {
        let damage = self.judge(at, last)?.err();
        // The disk may have returned other bytes in the earlier read.
        Ok(self.damaged(damage.unwrap_or(at.damage(DamageKind::Changed))))
    }
}
