//! The one encoding of messages and rows.
//!
//! It is bincode with fixed-width integers, little-endian. The decoder refuses a frame that is longer than its caller
//! allows, and a frame with trailing bytes. Signatures and hashes never depend on this encoding. Everything that is
//! signed or hashed is written field by field into a transcript (see `documents`).

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::error::DecodeError;
use serde::{Serialize, de::DeserializeOwned};

/// The longest frame that any decoder accepts (bytes). A caller cannot allow more.
pub const FRAME_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The length of the index of an enum's variant, the first field of every request and reply (bytes).
pub const VARIANT_BYTES: usize = 4;

/// Why the decoder refused a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The frame is longer than its kind may be.
    #[error("the message is {got_bytes} bytes long, at most {max_bytes} are allowed")]
    TooLong {
        /// Its length (bytes).
        got_bytes: usize,
        /// The greatest length that is allowed (bytes).
        max_bytes: usize,
    },
    /// The bytes do not decode to a value of the expected type.
    #[error("the message is malformed: {0}")]
    Malformed(String),
    /// Bytes are left after the value.
    #[error("the message has {0} trailing bytes")]
    Trailing(usize),
}

fn config() -> Configuration<LittleEndian, Fixint, Limit<FRAME_MAX_BYTES>> {
    bincode::config::standard()
        .with_fixed_int_encoding()
        .with_limit::<FRAME_MAX_BYTES>()
}

/// Encodes `value`.
///
/// # Errors
/// When the value's own `Serialize` fails, or the encoding is longer than [`FRAME_MAX_BYTES`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let bytes =
        bincode::serde::encode_to_vec(value, config()).map_err(|e| WireError::Malformed(e.to_string()))?;
    if bytes.len() > FRAME_MAX_BYTES {
        return Err(WireError::TooLong {
            got_bytes: bytes.len(),
            max_bytes: FRAME_MAX_BYTES,
        });
    }
    Ok(bytes)
}

/// Decodes all of `bytes`, which may be at most `max_bytes` long.
///
/// # Errors
/// [`WireError`] says whether the bytes were too many, malformed, or trailing.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], max_bytes: usize) -> Result<T, WireError> {
    if bytes.len() > max_bytes {
        return Err(WireError::TooLong {
            got_bytes: bytes.len(),
            max_bytes,
        });
    }
    let (value, used) = bincode::serde::decode_from_slice(bytes, config()).map_err(|e| match e {
        DecodeError::OtherString(why) => WireError::Malformed(why),
        e => WireError::Malformed(e.to_string()),
    })?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(value),
        left => Err(WireError::Trailing(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{goods::GoodsKey, ids::PurchaseId};
    use farthing_coin::{Challenge, EncodedPoint, EncodedScalar, KeyId, PublicKey, Signature};

    #[test]
    fn ids_keys_and_digests_encode_to_their_bytes_alone() {
        let bytes: [u8; 32] = std::array::from_fn(|place| place as u8);
        let signature = Signature {
            commitment: EncodedPoint(bytes),
            response: EncodedScalar(bytes),
        };
        let encoded = [
            encode(&PublicKey(bytes)),
            encode(&KeyId(bytes)),
            encode(&Challenge(bytes)),
            encode(&PurchaseId(bytes)),
            encode(&GoodsKey::from_bytes(bytes)),
        ];
        for encoded in encoded {
            assert_eq!(encoded.unwrap(), bytes);
        }
        assert_eq!(encode(&signature).unwrap(), [bytes, bytes].concat());
        assert_eq!(decode::<PublicKey>(&bytes, 32).unwrap(), PublicKey(bytes));
    }

    #[test]
    fn trailing_truncated_and_overlong_bytes_are_refused() {
        let bytes = encode(&(7u64, "goods".to_string())).unwrap();
        assert_eq!(decode::<(u64, String)>(&bytes, 64).unwrap(), (7, "goods".into()));
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode::<(u64, String)>(&longer, 64), Err(WireError::Trailing(1)));
        assert!(matches!(
            decode::<(u64, String)>(&bytes[..5], 64),
            Err(WireError::Malformed(_))
        ));
        assert!(matches!(
            decode::<(u64, String)>(&bytes, 8),
            Err(WireError::TooLong { .. })
        ));
    }

    #[test]
    fn a_too_large_length_prefix_is_refused_without_an_allocation() {
        let bytes = encode(&u64::MAX).unwrap();
        assert!(matches!(
            decode::<Vec<u8>>(&bytes, 64),
            Err(WireError::Malformed(_))
        ));
    }
}
