//! The encryption of a journal's payloads.

use crate::index::Head;
use zeroize::Zeroizing;

/// Seals the payloads of a journal. The hash chain covers the sealed payloads, so a journal is verified without the key.
pub trait RecordCipher: Send + Sync {
    /// Seals the payload of the record after `previous`. The result is at most
    /// [`SEAL_MAX_BYTES`](crate::limits::SEAL_MAX_BYTES) longer than the payload.
    fn seal(&self, previous: &Head, payload: &[u8]) -> Vec<u8>;

    /// Opens a sealed payload of the record after `previous`. `None` if it was changed, moved, or sealed under another key.
    fn open(&self, previous: &Head, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
}
