//! Digital goods: encrypted once for all sales, and opened by each customer who paid.
//!
//! Goods are encrypted chunk by chunk under a [`ContentKey`]. Files larger than memory pass through [`Encryptor`] and
//! [`Decryptor`] in pieces of any size. This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: *Online
//! Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance*, CRYPTO 2015) over ChaCha20-Poly1305 (RFC 8439):
//!
//! ```text
//! plaintext = salt (32 bytes) || goods            cut into chunks of CHUNK_BYTES; only the last may be
//!                                                 shorter, and it is never empty
//! nonce(i)  = i, big-endian in 11 bytes || 1 for the last chunk, 0 for the others
//! file      = AEAD(key, nonce(0), chunk 0) || AEAD(key, nonce(1), chunk 1) || ...    each with its tag
//!
//! digest           = SHA-256(salt || goods)       in the offer, for the goods
//! encrypted digest = SHA-256(file)                in the offer; a wallet checks it before it pays
//! ```
//!
//! The nonce has the position of the chunk and the mark of the last chunk. So a file that is cut off, extended,
//! reordered or joined from other files does not open. The salt is random and encrypted with the goods. So nobody can
//! guess short goods from their digest, and everyone who opened them can prove what they were.
//!
//! A wallet resumes a download at a byte of the file. It reads the file on disk again into a [`RunningDigest`], and
//! decrypts nothing for that.

use crate::ids::{EncryptedDigest, GoodsDigest};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag};
use farthing_coin::{SecretKey, secret32};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The plaintext of every chunk except the last (bytes).
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The authentication tag after the ciphertext of each chunk (bytes).
pub const TAG_BYTES: usize = 16;

/// The salt at the start of the plaintext (bytes).
pub const SALT_BYTES: usize = 32;

/// The largest goods (bytes): larger than any real file, and too small for a counter to overflow.
pub const GOODS_MAX_BYTES: u64 = 1 << 48;

/// A full chunk in the encrypted file (bytes).
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

secret32! {
    /// The key that encrypts goods, once for all their sales.
    ///
    /// It must never encrypt more than one salt and one version of the goods. Nonces are positions, so a second plaintext
    /// under the same key would reveal both.
    ContentKey
}

secret32! {
    /// The key of one sale. It opens the wrapped [`ContentKey`] of that sale, and the customer pays for it.
    GoodsKey
}

secret32! {
    /// The secret key of one purchase, as evidence of version 1 shows it. The money in its reserve belongs to whoever has
    /// it. So a [shared point](farthing_coin::SharedPoint) is shown today.
    PurchaseSecret
}

secret32! {
    /// The ephemeral secret of the sealed key in one offer, shown so that anyone can check what the merchant has sealed.
    /// It opens the goods of that offer and nothing else.
    SealingSecret
}

impl SealingSecret {
    /// The key, if the bytes are a valid key.
    pub fn key(&self) -> Option<SecretKey> {
        SecretKey::from_bytes(self.as_bytes()).ok()
    }
}

impl PurchaseSecret {
    /// The key, if the bytes are a valid key.
    pub fn key(&self) -> Option<SecretKey> {
        SecretKey::from_bytes(self.as_bytes()).ok()
    }
}

/// Why goods could not be encrypted or opened. Chunks are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoodsError {
    /// The goods are larger than [`GOODS_MAX_BYTES`].
    #[error("the goods are larger than {GOODS_MAX_BYTES} bytes")]
    TooLarge,
    /// A chunk does not open: it was changed, moved, cut off, or encrypted under another key.
    #[error("chunk {chunk} of the encrypted goods does not open: it was changed or belongs elsewhere")]
    Corrupt {
        /// The first chunk that does not open.
        chunk: u64,
    },
    /// The file ends before its last chunk.
    #[error("the encrypted goods end before chunk {chunk}")]
    Truncated {
        /// The first chunk that is missing.
        chunk: u64,
    },
    /// There are bytes after the last chunk.
    #[error("the encrypted goods go on after their last chunk, chunk {chunk}")]
    Extended {
        /// The last chunk.
        chunk: u64,
    },
    /// The plaintext is shorter than its salt. [`Encryptor`] did not make it.
    #[error("chunk 0 of the encrypted goods is too short to hold the salt of {SALT_BYTES} bytes")]
    NoSalt,
}

