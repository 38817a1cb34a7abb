//! Reads cases, and the keys and seeds of the story's parties.

use farthing_coin::{
    EncodedPoint, EncodedScalar, KeyBook, PublicKey, SecretKey, Seed, Signature, Signed, Transcript,
    TranscriptExt,
};
use farthing_protocol::wire;
use farthing_vectors::{Claims, Field, file};
use rand_core::{TryCryptoRng, TryRng};
use serde::{Serialize, de::DeserializeOwned};
use std::convert::Infallible;

/// The most bytes of anything that a vector holds.
const MAX_BYTES: usize = 1024 * 1024;

pub(crate) fn key(field: Field<'_>) -> SecretKey {
    SecretKey::from_bytes(&field.array()).expect("a key")
}

pub(crate) fn public(field: Field<'_>) -> PublicKey {
    PublicKey(field.array())
}

pub(crate) fn signature(field: Field<'_>) -> Signature {
    Signature {
        commitment: EncodedPoint(field.get("commitment").array()),
        response: EncodedScalar(field.get("response").array()),
    }
}

/// Decodes the bytes of a case.
pub(crate) fn decode<T: DeserializeOwned>(bytes: Field<'_>) -> Result<T, wire::WireError> {
    wire::decode(&bytes.bytes(), MAX_BYTES)
}

/// Whether the decoder has refused a list or a text by its count.
pub(crate) fn is_too_long(why: &wire::WireError) -> bool {
    why.to_string().contains("are allowed")
}

/// Claims that `bytes` decode to `value`, and that the decoded value encodes to `bytes` again.
pub(crate) fn encoded<T: Serialize + DeserializeOwned>(
    claims: &mut Claims,
    bytes: Field<'_>,
    value: Field<'_>,
) -> Option<T> {
    let decoded: Result<T, _> = decode(bytes);
    claims.result("decodes", decoded.as_ref().map(drop).map_err(ToString::to_string));
    let decoded = decoded.ok()?;
    claims.value("value", &decoded, value);
    claims.hex("encoded", wire::encode(&decoded).expect("within bounds"), bytes);
    Some(decoded)
}

/// 32 bytes of `parties.json`, by the path to them.
pub(crate) fn party(path: [&str; 2]) -> [u8; 32] {
    let file = file("v1", "parties");
    Field(&file).get(path[0]).get(path[1]).array()
}

/// The story's bank.
pub(crate) fn bank() -> PublicKey {
    PublicKey(party(["bank", "identity"]))
}

/// The story's keys.
pub(crate) fn keys() -> KeyBook {
    let file = file("v1", "documents");
    let documents = Field(&file).get("documents").items();
    let list = documents.into_iter().find(|document| {
        document.get("kind").text() == "farthing key list" && document.get("name").text() == "story"
    });
    let list = list.expect("the story's list");
    let signed = Signed {
        body: decode(list.get("encoded")).expect("a list"),
        signature: signature(list.get("signature")),
    };
    KeyBook::new(signed, &bank()).expect("a good list")
}

/// The seed of the story's wallet.
pub(crate) fn wallet_seed() -> Seed {
    Seed::from_bytes(&party(["wallet", "seed"]))
}

/// The seed of the story's wallet for the story's bank.
pub(crate) fn bank_seed() -> Seed {
    Seed::from_bytes(&party(["wallet", "bank_seed"]))
}

/// A digest as the documentation describes it: a transcript for `purpose` with these fields, and one challenge.
pub(crate) fn derived(
    purpose: &'static [u8],
    fields: &[(&'static [u8], &[u8])],
    challenge: &'static [u8],
) -> [u8; 32] {
    let mut transcript = Transcript::start(purpose);
    for (label, value) in fields {
        transcript.bytes(label, value);
    }
    transcript.digest32(challenge)
}

/// A generator for the weights of batches. Any values will do.
pub(crate) struct TestRng(pub(crate) u64);

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        self.0 += 1;
        let mut transcript = Transcript::start(b"test generator");
        transcript.u64(b"block", self.0);
        transcript.challenge_bytes(b"bytes", target);
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}
