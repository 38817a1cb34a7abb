//! A wallet gets a password, or loses it: all files are written again, and replaced together.
//!
//! The new files are written to the directory `resealing` in the wallet's directory. When all of them are durable, it is renamed
//! to `resealed` or `unsealed`. This step decides. Before it, the wallet is the old one, and the directory is removed. After
//! it, the wallet is the new one, and the files are moved to their places. After a kill, the next command does what is
//! missing ([`settle`]), before it reads anything.

use super::{Password, VAULT_FILE, WalletKey, create, is_sealed, sealing::with_cipher, unlock};
use crate::{
    error::WalletError,
    file_names::{RESEALING_DIR, SEED_FILE, STORE_DIR},
};
use farthing_node::{
    home::files::{self, Mode},
    network_file::{FileCipher, NETWORK_FILE},
};
use farthing_store::{LockedStore, StoreError, StoreOptions, entropy::Entropy, replace_journal};
use std::{fs, io, path::Path, sync::Arc};
use zeroize::Zeroizing;

/// The directory of complete files of a wallet with a password.
const SEALED: &str = "resealed";

/// The directory of complete files of a wallet without one.
const CLEAR: &str = "unsealed";

/// The longest file that is sealed again (bytes). Not for the journal and the goods.
const FILE_MAX_BYTES: u64 = 2 * 1024 * 1024;

/// Nothing is written yet.
pub const BEFORE_COPY: &str = "password: before the copy";
/// All new files are written and durable. The wallet is the old one.
pub const AFTER_COPY: &str = "password: after the copy";
/// The wallet is the new one. No file is in its place.
pub const AFTER_DECISION: &str = "password: after the decision";
/// A file is in its place.
pub const AFTER_MOVE: &str = "password: after a file was moved";
/// Everything is done.
pub const AFTER_SETTLED: &str = "password: after everything";

/// Gives the wallet in `dir` the password `new`, or removes its password `old`. `options` are those of its store, without a
/// cipher.
///
/// # Errors
/// [`WalletError::WrongPassword`]. [`StoreError::InUse`] while another process has the wallet open. When a file cannot be
/// read or written: the wallet then stays as it was.
pub fn reseal(
    dir: &Path,
    old: Option<&Password>,
    new: Option<&Password>,
    options: &StoreOptions,
    entropy: Arc<dyn Entropy>,
) -> Result<(), WalletError> {
    let _files = files::lock(dir).map_err(WalletError::io(dir))?;
    settle(dir, options)?;
    let old = match (is_sealed(dir), old) {
        (true, Some(password)) => Some(unlock(dir, password, Arc::clone(&entropy))?),
        (true, None) => return Err(WalletError::Locked(dir.to_owned())),
        (false, _) => None,
    };
    let store = LockedStore::lock(&dir.join(STORE_DIR), &with_cipher(options, old.as_ref()))?;
    let reached = |point| options.probe.reached(point);
    reached(BEFORE_COPY);
    let decided = copy(dir, &store, old.as_ref(), new, options, entropy).and_then(|key| {
        reached(AFTER_COPY);
        let decided = dir.join(if key.is_some() { SEALED } else { CLEAR });
        fs::rename(dir.join(RESEALING_DIR), &decided).map_err(WalletError::io(&decided))
    });
    if decided.is_err() {
        remove_all(&dir.join(RESEALING_DIR)).map_err(WalletError::io(dir))?;
    }
    decided?;
    files::sync_dir(dir).map_err(WalletError::io(dir))?;
    reached(AFTER_DECISION);
    finish(dir, options)?;
    reached(AFTER_SETTLED);
    Ok(())
}