/// The sizes and digests of encrypted goods, for an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsSummary {
    /// The size of the goods without the salt (bytes, at most [`GOODS_MAX_BYTES`]).
    pub size_bytes: u64,
    /// The size of the encrypted file (bytes): [`encrypted_len`] of the size.
    pub encrypted_bytes: u64,
    /// SHA-256 of the salt and the goods.
    pub digest: GoodsDigest,
    /// SHA-256 of the encrypted file.
    pub encrypted_digest: EncryptedDigest,
}

/// The size and digests of opened goods, for comparison with their offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The size of the goods without the salt (bytes).
    pub size_bytes: u64,
    /// SHA-256 of the salt and the goods.
    pub digest: GoodsDigest,
    /// The salt. With the goods it proves the digest.
    pub salt: [u8; SALT_BYTES],
    /// SHA-256 of the encrypted file that was opened.
    pub encrypted_digest: EncryptedDigest,
}

/// The size of the encrypted file of goods of `size_bytes` (bytes).
///
/// It is exact up to [`GOODS_MAX_BYTES`]. For a larger size, which no goods have, it gives a larger length and does not
/// overflow.
#[must_use]
pub fn encrypted_len(size_bytes: u64) -> u64 {
    let plaintext_bytes = size_bytes.saturating_add(SALT_BYTES as u64);
    let chunks = plaintext_bytes.div_ceil(CHUNK_BYTES as u64);
    plaintext_bytes.saturating_add(chunks.saturating_mul(TAG_BYTES as u64))
}

/// Whether more chunks follow. It is the last byte of a chunk's nonce.
#[derive(Clone, Copy)]
pub(crate) enum ChunkKind {
    Inner = 0,
    Last = 1,
}

impl ChunkKind {
    /// The kind of a chunk, if more follow or not.
    pub(crate) fn before(more: bool) -> Self {
        if more { ChunkKind::Inner } else { ChunkKind::Last }
    }
}

/// The nonce of the chunk with this number.
pub(crate) fn nonce(chunk: u64, kind: ChunkKind) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = chunk.to_be_bytes();
    [0, 0, 0, a, b, c, d, e, f, g, h, kind as u8]
}

/// Moves bytes from the front of `input` to `pending`, until `pending` has `full` bytes or the input is empty.
fn fill(pending: &mut Vec<u8>, full: usize, input: &mut &[u8]) {
    let room = full.saturating_sub(pending.len());
    let (taken, rest) = input.split_at(room.min(input.len()));
    pending.extend_from_slice(taken);
    *input = rest;
}

fn grown(size_bytes: u64, by: usize) -> Result<u64, GoodsError> {
    u64::try_from(by)
        .ok()
        .and_then(|by| size_bytes.checked_add(by))
        .filter(|size| *size <= GOODS_MAX_BYTES)
        .ok_or(GoodsError::TooLarge)
}

/// Encrypts goods that arrive in slices of any size. The sizes of the slices do not change the result.
///
/// ```
/// use farthing_protocol::goods::{ContentKey, Decryptor, Encryptor};
///
/// let key = ContentKey::from_bytes([7; 32]);
/// let mut encrypted = Vec::new();
/// let mut encryptor = Encryptor::new(&key, [5; 32]);
/// encryptor.update(b"Good ", &mut encrypted)?;
/// encryptor.update(b"evening", &mut encrypted)?;
/// let summary = encryptor.finish(&mut encrypted)?;
///
/// let mut goods = Vec::new();
/// let mut decryptor = Decryptor::new(&key);
/// decryptor.update(&encrypted, &mut goods)?;
/// let opened = decryptor.finish(&mut goods)?;
/// assert_eq!(goods, b"Good evening");
/// assert_eq!(opened.digest, summary.digest);
/// # Ok::<(), farthing_protocol::goods::GoodsError>(())
/// ```
pub struct Encryptor {
    cipher: ChaCha20Poly1305,
    /// The chunk that is being filled. A full chunk waits here until it is known whether more bytes follow.
    pending: Zeroizing<Vec<u8>>,
    chunk: u64,
    size_bytes: u64,
    encrypted_bytes: u64,
    plaintext_digest: Sha256,
    encrypted_digest: Sha256,
}

