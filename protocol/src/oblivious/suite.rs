//! The algorithms of oblivious requests, the labels of their transcripts, and what can fail.

use hpke::{aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256};

/// The key encapsulation of HPKE: X25519 with HKDF-SHA256 (RFC 9180, section 7.1).
pub(super) type Kem = X25519HkdfSha256;
/// The key derivation of HPKE (RFC 9180, section 7.2).
pub(super) type Kdf = HkdfSha256;
/// The AEAD of HPKE (RFC 9180, section 7.3).
pub(super) type Aead = ChaCha20Poly1305;

/// The label of the transcript that makes the `info` of a request.
pub(super) const REQUEST_LABEL: &[u8] = b"oblivious request";
/// The label of the transcript that derives the key of a reply.
pub(super) const REPLY_LABEL: &[u8] = b"oblivious reply";
/// The exporter context of HPKE (RFC 9180, section 5.3).
pub(super) const EXPORT_CONTEXT: &[u8] = b"farthing oblivious reply";

/// Why something could not be encrypted, or did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The target's encryption key is not a public key of X25519.
    #[error("the target's encryption key is not a valid key")]
    Key,
    /// The content is longer than the largest size.
    #[error("the content is {got_bytes} bytes long, at most {most_bytes} fit")]
    TooLong {
        /// The length of the content (bytes).
        got_bytes: usize,
        /// The greatest length that fits (bytes).
        most_bytes: usize,
    },
    /// The ciphertext does not open: it was changed or cut, or is under another key.
    #[error("the ciphertext does not open: it was changed or cut, or belongs to another key")]
    DoesNotOpen,
}
