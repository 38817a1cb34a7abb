//! A reply, encrypted by the target and opened by the wallet.
//!
//! ```text
//! reply = nonce (32 bytes) || chunk 0 || chunk 1 || ... || last chunk
//! chunk = ChaCha20-Poly1305(key, position, REPLY_CHUNK_BYTES of the padded reply) with its tag
//! ```
//!
//! The key is derived from the exported secret, the encapsulated key and the nonce (as in RFC 9458, section 4.4). A relay
//! can send a request twice. The two replies have different nonces, so no key encrypts two replies. The last chunk is
//! marked, so a reply that was cut off does not open. What has arrived of it can still be read.

use super::{
    padding::{beginning, pad, unpad},
    suite::{REPLY_LABEL, SealError},
};
use crate::{
    bounded,
    goods::{ChunkKind, TAG_BYTES, nonce},
    ids::{EncapsulatedKey, ReplySecret},
    refusal::{Refusal, RelayFault},
    wire::{self, VARIANT_BYTES},
};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag};
use farthing_coin::{Transcript, TranscriptExt};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The plaintext of every chunk of a reply except the last (bytes).
pub const REPLY_CHUNK_BYTES: usize = 16 * 1024;

/// The length of the nonce of a reply (bytes).
const NONCE_BYTES: usize = 32;

/// The longest encrypted reply (bytes): the largest plaintext, with a nonce and a tag for each chunk.
pub const SEALED_REPLY_MAX_BYTES: usize = {
    let largest = super::padding::LARGEST_BYTES;
    NONCE_BYTES + largest + largest.div_ceil(REPLY_CHUNK_BYTES) * TAG_BYTES
};

/// A reply that only the wallet can open which sent the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedReply(
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bounded::bytes::<_, SEALED_REPLY_MAX_BYTES>"
    )]
    pub Vec<u8>,
);

impl SealedReply {
    /// Whether an encoded reply is the refusal that the key of the request is old. Nothing is decoded or copied.
    #[must_use]
    pub fn is_old_key(reply: &[u8]) -> bool {
        let old: Result<SealedReply, Refusal> = Err(RelayFault::OldKey.into());
        wire::encode(&old).is_ok_and(|old| old == reply)
    }

    /// The beginning of the ciphertext in the beginning of an encoded reply. `None` if the reply is a refusal, or too
    /// short.
    #[must_use]
    pub fn beginning(reply: &[u8]) -> Option<&[u8]> {
        let header = wire::encode(&Ok::<_, Refusal>(SealedReply(Vec::new()))).ok()?;
        let (begins, bytes) = reply.split_at_checked(header.len())?;
        let is_reply = begins.get(..VARIANT_BYTES) == header.get(..VARIANT_BYTES);
        is_reply.then_some(bytes)
    }
}

/// Derives the cipher of one reply.
fn cipher(
    secret: &ReplySecret,
    encapsulated: &EncapsulatedKey,
    nonce: &[u8; NONCE_BYTES],
) -> ChaCha20Poly1305 {
    let mut transcript = Zeroizing::new(Transcript::start(REPLY_LABEL));
    transcript.bytes(b"secret", secret.as_bytes());
    transcript.bytes(b"encapsulated key", &encapsulated.0);
    transcript.bytes(b"nonce", nonce);
    let key = Zeroizing::new(transcript.digest32(b"key"));
    ChaCha20Poly1305::new((&*key).into())
}

/// What the target needs to encrypt the reply to one request.
#[derive(Debug)]
pub struct ReplySealer {
    secret: ReplySecret,
    encapsulated: EncapsulatedKey,
}

impl ReplySealer {
    pub(super) fn new(secret: ReplySecret, encapsulated: EncapsulatedKey) -> Self {
        Self { secret, encapsulated }
    }

