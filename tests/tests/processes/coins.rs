//! Verifies a coin from its public fields and docs/CRYPTOGRAPHY.md alone, without `farthing-coin`.

use curve25519_dalek::{
    constants::RISTRETTO_BASEPOINT_POINT as G,
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::IsIdentity,
};
use merlin::Transcript;
use serde_json::Value;

const H: &str = "14196f093ba55313d1bf0823edc513b3a42dd4a9b51a0df77f5a9377ad691b49";

fn transcript(purpose: &'static [u8]) -> Transcript {
    let mut transcript = Transcript::new(b"farthing v1");
    transcript.append_message(b"suite", &[1]);
    transcript.append_message(b"label", purpose);
    transcript
}

fn bytes(value: &Value) -> [u8; 32] {
    let mut bytes = [0; 32];
    hex::decode_to_slice(value.as_str().unwrap(), &mut bytes).unwrap();
    bytes
}

fn point(value: &Value) -> RistrettoPoint {
    let point = CompressedRistretto(bytes(value)).decompress().unwrap();
    assert!(!point.is_identity());
    point
}

fn scalar(value: &Value) -> Scalar {
    Option::from(Scalar::from_canonical_bytes(bytes(value))).unwrap()
}

fn h() -> RistrettoPoint {
    let mut uniform = [0; 64];
    transcript(b"generator H").challenge_bytes(b"uniform", &mut uniform);
    let h = RistrettoPoint::from_uniform_bytes(&uniform);
    assert_eq!(hex::encode(h.compress().as_bytes()), H);
    h
}

fn key_id(key: &Value) -> [u8; 32] {
    let mut transcript = transcript(b"denomination");
    transcript.append_message(b"bank", &bytes(&key["bank"]));
    transcript.append_message(b"currency", key["currency"].as_str().unwrap().as_bytes());
    transcript.append_message(b"value", &key["value"]["units"].as_u64().unwrap().to_le_bytes());
    let epoch = u32::try_from(key["epoch"].as_u64().unwrap()).unwrap();
    transcript.append_message(b"epoch", &epoch.to_le_bytes());
    for (label, field) in [
        (b"issue from".as_slice(), "issue_from_ms"),
        (b"issue until", "issue_until_ms"),
        (b"spend until", "spend_until_ms"),
        (b"redeem until", "redeem_until_ms"),
    ] {
        transcript.append_message(label, &key[field].as_u64().unwrap().to_le_bytes());
    }
    transcript.append_message(b"X", &bytes(&key["x"]));
    let mut id = [0; 32];
    transcript.challenge_bytes(b"id", &mut id);
    id
}

/// Whether R' + (c' + y'^5) X = z' G + y' H.
fn equation_holds(coin: &Value) -> bool {
    let key = &coin["denomination"];
    let (x, r, z, y) = (
        point(&key["x"]),
        point(&coin["r"]),
        scalar(&coin["z"]),
        scalar(&coin["y"]),
    );
    let mut transcript = transcript(b"coin");
    transcript.append_message(b"key id", &bytes(&coin["key_id"]));
    transcript.append_message(b"X", &bytes(&key["x"]));
    transcript.append_message(b"m", &bytes(&coin["public"]));
    transcript.append_message(b"R", &bytes(&coin["r"]));
    let mut wide = [0; 64];
    transcript.challenge_bytes(b"c", &mut wide);
    let c = Scalar::from_bytes_mod_order_wide(&wide);
    r + (c + y * y * y * y * y) * x == z * G + y * h()
}

/// Verifies a coin of `bank` (hex) in the form of `farthing coins --json`. Returns its value.
pub(crate) fn verify(coin: &Value, bank: &str) -> u64 {
    let key = &coin["denomination"];
    assert_eq!(coin["suite"], 1);
    assert_eq!(key["bank"], bank);
    assert_eq!(
        bytes(&coin["key_id"]),
        key_id(key),
        "the key id is the digest of the denomination"
    );
    assert_eq!(coin["value"], key["value"]);
    let _key_of_its_own = point(&coin["public"]);
    assert_ne!(scalar(&coin["y"]), Scalar::ZERO);
    assert!(equation_holds(coin), "{coin}");
    // The equation fails for changed fields.
    for (field, other) in [("z", "y"), ("y", "z"), ("public", "r"), ("r", "public")] {
        let mut altered = coin.clone();
        altered[field] = coin[other].clone();
        assert!(!equation_holds(&altered), "{field}");
    }
    key["value"]["units"].as_u64().unwrap()
}
