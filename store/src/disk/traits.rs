//! The traits of a disk and its files, and functions that read and replace whole files.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Size of one read or write in a pass over a whole file (bytes).
pub const CHUNK_BYTES: usize = 256 * 1024;

/// A folder of files on some disk.
pub trait Disk: Send + Sync {
    /// The same disk, shared.
    fn share(&self) -> Arc<dyn Disk>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, and other errors of the disk.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file for reading and writing. An existing file is emptied. The name is durable only after
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// The errors of the disk.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The names in `dir`, sorted. Empty when there is no such folder.
    ///
    /// # Errors
    /// The errors of the disk.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates `dir` and its parents. Only the owner may access them.
    ///
    /// # Errors
    /// The errors of the disk.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The errors of the disk.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Renames a file. It replaces a file that has the new name.
    ///
    /// # Errors
    /// The errors of the disk.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// The errors of the disk.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock of `dir`, until the returned guard is dropped or the process ends.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds it.
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>>;

    /// Free space for files in `dir` (bytes).
    ///
    /// # Errors
    /// The errors of the disk.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// The id of this boot of the machine. Every restart of the machine changes it. `None` when it is unknown.
    fn boot_id(&self) -> Option<String>;
}

/// The name of the file whose lock protects its directory. It has the note of the process that holds the lock.
pub const LOCK_NAME: &str = "lock";

/// Holds a directory's lock.
pub trait DirectoryLock: Send + Sync {
    /// Writes a note for the processes that want the lock. A crash may lose it.
    ///
    /// # Errors
    /// The errors of the disk.
    fn note(&self, _text: &str) -> io::Result<()> {
        Ok(())
    }
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// The file's length (bytes).
    ///
    /// # Errors
    /// The errors of the disk.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// The errors of the disk.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `out.len()` bytes at `offset`. Returns the number of bytes read, 0 at the end.
    ///
    /// # Errors
    /// The errors of the disk.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may be written.
    ///
    /// # Errors
    /// `StorageFull` when they do not fit, and other errors of the disk.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file's bytes and its length durable. After an error it is unknown which bytes are durable, and a second sync
    /// proves nothing.
    ///
    /// # Errors
    /// The errors of the disk.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// The errors of the disk.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Extends the file to at least `len` bytes, with room on the disk. The new bytes are zero.
    ///
    /// # Errors
    /// `StorageFull` when they do not fit. The old bytes are then unchanged.
    fn preallocate(&self, len: u64) -> io::Result<()>;
}

/// Fills `out` from `offset` on, with zeros after the file's end.
///
/// # Errors
/// The errors of the disk.
pub fn read_or_zero(file: &dyn DiskFile, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let mut rest = out;
    let mut at = offset;
    while !rest.is_empty() {
        match file.read_at(at, rest) {
            Ok(0) => {
                rest.fill(0);
                return Ok(());
            }
            Ok(read) => {
                at = at.saturating_add(read as u64);
                rest = rest.get_mut(read..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Hands the bytes of a part of a file to `with`, in order and in pieces, each with its offset. `failed` makes the error of a
/// read.
pub(crate) fn each_piece<E>(
    file: &dyn DiskFile,
    part: Range<u64>,
    failed: impl Fn(io::Error) -> E,
    mut with: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut piece = vec![0; CHUNK_BYTES];
    let mut offset = part.start;
    while offset < part.end {
        let left = usize::try_from(part.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        piece.resize(left.min(CHUNK_BYTES), 0);
        read_or_zero(file, offset, &mut piece).map_err(&failed)?;
        with(offset, &piece)?;
        offset = offset.saturating_add(piece.len() as u64);
    }
    Ok(())
}

/// Reads a whole file of at most `max_bytes`. `None` when there is no such file.
///
/// # Errors
/// `InvalidData` when the file is longer, and other errors of the disk.
pub fn read_file(disk: &dyn Disk, path: &Path, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if len > max_bytes {
        let text = format!(
            "{} is {len} bytes long, at most {max_bytes} are expected",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = vec![0; len];
    read_or_zero(file.as_ref(), 0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Replaces a file atomically: after a crash, either the old file or the new one is there, whole.
///
/// # Errors
/// The errors of the disk.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let file = disk.create(&fresh)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    disk.rename(&fresh, path)?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}
