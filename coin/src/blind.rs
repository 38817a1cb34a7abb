//! The wallet's two moves: blind the challenge, recover the coin from the answer (Snowblind).

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, MultiscalarMul};
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::coin::{Coin, CoinError, CoinKey};
use crate::denomination::Denomination;
use crate::encoding::{self, EncodedPoint, EncodedScalar, Malformed, fifth_power, from_malformed};
use crate::generators::commit_vartime;
use crate::ids::KeyId;
use crate::issue::{Challenge, Commitment, Response};
use crate::sign::PublicKey;
use crate::suite::SUITE;
use crate::transcript::TranscriptExt;

/// alpha (never zero), r and beta, which hide one coin from the bank. They are wiped when they are dropped.
///
/// They must never be used with two different first messages. [`Seed::blinders`](crate::Seed::blinders) derives them from
/// the message.
#[derive(ZeroizeOnDrop)]
pub struct Blinders {
    alpha: Scalar,
    r: Scalar,
    beta: Scalar,
}

/// Why the wallet refused a message of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlindError {
    /// The field is not the canonical encoding of a ristretto255 point.
    #[error("the bank's {0} is not the canonical encoding of a ristretto255 point")]
    NonCanonicalPoint(&'static str),
    /// The field is not a scalar below the group order.
    #[error("the bank's {0} is not a scalar below the group order")]
    NonCanonicalScalar(&'static str),
    /// The field is the identity. The bank could mark the coin with it.
    #[error("the bank's {0} is the identity, which is never valid")]
    Identity(&'static str),
    /// y is zero. The bank could mark the coin with it.
    #[error("the bank's y is zero, which is never valid")]
    ZeroY,
    /// The answer fits a first message for which these blinders make another challenge.
    #[error("the bank answered a first message or a challenge that is not this wallet's")]
    OtherChallenge,
    /// The finished coin does not verify.
    #[error("the finished coin is refused: {0}")]
    Coin(#[from] CoinError),
}

from_malformed!(BlindError);

impl Blinders {
    /// Draws uniform blinders. They make blindness perfect, but cannot be restored from a seed.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut draw = || {
            let mut wide = Zeroizing::new([0; 64]);
            rng.fill_bytes(wide.as_mut());
            Scalar::from_bytes_mod_order_wide(&wide)
        };
        let mut alpha = draw();
        while alpha == Scalar::ZERO {
            alpha = draw();
        }
        Self {
            alpha,
            r: draw(),
            beta: draw(),
        }
    }

    /// Takes alpha, r and beta, in this order, from a transcript that holds what they depend on.
    pub(crate) fn take(transcript: &mut impl TranscriptExt) -> Self {
        Self {
            alpha: transcript.nonzero_scalar(b"alpha"),
            r: transcript.scalar(b"r"),
            beta: transcript.scalar(b"beta"),
        }
    }

    /// Makes blinders of scalars that the proof of blindness has computed.
    pub(crate) fn from_scalars(alpha: Scalar, r: Scalar, beta: Scalar) -> Self {
        Self { alpha, r, beta }
    }
}

impl std::fmt::Debug for Blinders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blinders").finish_non_exhaustive()
    }
}

/// The coin's R' and the wallet's challenge, computed from one first message.
struct Blinded {
    r_prime: EncodedPoint,
    c: Scalar,
}

impl Blinded {
    fn compute(key: &CoinKey, m: &PublicKey, first: &FirstMove, blinders: &Blinders) -> Self {
        let alpha5 = Zeroizing::new(fifth_power(&blinders.alpha));
        let alpha5_beta = Zeroizing::new(*alpha5 * blinders.beta);
        // R' = r G + alpha^5 A + (alpha^5 beta) X + alpha B, in constant time.
        let r_prime = RistrettoPoint::mul_base(&blinders.r)
            + RistrettoPoint::multiscalar_mul(
                [&*alpha5, &*alpha5_beta, &blinders.alpha],
                [first.a, key.point, first.b],
            );
        let r_prime = EncodedPoint::of(&r_prime);
        // c = c' alpha^-5 + beta.
        let c_prime = Zeroizing::new(key.challenge(m, &r_prime));
        let inverse = Zeroizing::new(alpha5.invert());
        let c = *c_prime * *inverse + blinders.beta;
        Self { r_prime, c }
    }

    /// Makes the coin with z' = r + alpha^5 z + alpha b and y' = alpha y, and verifies it.
    fn finish(
        self,
        key: &CoinKey,
        m: &PublicKey,
        blinders: &Blinders,
        opened: &Opened,
    ) -> Result<Coin, BlindError> {
        let alpha5 = Zeroizing::new(fifth_power(&blinders.alpha));
        let z_prime = blinders.r + *alpha5 * opened.z + blinders.alpha * opened.b;
        let y_prime = blinders.alpha * opened.y;
        let coin = Coin {
            suite: SUITE,
            key_id: key.id,
            public: *m,
            r: self.r_prime,
            z: EncodedScalar::of(&z_prime),
            y: EncodedScalar::of(&y_prime),
        };
        coin.verify_in_constant_time(key)?;
        Ok(coin)
    }
}

