//! A directory for a run, which is gone afterwards unless it is to be kept.

use crate::error::DemoError;
use farthing_store::entropy::{Entropy, SystemEntropy};
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often the directory is tried to be removed: a process that was just killed may still be writing.
const REMOVE_TRIES: usize = 20;

/// The pause between two tries.
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// Removes a directory with all that is in it.
///
/// # Errors
/// When it cannot be removed.
pub async fn remove(dir: &Path) -> Result<(), DemoError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match fs::remove_dir_all(dir) {
            Err(_) if tries < REMOVE_TRIES => tokio::time::sleep(REMOVE_PAUSE).await,
            removed => return removed.map_err(DemoError::io(dir.display())),
        }
    }
}

/// Makes a directory of its own for a run, in the place for temporary files, or `keep`, which must be new or empty.
///
/// # Errors
/// When it cannot be made, or is not empty.
pub fn make(name: &str, keep: Option<&Path>) -> Result<PathBuf, DemoError> {
    let dir = match keep {
        Some(dir) => std::path::absolute(dir).map_err(DemoError::io(dir.display()))?,
        None => {
            let mut random = [0; 8];
            SystemEntropy.fill(&mut random);
            std::env::temp_dir().join(format!("{name}-{}", hex::encode(random)))
        }
    };
    let io = || DemoError::io(dir.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(io())?;
    if fs::read_dir(&dir).map_err(io())?.next().is_some() {
        return Err(DemoError::NotEmpty(dir));
    }
    Ok(dir)
}
