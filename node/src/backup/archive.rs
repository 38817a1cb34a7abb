//! The file of a backup.
//!
//! ```text
//! magic [8]  format u32  length u32  manifest [length]      numbers are little-endian; the manifest is JSON
//! the files, in the order of the manifest
//! the bytes of the journal: all up to a record, or the records after a known one
//! SHA-256 over everything before it [32]
//! ```
//!
//! The file has the node's secrets. It has the mode 0600, and replaces no other file.

use super::BackupError;
use crate::card::RoleName;
use crate::home::TLS_CERTIFICATE_FILE;
use crate::home::files::{self, Existing, Mode, NewFile, OutputError, check_output};
use crate::network_file::NETWORK_FILE;
use farthing_coin::PublicKey;
use farthing_protocol::ids::RecordHash;
use farthing_store::{Head, JournalExtract};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"FARTHBAK";
const FORMAT: u32 = 1;
const DIGEST_BYTES: u64 = 32;

/// The bytes before the manifest.
const PREFIX_BYTES: u64 = 16;

/// The most files in a backup, goods included.
pub const BACKUP_FILES_MAX: usize = 65_536;

/// The longest manifest (bytes).
pub const MANIFEST_MAX_BYTES: u32 = 16 * 1024 * 1024;

/// The longest name of a file (characters).
const NAME_MAX_CHARS: usize = 128;

/// The longest file that is not goods (bytes).
const SMALL_FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Size of one read or write of a copy (bytes).
const PIECE_BYTES: usize = 256 * 1024;

/// The directory of a merchant's encrypted goods, and the ending of their names.
const GOODS: (&str, &str) = ("goods", ".sealed");

/// A record of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number. 0 stands before the first record.
    pub number: u64,
    /// The hash of the history up to it.
    pub hash: RecordHash,
}

impl From<Head> for Record {
    fn from(head: Head) -> Self {
        Self {
            number: head.sequence,
            hash: head.hash,
        }
    }
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its path in the node's directory.
    pub name: String,
    /// Its length (bytes).
    pub bytes: u64,
}

/// What a backup has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The role of the node.
    pub role: RoleName,
    /// Its name.
    pub name: String,
    /// Its identity key.
    pub identity: PublicKey,
    /// When the backup was made (ms since 1970).
    pub written_ms: u64,
    /// The record before the first one. Number 0 for a full backup.
    pub after: Record,
    /// The last record.
    pub last: Record,
    /// The files.
    pub files: Vec<FileEntry>,
    /// The length of the journal's bytes.
    pub journal_bytes: u64,
}

impl Manifest {
    /// Whether the backup has the whole journal up to its last record.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.after.number == 0
    }

    /// The length of everything after the manifest and before the digest (bytes). `None` if it overflows.
    fn content_bytes(&self) -> Option<u64> {
        let mut lengths = self.files.iter().map(|file| file.bytes);
        lengths.try_fold(self.journal_bytes, u64::checked_add)
    }

    /// Refuses names that are not those of a node's files. So a restore writes only into its directory.
    fn check(&self) -> Result<(), String> {
        if self.files.len() > BACKUP_FILES_MAX {
            return Err(format!("damaged: it lists {} files", self.files.len()));
        }
        match self.files.iter().find(|file| !is_name(&file.name)) {
            Some(file) => Err(format!(
                "no backup of a node: it has a file called `{}`",
                crate::terminal::one_line(&file.name)
            )),
            None => Ok(()),
        }
    }
}

/// Whether `name` is the name of a file that a backup may have.
fn is_name(name: &str) -> bool {
    let is_plain = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (1..=NAME_MAX_CHARS).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
    };
    match name.split_once('/') {
        Some((dir, name)) => dir == GOODS.0 && is_plain(name) && name.ends_with(GOODS.1),
        None => is_plain(name) && is_kept(name),
    }
}

/// Whether a file in a node's directory is part of its backup: settings, keys and cards. `encryption.keys` is not: it is
/// replaced each day.
fn is_kept(name: &str) -> bool {
    let is_settings = name.ends_with(".toml") || [NETWORK_FILE, TLS_CERTIFICATE_FILE].contains(&name);
    is_settings || name.ends_with(".key")
}

/// Whose backup is written, and when.
#[derive(Debug)]
pub struct Source<'a> {
    /// The node's directory.
    pub dir: &'a Path,
    /// Its role.
    pub role: RoleName,
    /// Its name.
    pub name: &'a str,
    /// Its identity key.
    pub identity: PublicKey,
    /// The present time (ms since 1970).
    pub now_ms: u64,
}

/// A file that is being copied into a backup.
enum Copied {
    Bytes(Zeroizing<Vec<u8>>),
    Goods(File),
}

