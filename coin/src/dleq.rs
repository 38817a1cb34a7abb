//! A Diffie-Hellman point D = x E, with a proof that x is the secret key of P = x G. Anyone can check it.
//!
//! The proof is by Chaum and Pedersen (*Wallet Databases with Observers*, CRYPTO 1992, section 3.2). A transcript makes it
//! non-interactive. A recipient shows with it what was sealed to them, and their secret key stays secret:
//!
//! ```text
//! A = k G,  B = k E            k is a hash of the secret, the context and E
//! e = hash(context, P, E, D, A, B)
//! s = k + e x                  s G = A + e P,  s E = B + e D
//! ```
//!
//! The point opens everything that was sealed with E to P. Show it only if the maker of E has proven to know the secret of
//! E: this maker can compute the point alone. Otherwise the point could open texts that other parties have sealed.

use curve25519_dalek::{ristretto::RistrettoPoint, scalar::Scalar, traits::VartimeMultiscalarMul};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::encoding::{EncodedPoint, EncodedScalar};
use crate::sign::{PublicKey, SecretKey, SharedSecret, SignatureError};
use crate::transcript::{Transcript, TranscriptExt, label, start_secret};

/// D = x E, with the proof that x is the secret key of a known P.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPoint {
    /// D, an encoded point other than the identity.
    pub point: EncodedPoint,
    /// e, an encoded scalar.
    pub challenge: EncodedScalar,
    /// s, an encoded scalar.
    pub response: EncodedScalar,
}

impl SecretKey {
    /// Computes the shared point of this key and `other`, with its proof. The proof is valid only for `context`, which says
    /// what the point is shown for. The same arguments always give the same bytes.
    ///
    /// # Errors
    /// [`SignatureError::NonCanonicalPoint`] or [`SignatureError::Identity`] for a bad `other`.
    pub fn show_shared_point(
        &self,
        other: &PublicKey,
        context: &[u8],
    ) -> Result<SharedPoint, SignatureError> {
        let base = other.point()?;
        let shared = self.scalar() * base;
        let point = EncodedPoint::of(&shared);
        let mut transcript = start_secret(label::SHARED_POINT_NONCE);
        transcript.bytes(b"secret", self.scalar().as_bytes());
        transcript.bytes(b"context", context);
        transcript.bytes(b"E", &other.0);
        let k = Zeroizing::new(transcript.nonzero_scalar(b"k"));
        let a = RistrettoPoint::mul_base(&k);
        let b = *k * base;
        let e = challenge(context, &self.public(), other, &point, &a, &b);
        Ok(SharedPoint {
            point,
            challenge: EncodedScalar::of(&e),
            response: EncodedScalar::of(&(*k + e * self.scalar())),
        })
    }
}

impl SharedPoint {
    /// Verifies that this is the point of `key` and `other`, shown for `context`, in variable time. Returns the digest that
    /// [`SecretKey::diffie_hellman`] returns.
    ///
    /// # Errors
    /// The malformed field, or [`SignatureError::Forged`].
    pub fn verify(
        &self,
        key: &PublicKey,
        other: &PublicKey,
        context: &[u8],
    ) -> Result<SharedSecret, SignatureError> {
        let (public, base) = (key.point()?, other.point()?);
        let shared = self.point.decode("shared point")?;
        let e = self.challenge.decode("challenge")?;
        let s = self.response.decode("response")?;
        let a = RistrettoPoint::vartime_double_scalar_mul_basepoint(&-e, &public, &s);
        let b = RistrettoPoint::vartime_multiscalar_mul([s, -e], [base, shared]);
        if challenge(context, key, other, &self.point, &a, &b) != e {
            return Err(SignatureError::Forged);
        }
        Ok(SharedSecret::of(&self.point))
    }
}

fn challenge(
    context: &[u8],
    key: &PublicKey,
    other: &PublicKey,
    point: &EncodedPoint,
    a: &RistrettoPoint,
    b: &RistrettoPoint,
) -> Scalar {
    let mut transcript = Transcript::start(label::SHARED_POINT);
    transcript.bytes(b"context", context);
    transcript.bytes(b"P", &key.0);
    transcript.bytes(b"E", &other.0);
    transcript.bytes(b"D", &point.0);
    transcript.bytes(b"A", a.compress().as_bytes());
    transcript.bytes(b"B", b.compress().as_bytes());
    transcript.scalar(b"e")
}