impl Encryptor {
    /// Begins to encrypt under `key` with `salt`.
    ///
    /// The key must not have encrypted anything else (see [`ContentKey`]). The salt must be drawn at random for these
    /// goods.
    #[must_use]
    pub fn new(key: &ContentKey, salt: [u8; SALT_BYTES]) -> Self {
        // It has its full capacity from the start. Growing it would leave a copy of the plaintext in freed memory.
        let mut pending = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES));
        pending.extend_from_slice(&salt);
        Self {
            cipher: ChaCha20Poly1305::new(key.as_bytes().into()),
            pending,
            chunk: 0,
            size_bytes: 0,
            encrypted_bytes: 0,
            plaintext_digest: Sha256::new_with_prefix(salt),
            encrypted_digest: Sha256::new(),
        }
    }

    /// Takes the next bytes of the goods, and appends the complete chunks to `out`.
    ///
    /// # Errors
    /// [`GoodsError::TooLarge`] beyond [`GOODS_MAX_BYTES`]. Then nothing of `goods` was taken.
    pub fn update(&mut self, goods: &[u8], out: &mut Vec<u8>) -> Result<(), GoodsError> {
        self.size_bytes = grown(self.size_bytes, goods.len())?;
        self.plaintext_digest.update(goods);
        let mut rest = goods;
        while !rest.is_empty() {
            if self.pending.len() >= CHUNK_BYTES {
                self.seal(ChunkKind::Inner, out)?;
            }
            fill(&mut self.pending, CHUNK_BYTES, &mut rest);
        }
        Ok(())
    }

    /// Appends the last chunk to `out`, and returns the sizes and digests.
    ///
    /// # Errors
    /// None if [`Encryptor::update`] has taken the goods.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<GoodsSummary, GoodsError> {
        self.seal(ChunkKind::Last, out)?;
        Ok(GoodsSummary {
            size_bytes: self.size_bytes,
            encrypted_bytes: self.encrypted_bytes,
            digest: GoodsDigest(self.plaintext_digest.finalize().into()),
            encrypted_digest: EncryptedDigest(self.encrypted_digest.finalize().into()),
        })
    }

    fn seal(&mut self, kind: ChunkKind, out: &mut Vec<u8>) -> Result<(), GoodsError> {
        let nonce = nonce(self.chunk, kind);
        // The cipher refuses only messages that are too long for it, and a chunk is short.
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce.into(), &[], self.pending.as_mut_slice().into())
            .map_err(|_| GoodsError::TooLarge)?;
        for part in [self.pending.as_slice(), tag.as_slice()] {
            self.encrypted_digest.update(part);
            out.extend_from_slice(part);
            self.encrypted_bytes = self.encrypted_bytes.saturating_add(part.len() as u64);
        }
        self.pending.clear();
        self.chunk = self.chunk.saturating_add(1);
        Ok(())
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryptor")
            .field("chunk", &self.chunk)
            .finish_non_exhaustive()
    }
}

/// Opens encrypted goods that arrive in slices of any size.
///
/// The appended output is authentic under the key and in order from the start. Only [`Decryptor::finish`] can say that
/// nothing is missing at the end. Do not use the output before `finish` has returned and its [`Opened`] fits the offer.
pub struct Decryptor {
    cipher: ChaCha20Poly1305,
    /// The encrypted chunk that is being filled. A full chunk waits here until it is known whether more bytes follow.
    pending: Zeroizing<Vec<u8>>,
    chunk: u64,
    size_bytes: u64,
    salt: [u8; SALT_BYTES],
    plaintext_digest: Sha256,
    encrypted_digest: Sha256,
    /// The first error. Every later call returns it.
    so_far: Result<(), GoodsError>,
}

