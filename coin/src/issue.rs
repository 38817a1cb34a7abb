//! The bank's two moves (Snowblind, for one signer).
//!
//! Two answers with the same nonces reveal the key: (z1 - z2) / (c1 - c2) = x. So [`Nonces`] can be neither copied nor
//! stored, and an answer consumes them.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::denomination::DenominationSecret;
use crate::encoding::{self, EncodedPoint, EncodedScalar, fifth_power, from_malformed};
use crate::generators::commit;
use crate::hex_bytes::bytes32;
use crate::transcript::{TranscriptExt, label, start_secret};

/// a, b and y of one issuing session. They are only in memory, and are wiped when they are dropped.
#[derive(ZeroizeOnDrop)]
pub struct Nonces {
    a: Scalar,
    b: Scalar,
    y: Scalar,
}

/// The bank's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Commitment {
    /// A = a G, an encoded point.
    pub a: EncodedPoint,
    /// B = b G + y H, an encoded point.
    pub b: EncodedPoint,
}

bytes32! {
    /// The wallet's message: the blinded challenge c, an encoded scalar.
    Challenge
}

bytes32! {
    /// The wallet's share of the randomness of one request. With it, a cloned bank does not repeat nonces.
    ClientRandomness
}

bytes32! {
    /// A random id, drawn at each start of the bank. With it, a copied bank does not repeat nonces.
    BootId
}

/// The bank's second message, three encoded scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Response {
    /// z = a + (c + y^5) x.
    pub z: EncodedScalar,
    /// b, which opens B.
    pub b: EncodedScalar,
    /// y, which opens B. Never zero.
    pub y: EncodedScalar,
}

/// Why the bank refused a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The field is not the canonical encoding of a ristretto255 point.
    #[error("{0} is not the canonical encoding of a ristretto255 point")]
    NonCanonicalPoint(&'static str),
    /// The field is not a scalar below the group order.
    #[error("{0} is not a scalar below the group order")]
    NonCanonicalScalar(&'static str),
    /// The field is the identity.
    #[error("{0} is the identity, which is never valid")]
    Identity(&'static str),
}

from_malformed!(IssueError);

impl Challenge {
    /// Checks that c is canonical. The bank calls this before [`Nonces::respond`], which consumes the session's nonces.
    ///
    /// # Errors
    /// [`IssueError::NonCanonicalScalar`].
    pub fn check(&self) -> Result<(), IssueError> {
        encoding::scalar(&self.0, "challenge")?;
        Ok(())
    }
}

impl Nonces {
    /// Draws the nonces of one session, and computes its first message.
    ///
    /// It hashes fresh randomness, the id of this run of the bank, the session's id and the client's randomness. So a machine
    /// that was cloned with the state of its generator does not repeat nonces. If one request asks for many coins, the
    /// session's id contains the slot.
    pub fn generate(
        rng: &mut impl CryptoRng,
        boot_id: &BootId,
        session_id: &[u8],
        client_randomness: &ClientRandomness,
    ) -> (Self, Commitment) {
        let mut fresh = Zeroizing::new([0; 64]);
        rng.fill_bytes(fresh.as_mut());
        let mut transcript = start_secret(label::ISSUING_NONCES);
        transcript.bytes(b"fresh", fresh.as_ref());
        transcript.bytes(b"boot id", &boot_id.0);
        transcript.bytes(b"session id", session_id);
        transcript.bytes(b"client randomness", &client_randomness.0);
        let nonces = Self {
            a: transcript.nonzero_scalar(b"a"),
            b: transcript.scalar(b"b"),
            y: transcript.nonzero_scalar(b"y"),
        };
        let commitment = nonces.commitment();
        (nonces, commitment)
    }

    fn commitment(&self) -> Commitment {
        Commitment {
            a: EncodedPoint::of(&RistrettoPoint::mul_base(&self.a)),
            b: EncodedPoint::of(&commit(&self.b, &self.y)),
        }
    }

    /// Answers one challenge in constant time, z = a + (c + y^5) x, and ends the session.
    ///
    /// # Errors
    /// [`IssueError::NonCanonicalScalar`] for a malformed challenge. This consumes the nonces too: call
    /// [`Challenge::check`] first.
    pub fn respond(self, secret: &DenominationSecret, challenge: &Challenge) -> Result<Response, IssueError> {
        let c = encoding::scalar(&challenge.0, "challenge")?;
        let f = Zeroizing::new(c + fifth_power(&self.y));
        let z = self.a + *f * secret.x();
        Ok(Response {
            z: EncodedScalar::of(&z),
            b: EncodedScalar::of(&self.b),
            y: EncodedScalar::of(&self.y),
        })
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}
