//! Sealing: keys and recovery records that only one party can open.
//!
//! A *sealed record* is a recovery record, or the scan record in a memo. Transcript labels call both a note.
//!
//! | what | encrypted under | who opens it |
//! |---|---|---|
//! | commitment to a goods key | - | nobody; the shown key is compared with it |
//! | [`WrappedKey`], in an offer | the sale's goods key | the customer who paid |
//! | [`SealedKey`], in a commit | a public key (ECIES on ristretto255) | the holder of the purchase key |
//! | [`OfferedKey`](crate::offered_key::OfferedKey), in an offer | a public key, with the maker's proof | the escrow, after the coins are held |
//! | a sealed record, beside a hold or in a memo | a key from the wallet's seed | the restored wallet |
//!
//! Every encryption is ChaCha20-Poly1305 (RFC 8439) under its own key. A transcript derives the key from the secret and
//! everything that the ciphertext belongs to. So the nonce is always zero, and a ciphertext does not open in another
//! place. The same call gives the same bytes, so a repeated reply is the same reply.

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Nonce, Tag};
use farthing_coin::{
    PublicKey, RecoveryRecordId, RecoveryRecordKey, SecretKey, SharedPoint, SharedSecret, SignatureError,
    Transcript, TranscriptExt,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    goods::{ContentKey, GoodsKey, TAG_BYTES},
    ids::{EphemeralId, ItemId, KeyCiphertext, KeyCommitment, NodeSecret, SaleId, SealingContext},
};

/// The length of every sealed record (bytes).
pub const SEALED_RECORD_BYTES: usize = 2048;

/// The longest text of a sealed record (bytes): [`SEALED_RECORD_BYTES`] without the synthetic nonce, the length field and the tag.
pub const RECORD_TEXT_MAX_BYTES: usize =
    SEALED_RECORD_BYTES - RECORD_NONCE_BYTES - TAG_BYTES - RECORD_LENGTH_BYTES;

/// The nonce at the start of a sealed record (bytes): a digest of the key and the whole text. It goes into the cipher's key.
const RECORD_NONCE_BYTES: usize = 16;

/// The field for the length of a record's text (bytes). It is little-endian, and the text and zeros follow it.
const RECORD_LENGTH_BYTES: usize = 2;

