//! Makes a node of a backup and the archived segments that follow it.
//!
//! All digests and the order of the files are checked before anything is written. The journal is verified in its new
//! place. `config.toml` is written last, and is the mark of a complete node. So a restore that is interrupted leaves a
//! directory that every command refuses.

use super::BackupError;
use super::archive::{Archive, Manifest, Record};
use crate::card::RoleName;
use crate::home::files::{self, Mode};
use crate::home::{CONFIG_FILE, STORE_DIR, TLS_CERTIFICATE_FILE, make_empty_dir};
use farthing_store::{disk::FileDisk, verify};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The directory of a merchant's encrypted goods.
const GOODS_DIR: &str = "goods";

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the last file has: its date, and the last record.
    pub last: Manifest,
    /// The number of archived segments that were applied.
    pub segments: usize,
}

/// Restores the backup `full` and the `segments` after it to `dir`, which must not exist or be empty.
///
/// # Errors
/// [`BackupError`] says which file does not fit, and why. `dir` is then as it was.
pub fn restore(
    dir: &Path,
    role: RoleName,
    full: &Path,
    segments: &[PathBuf],
) -> Result<Restored, BackupError> {
    let mut archives = vec![Archive::open(full)?];
    for segment in segments {
        archives.push(Archive::open(segment)?);
    }
    let last = check_order(&archives, role)?;
    let was_there = dir.exists();
    make_empty_dir(dir)?;
    let restored = write(dir, &mut archives, &last);
    if restored.is_err() {
        remove(dir, was_there);
    }
    restored.map(|()| Restored {
        last,
        segments: segments.len(),
    })
}

/// Checks that the files are of one node of this role, and that each continues the one before. Returns what the last one
/// has.
fn check_order(archives: &[Archive], role: RoleName) -> Result<Manifest, BackupError> {
    let mut before: Option<&Manifest> = None;
    for Archive { path, manifest, .. } in archives {
        if manifest.role != role {
            return Err(BackupError::OtherRole {
                path: path.clone(),
                found: manifest.role,
                name: manifest.name.clone(),
            });
        }
        match before {
            None if !manifest.is_full() => {
                return Err(BackupError::NotFull {
                    path: path.clone(),
                    after: manifest.after.number,
                });
            }
            None => {}
            Some(before) => check_next(path, before, manifest)?,
        }
        before = Some(manifest);
    }
    let Some(last) = before else {
        return Err(BackupError::damaged("", "not named"));
    };
    Ok(last.clone())
}

/// Checks that `next` continues `before`.
fn check_next(path: &Path, before: &Manifest, next: &Manifest) -> Result<(), BackupError> {
    let gap = |why: String| BackupError::Gap {
        path: path.to_owned(),
        why,
    };
    if next.identity != before.identity {
        return Err(gap(format!("it is of another {} (`{}`)", next.role, next.name)));
    }
    let Record { number: last, .. } = before.last;
    let Record { number: after, .. } = next.after;
    if after != last {
        return Err(gap(format!(
            "it begins after record {after}, and they end with record {last}"
        )));
    }
    match next.after.hash == before.last.hash {
        true => Ok(()),
        false => Err(gap(format!(
            "its record {after} has another hash, so it follows another history"
        ))),
    }
}

