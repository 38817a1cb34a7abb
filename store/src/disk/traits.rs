//! What the journal needs of a disk, and whole files on top of that.

use std::io;
use std::path::{Path, PathBuf};

/// Bytes that are read or written at a stretch where whole files are walked.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// A folder of files on some disk.
pub trait Disk: Send + Sync {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, and whatever else the disk says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file for reading and writing; an existing one is emptied. The name is durable only after
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// Whatever the disk says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The names of what is in `dir`, sorted; none when there is no such folder.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates `dir` and those above it, for its owner alone.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of what had that name.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock of `dir`, until the returned guard is dropped or the process ends.
    ///
    /// # Errors
    /// `WouldBlock` when another holds it.
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>>;

    /// Bytes that are left for files in `dir`.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// A name for the time since the machine started, which every restart of the machine changes; `None`
    /// when it can't be told.
    fn boot_id(&self) -> Option<String>;
}

/// Holds a directory's lock.
pub trait DirectoryLock: Send + Sync {}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// The file's length (bytes).
    ///
    /// # Errors
    /// Whatever the disk says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `out.len()` bytes at `offset`; how many there were, 0 at the end.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may be written.
    ///
    /// # Errors
    /// `StorageFull` when they do not fit, and whatever else the disk says.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file's bytes and its length durable. After an error nobody knows which of them are, and
    /// trying again proves nothing.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Sees to it that the file has at least `len` bytes with room on the disk; the new ones are zero.
    ///
    /// # Errors
    /// `StorageFull` when they do not fit; no byte that was there has changed then.
    fn preallocate(&self, len: u64) -> io::Result<()>;
}

/// Fills `out` from `offset` on, with zeros where the file has ended.
///
/// # Errors
/// Whatever the disk says.
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

/// All bytes of a file that may be at most `max_bytes` long; `None` when there is no such file.
///
/// # Errors
/// `InvalidData` when the file is longer, and whatever else the disk says.
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

/// Replaces a file such that after a crash there is either the old one or the new one, whole.
///
/// # Errors
/// Whatever the disk says.
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
