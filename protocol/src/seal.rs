//! Keys and notes, sealed to those who may open them.
//!
//! | what | under | who opens it |
//! |---|---|---|
//! | commitment to a goods key | - | nobody; it is compared, once the key is shown |
//! | [`WrappedKey`], in an offer | the sale's goods key | who paid |
//! | [`SealedKey`], in a commit | a public key (ECIES on ristretto255) | the purchase key's holder |
//! | [`OfferedKey`](crate::offered_key::OfferedKey), in an offer | the same, with a proof of its maker's | the escrow, once the coins are held |
//! | a note, beside a hold | a key from the wallet's seed | the wallet, restored |
//!
//! Every encryption is ChaCha20-Poly1305 (RFC 8439) under a key of its own, which a transcript derives from
//! the secret and all that the ciphertext belongs to. So the nonce is always zero, the same call gives the
//! same bytes (a repeated reply is the same reply), and nothing opens in another place than its own.

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

/// A sealed note, always (bytes).
pub const NOTE_BYTES: usize = 2048;

/// The most that a note can say (bytes): what its synthetic nonce, its length and its tag leave of
/// [`NOTE_BYTES`].
pub const NOTE_TEXT_MAX_BYTES: usize = NOTE_BYTES - NOTE_NONCE_BYTES - TAG_BYTES - NOTE_LENGTH_BYTES;

/// What a note begins with (bytes): a digest of the key and all of its text, which goes into the cipher's key.
const NOTE_NONCE_BYTES: usize = 16;

/// The length of a note's text, little-endian, before the text and its padding of zeros (bytes).
const NOTE_LENGTH_BYTES: usize = 2;

