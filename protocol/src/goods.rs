//! Digital goods, encrypted once and opened by whoever paid.
//!
//! Goods are encrypted chunk by chunk under a [`ContentKey`], whatever the number of their sales, so that
//! files larger than memory pass through [`Encryptor`] and [`Decryptor`] in pieces of any size. This is the
//! STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: *Online Authenticated-Encryption and its
//! Nonce-Reuse Misuse-Resistance*, CRYPTO 2015) over ChaCha20-Poly1305 (RFC 8439):
//!
//! ```text
//! plaintext = salt (32 bytes) || goods            cut into chunks of CHUNK_BYTES; only the last may be
//!                                                 shorter, and it is never empty
//! nonce(i)  = i, big-endian in 11 bytes || 1 for the last chunk, 0 for the others
//! file      = AEAD(key, nonce(0), chunk 0) || AEAD(key, nonce(1), chunk 1) || ...    each with its tag
//!
//! digest           = SHA-256(salt || goods)       what an offer says the goods are
//! encrypted digest = SHA-256(file)                what a customer checks before she pays
//! ```
//!
//! Position and last-chunk mark lie in the nonce, so a file that is cut off, extended, reordered or
//! stitched together from others does not open. The salt is random and travels inside the encryption:
//! nobody can guess short goods from their digest, and whoever opened them can prove what they were.
//!
//! A download is resumed by bytes of the file: what is on disk is read again into a [`RunningDigest`], and
//! nothing needs to be decrypted for it.

use crate::ids::{EncryptedDigest, GoodsDigest};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag};
use farthing_coin::{SecretKey, secret32};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The plaintext in every chunk but the last (bytes).
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The authentication tag behind every chunk's ciphertext (bytes).
pub const TAG_BYTES: usize = 16;

/// The salt at the beginning of the plaintext (bytes).
pub const SALT_BYTES: usize = 32;

/// The largest goods (bytes): far beyond any file, far below where a counter could overflow.
pub const GOODS_MAX_BYTES: u64 = 1 << 48;

/// A full chunk as it lies in the file (bytes).
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

secret32! {
    /// The key that goods are encrypted under, once for all of their sales.
    ///
    /// It encrypts one salt and one version of the goods and nothing else, ever: nonces are positions, so a
    /// second plaintext under the same key would show both.
    ContentKey
}

secret32! {
    /// The key of one sale, which opens that sale's wrapped [`ContentKey`]: what the customer pays for.
    GoodsKey
}

secret32! {
    /// The secret half of one purchase's key, disclosed so that anyone can open what was sealed to it. By then the
    /// purchase is decided, and the key is good for nothing else.
    PurchaseSecret
}

secret32! {
    /// The secret half of the key that one offer's goods key was sealed with, disclosed so that anyone can see what the
    /// merchant has sealed. It opens that offer's goods and nothing else.
    SealingSecret
}

impl SealingSecret {
    /// The key, if the bytes are one.
    pub fn key(&self) -> Option<SecretKey> {
        SecretKey::from_bytes(self.as_bytes()).ok()
    }
}

impl PurchaseSecret {
    /// The key, if the bytes are one.
    pub fn key(&self) -> Option<SecretKey> {
        SecretKey::from_bytes(self.as_bytes()).ok()
    }
}

/// Why goods could not be encrypted or opened. Chunks count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoodsError {
    /// The goods are larger than [`GOODS_MAX_BYTES`].
    #[error("the goods are larger than {GOODS_MAX_BYTES} bytes")]
    TooLarge,
    /// A chunk does not open: changed, moved, cut off within, or of another key.
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
        /// The chunk that was the last.
        chunk: u64,
    },
    /// The plaintext is shorter than the salt it must begin with: it was not made by [`Encryptor`].
    #[error("chunk 0 of the encrypted goods is too short to hold the salt of {SALT_BYTES} bytes")]
    NoSalt,
}

/// What a merchant publishes of goods that were encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsSummary {
    /// The goods without the salt (bytes, at most [`GOODS_MAX_BYTES`]).
    pub size_bytes: u64,
    /// The encrypted file, [`encrypted_len`] of the size (bytes).
    pub encrypted_bytes: u64,
    /// SHA-256 of salt and goods.
    pub digest: GoodsDigest,
    /// SHA-256 of the encrypted file.
    pub encrypted_digest: EncryptedDigest,
}

/// What encrypted goods were found to be, to be compared with their offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The goods without the salt (bytes).
    pub size_bytes: u64,
    /// SHA-256 of salt and goods.
    pub digest: GoodsDigest,
    /// The salt, with which the goods alone prove the digest.
    pub salt: [u8; SALT_BYTES],
    /// SHA-256 of the encrypted file that was opened.
    pub encrypted_digest: EncryptedDigest,
}

