//! The merchant's secret. The keys of all goods and sales and the account key derive from it.

use farthing_coin::{SecretKey, Transcript, TranscriptExt};
use farthing_node::home::files;
use farthing_protocol::{
    goods::{ContentKey, GoodsKey},
    ids::{ItemId, NodeSecret, SaleId},
    seal::{derive_content_key, derive_ephemeral, derive_goods_key},
};
use farthing_store::entropy::Entropy;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The file of the secret in the merchant's directory (hex).
pub const SECRET_FILE: &str = "merchant.key";

/// The most bytes of the file that are read.
const SECRET_FILE_MAX_BYTES: u64 = 1024;

/// 32 random bytes. Anyone who has them can open all goods of this merchant and use its account.
#[derive(Clone)]
pub struct MerchantSecret(NodeSecret);

impl std::fmt::Debug for MerchantSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MerchantSecret(redacted)")
    }
}

/// An error about the secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file could not be read or written.
    #[error("{path}: {source}; restore it from your backup", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Other users can read the file.
    #[error(
        "{path} can be read by other users (mode {mode:o}); run `chmod 600 {path}`, and find out who may have read it",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not 32 bytes in hex.
    #[error("{path} is damaged: expected 64 hex characters, got {got}; restore it from your backup", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of characters.
        got: usize,
    },
}

impl MerchantSecret {
    /// Generates a secret.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice());
        Self(NodeSecret::from_bytes(*bytes))
    }

    /// Durably writes it to `dir`. Never replaces a file.
    ///
    /// # Errors
    /// [`SecretError::Io`].
    pub fn save(&self, dir: &Path) -> Result<(), SecretError> {
        let path = dir.join(SECRET_FILE);
        let text = Zeroizing::new(hex::encode(self.0.as_bytes()));
        files::create(&path, text.as_bytes(), files::Mode::Secret)
            .and_then(|()| files::sync_dir(dir))
            .map_err(|source| SecretError::Io { path, source })
    }

    /// Reads the secret in `dir`.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn load(dir: &Path) -> Result<Self, SecretError> {
        let path = dir.join(SECRET_FILE);
        let io = |source| SecretError::Io {
            path: path.clone(),
            source,
        };
        if let Some(mode) = files::exposed(&path).map_err(io)? {
            return Err(SecretError::Exposed { path, mode });
        }
        let text = Zeroizing::new(files::read_bounded(&path, SECRET_FILE_MAX_BYTES).map_err(io)?);
        let text = text.trim_ascii();
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| SecretError::Damaged {
            path: path.clone(),
            got: text.len(),
        })?;
        Ok(Self(NodeSecret::from_bytes(*bytes)))
    }

    /// The key of one sale.
    pub fn goods_key(&self, sale_id: &SaleId) -> GoodsKey {
        derive_goods_key(&self.0, sale_id)
    }

    /// The ephemeral key that seals the goods key of one sale in its offer.
    pub fn ephemeral(&self, sale_id: &SaleId) -> SecretKey {
        derive_ephemeral(&self.0, &(*sale_id).into())
    }

    /// The content key of an item.
    pub fn content_key(&self, item_id: &ItemId) -> ContentKey {
        derive_content_key(&self.0, item_id)
    }

    /// The key of the merchant's account at every bank.
    pub fn account_key(&self) -> SecretKey {
        let mut transcript = Zeroizing::new(Transcript::start(b"merchant account key"));
        transcript.bytes(b"secret", self.0.as_bytes());
        let mut wide = Zeroizing::new([0; 64]);
        loop {
            transcript.challenge_bytes(b"key", wide.as_mut_slice());
            // Zero is not a key. One draw in 2^252 is zero, and the next one is taken.
            if let Ok(key) = SecretKey::from_wide(&wide) {
                return key;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_store::entropy::SeededEntropy;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_survives_its_file_and_is_not_taken_from_one_that_others_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let secret = MerchantSecret::generate(&SeededEntropy::new(1));
        secret.save(dir.path()).unwrap();
        let again = MerchantSecret::load(dir.path()).unwrap();
        assert_eq!(again.account_key().public(), secret.account_key().public());
        assert_eq!(
            again.goods_key(&SaleId([1; 32])),
            secret.goods_key(&SaleId([1; 32]))
        );
        assert!(secret.save(dir.path()).is_err(), "it is never overwritten");

        let path = dir.path().join(SECRET_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = MerchantSecret::load(dir.path());
        assert!(matches!(exposed, Err(SecretError::Exposed { .. })), "{exposed:?}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "abc").unwrap();
        let damaged = MerchantSecret::load(dir.path());
        assert!(
            matches!(damaged, Err(SecretError::Damaged { got: 3, .. })),
            "{damaged:?}"
        );
    }
}
