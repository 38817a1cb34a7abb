//! The read side of a journal: open or create it, check it, and find the hash of any record.

use crate::checkpoints::{Checkpoints, Position};
use crate::cipher::RecordCipher;
use crate::disk::{Disk, DiskFile, read_or_zero};
use crate::error::{Damage, DamageKind, StoreError};
use crate::index::{Head, Writes};
use crate::limits::{BACKGROUND_PIECE_BYTES, CHECKPOINT_RECORDS};
use crate::options::{Progress, Stage, StoreOptions};
use crate::record::{BadFile, Format, RECORDS_BEGIN, decode_writes};
use crate::scan::{Scanner, Tail, judge};
use crate::schema::SCHEMA_VERSION;
use farthing_protocol::ids::RecordHash;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// The journal's name in the directory.
pub(crate) const JOURNAL_NAME: &str = "journal";

/// A journal as a file that can be read while the writer appends.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) file: Arc<dyn DiskFile>,
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
    /// Opens the journal in `dir`; `None` when there is none.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(JOURNAL_NAME);
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::disk(format!("open {}", path.display()))(error)),
        };
        let mut header = vec![0; RECORDS_BEGIN as usize];
        read_or_zero(file.as_ref(), 0, &mut header)
            .map_err(StoreError::disk(format!("read {}", path.display())))?;
        let kind = match Format::read_file_header(&header) {
            Ok(header) => {
                let mut reader = Self::new(file, header.format, path);
                reader.is_old = header.is_old;
                return Ok(Some(reader));
            }
            Err(BadFile::Version(found)) if found > SCHEMA_VERSION => {
                return Err(StoreError::Newer {
                    path: Some(path),
                    found,
                    known: SCHEMA_VERSION,
                });
            }
            Err(BadFile::Version(version)) => DamageKind::Version(version),
            Err(BadFile::Header) => DamageKind::Header,
        };
        let damage = Damage {
            offset: 0,
            sequence: 0,
            kind,
        };
        Err(StoreError::Damaged { path, damage })
    }

    /// Raises the version in the journal's own header, durably, so that no older program opens the directory. A crash in
    /// the middle leaves a header that is read all the same.
    pub(crate) fn raise_version(&self) -> Result<(), StoreError> {
        if !self.is_old {
            return Ok(());
        }
        let raise = || {
            self.file
                .write_at(0, &self.format.header_fields(SCHEMA_VERSION))?;
            self.file.sync_data()
        };
        raise().map_err(self.failed("raise the format version of"))?;
        tracing::info!(
            path = %self.path.display(),
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
        let fresh = dir.join("journal.new");
        let disk = options.disk.as_ref();
        let make = || {
            let file = disk.create(&fresh)?;
            file.write_at(0, &format.file_header())?;
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
        Self::new(file, format, path).with_cipher(options.cipher.clone())
    }

    fn new(file: Box<dyn DiskFile>, format: Format, path: PathBuf) -> Self {
        Self {
            file: file.into(),
            format,
            is_old: false,
            path,
            cipher: None,
            checkpoints: Arc::new(Checkpoints::new(format.begin())),
            unverified: Arc::default(),
            broken: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length, preallocated room included (bytes).
    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        self.file.len().map_err(self.failed("measure"))
    }

    pub(crate) fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        StoreError::disk(format!("{doing} {}", self.path.display()))
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

    /// The error for this damage of this journal.
    pub(crate) fn damaged(&self, damage: Damage) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            damage,
        }
    }

    /// Where the first record begins.
    pub(crate) fn begin(&self) -> Position {
        self.format.begin()
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
        Scanner::new(self.file.as_ref(), self.format, at)
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

    /// Trusts the records before `from` until [`Reader::verify_before`] has read them. `checkpoints` lie among them.
    pub(crate) fn trust(&self, from: Position, checkpoints: &[Position]) {
        self.checkpoints.add(&[self.begin()]);
        self.checkpoints.add(checkpoints);
        self.unverified.store(from.head.sequence, Ordering::Relaxed);
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
        let mut scanner = self.scanner(self.begin());
        let mut piece_end = scanner.at.offset.saturating_add(BACKGROUND_PIECE_BYTES);
        while scanner.at.head.sequence < to.head.sequence {
            let before = scanner.at;
            match scanner.next().map_err(self.failed("read"))? {
                Some(payload) if self.is_valid(&before.head, payload) => self.checkpoints.keep(scanner.at),
                Some(_) => return Err(self.damaged(before.damage(DamageKind::Payload))),
                None => return Err(self.no_record(before, to.head.sequence)?),
            }
            if scanner.at.offset >= piece_end {
                let left = to.head.sequence.saturating_sub(scanner.at.head.sequence);
                self.unverified.store(left, Ordering::Relaxed);
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
        let tail = judge(self.file.as_ref(), self.format, at, acknowledged);
        Ok(match tail.map_err(self.failed("read"))? {
            Tail::End => Ok(0),
            Tail::Torn(bytes) => Ok(bytes),
            Tail::Damaged(kind) => Err(at.damage(kind)),
        })
    }

    /// A scanner that starts at or before the record after `sequence`.
    pub(crate) fn scan_from(&self, sequence: u64) -> Scanner<'_> {
        self.scanner(self.checkpoints.at_or_before(sequence).unwrap_or(self.begin()))
    }

    /// The hash at `sequence`, which is at most the head's. It scans between two checkpoints. The hash is trusted if the
    /// chain leads from the first to the second.
    pub(crate) fn hash_at(&self, sequence: u64) -> Result<RecordHash, StoreError> {
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