/// How long the encrypted file of goods of `size_bytes` is (bytes).
///
/// Exact up to [`GOODS_MAX_BYTES`]; a larger size, which no goods have, gives some larger length and never
/// overflows.
#[must_use]
pub fn encrypted_len(size_bytes: u64) -> u64 {
    let plaintext_bytes = size_bytes.saturating_add(SALT_BYTES as u64);
    let chunks = plaintext_bytes.div_ceil(CHUNK_BYTES as u64);
    plaintext_bytes.saturating_add(chunks.saturating_mul(TAG_BYTES as u64))
}

/// Whether more chunks follow: the last byte of a chunk's nonce.
#[derive(Clone, Copy)]
enum ChunkKind {
    Inner = 0,
    Last = 1,
}

fn nonce(chunk: u64, kind: ChunkKind) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = chunk.to_be_bytes();
    [0, 0, 0, a, b, c, d, e, f, g, h, kind as u8]
}

/// Moves bytes from the front of `input` until `pending` is `full` long or the input is used up.
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
    /// The chunk that is being filled. A full one waits here until it is known whether more follows.
    pending: Zeroizing<Vec<u8>>,
    chunk: u64,
    size_bytes: u64,
    encrypted_bytes: u64,
    plaintext_digest: Sha256,
    encrypted_digest: Sha256,
}

impl Encryptor {
    /// Begins to encrypt under `key`, which has never encrypted anything else (see [`ContentKey`]), with a
    /// `salt` that was drawn at random for these goods.
    #[must_use]
    pub fn new(key: &ContentKey, salt: [u8; SALT_BYTES]) -> Self {
        // Of its full size from the beginning, so that no plaintext is left behind by growing it.
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

    /// Takes the next bytes of the goods, and appends to `out` what of the file is now certain.
    ///
    /// # Errors
    /// [`GoodsError::TooLarge`] beyond [`GOODS_MAX_BYTES`]; then nothing of `goods` was taken.
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

    /// Appends the last chunk to `out`, and says what the goods are and what became of them.
    ///
    /// # Errors
    /// None for goods that [`Encryptor::update`] has taken.
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
        // The cipher refuses nothing but messages too long for it, and a chunk never is.
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

/// Opens encrypted goods that are fed to it in slices of any size.
///
/// What it appends was written by whoever has the key, in this order from the beginning; but that nothing
/// is missing at the end, only [`Decryptor::finish`] can say. Until then, and until its [`Opened`] fits the
/// offer, keep the output aside.
pub struct Decryptor {
    cipher: ChaCha20Poly1305,
    /// The sealed chunk that is being filled. A full one waits here until it is known whether more follows.
    pending: Zeroizing<Vec<u8>>,
    chunk: u64,
    size_bytes: u64,
    salt: [u8; SALT_BYTES],
    plaintext_digest: Sha256,
    encrypted_digest: Sha256,
    /// The first error, which stays.
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

    /// Takes the next bytes of the file, and appends to `out` the goods of every chunk that they complete,
    /// without the salt.
    ///
    /// # Errors
    /// [`GoodsError`] names the first chunk that does not open; nothing of it or after it is appended, and
    /// every later call gives the same error.
    pub fn update(&mut self, encrypted: &[u8], out: &mut Vec<u8>) -> Result<(), GoodsError> {
        self.so_far?;
        self.so_far = self.absorb(encrypted, out);
        self.so_far
    }

    /// Opens the last chunk, appends its goods to `out`, and says what the goods were.
    ///
    /// # Errors
    /// [`GoodsError`] if the file is not whole, or [`Decryptor::update`] has failed before.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Opened, GoodsError> {
        self.so_far?;
        if self.pending.len() <= TAG_BYTES {
            return Err(GoodsError::Truncated { chunk: self.chunk });
        }
        if self.try_open(ChunkKind::Last).is_err() {
            // A chunk that opens as one of the inner ones tells that the rest is missing.
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
                    // A chunk that opens as the last one tells that what follows is none of the goods.
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

    /// Opens the pending chunk in place and cuts off its tag; if it does not open it stays as it was.
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

    /// Hands out the opened chunk in `pending`, without the salt, and goes on to the next.
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

/// The SHA-256 of an encrypted file as it arrives, with its length.
///
/// It is not stored: a download that goes on after a restart reads what is on disk into a new one.
#[derive(Debug, Clone, Default)]
pub struct RunningDigest {
    sha256: Sha256,
    bytes: u64,
}

impl RunningDigest {
    /// The digest of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, encrypted: &[u8]) {
        self.sha256.update(encrypted);
        self.bytes = self.bytes.saturating_add(encrypted.len() as u64);
    }

    /// How much was taken, which is where a download goes on (bytes).
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of all that was taken.
    #[must_use]
    pub fn finish(self) -> EncryptedDigest {
        EncryptedDigest(self.sha256.finalize().into())
    }
}