    /// Encrypts the one reply to the request.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn seal(self, reply: &[u8], rng: &mut impl CryptoRng) -> Result<SealedReply, SealError> {
        let plaintext = pad(reply)?;
        let mut reply_nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut reply_nonce);
        let cipher = cipher(&self.secret, &self.encapsulated, &reply_nonce);
        let mut sealed = Vec::with_capacity(
            SEALED_REPLY_MAX_BYTES
                .min(NONCE_BYTES + plaintext.len() + (plaintext.len() / REPLY_CHUNK_BYTES + 1) * TAG_BYTES),
        );
        sealed.extend_from_slice(&reply_nonce);
        let mut chunks = (0..).zip(plaintext.chunks(REPLY_CHUNK_BYTES)).peekable();
        while let Some((number, chunk)) = chunks.next() {
            let kind = ChunkKind::before(chunks.peek().is_some());
            let begin = sealed.len();
            sealed.extend_from_slice(chunk);
            let body = sealed.get_mut(begin..).unwrap_or_default();
            // The cipher refuses only messages that are too long for it, and a chunk is short.
            let tag = cipher
                .encrypt_inout_detached(&nonce(number, kind).into(), &[], body.into())
                .map_err(|_| SealError::DoesNotOpen)?;
            sealed.extend_from_slice(&tag);
        }
        Ok(SealedReply(sealed))
    }
}

/// What the wallet needs to open the reply to one request.
#[derive(Debug)]
pub struct ReplyOpener {
    secret: ReplySecret,
    encapsulated: EncapsulatedKey,
}

impl ReplyOpener {
    pub(super) fn new(secret: ReplySecret, encapsulated: EncapsulatedKey) -> Self {
        Self { secret, encapsulated }
    }

    /// Opens a whole reply.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, reply: &SealedReply) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, chunks) = reply
            .0
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::DoesNotOpen)?;
        let mut opening = Opening::new(self, nonce, chunks.len());
        let mut chunks = chunks.chunks(REPLY_CHUNK_BYTES + TAG_BYTES).peekable();
        while let Some(chunk) = chunks.next() {
            opening.open(chunk, ChunkKind::before(chunks.peek().is_some()))?;
        }
        Ok(Zeroizing::new(unpad(&opening.plaintext)?.to_vec()))
    }

    /// The content of the beginning of a reply that was cut off. It is authentic, and perhaps empty.
    #[must_use]
    pub fn open_beginning(&self, reply: &[u8]) -> Zeroizing<Vec<u8>> {
        let Some((nonce, chunks)) = reply.split_first_chunk::<NONCE_BYTES>() else {
            return Zeroizing::default();
        };
        let mut opening = Opening::new(self, nonce, chunks.len());
        for chunk in chunks.chunks_exact(REPLY_CHUNK_BYTES + TAG_BYTES) {
            if opening.open(chunk, ChunkKind::Inner).is_err() {
                break;
            }
        }
        Zeroizing::new(beginning(&opening.plaintext).to_vec())
    }
}

/// A reply that is being opened.
struct Opening {
    cipher: ChaCha20Poly1305,
    number: u64,
    plaintext: Zeroizing<Vec<u8>>,
}

impl Opening {
    fn new(opener: &ReplyOpener, nonce: &[u8; NONCE_BYTES], most_bytes: usize) -> Self {
        Self {
            cipher: cipher(&opener.secret, &opener.encapsulated, nonce),
            number: 0,
            plaintext: Zeroizing::new(Vec::with_capacity(most_bytes)),
        }
    }

    fn open(&mut self, chunk: &[u8], kind: ChunkKind) -> Result<(), SealError> {
        let (body, tag) = chunk
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(SealError::DoesNotOpen)?;
        let begin = self.plaintext.len();
        self.plaintext.extend_from_slice(body);
        let opened = self.cipher.decrypt_inout_detached(
            &nonce(self.number, kind).into(),
            &[],
            self.plaintext.get_mut(begin..).unwrap_or_default().into(),
            &Tag::from(*tag),
        );
        if opened.is_err() {
            self.plaintext.truncate(begin);
            return Err(SealError::DoesNotOpen);
        }
        self.number = self.number.saturating_add(1);
        Ok(())
    }
}