/// Completes a change of the password that was interrupted, or takes it back if it was not decided.
///
/// # Errors
/// [`StoreError::InUse`] while another process does it, and when a file cannot be moved.
pub fn settle(dir: &Path, options: &StoreOptions) -> Result<(), WalletError> {
    let is_there = |names: &[&str]| names.iter().any(|name| dir.join(name).exists());
    if !is_there(&[RESEALING_DIR, SEALED, CLEAR]) {
        return Ok(());
    }
    files::refuse_foreign(dir).map_err(WalletError::io(dir))?;
    let store = dir.join(STORE_DIR);
    let lock = options
        .disk
        .create_dir(&store)
        .and_then(|()| options.disk.lock(&store));
    match lock {
        // A process that has not decided yet changes nothing for others.
        Err(busy) if busy.kind() == io::ErrorKind::WouldBlock && !is_there(&[SEALED, CLEAR]) => Ok(()),
        Err(busy) if busy.kind() == io::ErrorKind::WouldBlock => Err(StoreError::InUse { dir: store }.into()),
        Err(error) => Err(WalletError::io(&store)(error)),
        Ok(_lock) => finish(dir, options),
    }
}

/// Writes the new files, durably. Returns the new key.
fn copy(
    dir: &Path,
    store: &LockedStore,
    old: Option<&WalletKey>,
    new: Option<&Password>,
    options: &StoreOptions,
    entropy: Arc<dyn Entropy>,
) -> Result<Option<WalletKey>, WalletError> {
    let fresh = dir.join(RESEALING_DIR);
    files::create_private_dir(&fresh).map_err(WalletError::io(&fresh))?;
    let key = new
        .map(|password| create(&fresh, password, entropy))
        .transpose()?;
    for name in [SEED_FILE, NETWORK_FILE] {
        copy_file(dir, &fresh, name, old, key.as_ref()).map_err(WalletError::io(dir.join(name)))?;
    }
    store.copy_journal(&fresh, &with_cipher(options, key.as_ref()))?;
    files::sync_dir(&fresh).map_err(WalletError::io(&fresh))?;
    Ok(key)
}

/// Writes the file `name` of `dir` to `fresh`, sealed with `new` in place of `old`. Missing cards are an empty list, so that no
/// process that still takes the wallet for the old one finds them missing, and writes them.
fn copy_file(
    dir: &Path,
    fresh: &Path,
    name: &str,
    old: Option<&WalletKey>,
    new: Option<&WalletKey>,
) -> io::Result<()> {
    let clear = match files::read_bounded(&dir.join(name), FILE_MAX_BYTES) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound && name == NETWORK_FILE => {
            Zeroizing::new(b"[]\n".to_vec())
        }
        stored => {
            let stored = Zeroizing::new(stored?);
            match old {
                Some(key) => key.open_file(name, &stored)?,
                None => stored,
            }
        }
    };
    match new {
        Some(key) => files::create(&fresh.join(name), &key.seal_file(name, &clear), Mode::Secret),
        None => files::create(&fresh.join(name), &clear, Mode::Secret),
    }
}

/// Moves the files of a decided change to their places, and removes what is left of one that was not decided. The lock of
/// the store is held. Every step can be repeated.
fn finish(dir: &Path, options: &StoreOptions) -> Result<(), WalletError> {
    let failed = || WalletError::io(dir);
    remove_all(&dir.join(RESEALING_DIR)).map_err(failed())?;
    for decided in [SEALED, CLEAR] {
        let from = dir.join(decided);
        if !from.exists() {
            continue;
        }
        let store = dir.join(STORE_DIR);
        for name in [VAULT_FILE, SEED_FILE, NETWORK_FILE] {
            match fs::rename(from.join(name), dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
                _ => options.probe.reached(AFTER_MOVE),
            }
        }
        if decided == CLEAR {
            remove_all(&dir.join(VAULT_FILE)).map_err(failed())?;
        }
        replace_journal(&from, &store, options)?;
        options.probe.reached(AFTER_MOVE);
        // A process that was killed may have left a part of an old file.
        files::remove_parts(dir)
            .and_then(|()| files::sync_dir(dir))
            .map_err(failed())?;
        options.probe.reached(AFTER_MOVE);
        remove_all(&from).map_err(failed())?;
    }
    files::sync_dir(dir).map_err(failed())
}

/// Removes a file, or a directory with everything in it, if it is there.
fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(missing) => Err(missing),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