/// The labels of this module's transcripts.
mod label {
    pub(super) const COMMITMENT: &[u8] = b"goods key commitment";
    pub(super) const WRAP: &[u8] = b"wrap content key";
    pub(super) const SEAL: &[u8] = b"seal goods key";
    pub(super) const EPHEMERAL: &[u8] = b"ephemeral key";
    pub(super) const NOTE: &[u8] = b"seal note";
    pub(super) const NOTE_NONCE: &[u8] = b"note nonce";
    pub(super) const GOODS_KEY: &[u8] = b"merchant goods key";
    pub(super) const CONTENT_KEY: &[u8] = b"merchant content key";
}

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key to seal to, or the ephemeral key of a sealed key, is not a valid public key.
    #[error("the public key to seal with is invalid: {0}")]
    PublicKey(#[from] SignatureError),
    /// The ciphertext does not open: it was changed, or sealed under another key or for another id.
    #[error("the {0} does not open: it was changed, or belongs to another key or another id")]
    DoesNotOpen(&'static str),
    /// The text of the record is too long.
    #[error("the record is {got_bytes} bytes long, at most {RECORD_TEXT_MAX_BYTES} fit")]
    RecordTooLong {
        /// The length of the text (bytes).
        got_bytes: usize,
    },
    /// The bytes to open do not have the length of a sealed record.
    #[error("a sealed record is {SEALED_RECORD_BYTES} bytes long, this one is {got_bytes}")]
    RecordLength {
        /// The length of the bytes (bytes).
        got_bytes: usize,
    },
    /// The record opened, but its nonce, length or padding is wrong. Another program with the same key made it.
    #[error("the record opens, but its nonce, length or padding is wrong")]
    RecordMalformed,
    /// The cipher refused to encrypt. It does so for messages of 256 GiB, which are never sealed here.
    #[error("the cipher refused to seal the {0}")]
    Cipher(&'static str),
}

/// The commitment to a goods key that an offer carries.
///
/// It is binding, as nobody finds two keys with one digest. It is hiding, as the key is 32 uniformly random bytes and
/// nobody finds it from the digest faster than by trying all keys.
#[must_use]
pub fn commit_goods_key(key: &GoodsKey) -> KeyCommitment {
    let mut transcript = start_secret(label::COMMITMENT);
    transcript.bytes(b"goods key", key.as_bytes());
    KeyCommitment(transcript.digest32(b"commitment"))
}

/// Whether `key` opens the commitment. It compares in constant time.
#[must_use]
pub fn opens(commitment: &KeyCommitment, key: &GoodsKey) -> bool {
    commit_goods_key(key).0.ct_eq(&commitment.0).into()
}

/// Derives the goods key of one sale from the merchant's secret. So a merchant stores no key before its release.
///
/// `sale_id` must never name two sales. The customer of one sale would have the key of the other.
#[must_use]
pub fn derive_goods_key(merchant_secret: &NodeSecret, sale_id: &SaleId) -> GoodsKey {
    let mut transcript = start_secret(label::GOODS_KEY);
    transcript.bytes(b"secret", merchant_secret.as_bytes());
    transcript.bytes(b"sale id", &sale_id.0);
    GoodsKey::from_bytes(*derived(&mut transcript))
}

/// Derives the content key of one encrypted file from the merchant's secret.
///
/// `item_id` must never name two contents, nor one content with two salts (see [`ContentKey`]). Draw it at random each
/// time that goods are encrypted, also when an item is replaced or an interrupted run starts again.
#[must_use]
pub fn derive_content_key(merchant_secret: &NodeSecret, item_id: &ItemId) -> ContentKey {
    let mut transcript = start_secret(label::CONTENT_KEY);
    transcript.bytes(b"secret", merchant_secret.as_bytes());
    transcript.bytes(b"item id", &item_id.0);
    ContentKey::from_bytes(*derived(&mut transcript))
}

/// A content key, encrypted under the goods key of one sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// The ciphertext.
    pub body: KeyCiphertext,
    /// The authentication tag.
    #[serde(with = "farthing_coin::hex_bytes")]
    pub tag: [u8; TAG_BYTES],
}

/// Wraps `content` for the sale `sale_id` under its goods key `key`. One goods key wraps one content key.
///
/// # Errors
/// [`SealError::Cipher`], which does not happen for a key.
pub fn wrap(key: &GoodsKey, sale_id: &SaleId, content: &ContentKey) -> Result<WrappedKey, SealError> {
    // The ciphertext overwrites it, so nothing needs to be wiped.
    let mut body = *content.as_bytes();
    let tag = encrypt(&wrapping_key(key, sale_id), &sale_id.0, &mut body, "wrapped key")?;
    Ok(WrappedKey {
        body: KeyCiphertext(body),
        tag,
    })
}

/// Opens the content key that was wrapped for the sale `sale_id`.
///
/// # Errors
/// [`SealError::DoesNotOpen`] if the key or the sale is another, or the ciphertext was changed.
pub fn unwrap(key: &GoodsKey, sale_id: &SaleId, wrapped: &WrappedKey) -> Result<ContentKey, SealError> {
    let mut body = Zeroizing::new(wrapped.body.0);
    let unwrapping = wrapping_key(key, sale_id);
    decrypt(
        &unwrapping,
        &sale_id.0,
        body.as_mut_slice(),
        &wrapped.tag,
        "wrapped key",
    )?;
    Ok(ContentKey::from_bytes(*body))
}

fn wrapping_key(key: &GoodsKey, sale_id: &SaleId) -> Zeroizing<[u8; 32]> {
    let mut transcript = start_secret(label::WRAP);
    transcript.bytes(b"goods key", key.as_bytes());
    transcript.bytes(b"sale id", &sale_id.0);
    derived(&mut transcript)
}

/// A goods key, encrypted to a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// The ephemeral key of the sender. It is used for one purchase or one offer only.
    pub ephemeral: PublicKey,
    /// The ciphertext.
    pub body: KeyCiphertext,
    /// The authentication tag.
    #[serde(with = "farthing_coin::hex_bytes")]
    pub tag: [u8; TAG_BYTES],
}

/// Derives the ephemeral key for one sealed key from the sender's secret. So a repeated sealing gives the same bytes.
///
/// An escrow uses the id of a purchase, and a merchant uses the sale id of an offer. There is one goods key for each, as
/// the offer commits to it. Nothing else may be sealed with the same `secret` and `id`.
#[must_use]
pub fn derive_ephemeral(secret: &NodeSecret, id: &EphemeralId) -> SecretKey {
    let mut transcript = start_secret(label::EPHEMERAL);
    transcript.bytes(b"secret", secret.as_bytes());
    transcript.bytes(b"purchase id", &id.0);
    let mut wide = Zeroizing::new([0; 64]);
    loop {
        transcript.challenge_bytes(b"ephemeral", wide.as_mut_slice());
        // Zero is not a valid key. It comes once in about 2^252 draws, and then the next bytes are drawn.
        if let Ok(key) = SecretKey::from_wide(&wide) {
            return key;
        }
    }
}

