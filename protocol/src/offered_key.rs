//! The goods key in an offer, sealed to the escrow, with the proof that its maker knows the secret it was sealed with.
//!
//! An escrow that finds a wrong key in an offer shows the Diffie-Hellman point, so that anyone can look. That point opens
//! all that was sealed with the same ephemeral key. Without the proof a thief could take the ephemeral key of another
//! merchant's offer into one of their own, have it found wrong, and open the other offer with the point.

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
    /// The key, sealed.
    pub sealed: SealedKey,
    /// By the ephemeral key, over the offer's [`sealing_context`](crate::documents::Offer::sealing_context): its maker
    /// knows its secret. Offers of version 1 have none; an escrow opens only what has one.
    pub proof: Option<Signature>,
}

impl OfferedKey {
    /// Seals `key` to `escrow` for the offer of `context`, and proves that the secret of `ephemeral` is known. That key
    /// comes from [`derive_ephemeral`](crate::seal::derive_ephemeral) for the same offer, and is used for no other.
    ///
    /// # Errors
    /// [`SealError::PublicKey`] if `escrow` is not a point, or the identity.
    pub fn seal(
        ephemeral: &SecretKey,
        escrow: &PublicKey,
        context: &SealingContext,
        key: &GoodsKey,
    ) -> Result<Self, SealError> {
        Ok(OfferedKey {
            sealed: seal_goods_key(ephemeral, escrow, context, key)?,
            proof: Some(ephemeral.sign(&statement(&ephemeral.public(), context))),
        })
    }

    /// Checks that the maker of the key knows its secret, for the offer of `context`.
    ///
    /// # Errors
    /// When the proof is missing or is no proof.
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

/// How an optional key is written: one byte (0 none, 1 without a proof, 2 with one) and the parts. 0 and 1 are what an
/// optional [`SealedKey`] was in version 1, so that old rows and receipts are read as they are. In JSON the proof is a
/// field beside the others.
pub(crate) mod optional {
    use super::*;

    /// As JSON has it.
    #[derive(Serialize, Deserialize)]
    struct Readable {
        ephemeral: PublicKey,
        body: KeyCiphertext,
        #[serde(with = "farthing_coin::hex_bytes")]
        tag: [u8; TAG_BYTES],
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Signature>,
    }

    pub(crate) fn serialize<S: Serializer>(
        key: &Option<OfferedKey>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let readable = key.map(|OfferedKey { sealed, proof }| Readable {
                ephemeral: sealed.ephemeral,
                body: sealed.body,
                tag: sealed.tag,
                proof,
            });
            return readable.serialize(serializer);
        }
        match key {
            None => (0_u8,).serialize(serializer),
            Some(OfferedKey { sealed, proof: None }) => (1_u8, sealed).serialize(serializer),
            Some(OfferedKey {
                sealed,
                proof: Some(proof),
            }) => (2_u8, sealed, proof).serialize(serializer),
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
            }));
        }
        deserializer.deserialize_tuple(3, Parts)
    }

    struct Parts;

    impl<'de> Visitor<'de> for Parts {
        type Value = Option<OfferedKey>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("0, 1 and a sealed key, or 2, a sealed key and its proof")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let missing = || A::Error::custom("a sealed key ends too soon");
            let form: u8 = seq.next_element()?.ok_or_else(missing)?;
            if form == 0 {
                return Ok(None);
            }
            if form > 2 {
                return Err(A::Error::custom("a sealed key begins with 0, 1 or 2"));
            }
            let sealed = seq.next_element()?.ok_or_else(missing)?;
            let proof = match form {
                2 => Some(seq.next_element()?.ok_or_else(missing)?),
                _ => None,
            };
            Ok(Some(OfferedKey { sealed, proof }))
        }
    }
}
