//! A file that becomes visible in one step, when it is complete.

use super::durable::{Mode, sync_parent};
use farthing_store::entropy::{Entropy, SystemEntropy};
use rustix::fs::{AtFlags, CWD, OFlags, RawMode, RenameFlags, linkat, openat, renameat_with};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Longest name that the name of a [`sibling`] contains as a whole (bytes). Every file system has room for both parts.
const WHOLE_NAME_MAX_BYTES: usize = 90;

/// A file that is being written. It gets its final path and its mode when it is complete. Until then only its owner can
/// read it.
///
/// Until then it has no name, if the file system supports that. A killed process then leaves no file. Otherwise it has
/// a
/// random, unique name in the same directory. No other file is touched, and no link is followed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// The mode of the complete file.
    mode: Mode,
    /// Whether it is made durable when it gets its path.
    is_synced: bool,
    /// Its temporary name. It is removed when this is dropped.
    temporary: Option<Temporary>,
}

impl NewFile {
    /// Begins a file in the directory of `path`.
    ///
    /// # Errors
    /// The errors of the operating system, for example when the directory does not exist.
    pub fn beside(path: &Path, mode: Mode) -> io::Result<Self> {
        if let Some(file) = nameless(parent(path)) {
            return Ok(Self {
                file,
                mode,
                is_synced: true,
                temporary: None,
            });
        }
        let temporary = Temporary(random_name(path));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(Mode::Secret.bits())
            .open(&temporary.0)?;
        Ok(Self {
            file,
            mode,
            is_synced: true,
            temporary: Some(temporary),
        })
    }

    /// The same file, but it is not synced when it gets its path. For content that its owner can write again: after a power
    /// failure the file may be missing, shorter, or zeros.
    #[must_use]
    pub fn without_sync(self) -> Self {
        Self {
            is_synced: false,
            ..self
        }
    }

    /// Proves that a file can be put at `path`: puts an empty one beside it, under a random name that is as long, and
    /// removes it. No other file is touched.
    ///
    /// # Errors
    /// The errors of the operating system, for example when the name is too long or the directory is read-only.
    pub fn prove(path: &Path) -> io::Result<()> {
        let mut probe = Self::beside(path, Mode::Secret)?;
        let sibling = Temporary(sibling(path));
        match &mut probe.temporary {
            None => name(&probe.file, &sibling.0)?,
            Some(temporary) => temporary.rename_to_nothing(&sibling.0)?,
        }
        // A directory that cannot be read cannot be synced.
        File::open(parent(path)).map(drop)
    }

    /// The open file, to write to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file at `path`, durably. `path` must not exist.
    ///
    /// # Errors
    /// `AlreadyExists` when `path` exists, even as a dangling link. The file can then be put at another path in the
    /// same
    /// directory. Also the other errors of the operating system.
    pub fn put(&mut self, path: &Path) -> io::Result<()> {
        self.complete()?;
        match &mut self.temporary {
            None => name(&self.file, path)?,
            Some(temporary) => temporary.rename_to_nothing(path)?,
        }
        self.sync_entry(path)
    }

    /// Puts the file at `path`, durably. It replaces an existing file or link.
    ///
    /// # Errors
    /// The errors of the operating system. The old file then stays.
    pub fn put_over(&mut self, path: &Path) -> io::Result<()> {
        self.complete()?;
        if self.temporary.is_none() {
            let temporary = Temporary(random_name(path));
            name(&self.file, &temporary.0)?;
            self.temporary = Some(temporary);
        }
        if let Some(temporary) = &mut self.temporary {
            fs::rename(&temporary.0, path)?;
            temporary.0 = PathBuf::new();
        }
        self.sync_entry(path)
    }

    /// Makes the entry of `path` in its directory durable.
    fn sync_entry(&self, path: &Path) -> io::Result<()> {
        match self.is_synced {
            true => sync_parent(path),
            false => Ok(()),
        }
    }

    /// Gives the file its mode, and makes it durable.
    fn complete(&self) -> io::Result<()> {
        if let Some(umask) = umask() {
            self.file
                .set_permissions(Permissions::from_mode(self.mode.bits() & !umask))?;
        }
        match self.is_synced {
            true => self.file.sync_all(),
            false => Ok(()),
        }
    }
}

/// The bits that the user takes from the modes of new files. `None` if the system does not tell: files then stay as
/// they are, for their owner only. It is asked once: no program of Farthing changes it.
fn umask() -> Option<u32> {
    static UMASK: OnceLock<Option<u32>> = OnceLock::new();
    *UMASK.get_or_init(read_umask)
}

fn read_umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(umask.trim(), 8).ok()
}

