//! Encodings of points and scalars, and their canonical decoding.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;

use crate::hex_bytes::bytes32;

bytes32! {
    /// The encoding of a point (RFC 9496). The type accepts any 32 bytes. A function that uses the point checks them.
    EncodedPoint
}

bytes32! {
    /// The encoding of a scalar, little-endian. The type accepts any 32 bytes. A function that uses the scalar checks them.
    EncodedScalar
}

impl EncodedPoint {
    pub(crate) fn of(point: &RistrettoPoint) -> Self {
        Self(point.compress().to_bytes())
    }

    /// The point, as [`point`] decodes it.
    pub(crate) fn decode(&self, field: &'static str) -> Result<RistrettoPoint, Malformed> {
        point(&self.0, field)
    }
}

impl EncodedScalar {
    pub(crate) fn of(scalar: &Scalar) -> Self {
        Self(scalar.to_bytes())
    }

    /// The scalar, as [`scalar`] decodes it.
    pub(crate) fn decode(&self, field: &'static str) -> Result<Scalar, Malformed> {
        scalar(&self.0, field)
    }
}

/// What is wrong with an encoding, and in which field. Each public error type has the same three variants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Malformed {
    Point(&'static str),
    Scalar(&'static str),
    Identity(&'static str),
}

/// Decodes a point by RFC 9496, which has one encoding for each point. Refuses the identity: no honest party sends it.
pub(crate) fn point(bytes: &[u8; 32], field: &'static str) -> Result<RistrettoPoint, Malformed> {
    // The only encoding of the identity is 32 zeros. Bytes are cheaper to compare than points.
    if *bytes == [0; 32] {
        return Err(Malformed::Identity(field));
    }
    CompressedRistretto(*bytes)
        .decompress()
        .ok_or(Malformed::Point(field))
}

/// Decodes a scalar below the group order, little-endian. Zero is accepted: a caller that excludes zero checks for it.
pub(crate) fn scalar(bytes: &[u8; 32], field: &'static str) -> Result<Scalar, Malformed> {
    Scalar::from_canonical_bytes(*bytes)
        .into_option()
        .ok_or(Malformed::Scalar(field))
}

/// y^5, a permutation of the scalars. With it, nobody can combine parallel sessions into a forgery (Snowblind).
pub(crate) fn fifth_power(y: &Scalar) -> Scalar {
    let squared = y * y;
    squared * squared * y
}

/// Implements `From<Malformed>` for a public error, for `?`.
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
