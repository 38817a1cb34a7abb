//! The encryption of a meter's store: XChaCha20-Poly1305 under the device's key.
//!
//! Each record has a random nonce. The associated data say where the record stands, so that none opens in another place.

use super::device::KEY_BYTES;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use farthing_store::{Head, RecordCipher, entropy::Entropy};
use std::sync::Arc;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The associated data of a record, before its place.
const LABEL: &[u8] = b"farthing postage meter record";

/// The cipher of a meter's store. The key is wiped when it is dropped.
pub struct MeterCipher {
    key: Zeroizing<[u8; KEY_BYTES]>,
    entropy: Arc<dyn Entropy>,
}

impl MeterCipher {
    /// The cipher with this key. Nonces come from `entropy`.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; KEY_BYTES]>, entropy: Arc<dyn Entropy>) -> MeterCipher {
        MeterCipher { key, entropy }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

impl std::fmt::Debug for MeterCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeterCipher(..)")
    }
}

fn place(previous: &Head) -> Vec<u8> {
    [LABEL, &previous.sequence.to_le_bytes(), &previous.hash.0].concat()
}

impl RecordCipher for MeterCipher {
    fn seal(&self, previous: &Head, payload: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let mut sealed = [&nonce, payload].concat();
        let (_, body) = sealed.split_at_mut(NONCE_BYTES);
        let tag = self
            .cipher()
            .encrypt_inout_detached(&XNonce::from(nonce), &place(previous), body.into());
        // The only error is a text of 256 GiB and more, which no record has. Nothing opens without its tag.
        sealed.extend_from_slice(&tag.unwrap_or_default());
        sealed
    }

    fn open(&self, previous: &Head, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut text = Zeroizing::new(body.to_vec());
        self.cipher()
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &place(previous),
                text.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .ok()?;
        Some(text)
    }
}
