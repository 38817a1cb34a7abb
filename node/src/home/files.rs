//! Atomic and durable writes of files: a file is written, synced, and made visible in one step. No other file is
//! touched.
//!
//! | what | function |
//! |---|---|
//! | a program's own file: create or replace it | [`create`], [`replace`] |
//! | an output file that the user names | [`write_output`], or [`NewFile`] for a file that is written in pieces |
//! | read, change, write of a file by many processes | [`lock`], [`lock_at`] |
//! | parts of files that killed processes have left | [`remove_parts`] |
//! | directories and secrets that only their owner may read | [`make_private`], [`make_tree_private`], [`exposed`] |
//! | directories of another user | [`refuse_foreign`] |

mod durable;
mod new_file;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use durable::{Mode, sync_dir, sync_parent};
pub use new_file::{NewFile, remove_parts};

/// The lock file of a program's directory. It is locked while a process reads, changes and writes the other files.
pub const LOCK_FILE: &str = "files.lock";

/// How long a process waits for the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two attempts to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

// ---- a program's own files ----------------------------------------------------------------------------------------

/// Creates `path` with `bytes` and syncs it. The caller syncs the directory when it has written all its files.
///
/// # Errors
/// When the file exists, and the errors of the operating system.
pub fn create(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode.bits())
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces `path` by a file with `bytes`, durably. After a crash `path` is the old file or the new one.
///
/// # Errors
/// The errors of the operating system. The old file then stays.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let mut new = NewFile::beside(path, mode)?;
    new.file().write_all(bytes)?;
    new.put_over(path)
}

/// Reads the whole of `path`, if it has at most `max_bytes`.
///
/// # Errors
/// The errors of the operating system, and `InvalidData` for a longer file.
pub fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max_bytes {
        let message = format!("the file is longer than the {max_bytes} bytes that are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

// ---- output files that the user names -----------------------------------------------------------------------------

/// Whether an existing output file is kept or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The file stays, and nothing is written.
    Kept,
    /// The file is replaced. The user has agreed to lose it.
    Replaced,
}

impl Existing {
    /// The choice of the flag `--force`.
    #[must_use]
    pub fn by_force(force: bool) -> Self {
        match force {
            true => Existing::Replaced,
            false => Existing::Kept,
        }
    }
}

/// An error about an output file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file exists.
    #[error("{path} exists; nothing was written. Choose another file, or overwrite it with --force", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The directory of the file does not exist.
    #[error("there is no directory {dir}; make it first, or choose another file", dir = dir.display())]
    NoDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// The path is a directory, a device or something else that is not a regular file.
    #[error("{path} is not a file; nothing was written. Name the file that is to be written", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("cannot write {path}: {source}; nothing that was there has changed", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Writes `bytes` to the file that the user has named, durably and in one step. No other file is touched, and no link
/// is
/// followed.
///
/// # Errors
/// [`OutputError`] says what prevents the write, and what to do.
pub fn write_output(path: &Path, bytes: &[u8], mode: Mode, existing: Existing) -> Result<(), OutputError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => OutputError::Exists {
            path: path.to_owned(),
        },
        _ => OutputError::Io {
            path: path.to_owned(),
            source,
        },
    };
    check_output(path, existing)?;
    let mut new = NewFile::beside(path, mode).map_err(failed)?;
    new.file().write_all(bytes).map_err(failed)?;
    match existing {
        Existing::Kept => new.put(path),
        Existing::Replaced => new.put_over(path),
    }
    .map_err(failed)
}