/// Seals `key` to the holder of the secret key of `to`.
///
/// `context` is the id of a purchase, or the [`sealing_context`](crate::documents::Offer::sealing_context) of an offer.
/// The sealed key opens for this context only. `ephemeral` comes from [`derive_ephemeral`] for the same purchase or offer.
///
/// # Errors
/// [`SealError::PublicKey`] if `to` is not a point, or is the identity.
pub fn seal_goods_key(
    ephemeral: &SecretKey,
    to: &PublicKey,
    context: &SealingContext,
    key: &GoodsKey,
) -> Result<SealedKey, SealError> {
    let shared = ephemeral.diffie_hellman(to)?;
    let ephemeral = ephemeral.public();
    let sealing = sealing_key(&shared, &ephemeral, to, context);
    // The ciphertext overwrites it, so nothing needs to be wiped.
    let mut body = *key.as_bytes();
    let tag = encrypt(&sealing, &context.0, &mut body, "sealed key")?;
    Ok(SealedKey {
        ephemeral,
        body: KeyCiphertext(body),
        tag,
    })
}

/// Opens the goods key that was sealed to the public key of `secret` for `context`.
///
/// [`opens`] checks whether it is the right key.
///
/// # Errors
/// [`SealError::PublicKey`] if the ephemeral key is invalid. [`SealError::DoesNotOpen`] if it was sealed to another key
/// or for another purchase or offer, or was changed.
pub fn open_goods_key(
    secret: &SecretKey,
    context: &SealingContext,
    sealed: &SealedKey,
) -> Result<GoodsKey, SealError> {
    let shared = secret.diffie_hellman(&sealed.ephemeral)?;
    open_shared(&shared, &secret.public(), context, sealed)
}

/// Opens a goods key that was sealed to `to` with the sender's `ephemeral` key. So the sender can show a judge what it
/// has sealed.
///
/// # Errors
/// As [`open_goods_key`], and when it was sealed with another ephemeral key.
pub fn reopen_goods_key(
    ephemeral: &SecretKey,
    to: &PublicKey,
    context: &SealingContext,
    sealed: &SealedKey,
) -> Result<GoodsKey, SealError> {
    if ephemeral.public() != sealed.ephemeral {
        return Err(SealError::DoesNotOpen("sealed key"));
    }
    let shared = ephemeral.diffie_hellman(to)?;
    open_shared(&shared, to, context, sealed)
}

/// Opens a goods key that was sealed to `to` with the point that the holder of `to` has shown. So anyone can check what
/// an escrow found in an offer.
///
/// # Errors
/// [`SealError::PublicKey`] if the proof of the point is invalid. Otherwise as [`open_goods_key`].
pub fn open_with_point(
    shown: &SharedPoint,
    to: &PublicKey,
    context: &SealingContext,
    sealed: &SealedKey,
) -> Result<GoodsKey, SealError> {
    let shared = shown.verify(to, &sealed.ephemeral, &context.0)?;
    open_shared(&shared, to, context, sealed)
}

fn open_shared(
    shared: &SharedSecret,
    to: &PublicKey,
    context: &SealingContext,
    sealed: &SealedKey,
) -> Result<GoodsKey, SealError> {
    let opening = sealing_key(shared, &sealed.ephemeral, to, context);
    let mut body = Zeroizing::new(sealed.body.0);
    decrypt(
        &opening,
        &context.0,
        body.as_mut_slice(),
        &sealed.tag,
        "sealed key",
    )?;
    Ok(GoodsKey::from_bytes(*body))
}

fn sealing_key(
    shared: &SharedSecret,
    ephemeral: &PublicKey,
    to: &PublicKey,
    context: &SealingContext,
) -> Zeroizing<[u8; 32]> {
    let mut transcript = start_secret(label::SEAL);
    transcript.bytes(b"shared", shared.as_bytes());
    transcript.bytes(b"ephemeral", &ephemeral.0);
    transcript.bytes(b"to", &to.0);
    transcript.bytes(b"purchase id", &context.0);
    derived(&mut transcript)
}

