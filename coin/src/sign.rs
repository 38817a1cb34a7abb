//! Schnorr signatures in commitment form: s G = S + e P with e = hash(context, P, key id, S, digest).
//!
//! Authorizations of coins and all documents have this form. So one verifier and one [`Batch`](crate::Batch) serve all.
//! A signature contains the commitment S, not e: only then can a batch add up many equations.

use std::sync::LazyLock;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::encoding::{self, EncodedPoint, EncodedScalar, Malformed, from_malformed};
use crate::hex_bytes::bytes32;
use crate::ids::{KeyId, StatementDigest};
use crate::secret::secret32;
use crate::transcript::{Transcript, TranscriptExt, label, start_secret};

bytes32! {
    /// The encoding of a public key P = x G, of a node, an account, a purchase or a coin.
    ///
    /// The type accepts any 32 bytes. A function that uses the key, and [`check`](PublicKey::check), make sure that they
    /// encode a point other than the identity.
    PublicKey
}

/// A secret key: a scalar other than zero, with its public key. It is wiped when it is dropped.
#[derive(ZeroizeOnDrop)]
pub struct SecretKey {
    x: Scalar,
    #[zeroize(skip)]
    public: PublicKey,
}

secret32! {
    /// The digest of a Diffie-Hellman point. Only the holders of its two keys can compute it.
    SharedSecret
}

/// The content of a signature: a context, a key of the bank or of the signer, and a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The kind of statement. No two kinds share a context.
    pub context: &'static str,
    /// The id of the coin's denomination, for an authorization. The bytes of the signer's public key, for a document.
    pub key_id: KeyId,
    /// The digest of all other content.
    pub digest: StatementDigest,
}

/// A signature: the commitment S and the response s. Verification refuses encodings that are not canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature {
    /// S, an encoded point other than the identity.
    pub commitment: EncodedPoint,
    /// s, an encoded scalar.
    pub response: EncodedScalar,
}

/// Why a key or a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The field is not the canonical encoding of a ristretto255 point.
    #[error("{0} is not the canonical encoding of a ristretto255 point")]
    NonCanonicalPoint(&'static str),
    /// The field is not a scalar below the group order.
    #[error("{0} is not a scalar below the group order")]
    NonCanonicalScalar(&'static str),
    /// The field is the identity, or, for a secret key, zero.
    #[error("{0} is the identity, which is never valid")]
    Identity(&'static str),
    /// All fields are well formed, but the equation does not hold: the key or the statement is another one.
    #[error("the signature is not by this key over this statement")]
    Forged,
}

from_malformed!(SignatureError);

impl PublicKey {
    /// Checks that these bytes are the canonical encoding of a point other than the identity.
    ///
    /// # Errors
    /// [`SignatureError::NonCanonicalPoint`] or [`SignatureError::Identity`].
    pub fn check(&self) -> Result<(), SignatureError> {
        self.point()?;
        Ok(())
    }

    /// Verifies `signature` over `statement`, in variable time.
    ///
    /// # Errors
    /// The malformed field, or [`SignatureError::Forged`].
    pub fn verify(&self, statement: &Statement, signature: &Signature) -> Result<(), SignatureError> {
        let equation = SignatureEquation::open(self, self.point(), statement, signature)?;
        if equation.holds() {
            Ok(())
        } else {
            Err(SignatureError::Forged)
        }
    }

    /// Whether the bytes are a public key. Nobody can sign under other bytes.
    pub fn is_valid(&self) -> bool {
        self.point().is_ok()
    }

    pub(crate) fn point(&self) -> Result<RistrettoPoint, Malformed> {
        encoding::point(&self.0, "public key")
    }
}

impl SecretKey {
    /// Draws a secret key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        loop {
            let mut wide = Zeroizing::new([0; 64]);
            rng.fill_bytes(wide.as_mut());
            if let Ok(key) = Self::from_wide(&wide) {
                return key;
            }
        }
    }

    /// Makes a key of 64 uniform bytes, reduced modulo the group order.
    ///
    /// # Errors
    /// [`SignatureError::Identity`] if the result is zero, with probability 2^-252.
    pub fn from_wide(wide: &[u8; 64]) -> Result<Self, SignatureError> {
        Self::from_scalar(Scalar::from_bytes_mod_order_wide(wide))
    }

    /// Reads a key from the bytes of [`to_bytes`](SecretKey::to_bytes).
    ///
    /// # Errors
    /// [`SignatureError::NonCanonicalScalar`], or [`SignatureError::Identity`] if it is zero.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureError> {
        Self::from_scalar(encoding::scalar(bytes, "secret key")?)
    }

    fn from_scalar(x: Scalar) -> Result<Self, SignatureError> {
        if x == Scalar::ZERO {
            return Err(SignatureError::Identity("secret key"));
        }
        Ok(Self::from_nonzero(x))
    }

    /// Makes a key of a scalar from `TranscriptExt::nonzero_scalar`.
    pub(crate) fn from_nonzero(x: Scalar) -> Self {
        let public = PublicKey(RistrettoPoint::mul_base(&x).compress().to_bytes());
        Self { x, public }
    }

    /// The scalar's canonical encoding, little-endian, for a key file. The copy is wiped when it is dropped.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.x.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `statement` in constant time.
    ///
    /// The nonce is a hash of the secret key and the whole statement. So the same statement always gets the same bytes, and a
    /// repeated request gets the same reply. No failure of a random generator can reveal the key.
    pub fn sign(&self, statement: &Statement) -> Signature {
        let k = self.nonce(statement);
        let commitment = EncodedPoint::of(&RistrettoPoint::mul_base(&k));
        let e = challenge(&self.public, statement, &commitment);
        Signature {
            commitment,
            response: EncodedScalar::of(&(*k + e * self.x)),
        }
    }

    fn nonce(&self, statement: &Statement) -> Zeroizing<Scalar> {
        let mut transcript = start_secret(label::SIGNATURE_NONCE);
        transcript.bytes(b"secret", self.x.as_bytes());
        transcript.bytes(b"context", statement.context.as_bytes());
        transcript.bytes(b"P", &self.public.0);
        transcript.bytes(b"key id", &statement.key_id.0);
        transcript.bytes(b"digest", &statement.digest.0);
        Zeroizing::new(transcript.nonzero_scalar(b"k"))
    }

    /// The digest of the point x `other`. Only the holders of this key and of `other` can compute it.
    ///
    /// It depends only on the two keys. A caller that seals with it adds all other values to its own key derivation.
    ///
    /// # Errors
    /// [`SignatureError::NonCanonicalPoint`] or [`SignatureError::Identity`] for a bad `other`.
    pub fn diffie_hellman(&self, other: &PublicKey) -> Result<SharedSecret, SignatureError> {
        let mut shared = other.point()? * self.x;
        let mut encoded = EncodedPoint::of(&shared);
        shared.zeroize();
        let secret = SharedSecret::of(&encoded);
        encoded.0.zeroize();
        Ok(secret)
    }

    /// The secret scalar, for the proofs of this crate.
    pub(crate) fn scalar(&self) -> &Scalar {
        &self.x
    }
}

