//! The two generators: G of RFC 9496, and H. Nobody knows the logarithm of H to G.

use std::sync::LazyLock;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint, VartimeRistrettoPrecomputation};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimePrecomputedMultiscalarMul;

use crate::encoding::EncodedPoint;
use crate::transcript::{Transcript, TranscriptExt, label};

/// The ristretto255 base point.
pub(crate) const G: RistrettoPoint = RISTRETTO_BASEPOINT_POINT;

/// H = the hash of a fixed label to the group, by the element derivation of RFC 9496, section 4.3.4.
pub(crate) static H: LazyLock<RistrettoPoint> = LazyLock::new(|| {
    let mut uniform = [0; 64];
    Transcript::start(label::GENERATOR_H).challenge_bytes(b"uniform", &mut uniform);
    RistrettoPoint::from_uniform_bytes(&uniform)
});

/// Multiples of H, for constant-time multiplication by a secret.
static H_TABLE: LazyLock<RistrettoBasepointTable> = LazyLock::new(|| RistrettoBasepointTable::create(&H));

/// Multiples of G and H, for variable-time multiplication by published values.
static GH_TABLE: LazyLock<VartimeRistrettoPrecomputation> =
    LazyLock::new(|| VartimeRistrettoPrecomputation::new([&G, &*H]));

/// g G + h H in constant time.
pub(crate) fn commit(g: &Scalar, h: &Scalar) -> RistrettoPoint {
    RistrettoPoint::mul_base(g) + h * &*H_TABLE
}

/// g G + h H in variable time, only for published values.
pub(crate) fn commit_vartime(g: &Scalar, h: &Scalar) -> RistrettoPoint {
    GH_TABLE.vartime_multiscalar_mul([g, h])
}

/// g G + h H + e E in variable time, only for published values.
pub(crate) fn commit_and_add_vartime(
    g: &Scalar,
    h: &Scalar,
    e: &Scalar,
    point: &RistrettoPoint,
) -> RistrettoPoint {
    GH_TABLE.vartime_mixed_multiscalar_mul([g, h], [e], [point])
}

/// The encoding of G, the base point of RFC 9496.
pub fn generator_g() -> EncodedPoint {
    EncodedPoint::of(&G)
}

/// The encoding of H. A test vector pins it.
pub fn generator_h() -> EncodedPoint {
    EncodedPoint::of(&H)
}