impl Decryptor {
    /// Begins to open a file under `key`.
    #[must_use]
    pub fn new(key: &ContentKey) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.as_bytes().into()),
            pending: Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES)),
            chunk: 0,
            size_bytes: 0,
            salt: [0; SALT_BYTES],
            plaintext_digest: Sha256::new(),
            encrypted_digest: Sha256::new(),
            so_far: Ok(()),
        }
    }

    /// Takes the next bytes of the file, and appends the goods of each complete chunk to `out`, without the salt.
    ///
    /// # Errors
    /// [`GoodsError`] names the first chunk that does not open. Nothing of this chunk or after it is appended, and every
    /// later call gives the same error.
    pub fn update(&mut self, encrypted: &[u8], out: &mut Vec<u8>) -> Result<(), GoodsError> {
        self.so_far?;
        self.so_far = self.absorb(encrypted, out);
        self.so_far
    }

    /// Opens the last chunk, appends its goods to `out`, and returns the size and digests.
    ///
    /// # Errors
    /// [`GoodsError`] if the file is not complete, or [`Decryptor::update`] has failed before.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Opened, GoodsError> {
        self.so_far?;
        if self.pending.len() <= TAG_BYTES {
            return Err(GoodsError::Truncated { chunk: self.chunk });
        }
        if self.try_open(ChunkKind::Last).is_err() {
            // If the chunk opens as an inner chunk, the rest of the file is missing.
            return Err(match self.try_open(ChunkKind::Inner) {
                Ok(()) => GoodsError::Truncated {
                    chunk: self.chunk.saturating_add(1),
                },
                Err(error) => error,
            });
        }
        self.emit(out)?;
        Ok(Opened {
            size_bytes: self.size_bytes,
            digest: GoodsDigest(self.plaintext_digest.finalize().into()),
            salt: self.salt,
            encrypted_digest: EncryptedDigest(self.encrypted_digest.finalize().into()),
        })
    }

    fn absorb(&mut self, encrypted: &[u8], out: &mut Vec<u8>) -> Result<(), GoodsError> {
        self.encrypted_digest.update(encrypted);
        let mut rest = encrypted;
        while !rest.is_empty() {
            if self.pending.len() >= SEALED_CHUNK_BYTES {
                if let Err(error) = self.try_open(ChunkKind::Inner) {
                    // If the chunk opens as the last chunk, the following bytes are not part of the goods.
                    return Err(match self.try_open(ChunkKind::Last) {
                        Ok(()) => GoodsError::Extended { chunk: self.chunk },
                        Err(_) => error,
                    });
                }
                self.emit(out)?;
            }
            fill(&mut self.pending, SEALED_CHUNK_BYTES, &mut rest);
        }
        Ok(())
    }

    /// Opens the pending chunk in place and removes its tag. If it does not open, it stays unchanged.
    fn try_open(&mut self, kind: ChunkKind) -> Result<(), GoodsError> {
        let corrupt = GoodsError::Corrupt { chunk: self.chunk };
        let (body, tag) = self.pending.split_last_chunk_mut::<TAG_BYTES>().ok_or(corrupt)?;
        let body_bytes = body.len();
        let nonce = nonce(self.chunk, kind);
        self.cipher
            .decrypt_inout_detached(&nonce.into(), &[], body.into(), &Tag::from(*tag))
            .map_err(|_| corrupt)?;
        self.pending.truncate(body_bytes);
        Ok(())
    }

    /// Appends the opened chunk in `pending` to `out`, without the salt, and goes on to the next chunk.
    fn emit(&mut self, out: &mut Vec<u8>) -> Result<(), GoodsError> {
        let mut goods = self.pending.as_slice();
        if self.chunk == 0 {
            let (salt, rest) = goods.split_first_chunk().ok_or(GoodsError::NoSalt)?;
            self.salt = *salt;
            goods = rest;
        }
        self.size_bytes = grown(self.size_bytes, goods.len())?;
        self.plaintext_digest.update(self.pending.as_slice());
        out.extend_from_slice(goods);
        self.pending.clear();
        self.chunk = self.chunk.saturating_add(1);
        Ok(())
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor")
            .field("chunk", &self.chunk)
            .finish_non_exhaustive()
    }
}

/// The SHA-256 and the length of an encrypted file that arrives in pieces.
///
/// It is not stored. After a restart, a download reads the file on disk into a new digest.
#[derive(Debug, Clone, Default)]
pub struct RunningDigest {
    sha256: Sha256,
    bytes: u64,
}

impl RunningDigest {
    /// Makes the digest of an empty file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, encrypted: &[u8]) {
        self.sha256.update(encrypted);
        self.bytes = self.bytes.saturating_add(encrypted.len() as u64);
    }

    /// The number of bytes that were taken: the offset at which a download goes on.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of all bytes that were taken.
    #[must_use]
    pub fn finish(self) -> EncryptedDigest {
        EncryptedDigest(self.sha256.finalize().into())
    }
}
