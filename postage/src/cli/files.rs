//! Documents and settings as JSON files, and the stores in the directories.

use crate::documents::FILE_MAX_BYTES;
use anyhow::{Context, Result, bail};
use clap::Args;
use farthing_coin::PublicKey;
use farthing_node::{
    card::{Card, RoleName},
    home::files::{self, Existing, Mode, write_output},
    terminal::json_lines,
};
use farthing_store::{
    Store, StoreOptions,
    clock::{Clock, SystemClock},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The directory of the store in each directory.
pub(super) const STORE_DIR: &str = "store";

/// The longest file of settings (bytes).
const SETTINGS_MAX_BYTES: u64 = 64 * 1024;

/// Where a document is written.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Write to this file.
    #[arg(short, long)]
    pub(super) output: PathBuf,
    /// Overwrite the file if it exists.
    #[arg(long)]
    pub(super) force: bool,
}

/// The time of this machine (ms since 1970).
pub(super) fn now_ms() -> u64 {
    SystemClock.now_ms()
}

/// Reads a document.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = files::read_bounded(path, FILE_MAX_BYTES);
    let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not the expected document", path.display()))
}

/// Writes a document.
pub(super) fn write(document: &impl Serialize, output: &Output) -> Result<()> {
    let text = format!("{}\n", json_lines(document));
    write_output(
        &output.output,
        text.as_bytes(),
        Mode::Public,
        Existing::by_force(output.force),
    )?;
    Ok(())
}

/// Makes a directory for its owner, which must not exist or be empty.
pub(super) fn make_dir(dir: &Path) -> Result<()> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => files::make_private(dir)?,
        Ok(false) => bail!("the directory {} is not empty; name a new one", dir.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            files::create_private_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    }
    Ok(())
}

/// Writes the settings, as the last file of a new directory: without them it is none.
pub(super) fn complete(dir: &Path, name: &str, settings: &impl Serialize) -> Result<()> {
    let text = format!("{}\n", json_lines(settings));
    files::create(&dir.join(name), text.as_bytes(), Mode::Public)?;
    files::sync_dir(dir)?;
    files::sync_dir(
        dir.parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )?;
    Ok(())
}

/// Reads the settings of a directory.
pub(super) fn settings<T: DeserializeOwned>(dir: &Path, name: &str, what: &str) -> Result<T> {
    let path = dir.join(name);
    let bytes = files::read_bounded(&path, SETTINGS_MAX_BYTES)
        .with_context(|| format!("{} is no directory of {what}; `init` makes one", dir.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}

/// Makes the store of a directory.
pub(super) fn make_store(dir: &Path) -> Result<Store> {
    Ok(Store::open(&dir.join(STORE_DIR), StoreOptions::default())?.0)
}

/// Opens the store of a directory.
pub(super) fn open_store(dir: &Path) -> Result<Store> {
    Ok(Store::open_existing(&dir.join(STORE_DIR), StoreOptions::default())?.0)
}

/// Reads a bank's identity key: its card, or the key itself.
pub(super) fn bank(text: &str) -> Result<PublicKey, String> {
    if let Ok(key) = text.parse::<PublicKey>() {
        return Ok(key);
    }
    let card: Card = text
        .parse()
        .map_err(|error| format!("neither a card nor a key: {error}"))?;
    match card.role {
        RoleName::Bank => Ok(card.identity),
        other => Err(format!("this is the card of a {other}, and not of a bank")),
    }
}

/// The beginning of a key, for people.
pub(super) fn short(key: &PublicKey) -> String {
    key.to_string().chars().take(8).collect()
}
