//! One key of the bank. It has one value and one epoch.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

use crate::encoding::{Malformed, point};
use crate::ids::KeyId;
use crate::secret::secret32;
use crate::sign::PublicKey;
use crate::transcript::{Transcript, TranscriptExt, label, start_secret};

secret32! {
    /// The secret from which a bank derives the secrets of its denominations. It has one for each currency.
    MasterSecret
}

/// A public key of the bank, with its value, currency and dates.
///
/// A denomination from a [`KeyBook`](crate::KeyBook) is trusted. The fields alone prove nothing. All times are milliseconds
/// of Unix time. Each "until" is the first millisecond after the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denomination {
    /// The bank that issues and redeems it.
    pub bank: PublicKey,
    /// The currency, 1 to 12 printable ASCII characters.
    pub currency: String,
    /// The value of a coin, in the smallest unit. A power of two.
    pub value: u64,
    /// The number of the epoch in the bank's calendar.
    pub epoch: u32,
    /// Start of the period in which coins are issued.
    pub issue_from_ms: u64,
    /// End of the period in which coins are issued.
    pub issue_until_ms: u64,
    /// End of the period in which a coin may enter a new purchase.
    pub spend_until_ms: u64,
    /// End of the period in which a coin can be exchanged for a newer one.
    pub redeem_until_ms: u64,
    /// X = x G, an encoded point other than the identity.
    pub public: PublicKey,
}

impl Denomination {
    /// The digest of all fields, in the order of this struct.
    pub fn id(&self) -> KeyId {
        let mut transcript = Transcript::start(label::DENOMINATION);
        transcript.bytes(b"bank", &self.bank.0);
        transcript.bytes(b"currency", self.currency.as_bytes());
        transcript.u64(b"value", self.value);
        transcript.u32(b"epoch", self.epoch);
        transcript.u64(b"issue from", self.issue_from_ms);
        transcript.u64(b"issue until", self.issue_until_ms);
        transcript.u64(b"spend until", self.spend_until_ms);
        transcript.u64(b"redeem until", self.redeem_until_ms);
        transcript.bytes(b"X", &self.public.0);
        KeyId(transcript.digest32(b"id"))
    }

    /// X, decoded.
    pub(crate) fn point(&self) -> Result<RistrettoPoint, Malformed> {
        point(&self.public.0, "denomination key")
    }
}

/// The secret x of a denomination. It is wiped when it is dropped.
#[derive(ZeroizeOnDrop)]
pub struct DenominationSecret {
    x: Scalar,
    #[zeroize(skip)]
    public: PublicKey,
}

impl DenominationSecret {
    /// Derives x for one value and epoch from a bank's master secret.
    ///
    /// A bank has one master secret for each currency. So no two currencies share a key.
    pub fn derive(master: &MasterSecret, value: u64, epoch: u32) -> Self {
        let mut transcript = start_secret(label::DENOMINATION_SECRET);
        transcript.bytes(b"master", master.as_bytes());
        transcript.u64(b"value", value);
        transcript.u32(b"epoch", epoch);
        let x = transcript.nonzero_scalar(b"x");
        Self {
            x,
            public: PublicKey(RistrettoPoint::mul_base(&x).compress().to_bytes()),
        }
    }

    /// X = x G.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn x(&self) -> &Scalar {
        &self.x
    }
}

impl std::fmt::Debug for DenominationSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DenominationSecret")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}
