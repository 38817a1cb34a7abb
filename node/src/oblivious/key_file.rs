//! Where a target keeps its encryption keys between two starts.
//!
//! They are outside the store, and outside its backups: whoever has a key can read the requests of that day that
//! someone recorded. The file is replaced each day, and the bytes of the old one are overwritten with zeros, as far as the
//! disk does what it is told.

use crate::home::ENCRYPTION_KEYS_FILE;
use crate::home::files::{self, Mode, read_bounded};
use farthing_coin::PublicKey;
use farthing_protocol::{
    oblivious::{DecryptionKeys, MS_PER_DAY, StoredKeys},
    wire,
};
use farthing_store::{clock::Clock, entropy::Entropy};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Upper bound of the size of the file (bytes).
const FILE_MAX_BYTES: usize = 1024;

/// A place for the secret keys of a target.
pub trait KeyPlace: Send + Sync {
    /// The stored bytes, if there are any.
    ///
    /// # Errors
    /// When they cannot be read.
    fn load(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>>;

    /// Replaces the stored bytes, durably.
    ///
    /// # Errors
    /// When they cannot be written. The old bytes are then still there.
    fn save(&self, bytes: &[u8]) -> io::Result<()>;

    /// The name of the place in errors.
    fn name(&self) -> String;
}

/// The error of encryption keys that cannot be read or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The operating system failed.
    #[error("{name}: {source}")]
    Io {
        /// The name of the file.
        name: String,
        /// The error.
        source: io::Error,
    },
    /// The content is not what a node of this identity has stored.
    #[error(
        "{0} is damaged, or belongs to another node; move it away to have new keys drawn: wallets then ask for them, and \
         no money depends on them"
    )]
    Damaged(String),
    /// The keys cannot be encoded.
    #[error("the encryption keys cannot be stored: {0}")]
    Encode(#[from] wire::WireError),
}

/// The file in a node's directory.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The file of the node in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self(dir.join(ENCRYPTION_KEYS_FILE))
    }
}

/// Overwrites a file with zeros.
fn overwrite(file: &mut File) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(FILE_MAX_BYTES);
    file.write_all(&vec![0; length.min(FILE_MAX_BYTES)])?;
    file.sync_all()
}

impl KeyPlace for KeyFile {
    fn load(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match read_bounded(&self.0, FILE_MAX_BYTES as u64) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        let old = OpenOptions::new().write(true).open(&self.0).ok();
        files::replace(&self.0, bytes, Mode::Secret)?;
        // The keys of days that are over should not be found on the disk later. A file system that copies on write, or a
        // flash disk, may keep them all the same.
        if let Some(mut old) = old
            && let Err(error) = overwrite(&mut old)
        {
            tracing::warn!(%error, "the encryption keys of a past day could not be overwritten");
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}

/// Reads the keys of `target`, or draws and stores the first.
///
/// The first key is one of tomorrow. If the file was lost, the key of today may be known already, and a second key of one
/// day would look as if the node told wallets apart.
pub(super) fn load_or_draw(
    target: PublicKey,
    place: &dyn KeyPlace,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<DecryptionKeys, KeyFileError> {
    let loaded = place.load().map_err(|source| KeyFileError::Io {
        name: place.name(),
        source,
    })?;
    if let Some(bytes) = loaded {
        let stored = wire::decode::<StoredKeys>(&bytes, FILE_MAX_BYTES).ok();
        let keys = stored.and_then(|stored| DecryptionKeys::from_stored(target, &stored));
        return keys.ok_or_else(|| KeyFileError::Damaged(place.name()));
    }
    let tomorrow_ms = clock.now_ms().saturating_add(MS_PER_DAY);
    let keys = DecryptionKeys::new(target, tomorrow_ms, &mut entropy.rng());
    save(place, &keys.to_stored())?;
    Ok(keys)
}

/// Stores the keys.
pub(super) fn save(place: &dyn KeyPlace, keys: &StoredKeys) -> Result<(), KeyFileError> {
    let bytes = Zeroizing::new(wire::encode(keys)?);
    place.save(&bytes).map_err(|source| KeyFileError::Io {
        name: place.name(),
        source,
    })
}
