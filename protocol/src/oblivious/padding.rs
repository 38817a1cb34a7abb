//! The sizes of requests and replies. A relay and an observer of the line see only which of them it is.

use super::suite::SealError;
use zeroize::Zeroizing;

/// The lengths that the plaintext of a request or a reply can have (bytes).
///
/// The first holds most questions, the second a contract, the third a hold of up to twenty coins. The fourth holds one of 64
/// coins, and small goods with their offer. The next two are for lists of coins and of records. The last holds a piece of
/// goods.
pub const SIZE_CLASSES: [usize; 7] = [
    1024,
    4 * 1024,
    8 * 1024,
    20 * 1024,
    64 * 1024,
    127 * 1024,
    LARGEST_BYTES,
];

/// The largest of [`SIZE_CLASSES`].
pub(super) const LARGEST_BYTES: usize = 516 * 1024;

/// The length of the field for the length of the content (bytes). It is little-endian.
pub(super) const LENGTH_BYTES: usize = 4;

/// The padded length of a plaintext with `content` bytes: the smallest of [`SIZE_CLASSES`] that holds it with its length.
///
/// # Errors
/// [`SealError::TooLong`].
pub fn padded_bytes(content: usize) -> Result<usize, SealError> {
    let fits = |class: &usize| content <= class.saturating_sub(LENGTH_BYTES);
    SIZE_CLASSES.into_iter().find(fits).ok_or(SealError::TooLong {
        got_bytes: content,
        most_bytes: LARGEST_BYTES - LENGTH_BYTES,
    })
}

/// The plaintext of `content`: its length, the content, and zeros.
pub(super) fn pad(content: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let padded = padded_bytes(content.len())?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(padded));
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    plaintext.extend_from_slice(&length.to_le_bytes());
    plaintext.extend_from_slice(content);
    plaintext.resize(padded, 0);
    Ok(plaintext)
}

/// The part of the content that is in `plaintext`, which may be cut off.
pub(super) fn beginning(plaintext: &[u8]) -> &[u8] {
    let Some((length, rest)) = plaintext.split_first_chunk::<LENGTH_BYTES>() else {
        return &[];
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    rest.get(..length).unwrap_or(rest)
}

/// The whole content of `plaintext`.
///
/// # Errors
/// [`SealError::DoesNotOpen`] when the plaintext is shorter than its content, or not padded as [`pad`] does it.
pub(super) fn unpad(plaintext: &[u8]) -> Result<&[u8], SealError> {
    let content = beginning(plaintext);
    let zeros = plaintext.get(LENGTH_BYTES.saturating_add(content.len())..);
    let whole = plaintext
        .first_chunk::<LENGTH_BYTES>()
        .is_some_and(|length| usize::try_from(u32::from_le_bytes(*length)) == Ok(content.len()));
    let as_padded = whole
        && padded_bytes(content.len()) == Ok(plaintext.len())
        && zeros.is_some_and(|zeros| zeros.iter().all(|byte| *byte == 0));
    if as_padded {
        Ok(content)
    } else {
        Err(SealError::DoesNotOpen)
    }
}
