//! Access modes of files, and durable directory entries.

use std::fs::File;
use std::io;
use std::path::Path;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only its owner (0600).
    Secret,
    /// Everybody who can see the directory (0644).
    Public,
}

impl Mode {
    pub(super) fn bits(self) -> u32 {
        match self {
            Mode::Secret => 0o600,
            Mode::Public => 0o644,
        }
    }
}

/// Makes the name of `path` durable, or that it is gone.
///
/// # Errors
/// The errors of the operating system.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_dir(path.parent().unwrap_or(path))
}

/// Makes the entries of `dir` durable.
///
/// # Errors
/// The errors of the operating system.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    // The parent of a relative path with one component is the empty path.
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}
