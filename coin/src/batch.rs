//! Batch verification: any number of coins and signatures in one multiscalar multiplication.
//!
//! Each equation gets a weight of 128 bits. The weighted sum of all equations must be the identity. A batch with a bad
//! equation passes with a probability of 2^-128. Ristretto has no cofactor, so a batch and the single verifications
//! always agree. A batch that fails is bisected for its first culprit. This at most doubles the work, however many are bad.

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity, VartimeMultiscalarMul};
use rand_core::CryptoRng;

use crate::coin::{Coin, CoinEquation, CoinError, CoinKey};
use crate::denomination::Denomination;
use crate::generators::{G, H};
use crate::ids::KeyId;
use crate::sign::{PublicKey, Signature, SignatureEquation, SignatureError, Statement};
use crate::transcript::{Transcript, TranscriptExt, label};

/// Coins and signatures that are verified together, in variable time. All values are public.
///
/// ```
/// use farthing_coin::{Batch, KeyId, SecretKey, Statement, StatementDigest};
/// use getrandom::SysRng;
/// use rand_core::UnwrapErr;
///
/// let mut rng = UnwrapErr(SysRng);
/// let key = SecretKey::generate(&mut rng);
/// let statement = |number| Statement {
///     context: "example",
///     key_id: KeyId([3; 32]),
///     digest: StatementDigest([number; 32]),
/// };
///
/// let mut batch = Batch::new();
/// batch.signature(0, &key.public(), &statement(1), &key.sign(&statement(1)));
/// batch.signature(1, &key.public(), &statement(1), &key.sign(&statement(2)));
/// assert_eq!(batch.verify(&mut rng).unwrap_err().index, 1);
/// ```
#[derive(Default)]
pub struct Batch {
    keys: Vec<OpenKey>,
    key_positions: BTreeMap<KeyId, usize>,
    equations: Vec<Equation>,
    /// What failed before it could become an equation.
    malformed: Vec<BatchError>,
}

/// The first culprit of a batch: a coin or signature that failed, by the index that the caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// The index that the caller gave.
    pub index: usize,
    /// What is wrong.
    pub what: BatchErrorKind,
}