/// Checks that the output file can be written, before the work for it is done.
///
/// # Errors
/// [`OutputError`] says what prevents the write, and what to do.
pub fn check_output(path: &Path, existing: Existing) -> Result<(), OutputError> {
    if path.file_name().is_none() {
        return Err(OutputError::NotAFile {
            path: path.to_owned(),
        });
    }
    let Ok(there) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let kind = there.file_type();
    if !kind.is_file() && !kind.is_symlink() {
        return Err(OutputError::NotAFile {
            path: path.to_owned(),
        });
    }
    if existing == Existing::Kept {
        return Err(OutputError::Exists {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Proves that a file can be put at `path`, before the work for it is done. No file is touched.
///
/// # Errors
/// [`OutputError`] says what prevents the write, and what to do.
pub fn prove_output(path: &Path) -> Result<(), OutputError> {
    let gone = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    };
    NewFile::prove(path).map_err(|source| match path.parent() {
        Some(dir) if gone(&source) && !dir.is_dir() => OutputError::NoDirectory { dir: dir.to_owned() },
        _ => OutputError::Io {
            path: path.to_owned(),
            source,
        },
    })
}

// ---- many processes -----------------------------------------------------------------------------------------------

/// The lock of a directory, or of one file. While it is held, no other process and no other thread changes what it is for.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// Waits for the lock of `dir` and takes it. Dropping the [`Lock`] releases it.
///
/// # Errors
/// The errors of the operating system, and `WouldBlock` when another process holds the lock for too long.
pub fn lock(dir: &Path) -> io::Result<Lock> {
    lock_at(&dir.join(LOCK_FILE))
}

/// Waits for the lock on the file `path` and takes it. The file is created if it is missing, and stays. Dropping the
/// [`Lock`] releases it.
///
/// # Errors
/// As [`lock`].
pub fn lock_at(path: &Path) -> io::Result<Lock> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(Mode::Secret.bits())
        .open(path)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let message = "another command has been changing files here for too long; stop it, then repeat this one";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

// ---- private directories and secrets ------------------------------------------------------------------------------

/// Creates `dir` and its missing parents with the mode 0700. An existing `dir` gets this mode too.
///
/// # Errors
/// As [`make_private`].
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    make_private(dir)
}

/// Refuses a directory of another user. A command that root types would otherwise leave files in it that the program of its
/// owner cannot read, or replace files of the owner by its own.
///
/// # Errors
/// When the directory belongs to another user, and the errors of the operating system.
pub fn refuse_foreign(dir: &Path) -> io::Result<()> {
    let owner = fs::metadata(dir)?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner == user {
        return Ok(());
    }
    let why = format!(
        "this directory belongs to another user (uid {owner}; this program runs as uid {user}); run the command as that \
         user, for example `sudo -u '#{owner}' ...`; nothing was changed"
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Sets the mode of `dir` to 0700, if other users have any access to it.
///
/// # Errors
/// When the directory belongs to another user, or the mode cannot be changed. A directory that is shared on purpose (it
/// has the sticky bit, as `/tmp`) is refused and stays as it is.
pub fn make_private(dir: &Path) -> io::Result<()> {
    refuse_foreign(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let refused = |why: String| io::Error::new(io::ErrorKind::PermissionDenied, why);
    if mode & 0o1000 != 0 {
        return Err(refused(
            "others can read this directory, and it is shared on purpose; choose a directory of its own"
                .into(),
        ));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|error| {
        refused(format!(
            "others can read this directory (mode {:o}) and it cannot be changed: {error}; have its owner run `chmod 700`",
            mode & 0o777
        ))
    })
}

/// Makes `dir` private (0700), and takes all access of other users from the files in it, except from those called
/// `except`. Does the same in its directories with the names `inner`, and in all directories below these. No link is
/// followed, and files of another user stay as they are. Returns whether other users had any access to `dir`.
///
/// # Errors
/// As [`make_private`].
pub fn make_tree_private(dir: &Path, except: &str, inner: &[&str]) -> io::Result<bool> {
    let was_open = exposed(dir)?.is_some();
    make_private(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let is_inner = inner.iter().any(|name| entry.file_name() == *name);
        if entry.file_type()?.is_dir() {
            if is_inner {
                close_to_others(&entry.path())?;
            }
        } else if entry.file_name() != except {
            close_to_others(&entry.path())?;
        }
    }
    Ok(was_open)
}

/// Takes all access of other users from a file, or from a directory and everything in it.
fn close_to_others(path: &Path) -> io::Result<()> {
    let closed = || -> io::Result<()> {
        let there = fs::symlink_metadata(path)?;
        if !there.is_file() && !there.is_dir() {
            return Ok(());
        }
        let mode = there.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))?;
        }
        if there.is_dir() {
            for entry in fs::read_dir(path)? {
                close_to_others(&entry?.path())?;
            }
        }
        Ok(())
    };
    match closed() {
        // Another process may remove a file meanwhile. What belongs to another user, such as `lost+found`, is not ours.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Returns the mode of a secret file, if other users can read or write it.
///
/// # Errors
/// The errors of the operating system.
pub fn exposed(path: &Path) -> io::Result<Option<u32>> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    Ok((mode & 0o077 != 0).then_some(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_is_closed_to_others_and_what_is_beside_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
        fs::create_dir_all(path("store/index")).unwrap();
        fs::create_dir_all(path("bin")).unwrap();
        for name in ["seed", "cards", "store/index/rows", "bin/program"] {
            fs::write(path(name), "").unwrap();
        }
        for name in [
            "",
            "seed",
            "cards",
            "store",
            "store/index",
            "store/index/rows",
            "bin",
            "bin/program",
        ] {
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(path("bin/program"), path("store/link")).unwrap();
        assert!(make_tree_private(dir.path(), "seed", &["store"]).unwrap());
        for name in ["", "cards", "store", "store/index", "store/index/rows"] {
            assert_eq!(mode(name), 0o700, "{name}");
        }
        for name in ["seed", "bin", "bin/program"] {
            assert_eq!(mode(name), 0o755, "{name}");
        }
        assert!(!make_tree_private(dir.path(), "seed", &["store"]).unwrap());
    }

    #[test]
    fn an_output_file_replaces_nothing_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        let write = |bytes, existing| write_output(&path, bytes, Mode::Secret, existing);
        write(b"one", Existing::Kept).unwrap();
        let error = write(b"two", Existing::Kept).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(b"two", Existing::Replaced).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        for not_a_file in [dir.path(), Path::new("/dev/null"), Path::new("/")] {
            let error = write_output(not_a_file, b"", Mode::Secret, Existing::Replaced).unwrap_err();
            assert!(matches!(error, OutputError::NotAFile { .. }), "{error}");
        }
        let nowhere = dir.path().join("nowhere/report.json");
        let error = write_output(&nowhere, b"", Mode::Secret, Existing::Kept).unwrap_err();
        assert!(matches!(error, OutputError::Io { .. }), "{error}");
    }

    #[test]
    fn only_one_thread_at_a_time_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        fs::write(&count, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _locked = lock(dir.path()).unwrap();
                    let now: u32 = fs::read_to_string(&count).unwrap().parse().unwrap();
                    std::thread::sleep(Duration::from_millis(2));
                    replace(&count, (now + 1).to_string().as_bytes(), Mode::Public).unwrap();
                });
            }
        });
        assert_eq!(fs::read_to_string(&count).unwrap(), "8");
    }

    #[test]
    fn a_directory_of_another_user_is_refused_and_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        refuse_foreign(dir.path()).unwrap();
        // Only root can give a directory away.
        if std::os::unix::fs::chown(dir.path(), Some(4321), None).is_err() {
            return;
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for refused in [
            make_private(dir.path()),
            create_private_dir(dir.path()),
            make_tree_private(dir.path(), "seed", &[]).map(|_| ()),
        ] {
            let why = refused.unwrap_err().to_string();
            assert!(
                why.contains("uid 4321") && why.contains("sudo -u '#4321'"),
                "{why}"
            );
        }
        let mode = fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o755);
    }

    #[test]
    fn what_other_users_can_read_is_made_private_or_reported() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        let set = |mode| fs::set_permissions(&home, fs::Permissions::from_mode(mode)).unwrap();
        let mode = || fs::metadata(&home).unwrap().permissions().mode() & 0o7777;
        for open in [0o755, 0o750, 0o701, 0o700] {
            set(open);
            make_private(&home).unwrap();
            assert_eq!(mode(), 0o700);
        }
        // The directory is reached through a link too.
        set(0o777);
        let link = dir.path().join("link");
        symlink(&home, &link).unwrap();
        create_private_dir(&link).unwrap();
        assert_eq!(mode(), 0o700);
        set(0o1777);
        assert!(make_private(&home).unwrap_err().to_string().contains("shared"));
        assert_eq!(mode(), 0o1777);

        let secret = dir.path().join("secret");
        create(&secret, b"", Mode::Secret).unwrap();
        assert_eq!(exposed(&secret).unwrap(), None);
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(exposed(&secret).unwrap(), Some(0o640));
    }
}