/// What each transcript of this module is for.
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
    /// The key to seal to, or the ephemeral key of what is to be opened, is no valid public key.
    #[error("the public key to seal with is invalid: {0}")]
    PublicKey(#[from] SignatureError),
    /// The thing named does not open: changed, or sealed under another key or for another id.
    #[error("the {0} does not open: it was changed, or belongs to another key or another id")]
    DoesNotOpen(&'static str),
    /// The note says more than fits.
    #[error("the note is {got_bytes} bytes long, at most {NOTE_TEXT_MAX_BYTES} fit")]
    NoteTooLong {
        /// The length of the text (bytes).
        got_bytes: usize,
    },
    /// What is to be opened is not as long as every sealed note is.
    #[error("a sealed note is {NOTE_BYTES} bytes long, this one is {got_bytes}")]
    NoteLength {
        /// The length of what was given (bytes).
        got_bytes: usize,
    },
    /// The note opened, but its length or padding is wrong: whoever holds its key wrote it otherwise.
    #[error("the note opens, but its length or padding is not as it must be")]
    NoteMalformed,
    /// The cipher refused to encrypt, as it does with messages of 256 GiB: never with what is sealed here.
    #[error("the cipher refused to seal the {0}")]
    Cipher(&'static str),
}

/// The commitment to a goods key that an offer carries.
///
/// Binding, because nobody finds two keys with one digest; hiding, because the key is 32 uniformly random
/// bytes and the digest gives no better way to it than trying all.
#[must_use]
pub fn commit_goods_key(key: &GoodsKey) -> KeyCommitment {
    let mut transcript = start_secret(label::COMMITMENT);
    transcript.bytes(b"goods key", key.as_bytes());
    KeyCommitment(transcript.digest32(b"commitment"))
}

/// Whether `key` is the one that was committed to, in constant time.
#[must_use]
pub fn opens(commitment: &KeyCommitment, key: &GoodsKey) -> bool {
    commit_goods_key(key).0.ct_eq(&commitment.0).into()
}

/// The goods key of one sale, from the merchant's secret; a key is never stored before it is released.
///
/// `sale_id` must never name two sales: who paid for one would have the other's key.
#[must_use]
pub fn derive_goods_key(merchant_secret: &NodeSecret, sale_id: &SaleId) -> GoodsKey {
    let mut transcript = start_secret(label::GOODS_KEY);
    transcript.bytes(b"secret", merchant_secret.as_bytes());
    transcript.bytes(b"sale id", &sale_id.0);
    GoodsKey::from_bytes(*derived(&mut transcript))
}

/// The content key of one encrypted file, from the merchant's secret.
///
/// `item_id` must never name two contents, nor one content under two salts (see [`ContentKey`]): draw it at
/// random each time that goods are encrypted, also when an item is replaced or an interrupted run begins anew.
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
    /// Its tag.
    #[serde(with = "farthing_coin::hex_bytes")]
    pub tag: [u8; TAG_BYTES],
}

/// Wraps `content` for the sale `sale_id`, whose key is `key`. One goods key wraps one content key.
///
/// # Errors
/// None in practice: only [`SealError::Cipher`] is possible.
pub fn wrap(key: &GoodsKey, sale_id: &SaleId, content: &ContentKey) -> Result<WrappedKey, SealError> {
    // Overwritten by the ciphertext, so there is nothing to wipe.
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
/// [`SealError::DoesNotOpen`] under another key, for another sale, or if it was changed.
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
    /// The sender's key, made for this purchase, or for this offer, alone.
    pub ephemeral: PublicKey,
    /// The ciphertext.
    pub body: KeyCiphertext,
    /// Its tag.
    #[serde(with = "farthing_coin::hex_bytes")]
    pub tag: [u8; TAG_BYTES],
}

/// The key to seal one goods key with, from a secret of the sender's, so that sealing it again gives the same bytes:
/// by an escrow for the purchase of this id, or by a merchant for his offer of this sale id.
///
/// Both have one goods key, which the offer commits to. Under one `secret` and `id` nothing else may be sealed.
#[must_use]
pub fn derive_ephemeral(secret: &NodeSecret, id: &EphemeralId) -> SecretKey {
    let mut transcript = start_secret(label::EPHEMERAL);
    transcript.bytes(b"secret", secret.as_bytes());
    transcript.bytes(b"purchase id", &id.0);
    let mut wide = Zeroizing::new([0; 64]);
    loop {
        transcript.challenge_bytes(b"ephemeral", wide.as_mut_slice());
        // Zero, which one in 2^252 draws, is no key; then the next is drawn.
        if let Ok(key) = SecretKey::from_wide(&wide) {
            return key;
        }
    }
}

/// Seals `key` to whoever holds the secret half of `to`, for what `context` names alone: a purchase, by its id, or an
/// offer, by its [`sealing_context`](crate::documents::Offer::sealing_context).
///
/// `ephemeral` comes from [`derive_ephemeral`] for the same purchase or offer.
///
/// # Errors
/// [`SealError::PublicKey`] if `to` is not a point, or the identity.
pub fn seal_goods_key(
    ephemeral: &SecretKey,
    to: &PublicKey,
    context: &SealingContext,
    key: &GoodsKey,
) -> Result<SealedKey, SealError> {
    let shared = ephemeral.diffie_hellman(to)?;
    let ephemeral = ephemeral.public();
    let sealing = sealing_key(&shared, &ephemeral, to, context);
    // Overwritten by the ciphertext, so there is nothing to wipe.
    let mut body = *key.as_bytes();
    let tag = encrypt(&sealing, &context.0, &mut body, "sealed key")?;
    Ok(SealedKey {
        ephemeral,
        body: KeyCiphertext(body),
        tag,
    })
}

/// Opens the goods key that was sealed to `secret`'s public half for what `context` names.
///
/// Whether it is the right one, [`opens`] says.
///
/// # Errors
/// [`SealError::PublicKey`] for a bad ephemeral key; [`SealError::DoesNotOpen`] if it was sealed to another
/// key, for another purchase or offer, or changed.
pub fn open_goods_key(
    secret: &SecretKey,
    context: &SealingContext,
    sealed: &SealedKey,
) -> Result<GoodsKey, SealError> {
    let shared = secret.diffie_hellman(&sealed.ephemeral)?;
    open_shared(&shared, &secret.public(), context, sealed)
}

/// Opens, with the `ephemeral` key that it was sealed with, what was sealed to `to`: so the sender can show a judge what
/// he has sealed.
///
/// # Errors
/// As [`open_goods_key`]; and when it was sealed with another ephemeral key.
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

/// Opens what was sealed to `to` with the point that `to` has shown: so anyone sees what was found in an offer.
///
/// # Errors
/// [`SealError::PublicKey`] if the point is not proven; else as [`open_goods_key`].
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

/// Seals a note of up to [`NOTE_TEXT_MAX_BYTES`] into exactly [`NOTE_BYTES`], so that its length says nothing.
///
/// The nonce is derived from the key and the whole text (Rogaway and Shrimpton, *Deterministic
/// Authenticated-Encryption*, 2006): two copies of one wallet that seal different texts under the same key
/// and id give nothing away, and the same text gives the same bytes.
///
/// # Errors
/// [`SealError::NoteTooLong`] says how long the text is.
pub fn seal_note(
    key: &RecoveryRecordKey,
    note_id: &RecoveryRecordId,
    text: &[u8],
) -> Result<Vec<u8>, SealError> {
    let too_long = SealError::NoteTooLong {
        got_bytes: text.len(),
    };
    let length = u16::try_from(text.len()).map_err(|_| too_long)?;
    if text.len() > NOTE_TEXT_MAX_BYTES {
        return Err(too_long);
    }
    // Of its full size from the beginning, so that no text is left behind by growing it.
    let mut body = Zeroizing::new(Vec::with_capacity(NOTE_BYTES));
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(text);
    body.resize(NOTE_BYTES - NOTE_NONCE_BYTES - TAG_BYTES, 0);
    let nonce = note_nonce(key, note_id, &body);
    let tag = encrypt(&note_key(key, note_id, &nonce), &note_id.0, &mut body, "note")?;
    let mut note = Vec::with_capacity(NOTE_BYTES);
    note.extend_from_slice(&nonce);
    note.extend_from_slice(&body);
    note.extend_from_slice(&tag);
    Ok(note)
}

/// Opens a note.
///
/// # Errors
/// [`SealError::NoteLength`] if it is no note by its length; [`SealError::DoesNotOpen`] under another key, for
/// another id, or if it was changed; [`SealError::NoteMalformed`] if [`seal_note`] did not write it.
pub fn open_note(
    key: &RecoveryRecordKey,
    note_id: &RecoveryRecordId,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let wrong_length = SealError::NoteLength {
        got_bytes: sealed.len(),
    };
    if sealed.len() != NOTE_BYTES {
        return Err(wrong_length);
    }
    let (nonce, rest) = sealed
        .split_first_chunk::<NOTE_NONCE_BYTES>()
        .ok_or(wrong_length)?;
    let (body, tag) = rest.split_last_chunk().ok_or(wrong_length)?;
    let mut note = Zeroizing::new(body.to_vec());
    decrypt(&note_key(key, note_id, nonce), &note_id.0, &mut note, tag, "note")?;
    if note_nonce(key, note_id, &note) != *nonce {
        return Err(SealError::NoteMalformed);
    }
    let (length, rest) = note
        .split_first_chunk::<NOTE_LENGTH_BYTES>()
        .ok_or(SealError::NoteMalformed)?;
    let (text, padding) = rest
        .split_at_checked(u16::from_le_bytes(*length).into())
        .ok_or(SealError::NoteMalformed)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(SealError::NoteMalformed);
    }
    Ok(Zeroizing::new(text.to_vec()))
}