fn write(dir: &Path, archives: &mut [Archive], last: &Manifest) -> Result<(), BackupError> {
    let store = dir.join(STORE_DIR);
    files::create_private_dir(&store).map_err(BackupError::io(&store))?;
    let path = store.join("journal");
    let mut journal = create(&path, Mode::Secret)?;
    let mut config = None;
    let count = archives.len();
    for (place, archive) in archives.iter_mut().enumerate() {
        let is_last = place.saturating_add(1) == count;
        archive.each_file(|entry, content| {
            let is_goods = entry.name.contains('/');
            // Settings, keys and cards come from the newest file, goods from the one that has them.
            match is_goods || is_last {
                true if entry.name == CONFIG_FILE => {
                    let mut bytes = Vec::new();
                    let read = content.read_to_end(&mut bytes);
                    read.map_err(BackupError::io(CONFIG_FILE))?;
                    config = Some(bytes);
                    Ok(())
                }
                true => write_file(dir, &entry.name, content),
                false => Ok(()),
            }
        })?;
        archive
            .copy_journal(&mut journal)
            .map_err(BackupError::io(&path))?;
    }
    journal.sync_all().map_err(BackupError::io(&path))?;
    drop(journal);
    files::sync_dir(&store).map_err(BackupError::io(&store))?;
    check_journal(&store, last, archives)?;
    let synced = files::sync_dir(dir).and_then(|()| match dir.join(GOODS_DIR) {
        goods if goods.is_dir() => files::sync_dir(&goods),
        _ => Ok(()),
    });
    synced.map_err(BackupError::io(dir))?;
    let Some(config) = config else {
        return Err(incomplete(archives, format!("it has no {CONFIG_FILE}")));
    };
    let path = dir.join(CONFIG_FILE);
    files::create(&path, &config, Mode::Public).map_err(BackupError::io(&path))?;
    let parent = dir.parent().unwrap_or(Path::new("/"));
    files::sync_dir(dir)
        .and_then(|()| files::sync_dir(parent))
        .map_err(BackupError::io(dir))
}

/// Verifies the whole chain of hashes, up to the record that the last file names.
fn check_journal(store: &Path, last: &Manifest, archives: &[Archive]) -> Result<(), BackupError> {
    let found = verify(store, &FileDisk, &|_| {})?;
    match found.damage {
        Some(damage) => Err(incomplete(archives, format!("its journal is damaged {damage}"))),
        None if Record::from(found.head) == last.last => Ok(()),
        None => Err(incomplete(
            archives,
            format!(
                "its journal ends with record {}, and not with record {} as it says",
                found.head.sequence, last.last.number
            ),
        )),
    }
}

fn incomplete(archives: &[Archive], what: String) -> BackupError {
    let path = archives.last().map(|archive| archive.path.clone());
    BackupError::damaged(path.unwrap_or_default(), format!("no complete backup: {what}"))
}

fn write_file(dir: &Path, name: &str, content: &mut dyn Read) -> Result<(), BackupError> {
    let path = dir.join(name);
    if let Some(above) = path.parent().filter(|above| *above != dir) {
        files::create_private_dir(above).map_err(BackupError::io(above))?;
    }
    let mode = match name {
        TLS_CERTIFICATE_FILE => Mode::Public,
        name if name.ends_with(".toml") => Mode::Public,
        _ => Mode::Secret,
    };
    let mut file = create(&path, mode)?;
    std::io::copy(content, &mut file)
        .and_then(|_| file.flush())
        .and_then(|()| file.sync_all())
        .map_err(BackupError::io(&path))
}

fn create(path: &Path, mode: Mode) -> Result<File, BackupError> {
    let bits = match mode {
        Mode::Secret => 0o600,
        Mode::Public => 0o644,
    };
    let created = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(bits)
        .open(path);
    created.map_err(BackupError::io(path))
}

/// Removes what a failed restore has written: everything, as the directory was empty.
fn remove(dir: &Path, was_there: bool) {
    let removed = match was_there {
        false => fs::remove_dir_all(dir),
        true => fs::read_dir(dir).and_then(|mut entries| {
            entries.try_for_each(|entry| {
                let entry = entry?;
                let name = entry.file_name();
                match entry.file_type()?.is_dir() {
                    true if name == STORE_DIR || name == GOODS_DIR => fs::remove_dir_all(entry.path()),
                    // The file system's own directory at the root of a volume.
                    true => Ok(()),
                    false => fs::remove_file(entry.path()),
                }
            })
        }),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, dir = %dir.display(), "remove what the restore has left here");
    }
}
