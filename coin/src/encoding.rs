//! Canonical decoding of points and scalars.

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
