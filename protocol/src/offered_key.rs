//! The goods key in an offer, sealed to the escrow, with a proof that its maker knows the ephemeral secret.
//!
//! An escrow that finds a wrong key in an offer shows the Diffie-Hellman point, so that anyone can check it. That point
//! opens everything that was sealed to the escrow with the same ephemeral key. Without the proof a thief could copy the
//! ephemeral key of another merchant's offer into an offer of their own. The escrow would find a wrong key, and the thief
//! could open the other offer with the point.

use crate::{
    goods::{GoodsKey, TAG_BYTES},
    ids::{KeyCiphertext, SealingContext},
    seal::{SealError, SealedKey, seal_goods_key},
};
use farthing_coin::{KeyId, PublicKey, SecretKey, Signature, SignatureError, Statement, StatementDigest};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};
use std::fmt;

/// The context of the proof.
const PROOF_CONTEXT: &str = "farthing sealed key";

/// A goods key in an offer, sealed to the escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedKey {
    /// The sealed key.
    pub sealed: SealedKey,
    /// The proof: a signature by the ephemeral key over the offer's
    /// [`sealing_context`](crate::documents::Offer::sealing_context).
    ///
    /// Offers of version 1 have no proof. An escrow opens no sealed key without a proof.
    pub proof: Option<Signature>,
    /// How many ticks the key is sold by: see [`stream`](crate::stream). `None` for a key that is sold whole.
    pub ticks: Option<u32>,
}

impl OfferedKey {
    /// Seals `key` to `escrow` for the offer of `context`, and proves that the maker knows the secret of `ephemeral`.
    ///
    /// `ephemeral` comes from [`derive_ephemeral`](crate::seal::derive_ephemeral) for the same offer, and is used for no
    /// other offer.
    ///
    /// # Errors
    /// [`SealError::PublicKey`] if `escrow` is not a point, or is the identity.
    pub fn seal(
        ephemeral: &SecretKey,
        escrow: &PublicKey,
        context: &SealingContext,
        key: &GoodsKey,
    ) -> Result<Self, SealError> {
        Ok(OfferedKey {
            sealed: seal_goods_key(ephemeral, escrow, context, key)?,
            proof: Some(ephemeral.sign(&statement(&ephemeral.public(), context))),
            ticks: None,
        })
    }

    /// Checks the proof that the maker knows the ephemeral secret, for the offer of `context`.
    ///
    /// # Errors
    /// When the proof is missing or invalid.
    pub fn check_proof(&self, context: &SealingContext) -> Result<(), SignatureError> {
        let proof = self.proof.as_ref().ok_or(SignatureError::Forged)?;
        let ephemeral = &self.sealed.ephemeral;
        ephemeral.verify(&statement(ephemeral, context), proof)
    }
}

fn statement(ephemeral: &PublicKey, context: &SealingContext) -> Statement {
    Statement {
        context: PROOF_CONTEXT,
        key_id: KeyId(ephemeral.0),
        digest: StatementDigest(context.0),
    }
}

/// The encoding of an optional key: one byte (0 no key, 1 without a proof, 2 with a proof, 3 sold by ticks) and the parts.
///
/// 0 and 1 are the encoding of an optional [`SealedKey`] in version 1, so old rows and receipts decode unchanged. In
/// JSON the proof is a field beside the others.
pub(crate) mod optional {
    use super::*;

    /// The JSON form.
    #[derive(Serialize, Deserialize)]
    struct Readable {
        ephemeral: PublicKey,
        body: KeyCiphertext,
        #[serde(with = "farthing_coin::hex_bytes")]
        tag: [u8; TAG_BYTES],
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Signature>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticks: Option<u32>,
    }

    pub(crate) fn serialize<S: Serializer>(
        key: &Option<OfferedKey>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let readable = key.map(|OfferedKey { sealed, proof, ticks }| Readable {
                ephemeral: sealed.ephemeral,
                body: sealed.body,
                tag: sealed.tag,
                proof,
                ticks,
            });
            return readable.serialize(serializer);
        }
        match key {
            None => (0_u8,).serialize(serializer),
            Some(OfferedKey {
                sealed, proof: None, ..
            }) => (1_u8, sealed).serialize(serializer),
            Some(OfferedKey {
                sealed,
                proof: Some(proof),
                ticks: None,
            }) => (2_u8, sealed, proof).serialize(serializer),
            Some(OfferedKey {
                sealed,
                proof: Some(proof),
                ticks: Some(ticks),
            }) => (3_u8, sealed, proof, ticks).serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<OfferedKey>, D::Error> {
        if deserializer.is_human_readable() {
            let readable = Option::<Readable>::deserialize(deserializer)?;
            return Ok(readable.map(|readable| OfferedKey {
                sealed: SealedKey {
                    ephemeral: readable.ephemeral,
                    body: readable.body,
                    tag: readable.tag,
                },
                proof: readable.proof,
                ticks: readable.ticks,
            }));
        }
        deserializer.deserialize_tuple(4, Parts)
    }

    struct Parts;

    impl<'de> Visitor<'de> for Parts {
        type Value = Option<OfferedKey>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("0, 1 and a sealed key, 2 and its proof too, or 3 and its number of ticks too")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let missing = || A::Error::custom("a sealed key ends too soon");
            let form: u8 = seq.next_element()?.ok_or_else(missing)?;
            if form == 0 {
                return Ok(None);
            }
            if form > 3 {
                return Err(A::Error::custom("a sealed key begins with 0, 1, 2 or 3"));
            }
            let sealed = seq.next_element()?.ok_or_else(missing)?;
            let proof = match form {
                2 | 3 => Some(seq.next_element()?.ok_or_else(missing)?),
                _ => None,
            };
            let ticks = match form {
                3 => Some(seq.next_element()?.ok_or_else(missing)?),
                _ => None,
            };
            Ok(Some(OfferedKey { sealed, proof, ticks }))
        }
    }
}