/// Writes a backup to `path`, durably and in one step. A full backup also has the merchant's goods.
///
/// # Errors
/// When `path` exists or cannot be written, or a file of the node or its journal cannot be read.
pub fn write(path: &Path, source: &Source<'_>, journal: &JournalExtract) -> Result<Manifest, BackupError> {
    check_output(path, Existing::Kept)?;
    let mut manifest = Manifest {
        role: source.role,
        name: source.name.to_owned(),
        identity: source.identity,
        written_ms: source.now_ms,
        after: match journal.after().sequence {
            0 => Record {
                number: 0,
                hash: RecordHash([0; 32]),
            },
            _ => journal.after().into(),
        },
        last: journal.last().into(),
        files: Vec::new(),
        journal_bytes: journal.bytes(),
    };
    let contents = gather(source.dir, &mut manifest)?;
    let mut out = Output::begin(path, &manifest)?;
    for (entry, content) in manifest.files.iter().zip(contents) {
        match content {
            Copied::Bytes(bytes) => out.write(&bytes)?,
            Copied::Goods(mut file) => out.copy(&mut file, entry)?,
        }
    }
    journal.copy(|piece| out.write(piece))?;
    out.end()?;
    Ok(manifest)
}

/// Reads the node's files and lists them in `manifest`. Goods are only opened: their files never change.
fn gather(dir: &Path, manifest: &mut Manifest) -> Result<Vec<Copied>, BackupError> {
    let mut contents = Vec::new();
    // A command that changes these files holds the same lock.
    let locked = files::lock(dir).map_err(BackupError::io(dir))?;
    for name in names(dir, is_name)? {
        let path = dir.join(&name);
        let bytes = files::read_bounded(&path, SMALL_FILE_MAX_BYTES).map_err(BackupError::io(&path))?;
        manifest.files.push(FileEntry {
            name,
            bytes: bytes.len() as u64,
        });
        contents.push(Copied::Bytes(Zeroizing::new(bytes)));
    }
    drop(locked);
    let goods = dir.join(GOODS.0);
    if manifest.is_full() && goods.is_dir() {
        for name in names(&goods, |name| is_name(&format!("{}/{name}", GOODS.0)))? {
            let path = goods.join(&name);
            let file = match File::open(&path) {
                Ok(file) => file,
                // Removed meanwhile: nobody is served it any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(BackupError::io(&path)(error)),
            };
            let bytes = file.metadata().map_err(BackupError::io(&path))?.len();
            let name = format!("{}/{name}", GOODS.0);
            manifest.files.push(FileEntry { name, bytes });
            contents.push(Copied::Goods(file));
            if contents.len() > BACKUP_FILES_MAX {
                return Err(BackupError::TooMany {
                    found: contents.len(),
                    most: BACKUP_FILES_MAX,
                });
            }
        }
    }
    Ok(contents)
}

/// The names of the files in `dir` that are `wanted`, sorted. Links to files count.
fn names(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, BackupError> {
    let read = || {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(name) = name.to_str()
                && wanted(name)
                && fs::metadata(entry.path())?.is_file()
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    };
    read().map_err(BackupError::io(dir))
}

/// A backup that is being written.
struct Output<'a> {
    path: &'a Path,
    file: NewFile,
    digest: Sha256,
}

impl<'a> Output<'a> {
    fn begin(path: &'a Path, manifest: &Manifest) -> Result<Self, BackupError> {
        let file = NewFile::beside(path, Mode::Secret).map_err(|source| failed(path, source))?;
        let mut output = Self {
            path,
            file,
            digest: Sha256::new(),
        };
        let manifest = serde_json::to_vec(manifest).map_err(|e| failed(path, io::Error::other(e)))?;
        let length = u32::try_from(manifest.len()).ok();
        let Some(length) = length.filter(|length| *length <= MANIFEST_MAX_BYTES) else {
            return Err(failed(path, io::Error::other("the list of files is too long")));
        };
        output.write(MAGIC)?;
        output.write(&FORMAT.to_le_bytes())?;
        output.write(&length.to_le_bytes())?;
        output.write(&manifest)?;
        Ok(output)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.digest.update(bytes);
        let written = self.file.file().write_all(bytes);
        written.map_err(|source| failed(self.path, source))
    }

    /// Copies as many bytes as the manifest says.
    fn copy(&mut self, from: &mut File, entry: &FileEntry) -> Result<(), BackupError> {
        let mut copied = 0u64;
        each_piece(from, entry.bytes, |piece| {
            copied = copied.saturating_add(piece.len() as u64);
            self.write(piece)
        })?;
        match copied == entry.bytes {
            true => Ok(()),
            false => Err(BackupError::io(&entry.name)(io::Error::other(
                "the file became shorter while it was copied",
            ))),
        }
    }

    fn end(mut self) -> Result<(), BackupError> {
        let digest = self.digest.clone().finalize();
        self.write(&digest)?;
        self.file
            .put(self.path)
            .map_err(|source| failed(self.path, source))
    }
}

fn failed(path: &Path, source: io::Error) -> BackupError {
    let path = path.to_owned();
    BackupError::Output(match source.kind() {
        io::ErrorKind::AlreadyExists => OutputError::Exists { path },
        _ => OutputError::Io { path, source },
    })
}

