//! The secret that signs what the webhook posts, as Standard Webhooks have it.

use base64::{Engine, engine::general_purpose::STANDARD};
use farthing_node::home::files;
use farthing_store::entropy::Entropy;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The file of the secret, in the merchant's directory.
pub const WEBHOOK_SECRET_FILE: &str = "webhook.key";

/// What a secret begins with, as text.
const PREFIX: &str = "whsec_";

/// The length of a new secret (bytes).
const SECRET_BYTES: usize = 32;

/// The most bytes that are read of the file.
const FILE_MAX_BYTES: u64 = 256;

/// An error of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// The operating system.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error(
        "{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`, and draw a new secret with `webhook set \
         --new-secret` if somebody may have read it",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file has no secret.
    #[error("{path} has no secret; draw a new one with `webhook set --new-secret`", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The secret that the merchant and its web shop share.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl WebhookSecret {
    /// Draws a secret, and writes it durably to `dir` in the place of an older one.
    ///
    /// # Errors
    /// [`SecretFileError::Io`].
    pub fn draw(dir: &Path, entropy: &dyn Entropy) -> Result<Self, SecretFileError> {
        let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES]);
        entropy.fill(bytes.as_mut_slice());
        let secret = Self(bytes);
        let path = dir.join(WEBHOOK_SECRET_FILE);
        files::replace(&path, secret.to_text().as_bytes(), files::Mode::Secret)
            .map_err(|source| SecretFileError::Io { path, source })?;
        Ok(secret)
    }

    /// Reads the secret in `dir`.
    ///
    /// # Errors
    /// [`SecretFileError`].
    pub fn load(dir: &Path) -> Result<Self, SecretFileError> {
        let path = dir.join(WEBHOOK_SECRET_FILE);
        let io = |source| SecretFileError::Io {
            path: path.clone(),
            source,
        };
        if let Some(mode) = files::exposed(&path).map_err(io)? {
            return Err(SecretFileError::Exposed { path, mode });
        }
        let text = Zeroizing::new(files::read_bounded(&path, FILE_MAX_BYTES).map_err(io)?);
        Self::parse(text.trim_ascii()).ok_or(SecretFileError::Damaged { path })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX.as_bytes())?;
        let bytes = STANDARD.decode(encoded).ok().filter(|bytes| !bytes.is_empty())?;
        Some(Self(Zeroizing::new(bytes)))
    }

    /// The secret as the web shop reads it.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(self.0.as_slice())))
    }

    /// The signature header of a message.
    pub fn sign(&self, id: &str, seconds: u64, body: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_store::entropy::SeededEntropy;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_signature_is_the_one_of_another_implementation() {
        // Computed with another implementation of HMAC, of Python.
        let secret = WebhookSecret::parse(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_survives_its_file_and_is_not_taken_from_one_that_others_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let drawn = WebhookSecret::draw(dir.path(), &SeededEntropy::new(1)).unwrap();
        assert_eq!(
            WebhookSecret::load(dir.path()).unwrap().to_text(),
            drawn.to_text()
        );
        let path = dir.path().join(WEBHOOK_SECRET_FILE);
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        let exposed = WebhookSecret::load(dir.path());
        assert!(
            matches!(exposed, Err(SecretFileError::Exposed { .. })),
            "{exposed:?}"
        );
        set(0o600);
        std::fs::write(&path, "whsec_").unwrap();
        assert!(matches!(
            WebhookSecret::load(dir.path()),
            Err(SecretFileError::Damaged { .. })
        ));
    }
}