/// Seals a text of up to [`RECORD_TEXT_MAX_BYTES`] into exactly [`SEALED_RECORD_BYTES`], so that the length tells nothing.
///
/// The nonce is derived from the key and the whole text (Rogaway and Shrimpton, *Deterministic
/// Authenticated-Encryption*, 2006). So two copies of one wallet that seal different texts under the same key and id
/// reveal nothing, and the same text gives the same bytes.
///
/// # Errors
/// [`SealError::RecordTooLong`] with the length of the text.
pub fn seal_record(
    key: &RecoveryRecordKey,
    note_id: &RecoveryRecordId,
    text: &[u8],
) -> Result<Vec<u8>, SealError> {
    let too_long = SealError::RecordTooLong {
        got_bytes: text.len(),
    };
    let length = u16::try_from(text.len()).map_err(|_| too_long)?;
    if text.len() > RECORD_TEXT_MAX_BYTES {
        return Err(too_long);
    }
    // It has its full capacity from the start. Growing it would leave a copy of the text in freed memory.
    let mut body = Zeroizing::new(Vec::with_capacity(SEALED_RECORD_BYTES));
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(text);
    body.resize(SEALED_RECORD_BYTES - RECORD_NONCE_BYTES - TAG_BYTES, 0);
    let nonce = note_nonce(key, note_id, &body);
    let tag = encrypt(
        &note_key(key, note_id, &nonce),
        &note_id.0,
        &mut body,
        "sealed record",
    )?;
    let mut note = Vec::with_capacity(SEALED_RECORD_BYTES);
    note.extend_from_slice(&nonce);
    note.extend_from_slice(&body);
    note.extend_from_slice(&tag);
    Ok(note)
}

/// Opens a sealed record.
///
/// # Errors
/// [`SealError::RecordLength`] if it does not have the length of a sealed record. [`SealError::DoesNotOpen`] if the key or the id is
/// another, or it was changed. [`SealError::RecordMalformed`] if [`seal_record`] did not make it.
pub fn open_record(
    key: &RecoveryRecordKey,
    note_id: &RecoveryRecordId,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let wrong_length = SealError::RecordLength {
        got_bytes: sealed.len(),
    };
    if sealed.len() != SEALED_RECORD_BYTES {
        return Err(wrong_length);
    }
    let (nonce, rest) = sealed
        .split_first_chunk::<RECORD_NONCE_BYTES>()
        .ok_or(wrong_length)?;
    let (body, tag) = rest.split_last_chunk().ok_or(wrong_length)?;
    let mut note = Zeroizing::new(body.to_vec());
    decrypt(
        &note_key(key, note_id, nonce),
        &note_id.0,
        &mut note,
        tag,
        "sealed record",
    )?;
    if note_nonce(key, note_id, &note) != *nonce {
        return Err(SealError::RecordMalformed);
    }
    let (length, rest) = note
        .split_first_chunk::<RECORD_LENGTH_BYTES>()
        .ok_or(SealError::RecordMalformed)?;
    let (text, padding) = rest
        .split_at_checked(u16::from_le_bytes(*length).into())
        .ok_or(SealError::RecordMalformed)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(SealError::RecordMalformed);
    }
    Ok(Zeroizing::new(text.to_vec()))
}

fn note_nonce(key: &RecoveryRecordKey, note_id: &RecoveryRecordId, body: &[u8]) -> [u8; RECORD_NONCE_BYTES] {
    let mut transcript = start_secret(label::NOTE_NONCE);
    transcript.bytes(b"key", key.as_bytes());
    transcript.bytes(b"note id", &note_id.0);
    transcript.bytes(b"body", body);
    let mut nonce = [0; RECORD_NONCE_BYTES];
    transcript.challenge_bytes(b"nonce", &mut nonce);
    nonce
}

fn note_key(
    key: &RecoveryRecordKey,
    note_id: &RecoveryRecordId,
    nonce: &[u8; RECORD_NONCE_BYTES],
) -> Zeroizing<[u8; 32]> {
    let mut transcript = start_secret(label::NOTE);
    transcript.bytes(b"key", key.as_bytes());
    transcript.bytes(b"note id", &note_id.0);
    transcript.bytes(b"nonce", nonce);
    derived(&mut transcript)
}

/// Starts a transcript for secrets. It is wiped when it is dropped.
fn start_secret(label: &'static [u8]) -> Zeroizing<Transcript> {
    Zeroizing::new(Transcript::start(label))
}

fn derived(transcript: &mut Transcript) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(transcript.digest32(b"key"))
}

/// Encrypts `body` in place. The key encrypts nothing else, so the nonce is zero.
fn encrypt(
    key: &[u8; 32],
    associated: &[u8],
    body: &mut [u8],
    what: &'static str,
) -> Result<[u8; TAG_BYTES], SealError> {
    ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&Nonce::default(), associated, body.into())
        .map(Into::into)
        .map_err(|_| SealError::Cipher(what))
}

/// Decrypts `body` in place. If it does not open, it stays unchanged.
fn decrypt(
    key: &[u8; 32],
    associated: &[u8],
    body: &mut [u8],
    tag: &[u8; TAG_BYTES],
    what: &'static str,
) -> Result<(), SealError> {
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&Nonce::default(), associated, body.into(), &Tag::from(*tag))
        .map_err(|_| SealError::DoesNotOpen(what))
}

#[cfg(test)]
mod tests;
