//! Canonical decoding of points and scalars, and how 32 bytes look to people.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;

/// What is wrong with an encoding, and in which field. Each public error has a variant for each of these.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Malformed {
    Point(&'static str),
    Scalar(&'static str),
    Identity(&'static str),
}

/// Decodes a point as RFC 9496 requires, which leaves one encoding for each point, and refuses the identity,
/// which no honest party ever sends.
pub(crate) fn point(bytes: &[u8; 32], field: &'static str) -> Result<RistrettoPoint, Malformed> {
    // The identity's one encoding is all zeros, and comparing bytes is cheaper than comparing points.
    if *bytes == [0; 32] {
        return Err(Malformed::Identity(field));
    }
    CompressedRistretto(*bytes)
        .decompress()
        .ok_or(Malformed::Point(field))
}

/// Decodes a scalar below the group order, little-endian. Zero is a scalar; who minds it checks for it.
pub(crate) fn scalar(bytes: &[u8; 32], field: &'static str) -> Result<Scalar, Malformed> {
    Scalar::from_canonical_bytes(*bytes)
        .into_option()
        .ok_or(Malformed::Scalar(field))
}

/// y^5, the permutation of the scalars that keeps parallel sessions from being combined (Snowblind).
pub(crate) fn fifth_power(y: &Scalar) -> Scalar {
    let squared = y * y;
    squared * squared * y
}

/// Lets `?` turn a malformed encoding into the caller's own error.
macro_rules! from_malformed {
    ($error:ty) => {
        impl From<crate::encoding::Malformed> for $error {
            fn from(malformed: crate::encoding::Malformed) -> Self {
                match malformed {
                    crate::encoding::Malformed::Point(field) => Self::NonCanonicalPoint(field),
                    crate::encoding::Malformed::Scalar(field) => Self::NonCanonicalScalar(field),
                    crate::encoding::Malformed::Identity(field) => Self::Identity(field),
                }
            }
        }
    };
}
pub(crate) use from_malformed;

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "got {got_chars} characters that are not the expected 64 hexadecimal digits; copy the whole value again"
)]
pub struct ParseHexError {
    /// How many bytes of text there were.
    pub got_chars: usize,
}

/// Parses 64 hexadecimal digits of either case.
pub(crate) fn parse_hex32(text: &str) -> Result<[u8; 32], ParseHexError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHexError {
        got_chars: text.len(),
    })?;
    Ok(bytes)
}

/// Writes the first eight digits and an ellipsis: enough to tell values apart in a log.
pub(crate) fn debug_hex32(name: &str, bytes: &[u8; 32], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    write!(f, "{name}(")?;
    for byte in bytes.iter().take(4) {
        write!(f, "{byte:02x}")?;
    }
    write!(f, "…)")
}

/// Gives a newtype of 32 bytes its hexadecimal `Display` and `FromStr` and a short `Debug`.
macro_rules! hex32 {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                crate::encoding::debug_hex32(stringify!($name), &self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::encoding::ParseHexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                crate::encoding::parse_hex32(text).map(Self)
            }
        }
    };
}
pub(crate) use hex32;