fn note_nonce(key: &RecoveryRecordKey, note_id: &RecoveryRecordId, body: &[u8]) -> [u8; NOTE_NONCE_BYTES] {
    let mut transcript = start_secret(label::NOTE_NONCE);
    transcript.bytes(b"key", key.as_bytes());
    transcript.bytes(b"note id", &note_id.0);
    transcript.bytes(b"body", body);
    let mut nonce = [0; NOTE_NONCE_BYTES];
    transcript.challenge_bytes(b"nonce", &mut nonce);
    nonce
}

fn note_key(
    key: &RecoveryRecordKey,
    note_id: &RecoveryRecordId,
    nonce: &[u8; NOTE_NONCE_BYTES],
) -> Zeroizing<[u8; 32]> {
    let mut transcript = start_secret(label::NOTE);
    transcript.bytes(b"key", key.as_bytes());
    transcript.bytes(b"note id", &note_id.0);
    transcript.bytes(b"nonce", nonce);
    derived(&mut transcript)
}

/// Starts a transcript that secrets will enter, and that is therefore wiped when it is dropped.
fn start_secret(label: &'static [u8]) -> Zeroizing<Transcript> {
    Zeroizing::new(Transcript::start(label))
}

fn derived(transcript: &mut Transcript) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(transcript.digest32(b"key"))
}

/// Encrypts `body` in place under a key that encrypts nothing else, whence the nonce of zeros.
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

/// Decrypts `body` in place; if it does not open it stays as it was.
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
