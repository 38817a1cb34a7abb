//! A file that is visible whole, or not at all.

use super::durable::{Mode, sync_dir};
use farthing_store::entropy::{Entropy, SystemEntropy};
use rustix::fs::{AtFlags, CWD, OFlags, RawMode, RenameFlags, linkat, openat, renameat_with};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that is being written, and is put at its place when it is whole.
///
/// It has no name until then where the file system can do that, so that a killed process leaves nothing behind. Otherwise
/// it has a random one that nobody else has, in the same directory. No other file is touched, and no link is followed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// Its name for now, removed when this is dropped.
    temporary: Option<Temporary>,
}

impl NewFile {
    /// Begins a file that is to lie beside `path`.
    ///
    /// # Errors
    /// What the operating system says, as where there is no directory.
    pub fn beside(path: &Path, mode: Mode) -> io::Result<Self> {
        if let Some(file) = nameless(parent(path), mode) {
            return Ok(Self {
                file,
                temporary: None,
            });
        }
        let temporary = Temporary(random_name(path));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode.bits())
            .open(&temporary.0)?;
        Ok(Self {
            file,
            temporary: Some(temporary),
        })
    }

    /// What it is written through.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it at `path`, durably, where there must be nothing.
    ///
    /// # Errors
    /// `AlreadyExists` where there is something, a link that leads nowhere too; it can then be put elsewhere in the same
    /// directory. And what else the operating system says.
    pub fn put(&mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match &mut self.temporary {
            None => name(&self.file, path)?,
            Some(temporary) => temporary.rename_to_nothing(path)?,
        }
        sync_dir(parent(path))
    }

    /// Puts it at `path`, durably, in place of a file or link that may be there.
    ///
    /// # Errors
    /// What the operating system says; the old file is then still there.
    pub fn put_over(&mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if self.temporary.is_none() {
            let temporary = Temporary(random_name(path));
            name(&self.file, &temporary.0)?;
            self.temporary = Some(temporary);
        }
        if let Some(temporary) = &mut self.temporary {
            fs::rename(&temporary.0, path)?;
            temporary.0 = PathBuf::new();
        }
        sync_dir(parent(path))
    }
}

/// A name of this process's own. The file is removed with it, unless the path was emptied.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn rename_to_nothing(&mut self, path: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.0, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.0 = PathBuf::new();
                Ok(())
            }
            // A file system that cannot do that may still have links, which never replace anything. The name for now goes
            // when this is dropped.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::hard_link(&self.0, path),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // What cannot be removed stays behind under a name that says what it was.
            let _left = fs::remove_file(&self.0);
        }
    }
}

/// A file without a name in `dir`; `None` where the system has none, or could not name it later.
fn nameless(dir: &Path, mode: Mode) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::from_raw_mode(mode.bits() as RawMode);
    let file = File::from(openat(CWD, dir, flags, mode).ok()?);
    handle(&file).exists().then_some(file)
}

/// The path by which the system reaches an open file.
fn handle(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Gives a file without a name one that nothing else has.
fn name(file: &File, path: &Path) -> io::Result<()> {
    Ok(linkat(CWD, handle(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// A name beside `path` that nobody can know before.
fn random_name(path: &Path) -> PathBuf {
    let mut random = [0; 16];
    SystemEntropy.fill(&mut random);
    parent(path).join(format!(".farthing-{}.part", hex::encode(random)))
}

/// The directory of `path`.
fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A file with a name for now, as on a file system without files that have none.
    fn named(path: &Path) -> NewFile {
        let temporary = Temporary(random_name(path));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.0);
        NewFile {
            file: file.unwrap(),
            temporary: Some(temporary),
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_put_where_there_is_nothing_and_replaces_only_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        fs::write(dir.path().join("report.new"), "somebody's").unwrap();
        let begin: [fn(&Path) -> NewFile; 2] = [|path| NewFile::beside(path, Mode::Secret).unwrap(), named];
        for begin in begin {
            let mut new = begin(&path);
            new.file().write_all(b"one").unwrap();
            new.put(&path).unwrap();
            drop(new);
            let mut new = begin(&path);
            new.file().write_all(b"two").unwrap();
            assert_eq!(new.put(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"one");
            new.put_over(&path).unwrap();
            drop(new);
            assert_eq!(fs::read(&path).unwrap(), b"two");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            drop(begin(&path));
            assert_eq!(names(dir.path()), ["report.json", "report.new"]);
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(fs::read(dir.path().join("report.new")).unwrap(), b"somebody's");
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("report.json"), dir.path().join("victim"));
        symlink(&victim, &path).unwrap();
        let mut new = NewFile::beside(&path, Mode::Secret).unwrap();
        assert_eq!(new.put(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        new.put_over(&path).unwrap();
        assert!(!victim.exists());
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
