//! A directory for a run, which is gone afterwards unless it is to be kept.

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

/// How often the directory is tried to be removed: a process that was just killed may still be writing.
const REMOVE_TRIES: usize = 20;

/// The pause between two tries.
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// A directory of its own for a run. It is removed when this is dropped, unless it was named.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    named: bool,
}

impl Scratch {
    /// Makes a directory in the place for temporary files, called `name` and something random; or `named`, which must be
    /// new or empty.
    ///
    /// # Errors
    /// When it cannot be made, or is not empty.
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

    /// Where it is.
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