impl SharedSecret {
    /// Hashes a Diffie-Hellman point. The point itself is never used as a key.
    pub(crate) fn of(point: &EncodedPoint) -> Self {
        let mut transcript = start_secret(label::DIFFIE_HELLMAN);
        transcript.bytes(b"shared", &point.0);
        Self::from_bytes(transcript.digest32(b"secret"))
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// The constant head of every challenge's transcript. Computed each time, it would be a third of the cost.
static CHALLENGE_HEAD: LazyLock<Transcript> = LazyLock::new(|| Transcript::start(label::SIGNATURE));

/// e = hash(context, P, key id, S, digest).
fn challenge(public: &PublicKey, statement: &Statement, commitment: &EncodedPoint) -> Scalar {
    let mut transcript = CHALLENGE_HEAD.clone();
    transcript.bytes(b"context", statement.context.as_bytes());
    transcript.bytes(b"P", &public.0);
    transcript.bytes(b"key id", &statement.key_id.0);
    transcript.bytes(b"S", &commitment.0);
    transcript.bytes(b"digest", &statement.digest.0);
    transcript.scalar(b"e")
}

/// The equation of one signature in a batch, decoded: S + e P - s G = 0.
pub(crate) struct SignatureEquation {
    pub(crate) commitment: RistrettoPoint,
    pub(crate) public: RistrettoPoint,
    pub(crate) e: Scalar,
    pub(crate) s: Scalar,
}

impl SignatureEquation {
    /// Decodes a signature. The point of `public` is an argument, because a batch shares it with the coin.
    pub(crate) fn open(
        public: &PublicKey,
        point: Result<RistrettoPoint, Malformed>,
        statement: &Statement,
        signature: &Signature,
    ) -> Result<Self, SignatureError> {
        Ok(Self {
            public: point?,
            commitment: signature.commitment.decode("commitment")?,
            s: signature.response.decode("response")?,
            e: challenge(public, statement, &signature.commitment),
        })
    }

    pub(crate) fn holds(&self) -> bool {
        let expected = RistrettoPoint::vartime_double_scalar_mul_basepoint(&-self.e, &self.public, &self.s);
        (expected - self.commitment).is_identity()
    }
}
