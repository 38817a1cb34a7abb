//! The register of proofs that were shown, for a tax office: it accepts each deposit once.
//!
//! The file has one deposit id a line: 64 lower-case hexadecimal digits. It is replaced in one durable step, so that a crash
//! leaves the old list or the new one. A lock beside it makes one run wait for another.

use farthing_node::home::files::{Mode, lock_at, read_bounded, replace};
use farthing_protocol::ids::DepositId;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The most deposit ids of one register.
pub const REGISTER_IDS_MAX: usize = 1_000_000;

/// The length of a line of a register (bytes): the id in hexadecimal, and the line feed.
const LINE_BYTES: usize = 65;

/// What the name of a register's lock file ends with.
const LOCK_SUFFIX: &str = ".lock";

/// Why a register accepts nothing. It is unchanged then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A deposit was accepted before.
    #[error("deposit {0} was shown before: it is in the register, or twice among these files")]
    Repeated(DepositId),
    /// The register has no room.
    #[error(
        "the register {path} has {ids} deposits, and at most {REGISTER_IDS_MAX} have room; nothing was registered. Keep \
         one register for the payments of each year", path = path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// How many ids it has.
        ids: usize,
    },
    /// A line of the file is no deposit id.
    #[error(
        "line {line} of {path} is no deposit id, so this file is no register, or it is damaged; nothing was registered",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of the line. The first has the number 1.
        line: usize,
    },
    /// The file cannot be read or written.
    #[error("the register {path}: {source}; nothing was registered", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Accepts these deposits, all or none, and stores that in the file `path`, which is made if it is missing. It returns after
/// the new list is durable.
///
/// # Errors
/// [`RegisterError::Repeated`] when one of them was accepted before, or is there twice. [`RegisterError`] says what else
/// prevents it. Nothing is changed then.
pub fn register(path: &Path, deposits: &[DepositId]) -> Result<(), RegisterError> {
    register_up_to(path, deposits, REGISTER_IDS_MAX)
}

fn register_up_to(path: &Path, deposits: &[DepositId], most: usize) -> Result<(), RegisterError> {
    // Two names of one file, for example by a link, have one lock.
    let path = &real_path(path).map_err(failed(path))?;
    let _locked = lock_at(&lock_path(path)).map_err(failed(path))?;
    let mut text = read(path).map_err(failed(path))?;
    let mut accepted = parse(path, &text)?;
    for deposit in deposits {
        if !accepted.insert(*deposit) {
            return Err(RegisterError::Repeated(*deposit));
        }
        if accepted.len() > most {
            let ids = text.lines().count();
            let path = path.clone();
            return Err(RegisterError::Full { path, ids });
        }
    }
    for deposit in deposits {
        text.push_str(&format!("{deposit}\n"));
    }
    // Readable by its owner only: the ids are those of donors.
    replace(path, text.as_bytes(), Mode::Secret).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> RegisterError {
    move |source| RegisterError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The path without links, also of a file that is missing.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            Ok(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name))
        }
        found => found,
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(LOCK_SUFFIX);
    name.into()
}

/// The text of the file. Empty if it is missing.
fn read(path: &Path) -> io::Result<String> {
    let most = REGISTER_IDS_MAX.saturating_mul(LINE_BYTES) as u64;
    match read_bounded(path, most) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn parse(path: &Path, text: &str) -> Result<BTreeSet<DepositId>, RegisterError> {
    let mut ids = BTreeSet::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let is_lower = |text: &&str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let digits = line.strip_suffix('\n').filter(is_lower);
        let Some(id) = digits.and_then(|text| text.parse().ok()) else {
            let path = path.to_owned();
            return Err(RegisterError::Damaged { path, line: number });
        };
        ids.insert(id);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn id(number: usize) -> DepositId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        DepositId(bytes)
    }

    #[test]
    fn each_deposit_is_accepted_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register");
        register(&path, &[id(1)]).unwrap();
        register(&path, &[id(2), id(3)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n{}\n{}\n", id(1), id(2), id(3)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // All or none.
        for refused in [vec![id(2)], vec![id(4), id(1)], vec![id(5), id(5)]] {
            let error = register(&path, &refused).unwrap_err();
            assert!(matches!(error, RegisterError::Repeated(_)), "{error}");
        }
        // The same file by another name.
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        let error = register(&link, &[id(3)]).unwrap_err();
        assert!(matches!(error, RegisterError::Repeated(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        register(&link, &[id(4)]).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
    }

    #[test]
    fn of_many_runs_at_once_one_accepts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register");
        let accepted: Vec<bool> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..8)
                .map(|own| {
                    let path = &path;
                    scope.spawn(move || {
                        register(path, &[id(100 + own)]).unwrap();
                        register(path, &[id(1)]).is_ok()
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 9);
    }

    #[test]
    fn another_file_is_no_register() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register");
        let good = format!("{}\n", id(1));
        for (text, at) in [
            ("a letter\n".to_owned(), 1),
            (format!("{good}{}", id(2)), 2),
            (format!("{good}\n"), 2),
            (good.replace('\n', "\r\n"), 1),
            (good.replace('0', "A"), 1),
            (format!("{good}{}\n", "0".repeat(62)), 2),
        ] {
            fs::write(&path, &text).unwrap();
            match register(&path, &[id(9)]) {
                Err(RegisterError::Damaged { line, .. }) => assert_eq!(line, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(register(&path, &[id(9)]), Err(RegisterError::Io { .. })));
        let nowhere = dir.path().join("nowhere/register");
        assert!(matches!(
            register(&nowhere, &[id(9)]),
            Err(RegisterError::Io { .. })
        ));
        assert!(!dir.path().join("nowhere").exists());
    }

    #[test]
    fn a_full_register_accepts_nothing_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register");
        let up_to = |deposits: &[DepositId]| register_up_to(&path, deposits, 3);
        up_to(&[id(1), id(2)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let error = up_to(&[id(3), id(4)]).unwrap_err();
        assert!(matches!(error, RegisterError::Full { ids: 2, .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        up_to(&[id(3)]).unwrap();
        let full = up_to(&[id(4)]).unwrap_err();
        assert!(matches!(full, RegisterError::Full { ids: 3, .. }), "{full}");
        let repeated = up_to(&[id(2)]).unwrap_err();
        assert!(matches!(repeated, RegisterError::Repeated(_)), "{repeated}");
    }
}
