//! The disk, passed in: the few operations that the journal needs.
//!
//! [`FileDisk`] is the real one. [`MemoryDisk`] is a simulated one that knows which bytes were synced, and
//! keeps those and an arbitrary part of the others when it is told to crash.

mod memory;

pub use memory::{MemoryDisk, SECTOR_BYTES};

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
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

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileDisk;

/// The file whose lock stands for its folder's.
const LOCK_NAME: &str = "lock";

struct FileLock(#[expect(dead_code, reason = "held for its lock")] File);
impl DirectoryLock for FileLock {}

fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for FileDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(private().open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = private().create(true).truncate(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // The parent of a bare name is the empty path, which means the working directory.
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        File::open(dir)?.sync_all()
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        let mut file = private().create(true).truncate(false).open(dir.join(LOCK_NAME))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Only for people who look into the folder: the lock is the operating system's, not this number.
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Box::new(FileLock(file)))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn boot_id(&self) -> Option<String> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().to_owned()).filter(|id| !id.is_empty())
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let old = self.len()?;
        if old >= len {
            return Ok(());
        }
        let grow = len.saturating_sub(old);
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), old, grow) {
            Ok(()) => Ok(()),
            // Some file systems can't reserve room: there it is taken by writing zeros.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                let zeros = vec![0; CHUNK_BYTES];
                let mut at = old;
                while at < len {
                    let left = usize::try_from(len.saturating_sub(at)).unwrap_or(CHUNK_BYTES);
                    let part = zeros.get(..left.min(CHUNK_BYTES)).unwrap_or_default();
                    self.write_at(at, part)?;
                    at = at.saturating_add(part.len() as u64);
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
