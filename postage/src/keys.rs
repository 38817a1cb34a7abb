//! Secret keys as files of their owner, in hex.

use farthing_coin::SecretKey;
use farthing_node::home::files::{self, Mode};
use std::{io, path::Path};
use zeroize::Zeroizing;

/// The longest key file that is read (bytes).
const KEY_FILE_MAX_BYTES: u64 = 256;

/// Writes a key into a new file.
///
/// # Errors
/// When the file exists, and the errors of the operating system.
pub fn create(path: &Path, key: &SecretKey) -> io::Result<()> {
    let text = Zeroizing::new(hex::encode(*key.to_bytes()));
    files::create(path, text.as_bytes(), Mode::Secret)
}

/// Reads a key.
///
/// # Errors
/// When the file is no key, and the errors of the operating system.
pub fn read(path: &Path) -> io::Result<SecretKey> {
    let text = Zeroizing::new(files::read_bounded(path, KEY_FILE_MAX_BYTES)?);
    let mut bytes = Zeroizing::new([0; 32]);
    let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("this is no key: {why}"));
    hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice())
        .map_err(|error| damaged(error.to_string()))?;
    SecretKey::from_bytes(&bytes).map_err(|error| damaged(error.to_string()))
}