/// Hands at most `bytes` of `from` to `with`, in pieces. It ends early at the end of the file.
fn each_piece(
    from: &mut File,
    bytes: u64,
    mut with: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let read = from.read(piece.get_mut(..wanted).unwrap_or_default());
        let read = match read {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BackupError::io("the copied file")(error)),
        };
        with(piece.get(..read).unwrap_or_default())?;
        left = left.saturating_sub(read as u64);
    }
    Ok(())
}

/// A backup file that is whole: its digest was checked.
pub struct Archive {
    /// Its path, for messages.
    pub path: PathBuf,
    /// What it has.
    pub manifest: Manifest,
    file: File,
    /// Where the next file or the journal begins.
    offset: u64,
}

impl Archive {
    /// Opens the backup at `path`, and checks its length and its digest.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], [`BackupError::Newer`], [`BackupError::Io`].
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let io = |source| BackupError::io(path)(source);
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut prefix = [0; PREFIX_BYTES as usize];
        let is_short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::damaged(path, "no backup of a node"),
            _ => BackupError::io(path)(error),
        };
        file.read_exact(&mut prefix).map_err(is_short)?;
        let (magic, numbers) = prefix.split_at(MAGIC.len());
        let number = |at: usize| {
            let bytes = numbers.get(at..at.saturating_add(4)).unwrap_or_default();
            u32::from_le_bytes(bytes.try_into().unwrap_or_default())
        };
        let (format, manifest_bytes) = (number(0), number(4));
        if magic != MAGIC || manifest_bytes > MANIFEST_MAX_BYTES {
            return Err(BackupError::damaged(path, "no backup of a node"));
        }
        if format > FORMAT {
            let path = path.to_owned();
            return Err(BackupError::Newer { path, found: format });
        }
        let mut manifest = vec![0; usize::try_from(manifest_bytes).unwrap_or_default()];
        file.read_exact(&mut manifest).map_err(is_short)?;
        check_digest(&mut file, path, length)?;
        let manifest: Manifest = serde_json::from_slice(&manifest)
            .map_err(|error| BackupError::damaged(path, format!("damaged: {error}")))?;
        manifest
            .check()
            .map_err(|what| BackupError::damaged(path, what))?;
        let offset = PREFIX_BYTES.saturating_add(manifest_bytes.into());
        let expected = manifest
            .content_bytes()
            .and_then(|bytes| bytes.checked_add(offset)?.checked_add(DIGEST_BYTES));
        if expected != Some(length) {
            return Err(BackupError::damaged(path, "damaged: its length is wrong"));
        }
        Ok(Self {
            path: path.to_owned(),
            manifest,
            file,
            offset,
        })
    }

    /// Writes each file that is `wanted` through `with`, which gets its entry and a reader of its bytes.
    ///
    /// # Errors
    /// The errors of `with`, and [`BackupError::Io`].
    pub fn each_file(
        &mut self,
        mut with: impl FnMut(&FileEntry, &mut dyn Read) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let mut at = self.offset;
        for entry in &self.manifest.files {
            let sought = self.file.seek(SeekFrom::Start(at));
            sought.map_err(BackupError::io(&self.path))?;
            with(entry, &mut (&self.file).take(entry.bytes))?;
            at = at.saturating_add(entry.bytes);
        }
        Ok(())
    }

    /// Appends the bytes of the journal to `out`.
    ///
    /// # Errors
    /// The errors of the operating system.
    pub fn copy_journal(&mut self, out: &mut File) -> io::Result<()> {
        let lengths = self.manifest.files.iter().map(|file| file.bytes);
        let begin = lengths.fold(self.offset, u64::saturating_add);
        self.file.seek(SeekFrom::Start(begin))?;
        io::copy(&mut (&self.file).take(self.manifest.journal_bytes), out)?;
        Ok(())
    }
}

/// Compares the digest at the end of the file with its other bytes.
fn check_digest(file: &mut File, path: &Path, length: u64) -> Result<(), BackupError> {
    let io = |source| BackupError::io(path)(source);
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut digest = Sha256::new();
    each_piece(file, length.saturating_sub(DIGEST_BYTES), |piece| {
        digest.update(piece);
        Ok(())
    })?;
    let mut written = [0; DIGEST_BYTES as usize];
    let read = file.read_exact(&mut written);
    match read.is_ok() && written == *digest.finalize() {
        true => Ok(()),
        false => Err(BackupError::damaged(
            path,
            "damaged or not complete: its digest does not fit it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;
    use crate::home::CONFIG_FILE;

    #[test]
    fn only_the_files_of_a_node_have_a_place_in_a_backup() {
        for name in [
            CONFIG_FILE,
            "issuing.key",
            "network.json",
            "tls.cert",
            "goods/ab12.sealed",
        ] {
            assert!(is_name(name), "{name}");
        }
        let long = format!("{}.key", "a".repeat(200));
        for name in [
            "",
            "..",
            "../identity.key",
            "/etc/identity.key",
            "goods/../identity.key",
            "goods/a/b.sealed",
            "goods/.sealed",
            "store/journal",
            "encryption.keys",
            ".key",
            "a\u{202e}.key",
            &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