/// What is wrong with a culprit: exactly the error that its single verification gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchErrorKind {
    /// The coin.
    #[error(transparent)]
    Coin(#[from] CoinError),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// A denomination of coins in the batch. X is decoded once for all its coins.
struct OpenKey {
    denomination: Denomination,
    key: CoinKey,
}

struct Equation {
    index: usize,
    terms: Terms,
}

enum Terms {
    Coin {
        key_position: usize,
        equation: CoinEquation,
    },
    Signature(SignatureEquation),
}

impl BatchError {
    /// The order of culprits: by index, and under one index the coin before the signature.
    fn place(&self) -> (usize, bool) {
        (self.index, matches!(self.what, BatchErrorKind::Signature(_)))
    }
}

impl Equation {
    /// The culprit that this equation is, if it does not hold.
    fn culprit(&self) -> BatchError {
        let what = match self.terms {
            Terms::Coin { .. } => CoinError::Forged.into(),
            Terms::Signature(_) => SignatureError::Forged.into(),
        };
        BatchError {
            index: self.index,
            what,
        }
    }
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a coin to verify under `denomination`. A culprit is named by `index`.
    pub fn coin(&mut self, index: usize, coin: &Coin, denomination: &Denomination) {
        let point = coin.point();
        let terms = self.open_coin(coin, denomination, point);
        self.add(index, terms);
    }

    /// Adds a signature of `signer` over `statement`. A culprit is named by `index`.
    pub fn signature(
        &mut self,
        index: usize,
        signer: &PublicKey,
        statement: &Statement,
        signature: &Signature,
    ) {
        let equation = SignatureEquation::open(signer, signer.point(), statement, signature);
        self.add(
            index,
            equation.map(Terms::Signature).map_err(BatchErrorKind::Signature),
        );
    }

    /// Adds a coin and a signature by the coin's key, which is decoded once for both.
    pub fn coin_with_authorization(
        &mut self,
        index: usize,
        coin: &Coin,
        denomination: &Denomination,
        statement: &Statement,
        signature: &Signature,
    ) {
        // A bad key is named once for the coin and once for the signature, as in single verifications.
        let signer = coin.public.point();
        let public = if signer.is_ok() { signer } else { coin.point() };
        let terms = self.open_coin(coin, denomination, public);
        self.add(index, terms);
        let equation = SignatureEquation::open(&coin.public, signer, statement, signature);
        self.add(
            index,
            equation.map(Terms::Signature).map_err(BatchErrorKind::Signature),
        );
    }

    /// The number of coins and signatures. A coin with its authorization counts as two.
    pub fn len(&self) -> usize {
        self.equations.len() + self.malformed.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Verifies everything.
    ///
    /// # Errors
    /// The first culprit, in the order of the indices. Under one index the coin comes before the signature.
    pub fn verify(mut self, rng: &mut impl CryptoRng) -> Result<(), BatchError> {
        let malformed = self.malformed.iter().min_by_key(|it| it.place()).copied();
        if let Some(malformed) = malformed {
            // What comes after it cannot be the first culprit.
            self.equations
                .retain(|equation| equation.culprit().place() < malformed.place());
        }
        self.equations.sort_by_key(|equation| equation.culprit().place());
        let weighted = self.weigh(rng);
        let forged = self.first_forged(&weighted, self.sum(&weighted));
        forged.or(malformed).map_or(Ok(()), Err)
    }

    fn add(&mut self, index: usize, terms: Result<Terms, BatchErrorKind>) {
        match terms {
            Ok(terms) => self.equations.push(Equation { index, terms }),
            Err(what) => self.malformed.push(BatchError { index, what }),
        }
    }

    fn open_coin(
        &mut self,
        coin: &Coin,
        denomination: &Denomination,
        public: Result<RistrettoPoint, crate::encoding::Malformed>,
    ) -> Result<Terms, BatchErrorKind> {
        let (key_position, key) = self.open_key(coin, denomination)?;
        let equation = CoinEquation::open(coin, key, public)?;
        Ok(Terms::Coin {
            key_position,
            equation,
        })
    }

    /// Finds or opens the denomination. The lookup is by the key id in the coin. The entry must equal `denomination`.
    fn open_key(&mut self, coin: &Coin, denomination: &Denomination) -> Result<(usize, &CoinKey), CoinError> {
        let known = self.key_positions.get(&coin.key_id).copied();
        let known = known.filter(|at| {
            self.keys
                .get(*at)
                .is_some_and(|open| open.denomination == *denomination)
        });
        let position = match known {
            Some(position) => position,
            None => {
                let key = CoinKey::open(denomination)?;
                let position = *self.key_positions.entry(key.id).or_insert(self.keys.len());
                if position == self.keys.len() {
                    self.keys.push(OpenKey {
                        denomination: denomination.clone(),
                        key,
                    });
                }
                position
            }
        };
        // `key_positions` holds only positions of entries in `keys`.
        self.keys
            .get(position)
            .map(|open| (position, &open.key))
            .ok_or(CoinError::WrongKey)
    }

    /// Gives each equation its weight: fresh randomness, hashed with all equations.
    ///
    /// Each challenge in an equation is a hash of the key, the message and the points, so all bytes are covered.
    fn weigh(&self, rng: &mut impl CryptoRng) -> Vec<(Scalar, &Equation)> {
        let mut fresh = [0; 32];
        rng.fill_bytes(&mut fresh);
        let mut transcript = Transcript::start(label::BATCH);
        transcript.bytes(b"fresh", &fresh);
        transcript.count(b"equations", self.equations.len());
        for equation in &self.equations {
            equation.terms.describe(&mut transcript);
        }
        let mut weights = vec![0; self.equations.len() * 16];
        transcript.challenge_bytes(b"weights", &mut weights);
        let (weights, _) = weights.as_chunks::<16>();
        weights
            .iter()
            .map(|bytes| Scalar::from(u128::from_le_bytes(*bytes)))
            .zip(&self.equations)
            .collect()
    }

    /// The weighted sum of some equations.
    fn sum(&self, weighted: &[(Scalar, &Equation)]) -> RistrettoPoint {
        let mut sum = Sum::new(self.keys.len(), weighted.len());
        for (weight, equation) in weighted {
            equation.terms.add_to(weight, &mut sum);
        }
        sum.multiply(&self.keys)
    }

    /// The first culprit among equations with the weighted sum `sum`.
    ///
    /// Only left halves are multiplied out. The sum of a right half is the whole sum minus the left sum.
    fn first_forged(
        &self,
        mut weighted: &[(Scalar, &Equation)],
        mut sum: RistrettoPoint,
    ) -> Option<BatchError> {
        if sum.is_identity() {
            return None;
        }
        while weighted.len() > 1 {
            let (left, right) = weighted.split_at(weighted.len() / 2);
            let left_sum = self.sum(left);
            (weighted, sum) = match left_sum.is_identity() {
                true => (right, sum - left_sum),
                false => (left, left_sum),
            };
        }
        weighted.first().map(|(_, equation)| equation.culprit())
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Terms {
    fn describe(&self, transcript: &mut Transcript) {
        match self {
            Terms::Coin { equation, .. } => {
                transcript.bytes(b"f", equation.f.as_bytes());
                transcript.bytes(b"z", equation.z.as_bytes());
                transcript.bytes(b"y", equation.y.as_bytes());
            }
            Terms::Signature(equation) => {
                transcript.bytes(b"e", equation.e.as_bytes());
                transcript.bytes(b"s", equation.s.as_bytes());
            }
        }
    }

    fn add_to(&self, weight: &Scalar, sum: &mut Sum) {
        match self {
            Terms::Coin {
                key_position,
                equation,
            } => {
                sum.add(weight, &equation.r);
                if let Some(x) = sum.x.get_mut(*key_position) {
                    *x += weight * equation.f;
                }
                sum.g -= weight * equation.z;
                sum.h -= weight * equation.y;
            }
            Terms::Signature(equation) => {
                sum.add(weight, &equation.commitment);
                sum.add(&(weight * equation.e), &equation.public);
                sum.g -= weight * equation.s;
            }
        }
    }
}

/// The scalars and points of one multiplication. The scalars of G, H and each X are summed.
struct Sum {
    g: Scalar,
    h: Scalar,
    x: Vec<Scalar>,
    scalars: Vec<Scalar>,
    points: Vec<RistrettoPoint>,
}

impl Sum {
    fn new(keys: usize, equations: usize) -> Self {
        let capacity = 2 * equations + keys + 2;
        Self {
            g: Scalar::ZERO,
            h: Scalar::ZERO,
            x: vec![Scalar::ZERO; keys],
            scalars: Vec::with_capacity(capacity),
            points: Vec::with_capacity(capacity),
        }
    }

    fn add(&mut self, scalar: &Scalar, point: &RistrettoPoint) {
        self.scalars.push(*scalar);
        self.points.push(*point);
    }

    fn multiply(mut self, keys: &[OpenKey]) -> RistrettoPoint {
        if self.scalars.is_empty() {
            return RistrettoPoint::identity();
        }
        let (g, h) = (self.g, self.h);
        self.add(&g, &G);
        self.add(&h, &H);
        for (scalar, open) in std::mem::take(&mut self.x).iter().zip(keys) {
            // A half of a bisected batch may hold no coin of this key.
            if *scalar != Scalar::ZERO {
                self.add(scalar, &open.key.point);
            }
        }
        RistrettoPoint::vartime_multiscalar_mul(&self.scalars, &self.points)
    }
}
