//! Small files that must survive a crash whole: written, synced, and made visible in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its owner alone (0600).
    Secret,
    /// Everybody who can see the directory (0644).
    Public,
}

impl Mode {
    fn bits(self) -> u32 {
        match self {
            Mode::Secret => 0o600,
            Mode::Public => 0o644,
        }
    }
}

/// Creates `path` with `bytes` and syncs it; the caller syncs the directory when it has written all its files.
///
/// # Errors
/// When the file exists, or what the operating system says.
pub fn create(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode.bits())
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces `path` by a file with `bytes`, durably: after a crash there is the old file or the new one.
///
/// # Errors
/// What the operating system says; the old file is then still there.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // One that a crash has left behind is of no use to anybody.
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    create(&temporary, bytes, mode)?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes the names in `dir` durable.
///
/// # Errors
/// What the operating system says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    // The parent of a relative path of one part is the empty path.
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

/// All of `path`, if it is at most `max_bytes` long.
///
/// # Errors
/// What the operating system says, and `InvalidData` for a longer file.
pub fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max_bytes {
        let message = format!("the file is longer than the {max_bytes} bytes that are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}
