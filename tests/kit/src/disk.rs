//! A disk that can be filled: a small file system in memory, where this user may mount one.

use rustix::fs::statvfs;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Room for a party and for what it keeps free.
const SIZE_BYTES: u64 = 256 * 1024 * 1024;

/// What is left when it is full: less than any party keeps free, and enough to start again.
const LEFT_BYTES: u64 = 4 * 1024 * 1024;

/// What is written until there is no room, in pieces of these sizes one after the other (bytes).
const BALLAST_BYTES: [usize; 3] = [1024 * 1024, 4096, 1];

/// A small disk. It goes when this is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `dir`, which must be an empty directory.
    ///
    /// # Errors
    /// What `mount` says: mostly, that it takes more rights than this user has.
    pub fn mount(dir: &Path) -> io::Result<SmallDisk> {
        mount(&format!("size={SIZE_BYTES},mode=700"), dir)?;
        Ok(SmallDisk(dir.to_owned()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves less than any party keeps free.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn fill(&self) -> io::Result<()> {
        let stat = statvfs(&self.0)?;
        let used = stat
            .f_blocks
            .saturating_sub(stat.f_bfree)
            .saturating_mul(stat.f_frsize);
        self.resize(used.saturating_add(LEFT_BYTES))
    }

    /// Leaves nothing at all.
    ///
    /// # Errors
    /// What the operating system says, except that there is no room.
    pub fn fill_to_the_brim(&self) -> io::Result<()> {
        self.fill()?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast())?;
        for bytes in BALLAST_BYTES {
            while file.write_all(&vec![1; bytes]).is_ok() {}
        }
        Ok(())
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Makes room again.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn free(&self) -> io::Result<()> {
        self.resize(SIZE_BYTES)?;
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        mount(&format!("remount,size={bytes}"), &self.0)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn mount(options: &str, dir: &Path) -> io::Result<()> {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir);
    let said = command.output()?;
    match said.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&said.stderr).trim().to_owned(),
        )),
    }
}
