//! A disk that can be filled: a small file system in memory, where this user may mount one.

use rustix::fs::statvfs;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Space for a party and its reserve.
const SIZE_BYTES: u64 = 256 * 1024 * 1024;

/// Space left on a full disk: less than any party's reserve, and enough for a restart.
const LEFT_BYTES: u64 = 4 * 1024 * 1024;

/// Sizes of the pieces that fill the disk, one size after the other (bytes).
const BALLAST_BYTES: [usize; 3] = [1024 * 1024, 4096, 1];

/// A small disk. It is unmounted on drop.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a disk at `dir`, which must be an empty directory.
    ///
    /// # Errors
    /// The error of `mount`: usually, that this user has too few rights.
    pub fn mount(dir: &Path) -> io::Result<SmallDisk> {
        mount(&format!("size={SIZE_BYTES},mode=700"), dir)?;
        Ok(SmallDisk(dir.to_owned()))
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fills the disk except for less than any party's reserve.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn fill(&self) -> io::Result<()> {
        let stat = statvfs(&self.0)?;
        let used = stat
            .f_blocks
            .saturating_sub(stat.f_bfree)
            .saturating_mul(stat.f_frsize);
        self.resize(used.saturating_add(LEFT_BYTES))
    }

    /// Fills the disk completely.
    ///
    /// # Errors
    /// The error of the operating system, except that no space is left.
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

    /// Frees the space again.
    ///
    /// # Errors
    /// The error of the operating system.
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
