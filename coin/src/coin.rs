//! The coin and its verification: y' is not zero and R' + (c' + y'^5) X = z' G + y' H.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use serde::{Deserialize, Serialize};

use crate::denomination::Denomination;
use crate::encoding::{self, EncodedPoint, EncodedScalar, Malformed, fifth_power, from_malformed};
use crate::generators::{commit, commit_and_add_vartime};
use crate::ids::KeyId;
use crate::sign::PublicKey;
use crate::suite::SUITE;
use crate::transcript::{Transcript, TranscriptExt, label};

/// A coin: a public key that its holder chose, with the bank's blind signature under one denomination.
///
/// Anyone can verify a coin with the bank's published keys. The holder of the secret half of `public` can spend it. The
/// bank's row of a coin has the key (`key_id`, `public`), never the bytes of the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Coin {
    /// The suite, [`SUITE`].
    pub suite: u8,
    /// The denomination under which it was signed.
    pub key_id: KeyId,
    /// m = P = k G, the coin's own key and the message that was signed blindly.
    pub public: PublicKey,
    /// R', an encoded point.
    pub r: EncodedPoint,
    /// z', an encoded scalar.
    pub z: EncodedScalar,
    /// y', an encoded scalar other than zero.
    pub y: EncodedScalar,
}

/// Why a coin was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoinError {
    /// The coin is of a suite that this version does not know.
    #[error("the coin is of suite {0}, and only suite {SUITE} is known; update this program")]
    UnknownSuite(u8),
    /// The coin names a denomination other than the one that it was checked against.
    #[error("the coin names a denomination other than the one that it is checked against")]
    WrongKey,
    /// The field is not the canonical encoding of a ristretto255 point.
    #[error("the coin's {0} is not the canonical encoding of a ristretto255 point")]
    NonCanonicalPoint(&'static str),
    /// The field is not a scalar below the group order.
    #[error("the coin's {0} is not a scalar below the group order")]
    NonCanonicalScalar(&'static str),
    /// y' is zero. The scheme excludes it, as y^5 is then zero too.
    #[error("the coin's y is zero, which is never valid")]
    ZeroY,
    /// The field is the identity.
    #[error("the coin's {0} is the identity, which is never valid")]
    Identity(&'static str),
    /// All fields are well formed, but the equation does not hold: the bank did not sign this coin.
    #[error("the coin has no valid signature of this denomination's key")]
    Forged,
}

from_malformed!(CoinError);

impl Coin {
    /// Verifies the coin under `denomination`, in variable time.
    ///
    /// It checks neither the dates nor whether the coin was spent.
    ///
    /// # Errors
    /// What is wrong. For an encoding, also the field.
    pub fn verify(&self, denomination: &Denomination) -> Result<(), CoinError> {
        let key = CoinKey::open(denomination)?;
        let equation = CoinEquation::open(self, &key, self.point())?;
        if equation.holds(&key) {
            Ok(())
        } else {
            Err(CoinError::Forged)
        }
    }

    /// As [`verify`](Coin::verify), in constant time. The wallet uses it for fresh coins, which nobody has seen yet. The
    /// time that it takes must tell the bank nothing about them.
    pub(crate) fn verify_in_constant_time(&self, key: &CoinKey) -> Result<(), CoinError> {
        let equation = CoinEquation::open(self, key, self.point())?;
        let left = equation.r + key.point * equation.f;
        if left == commit(&equation.z, &equation.y) {
            Ok(())
        } else {
            Err(CoinError::Forged)
        }
    }

    /// m, decoded. The coin's equation needs only the bytes of m, but m must be a valid key.
    pub(crate) fn point(&self) -> Result<RistrettoPoint, Malformed> {
        encoding::point(&self.public.0, "public")
    }
}

/// A denomination, prepared for many coins: X decoded, and the head of the coin transcript.
pub(crate) struct CoinKey {
    pub(crate) id: KeyId,
    pub(crate) point: RistrettoPoint,
    head: Transcript,
}

impl CoinKey {
    pub(crate) fn open(denomination: &Denomination) -> Result<Self, Malformed> {
        let id = denomination.id();
        let mut head = Transcript::start(label::COIN);
        head.bytes(b"key id", &id.0);
        head.bytes(b"X", &denomination.public.0);
        Ok(Self {
            id,
            point: denomination.point()?,
            head,
        })
    }

    /// c' = hash(suite, key id, X, m, R').
    pub(crate) fn challenge(&self, m: &PublicKey, r: &EncodedPoint) -> Scalar {
        let mut transcript = self.head.clone();
        transcript.bytes(b"m", &m.0);
        transcript.bytes(b"R", &r.0);
        transcript.scalar(b"c")
    }
}

/// The equation of one coin in a batch, decoded: R' + f X - z' G - y' H = 0 with f = c' + y'^5.
pub(crate) struct CoinEquation {
    pub(crate) r: RistrettoPoint,
    pub(crate) f: Scalar,
    pub(crate) z: Scalar,
    pub(crate) y: Scalar,
}

impl CoinEquation {
    /// Decodes a coin. The point of its key is an argument, because a batch shares it with the authorization.
    pub(crate) fn open(
        coin: &Coin,
        key: &CoinKey,
        public: Result<RistrettoPoint, Malformed>,
    ) -> Result<Self, CoinError> {
        if coin.suite != SUITE {
            return Err(CoinError::UnknownSuite(coin.suite));
        }
        if coin.key_id != key.id {
            return Err(CoinError::WrongKey);
        }
        public?;
        let r = coin.r.decode("r")?;
        let z = coin.z.decode("z")?;
        let y = coin.y.decode("y")?;
        if y == Scalar::ZERO {
            return Err(CoinError::ZeroY);
        }
        let f = key.challenge(&coin.public, &coin.r) + fifth_power(&y);
        Ok(Self { r, f, z, y })
    }

    pub(crate) fn holds(&self, key: &CoinKey) -> bool {
        let expected = commit_and_add_vartime(&self.z, &self.y, &-self.f, &key.point);
        (expected - self.r).is_identity()
    }
}
