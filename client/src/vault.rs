//! The password of a wallet. It opens a random wallet key, and this key seals everything in the wallet's directory.
//!
//! The file `vault.json` has the parameters and the salt of Argon2id (RFC 9106), and the wallet key, encrypted under the
//! key that Argon2id derives from the password. A change of the password writes only this file.
//!
//! | what | module |
//! |---|---|
//! | the encryption of records and files | [`sealing`] |
//! | a wallet gets a password, or loses it | [`reseal`] |

pub mod reseal;
pub mod sealing;

use crate::error::WalletError;
use argon2::{Algorithm, Argon2, Params, Version};
use farthing_node::home::files::{self, Mode};
use farthing_store::entropy::Entropy;
pub use sealing::WalletKey;
use sealing::{KEY_BYTES, open, seal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{io, ops::RangeInclusive, path::Path, sync::Arc};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The file with the encrypted wallet key. A wallet without a password does not have it.
pub const VAULT_FILE: &str = "vault.json";

/// The longest vault file that is read (bytes).
const VAULT_FILE_MAX_BYTES: u64 = 4096;

/// The longest password (bytes).
pub const PASSWORD_MAX_BYTES: usize = 1024;

/// The version of the vault file.
const VERSION: u32 = 1;

/// The only key derivation of version 1.
const KDF: &str = "argon2id";

/// The memory of Argon2id for a new password (KiB).
const MEMORY_KIB: u32 = 64 * 1024;

/// The passes of Argon2id for a new password.
const PASSES: u32 = 3;

/// The memory that a vault file may ask for (KiB). Less would make guesses cheap, more would exhaust a small machine.
const MEMORY_KIB_ALLOWED: RangeInclusive<u32> = MEMORY_KIB..=256 * 1024;

/// The passes that a vault file may ask for.
const PASSES_ALLOWED: RangeInclusive<u32> = PASSES..=16;

const SALT_BYTES: usize = 16;

/// The associated data of the wallet key, before the parameters.
const KEY_LABEL: &[u8] = b"farthing wallet key";

/// A password. It is wiped when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(String);

impl Password {
    /// A password of this text.
    ///
    /// # Errors
    /// When it is empty or too long, or has a control character, which nobody could type again.
    pub fn new(text: &str) -> Result<Password, WalletError> {
        if text.contains(char::is_control) {
            let message = "a password is one line without control characters";
            return Err(WalletError::Home(message.into()));
        }
        if text.is_empty() || text.len() > PASSWORD_MAX_BYTES {
            let message = format!("a password has 1 to {PASSWORD_MAX_BYTES} bytes");
            return Err(WalletError::Home(message));
        }
        Ok(Password(text.to_owned()))
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The parameters of Argon2id.
#[derive(Serialize, Deserialize)]
struct Kdf {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    #[serde(with = "hex::serde")]
    salt: [u8; SALT_BYTES],
}

/// The content of the vault file.
#[derive(Serialize, Deserialize)]
struct Vault {
    version: u32,
    #[serde(flatten)]
    kdf: Kdf,
    /// The wallet key, sealed (hex).
    #[serde(with = "hex::serde")]
    sealed_key: Vec<u8>,
    /// SHA-256 of all other fields. It tells a damaged file from a wrong password. It does not stop a forger, who gains
    /// nothing: a changed field never opens the key.
    #[serde(with = "hex::serde")]
    checksum: [u8; 32],
}

impl Kdf {
    /// The associated data of the wallet key.
    fn place(&self) -> Vec<u8> {
        let (memory_kib, passes) = (self.memory_kib.to_le_bytes(), self.passes.to_le_bytes());
        let numbers = [VERSION.to_le_bytes(), memory_kib, passes].concat();
        [KEY_LABEL, &numbers, &self.salt].concat()
    }

    /// The key that opens the wallet key.
    fn derive(&self, password: &Password) -> Result<Zeroizing<[u8; KEY_BYTES]>, WalletError> {
        let failed = |why: argon2::Error| WalletError::Home(format!("the password cannot be used: {why}"));
        let params = Params::new(self.memory_kib, self.passes, 1, Some(KEY_BYTES)).map_err(failed)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.0.as_bytes(), &self.salt, key.as_mut())
            .map_err(failed)?;
        Ok(key)
    }
}

impl Vault {
    /// Seals `key` under `password`.
    fn of(key: &WalletKey, password: &Password) -> Result<Vault, WalletError> {
        let mut salt = [0; SALT_BYTES];
        key.entropy().fill(&mut salt);
        let kdf = Kdf {
            kdf: KDF.into(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt,
        };
        let derived = kdf.derive(password)?;
        let sealed_key = seal(&derived, key.entropy(), &[&kdf.place()], key.bytes());
        let checksum = checksum(&kdf, &sealed_key);
        Ok(Vault {
            version: VERSION,
            kdf,
            sealed_key,
            checksum,
        })
    }

    /// Reads the vault file in `dir`. The parameters are within their bounds.
    fn read(dir: &Path) -> Result<Vault, WalletError> {
        let path = dir.join(VAULT_FILE);
        let bytes = files::read_bounded(&path, VAULT_FILE_MAX_BYTES).map_err(WalletError::io(&path))?;
        let bad = |why: &str| {
            WalletError::Home(format!(
                "{}: {why}. Put a copy of this file back, or make the wallet again from its 24 words with `farthing \
                 restore`",
                path.display()
            ))
        };
        let vault: Vault = serde_json::from_slice(&bytes).map_err(|why| bad(&why.to_string()))?;
        if vault.version != VERSION || vault.kdf.kdf != KDF {
            return Err(bad("this program does not know its version"));
        }
        if !MEMORY_KIB_ALLOWED.contains(&vault.kdf.memory_kib) || !PASSES_ALLOWED.contains(&vault.kdf.passes)
        {
            return Err(bad("its parameters are out of bounds, so it was changed"));
        }
        if checksum(&vault.kdf, &vault.sealed_key) != vault.checksum {
            return Err(bad("it was changed"));
        }
        Ok(vault)
    }

    /// Writes the vault file in `dir`, durably.
    fn write(&self, dir: &Path) -> Result<(), WalletError> {
        let path = dir.join(VAULT_FILE);
        let bytes = serde_json::to_vec(self).map_err(|why| WalletError::Home(why.to_string()))?;
        files::replace(&path, &bytes, Mode::Secret).map_err(WalletError::io(&path))
    }
}

fn checksum(kdf: &Kdf, sealed_key: &[u8]) -> [u8; 32] {
    let summed = Sha256::new().chain_update(kdf.place()).chain_update(sealed_key);
    summed.finalize().into()
}

/// Whether the wallet in `dir` has a password.
#[must_use]
pub fn is_sealed(dir: &Path) -> bool {
    dir.join(VAULT_FILE).exists()
}

/// Gives the new wallet in `dir` a password, durably. Returns its key.
///
/// # Errors
/// When the vault file cannot be written.
pub fn create(dir: &Path, password: &Password, entropy: Arc<dyn Entropy>) -> Result<WalletKey, WalletError> {
    let key = WalletKey::generate(entropy);
    // It replaces the file of a wallet that was never made: without a seed, there is nothing that it opens.
    Vault::of(&key, password)?.write(dir)?;
    Ok(key)
}

/// The key of the wallet in `dir`.
///
/// # Errors
/// [`WalletError::WrongPassword`], and when the vault file cannot be read or was changed.
pub fn unlock(dir: &Path, password: &Password, entropy: Arc<dyn Entropy>) -> Result<WalletKey, WalletError> {
    let vault = Vault::read(dir)?;
    let derived = vault.kdf.derive(password)?;
    let opened = open(&derived, &[&vault.kdf.place()], &vault.sealed_key);
    let key = opened.and_then(|key| <[u8; KEY_BYTES]>::try_from(key.as_slice()).ok());
    let key = Zeroizing::new(key.ok_or(WalletError::WrongPassword)?);
    Ok(WalletKey::new(key, entropy))
}

/// Replaces the password `old` of the wallet in `dir` by `new`. The wallet key stays, and nothing else is written.
///
/// # Errors
/// [`WalletError::WrongPassword`], and when the vault file cannot be read or written.
pub fn change(
    dir: &Path,
    old: &Password,
    new: &Password,
    entropy: Arc<dyn Entropy>,
) -> Result<(), WalletError> {
    // So that no other command removes the password meanwhile.
    let _files = files::lock(dir).map_err(WalletError::io(dir))?;
    let key = unlock(dir, old, entropy)?;
    Vault::of(&key, new)?.write(dir)
}

/// Removes the vault file of a wallet that was never made.
pub(crate) fn remove(dir: &Path) -> Result<(), WalletError> {
    let path = dir.join(VAULT_FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WalletError::io(&path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_store::entropy::SeededEntropy;

    fn entropy() -> Arc<dyn Entropy> {
        Arc::new(SeededEntropy::new(1))
    }

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[test]
    fn only_the_current_password_opens_the_key_and_a_change_keeps_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = create(dir.path(), &password("first"), entropy()).unwrap();
        let opens =
            |text: &str| unlock(dir.path(), &password(text), entropy()).map(|key| key.bytes().to_vec());
        assert_eq!(opens("first").unwrap(), key.bytes());
        assert!(matches!(opens("First"), Err(WalletError::WrongPassword)));
        change(dir.path(), &password("first"), &password("second"), entropy()).unwrap();
        assert_eq!(opens("second").unwrap(), key.bytes());
        assert!(matches!(opens("first"), Err(WalletError::WrongPassword)));
        assert_eq!(
            format!("{key:?} {:?}", password("first")),
            "WalletKey(..) Password(..)"
        );
    }

    #[test]
    fn a_vault_file_of_another_version_or_beyond_the_bounds_is_refused_before_any_work() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), &password("first"), entropy()).unwrap();
        let path = dir.path().join(VAULT_FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        for (from, to, says) in [
            ("\"version\":1", "\"version\":2", "version"),
            ("argon2id", "argon2d", "version"),
            (
                "\"memory_kib\":65536",
                "\"memory_kib\":4294967295",
                "out of bounds",
            ),
            ("\"memory_kib\":65536", "\"memory_kib\":262145", "out of bounds"),
            ("\"memory_kib\":65536", "\"memory_kib\":65535", "out of bounds"),
            ("\"passes\":3", "\"passes\":4000000000", "out of bounds"),
            ("\"passes\":3", "\"passes\":2", "out of bounds"),
            ("\"passes\":3", "\"passes\":4", "it was changed"),
            ("\"salt\":\"", "\"salt\":\"0", ""),
        ] {
            assert!(whole.contains(from), "{whole}");
            std::fs::write(&path, whole.replacen(from, to, 1)).unwrap();
            let refused = unlock(dir.path(), &password("first"), entropy());
            let Err(WalletError::Home(message)) = refused else {
                unreachable!("{to}: {refused:?}");
            };
            assert!(
                message.contains(says) && message.contains("24 words"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_parameter_that_a_forger_has_changed_never_opens_the_key() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), &password("first"), entropy()).unwrap();
        let mut vault = Vault::read(dir.path()).unwrap();
        vault.kdf.passes += 1;
        vault.checksum = checksum(&vault.kdf, &vault.sealed_key);
        vault.write(dir.path()).unwrap();
        let refused = unlock(dir.path(), &password("first"), entropy());
        assert!(matches!(refused, Err(WalletError::WrongPassword)));
    }
}
