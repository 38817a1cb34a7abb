//! The keys of a target: one for each day (UTC), of which the last two are kept.

use super::{
    document::{EncryptionKey, day_of},
    reply::ReplySealer,
    request::{SealedRequest, open_request},
    suite::Kem,
};
use crate::{
    bounded::List,
    ids::ObliviousKey,
    refusal::{Refusal, RelayFault},
};
use farthing_coin::{PublicKey, SecretKey, Signed, secret32};
use hpke::{Deserializable, Kem as _, Serializable};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// The number of days whose keys a target keeps.
const KEPT_DAYS: usize = 2;

secret32! {
    /// The secret key of one day.
    DaySecret
}

/// The secret keys of a target as they are stored, from the latest day on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKeys(List<(u32, DaySecret), KEPT_DAYS>);

/// A secret key with its public key.
#[derive(Clone)]
struct DayKey {
    secret: <Kem as hpke::Kem>::PrivateKey,
    public: EncryptionKey,
}

impl DayKey {
    fn new(target: PublicKey, day: u32, secret: <Kem as hpke::Kem>::PrivateKey) -> Self {
        let key = ObliviousKey(Kem::sk_to_pk(&secret).to_bytes().into());
        let public = EncryptionKey { target, day, key };
        Self { secret, public }
    }

    fn generate(target: PublicKey, day: u32, rng: &mut impl CryptoRng) -> Self {
        Self::new(target, day, Kem::gen_keypair_with_rng(rng).0)
    }
}

/// The secret keys of a target: of the latest day and of the day before it.
#[derive(Clone)]
pub struct DecryptionKeys {
    latest: DayKey,
    previous: Option<DayKey>,
}

impl fmt::Debug for DecryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionKeys")
            .field("latest", &self.latest.public)
            .finish_non_exhaustive()
    }
}

impl DecryptionKeys {
    /// Draws the key of the day of `now_ms` (ms since 1970) for `target`.
    #[must_use]
    pub fn new(target: PublicKey, now_ms: u64, rng: &mut impl CryptoRng) -> Self {
        Self {
            latest: DayKey::generate(target, day_of(now_ms), rng),
            previous: None,
        }
    }

    /// Reads stored keys of `target`. `None` if they are not its keys of one or two days that follow each other.
    #[must_use]
    pub fn from_stored(target: PublicKey, stored: &StoredKeys) -> Option<Self> {
        let mut keys = stored.0.iter().map(|(day, secret)| {
            let secret = <Kem as hpke::Kem>::PrivateKey::from_bytes(secret.as_bytes()).ok()?;
            Some(DayKey::new(target, *day, secret))
        });
        let (latest, previous) = (keys.next()??, keys.next());
        let previous = match previous {
            None => None,
            Some(previous) => {
                Some(previous.filter(|key| key.public.day.checked_add(1) == Some(latest.public.day))?)
            }
        };
        Some(Self { latest, previous })
    }

    /// The keys as they are stored.
    #[must_use]
    pub fn to_stored(&self) -> StoredKeys {
        let kept = [Some(&self.latest), self.previous.as_ref()].into_iter().flatten();
        let stored = kept.map(|key| {
            let mut bytes: [u8; 32] = key.secret.to_bytes().into();
            let secret = DaySecret::from_bytes(bytes);
            bytes.zeroize();
            (key.public.day, secret)
        });
        StoredKeys(List(stored.collect()))
    }

    /// Whether the key of the day of `now_ms` (ms since 1970) has still to be drawn.
    #[must_use]
    pub fn is_due(&self, now_ms: u64) -> bool {
        day_of(now_ms) > self.latest.public.day
    }

    /// Draws the key of the day of `now_ms` (ms since 1970), unless it is the latest day or before it. Returns whether
    /// it did. Only a key of the day before is kept.
    pub fn rotate(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> bool {
        let (day, latest) = (day_of(now_ms), self.latest.public.day);
        if !self.is_due(now_ms) {
            return false;
        }
        let fresh = DayKey::generate(self.latest.public.target, day, rng);
        let replaced = std::mem::replace(&mut self.latest, fresh);
        self.previous = (latest.checked_add(1) == Some(day)).then_some(replaced);
        true
    }

    /// The latest key, signed with the target's identity key.
    #[must_use]
    pub fn signed(&self, identity: &SecretKey) -> Signed<EncryptionKey> {
        Signed::sign(self.latest.public.clone(), identity)
    }

    /// Opens a request. Returns its content, and the means to encrypt the reply. The same request can be opened again:
    /// each reply has a key of its own.
    ///
    /// # Errors
    /// [`RelayFault::OldKey`] when its key is not kept, and [`RelayFault::DoesNotOpen`].
    pub fn open(&self, request: &SealedRequest) -> Result<(Zeroizing<Vec<u8>>, ReplySealer), Refusal> {
        let mut kept = [Some(&self.latest), self.previous.as_ref()].into_iter().flatten();
        let key = kept.find(|key| key.public.day == request.day);
        let key = key.ok_or(RelayFault::OldKey)?;
        Ok(open_request(&key.secret, &key.public, request).map_err(|_| RelayFault::DoesNotOpen)?)
    }
}
