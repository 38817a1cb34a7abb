//! Reads the files of a node's directory. Errors name the file and its fault.

use super::error::HomeError;
use super::files;
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// The maximum size of a file of a node's directory (bytes).
pub(super) const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Reads a file of the node. Other users must not be able to read a secret file.
pub(super) fn read(dir: &Path, name: &str, mode: files::Mode) -> Result<Zeroizing<Vec<u8>>, HomeError> {
    let path = dir.join(name);
    if mode == files::Mode::Secret {
        let exposed = files::exposed(&path).map_err(|source| io_error(&path, source))?;
        if let Some(mode) = exposed {
            return Err(HomeError::Exposed { path, mode });
        }
    }
    let bytes = files::read_bounded(&path, FILE_MAX_BYTES).map_err(|source| io_error(&path, source))?;
    Ok(Zeroizing::new(bytes))
}

/// The error of a file with wrong content.
pub(super) fn damaged(dir: &Path, name: &str, reason: String) -> HomeError {
    HomeError::Damaged {
        path: dir.join(name),
        reason,
    }
}

/// The error of a file that could not be read or written.
pub(super) fn io_error(path: &Path, source: io::Error) -> HomeError {
    HomeError::Io {
        path: path.to_owned(),
        source,
    }
}
