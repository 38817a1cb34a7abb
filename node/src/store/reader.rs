//! A journal as it is read: opened or made, checked, and asked for what stood where.

use super::error::{Damage, DamageKind, StoreError};
use super::index::Head;
use super::limits::CHECKPOINT_RECORDS;
use super::options::{Progress, Stage, StoreOptions};
use super::record::{BadFile, Format, RECORDS_BEGIN, decode_writes};
use super::scan::{Scanner, Tail, judge};
use crate::disk::{Disk, DiskFile, read_or_zero};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// The journal's name in the directory.
pub(crate) const JOURNAL_NAME: &str = "journal";

/// A journal as a file that can be read while another appends.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) format: Format,
    path: PathBuf,
    /// Each some records: where one begins, and the head before it. Never empty.
    checkpoints: Arc<RwLock<Vec<(u64, Head)>>>,
}

/// A journal whose whole content was checked.
pub(crate) struct Checked {
    pub(crate) head: Head,
    /// Where the next record begins (bytes).
    pub(crate) end: u64,
    /// What an interrupted write has left behind the end (bytes).
    pub(crate) torn_bytes: u64,
    /// The hash at the sequence number that was asked for, if the journal reaches it.
    pub(crate) hash_asked: Option<[u8; 32]>,
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
        match Format::read_file_header(&header) {
            Ok(format) => Ok(Some(Self::new(file, format, path))),
            Err(bad) => {
                let kind = match bad {
                    BadFile::Header => DamageKind::Header,
                    BadFile::Version(version) => DamageKind::Version(version),
                };
                let damage = Damage {
                    offset: 0,
                    sequence: 0,
                    kind,
                };
                Err(StoreError::Damaged { path, damage })
            }
        }
    }

    /// Makes a new journal in `dir`. Its name appears only once it is whole.
    pub(crate) fn create(options: &StoreOptions, dir: &Path) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        options.entropy.fill(&mut id);
        let format = Format::new(id);
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
        Ok(Self::new(file, format, path))
    }

    fn new(file: Box<dyn DiskFile>, format: Format, path: PathBuf) -> Self {
        let first = (RECORDS_BEGIN, format.genesis());
        Self {
            file: file.into(),
            format,
            path,
            checkpoints: Arc::new(RwLock::new(vec![first])),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length, room ahead of use included (bytes).
    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        self.file.len().map_err(self.failed("measure"))
    }

    pub(crate) fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        StoreError::disk(format!("{doing} {}", self.path.display()))
    }

    pub(crate) fn note(&self, sequence: u64, end: u64, head: Head) {
        if sequence.is_multiple_of(CHECKPOINT_RECORDS) {
            let mut points = self.checkpoints.write().unwrap_or_else(PoisonError::into_inner);
            points.push((end, head));
        }
    }

    /// Reads and checks everything. `acknowledged` is the last record that is known to have been durable.
    pub(crate) fn check(
        &self,
        acknowledged: u64,
        asked: Option<u64>,
        progress: &dyn Fn(Progress),
    ) -> Result<Result<Checked, (Damage, Head)>, StoreError> {
        let total_bytes = self.len()?;
        let genesis = self.format.genesis();
        let mut hash_asked = asked.filter(|asked| *asked == 0).map(|_| genesis.hash);
        let mut scanner = Scanner::new(self.file.as_ref(), self.format, RECORDS_BEGIN, genesis);
        loop {
            let offset = scanner.offset;
            let Some(payload) = scanner.next().map_err(self.failed("read"))? else {
                break;
            };
            if decode_writes(payload).is_none() {
                let damage = Damage {
                    offset,
                    sequence: scanner.head.sequence,
                    kind: DamageKind::Payload,
                };
                return Ok(Err((damage, scanner.head)));
            }
            let head = scanner.head;
            if Some(head.sequence) == asked {
                hash_asked = Some(head.hash);
            }
            self.note(head.sequence, scanner.offset, head);
            if head.sequence.is_multiple_of(CHECKPOINT_RECORDS) {
                progress(Progress {
                    stage: Stage::Verify,
                    done_bytes: scanner.offset,
                    total_bytes,
                });
            }
        }
        let (end, head) = (scanner.offset, scanner.head);
        let tail = judge(self.file.as_ref(), self.format, end, head, acknowledged);
        let torn_bytes = match tail.map_err(self.failed("read"))? {
            Tail::End => 0,
            Tail::Torn(bytes) => bytes,
            Tail::Damaged(kind) => {
                let sequence = head.sequence.saturating_add(1);
                return Ok(Err((
                    Damage {
                        offset: end,
                        sequence,
                        kind,
                    },
                    head,
                )));
            }
        };
        Ok(Ok(Checked {
            head,
            end,
            torn_bytes,
            hash_asked,
        }))
    }

    /// A scanner that stands at or before the record behind `sequence`.
    pub(crate) fn scan_from(&self, sequence: u64) -> Scanner<'_> {
        let points = self.checkpoints.read().unwrap_or_else(PoisonError::into_inner);
        let behind = points.partition_point(|(_, head)| head.sequence <= sequence);
        let point = behind.checked_sub(1).and_then(|at| points.get(at)).copied();
        let (offset, head) = point.unwrap_or((RECORDS_BEGIN, self.format.genesis()));
        Scanner::new(self.file.as_ref(), self.format, offset, head)
    }

    /// The hash at `sequence`, which is at most the head's.
    pub(crate) fn hash_at(&self, sequence: u64) -> Result<Option<[u8; 32]>, StoreError> {
        let mut scanner = self.scan_from(sequence);
        while scanner.head.sequence < sequence {
            if scanner.next().map_err(self.failed("read"))?.is_none() {
                return Ok(None);
            }
        }
        Ok((scanner.head.sequence == sequence).then_some(scanner.head.hash))
    }
}