/// A temporary path. The file is removed when this is dropped, unless the path was emptied.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn rename_to_nothing(&mut self, path: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.0, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.0 = PathBuf::new();
                Ok(())
            }
            // A file system without this operation may have hard links. A new link never replaces a file. The temporary
            // name
            // is removed when this is dropped.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::hard_link(&self.0, path),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // A file that cannot be removed stays under a name that shows its purpose.
            let _left = fs::remove_file(&self.0);
        }
    }
}

/// Opens a file without a name in `dir`. `None` if the system has no such files, or could not name it later.
fn nameless(dir: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::from_raw_mode(Mode::Secret.bits() as RawMode);
    let file = File::from(openat(CWD, dir, flags, mode).ok()?);
    handle(&file).exists().then_some(file)
}

/// The path under which the system finds an open file.
fn handle(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Gives a file without a name the name `path`, which must not exist.
fn name(file: &File, path: &Path) -> io::Result<()> {
    Ok(linkat(CWD, handle(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// The beginning and the end of a [`random_name`].
const PART: (&str, &str) = (".farthing-", ".part");

/// Removes the parts of files that killed processes have left in `dir`.
///
/// # Errors
/// The errors of the operating system.
pub fn remove_parts(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_bytes();
        if name.starts_with(PART.0.as_bytes()) && name.ends_with(PART.1.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A random path in the directory of `path`, which nobody can predict.
fn random_name(path: &Path) -> PathBuf {
    let mut random = [0; 16];
    SystemEntropy.fill(&mut random);
    let (begin, end) = PART;
    parent(path).join(format!("{begin}{}{end}", hex::encode(random)))
}

/// A random path in the directory of `path`. Its name begins as that of `path` and is at least as long.
fn sibling(path: &Path) -> PathBuf {
    let random = random_name(path);
    let random = random.file_name().unwrap_or_default().as_bytes();
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut kept = match name.len() {
        short @ ..=WHOLE_NAME_MAX_BYTES => short,
        long => long.saturating_sub(random.len()),
    };
    // No character is cut.
    while name.get(kept).is_some_and(|byte| byte & 0xc0 == 0x80) {
        kept = kept.saturating_sub(1);
    }
    let mut sibling = [name.get(..kept).unwrap_or_default(), random].concat();
    sibling.resize(sibling.len().max(name.len()), b'-');
    parent(path).join(OsString::from_vec(sibling))
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

    /// A file with a temporary name, as on a file system that needs one.
    fn named(path: &Path) -> NewFile {
        let temporary = Temporary(random_name(path));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.0);
        NewFile {
            file: file.unwrap(),
            mode: Mode::Secret,
            is_synced: true,
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
    fn a_file_without_sync_is_put_as_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("goods.txt");
        for (bytes, expected) in [("one", Some("one")), ("two", None)] {
            let mut new = NewFile::beside(&path, Mode::Public).unwrap().without_sync();
            new.file().write_all(bytes.as_bytes()).unwrap();
            let put = new.put(&path);
            assert_eq!(put.is_ok(), expected.is_some());
            assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        }
        assert_eq!(names(dir.path()), ["goods.txt"]);
    }

    #[test]
    fn a_file_replaces_another_only_with_put_over() {
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
    fn a_place_is_proven_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        let (short, long) = ("a".to_owned(), "\u{e4}".repeat(127) + "a");
        for name in [&short, &"b".repeat(91), &"b".repeat(255), &long] {
            let path = dir.path().join(name);
            NewFile::prove(&path).unwrap();
            let sibling = sibling(&path);
            let sibling = sibling.file_name().unwrap();
            assert!(sibling.len() >= name.len() && sibling.len() <= 255, "{sibling:?}");
            assert!(sibling.to_str().is_some(), "{sibling:?}");
            // What is there already stays as it is.
            fs::write(&path, "somebody's").unwrap();
            NewFile::prove(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"somebody's");
            fs::remove_file(&path).unwrap();
        }
        let kinds = [
            dir.path().join("b".repeat(256)),
            dir.path().join("nowhere/goods"),
            "/proc/self/goods".into(),
        ];
        for place in kinds {
            NewFile::prove(&place).unwrap_err();
        }
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn only_its_owner_can_read_a_file_before_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("goods");
        let mut new = NewFile::beside(&path, Mode::Public).unwrap();
        let mode = |file: &File| file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(new.file()), 0o600);
        new.put(&path).unwrap();
        assert_eq!(mode(new.file()), 0o644 & !umask().unwrap());
    }

    #[test]
    fn only_parts_of_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["report.part", ".farthing-report"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::write(random_name(&dir.path().join("report")), "").unwrap();
        remove_parts(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [".farthing-report", "report.part"]);
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
