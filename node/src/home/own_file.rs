//! The files of a node's directory, read with what is wrong with them said.

use super::error::HomeError;
use super::files;
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// The most bytes of any of these files that are read.
pub(super) const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// A file of the node; a secret one must not be open to others.
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

/// A file that is not what it should be.
pub(super) fn damaged(dir: &Path, name: &str, reason: String) -> HomeError {
    HomeError::Damaged {
        path: dir.join(name),
        reason,
    }
}

/// A file that could not be read or written.
pub(super) fn io_error(path: &Path, source: io::Error) -> HomeError {
    HomeError::Io {
        path: path.to_owned(),
        source,
    }
}
