//! The encryption of a wallet's records and files: XChaCha20-Poly1305 under the wallet key.
//!
//! Each encryption has a random nonce of 24 bytes, so no nonce is used twice: not when a record is written again after a
//! crash, and not in a copy of the directory. The associated data say what is encrypted, so no ciphertext opens in
//! another place.

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use farthing_node::network_file::FileCipher;
use farthing_store::{Head, RecordCipher, StoreOptions, entropy::Entropy};
use std::{io, sync::Arc};
use zeroize::Zeroizing;

pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The first bytes of a sealed file.
const SEALED_FILE: &[u8] = b"farthing sealed 1\n";

/// The associated data of a record of the journal, before the place of the record.
const RECORD_LABEL: &[u8] = b"farthing wallet journal record";

/// The associated data of a file, before its name.
const FILE_LABEL: &[u8] = b"farthing wallet file ";

/// The key that seals everything in a wallet's directory. It is wiped when the last clone is dropped.
#[derive(Clone)]
pub struct WalletKey {
    key: Arc<Zeroizing<[u8; KEY_BYTES]>>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WalletKey(..)")
    }
}

impl WalletKey {
    /// A random key. Its nonces come from `entropy` too.
    pub(super) fn generate(entropy: Arc<dyn Entropy>) -> WalletKey {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(key.as_mut());
        WalletKey::new(key, entropy)
    }

    pub(super) fn new(key: Zeroizing<[u8; KEY_BYTES]>, entropy: Arc<dyn Entropy>) -> WalletKey {
        WalletKey {
            key: Arc::new(key),
            entropy,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.key.as_slice()
    }

    pub(super) fn entropy(&self) -> &dyn Entropy {
        self.entropy.as_ref()
    }
}

/// Whether these are the bytes of a sealed file.
pub(crate) fn is_sealed_file(bytes: &[u8]) -> bool {
    bytes.starts_with(SEALED_FILE)
}

/// A random nonce, the ciphertext, and its tag.
pub(crate) fn seal(key: &[u8; KEY_BYTES], entropy: &dyn Entropy, place: &[&[u8]], text: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill(&mut nonce);
    let mut sealed = Vec::with_capacity(NONCE_BYTES + text.len() + TAG_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(text);
    let (_, body) = sealed.split_at_mut(NONCE_BYTES);
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(&XNonce::from(nonce), &place.concat(), body.into());
    // The only error is a text of 256 GiB and more, which no record or file has. Nothing opens without its tag.
    sealed.extend_from_slice(&tag.unwrap_or_default());
    sealed
}

/// The text of [`seal`]; `None` if it was changed, or is from another place or under another key.
pub(crate) fn open(key: &[u8; KEY_BYTES], place: &[&[u8]], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let (body, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
    let mut text = Zeroizing::new(body.to_vec());
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            &place.concat(),
            text.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .ok()?;
    Some(text)
}

/// The options of a wallet's store with this key.
pub(crate) fn with_cipher(options: &StoreOptions, key: Option<&WalletKey>) -> StoreOptions {
    let key = key.cloned();
    StoreOptions {
        cipher: key.map(|key| -> Arc<dyn RecordCipher> { Arc::new(key) }),
        ..options.clone()
    }
}

impl RecordCipher for WalletKey {
    fn seal(&self, previous: &Head, payload: &[u8]) -> Vec<u8> {
        let place: [&[u8]; 3] = [RECORD_LABEL, &previous.sequence.to_le_bytes(), &previous.hash.0];
        seal(&self.key, self.entropy(), &place, payload)
    }

    fn open(&self, previous: &Head, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let place: [&[u8]; 3] = [RECORD_LABEL, &previous.sequence.to_le_bytes(), &previous.hash.0];
        open(&self.key, &place, sealed)
    }
}

impl FileCipher for WalletKey {
    fn seal_file(&self, name: &str, text: &[u8]) -> Vec<u8> {
        let place = [FILE_LABEL, name.as_bytes()];
        [SEALED_FILE, &seal(&self.key, self.entropy(), &place, text)].concat()
    }

    fn open_file(&self, name: &str, sealed: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        let opened = sealed
            .strip_prefix(SEALED_FILE)
            .and_then(|sealed| open(&self.key, &[FILE_LABEL, name.as_bytes()], sealed));
        opened.ok_or_else(|| {
            let message = "the password is right, but this file was changed, or is of another wallet; put a copy of it \
                           back, or make the wallet again from its 24 words with `farthing restore`";
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_protocol::ids::RecordHash;
    use farthing_store::entropy::SeededEntropy;

    #[test]
    fn a_ciphertext_opens_only_in_its_place_and_unchanged() {
        let key = WalletKey::generate(Arc::new(SeededEntropy::new(1)));
        let file = key.seal_file("one", b"text");
        assert_eq!(key.open_file("one", &file).unwrap().as_slice(), b"text");
        assert_ne!(file, key.seal_file("one", b"text"), "each nonce is fresh");
        assert!(key.open_file("two", &file).is_err());
        let head = |sequence, hash| Head {
            sequence,
            hash: RecordHash([hash; 32]),
        };
        let record = key.seal(&head(1, 7), b"text");
        assert_eq!(key.open(&head(1, 7), &record).unwrap().as_slice(), b"text");
        assert!(record.len() - 4 <= farthing_store::limits::SEAL_MAX_BYTES);
        assert_eq!(key.open(&head(2, 7), &record), None);
        assert_eq!(key.open(&head(1, 8), &record), None);
        let other = WalletKey::generate(Arc::new(SeededEntropy::new(2)));
        assert_eq!(other.open(&head(1, 7), &record), None);
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&head(1, 7), &changed), None, "byte {at}");
        }
        for length in 0..record.len() {
            assert_eq!(key.open(&head(1, 7), &record[..length]), None, "{length} bytes");
        }
    }
}
