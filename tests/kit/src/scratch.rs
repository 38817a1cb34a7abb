//! A directory for a run, removed afterwards unless it is to be kept; and copies of directories.

use crate::error::RunError;
use farthing_node::terminal;
use farthing_store::entropy::{Entropy, SystemEntropy};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The number of attempts to remove the directory: a process that was just killed may still write.
const REMOVE_TRIES: usize = 20;

/// The pause between two attempts.
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// Copies the directory `from` with all that is in it to `to`, which must be new.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// A directory for one run. It is removed on drop, unless the caller named it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    named: bool,
}

impl Scratch {
    /// Creates a directory for temporary files, called `name` with a random suffix; or uses `named`, which must be
    /// new or empty.
    ///
    /// # Errors
    /// When it cannot be created, or is not empty.
    pub fn new(name: &str, named: Option<&Path>) -> Result<Scratch, RunError> {
        let path = match named {
            Some(dir) => std::path::absolute(dir).map_err(RunError::io(dir.display()))?,
            None => {
                let mut random = [0; 8];
                SystemEntropy.fill(&mut random);
                std::env::temp_dir().join(format!("{name}-{}", hex::encode(random)))
            }
        };
        let io = || RunError::io(path.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(io())?;
        if fs::read_dir(&path).map_err(io())?.next().is_some() {
            return Err(RunError::NotEmpty(path));
        }
        Ok(Scratch {
            path,
            named: named.is_some(),
        })
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.named
            && let Err(error) = remove(&self.path)
        {
            terminal::print_note(&format!("{} is left behind: {error}", self.path.display()));
        }
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    for _ in 1..REMOVE_TRIES {
        if fs::remove_dir_all(dir).is_ok() {
            return Ok(());
        }
        thread::sleep(REMOVE_PAUSE);
    }
    fs::remove_dir_all(dir)
}