/// Computes the blinded challenge c, which asks the bank to sign the coin key `m` without showing it.
///
/// R' = r G + alpha^5 A + (alpha^5 beta) X + alpha B, c' = hash(suite, key id, X, m, R'),
/// c = c' alpha^-5 + beta.
///
/// # Errors
/// [`BlindError::NonCanonicalPoint`] or [`BlindError::Identity`] for a bad A, B or denomination key.
pub fn blind(
    denomination: &Denomination,
    m: &PublicKey,
    commitment: &Commitment,
    blinders: &Blinders,
) -> Result<Challenge, BlindError> {
    let key = CoinKey::open(denomination)?;
    let first = FirstMove::open(commitment)?;
    Ok(Challenge(
        Blinded::compute(&key, m, &first, blinders).c.to_bytes(),
    ))
}

/// Recovers the coin from the wallet's challenge and the bank's answer, at once or years later. The bank stores both.
///
/// The answer fits only one first message: A = z G - (c + y^5) X and B = b G + y H. `blinders` derives the blinders from
/// this message, as [`Seed::blinders`](crate::Seed::blinders) does. Their challenge must equal `challenge`. It differs if
/// the bank sent another first message. Then z' = r + alpha^5 z + alpha b and y' = alpha y. The coin is verified before it
/// is returned.
///
/// # Errors
/// [`BlindError::OtherChallenge`] when these blinders make another challenge. [`BlindError::Coin`] when the coin does not
/// verify. Otherwise the malformed field.
pub fn recover(
    denomination: &Denomination,
    m: &PublicKey,
    challenge: &Challenge,
    response: &Response,
    blinders: impl FnOnce(&KeyId, &Commitment) -> Blinders,
) -> Result<Coin, BlindError> {
    let key = CoinKey::open(denomination)?;
    let opened = Opened::new(response)?;
    let first = FirstMove::reconstruct(&key.point, challenge, &opened)?;
    let blinders = blinders(&key.id, &first.encode());
    let blinded = Blinded::compute(&key, m, &first, &blinders);
    if blinded.c.to_bytes() != challenge.0 {
        return Err(BlindError::OtherChallenge);
    }
    blinded.finish(&key, m, &blinders, &opened)
}

/// The first message that fits an answer to a challenge: A = z G - (c + y^5) X and B = b G + y H.
///
/// The bank has no other answer to this message and challenge: B binds b and y, and they fix z.
///
/// # Errors
/// The malformed field of the denomination key, the challenge or the response. [`BlindError::ZeroY`] or
/// [`BlindError::Identity`] when no coin can be made of the answer.
pub fn answered_commitment(
    denomination: &Denomination,
    challenge: &Challenge,
    response: &Response,
) -> Result<Commitment, BlindError> {
    let key = CoinKey::open(denomination)?;
    let opened = Opened::new(response)?;
    Ok(FirstMove::reconstruct(&key.point, challenge, &opened)?.encode())
}

/// The bank's first message, decoded.
struct FirstMove {
    a: RistrettoPoint,
    b: RistrettoPoint,
}

impl FirstMove {
    fn open(commitment: &Commitment) -> Result<Self, Malformed> {
        Ok(Self {
            a: commitment.a.decode("A")?,
            b: commitment.b.decode("B")?,
        })
    }

    /// The only first message for which the answer is right.
    fn reconstruct(
        x_point: &RistrettoPoint,
        challenge: &Challenge,
        opened: &Opened,
    ) -> Result<Self, Malformed> {
        let c = encoding::scalar(&challenge.0, "challenge")?;
        let (a, b) = (opened.a_point(&c, x_point), opened.b_point());
        match (a.is_identity(), b.is_identity()) {
            (true, _) => Err(Malformed::Identity("A")),
            (_, true) => Err(Malformed::Identity("B")),
            _ => Ok(Self { a, b }),
        }
    }

    fn encode(&self) -> Commitment {
        Commitment {
            a: EncodedPoint::of(&self.a),
            b: EncodedPoint::of(&self.b),
        }
    }
}

/// A response, decoded. The bank knows all of its values, so checks may take variable time.
pub(crate) struct Opened {
    pub(crate) z: Scalar,
    pub(crate) b: Scalar,
    pub(crate) y: Scalar,
}

impl Opened {
    pub(crate) fn new(response: &Response) -> Result<Self, BlindError> {
        let z = response.z.decode("z")?;
        let b = response.b.decode("b")?;
        let y = response.y.decode("y")?;
        if y == Scalar::ZERO {
            return Err(BlindError::ZeroY);
        }
        Ok(Self { z, b, y })
    }

    /// A = z G - (c + y^5) X.
    fn a_point(&self, c: &Scalar, x_point: &RistrettoPoint) -> RistrettoPoint {
        let f = c + fifth_power(&self.y);
        RistrettoPoint::vartime_double_scalar_mul_basepoint(&-f, x_point, &self.z)
    }

    /// B = b G + y H.
    fn b_point(&self) -> RistrettoPoint {
        commit_vartime(&self.b, &self.y)
    }
}
