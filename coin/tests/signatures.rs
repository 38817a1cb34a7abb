//! Keys, signatures and signed documents.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_coin::{
    Document, EncodedPoint, EncodedScalar, KeyId, PublicKey, SecretKey, Signature, SignatureError, Signed,
    Statement, StatementDigest, Transcript, TranscriptExt,
};
use proptest::prelude::*;
use support::TestRng;

/// A document with a field of any length and a field of fixed length.
#[derive(Clone, Debug, PartialEq)]
struct Letter {
    to: String,
    amount: u64,
}

impl Document for Letter {
    const LABEL: &'static str = "farthing test letter";

    fn describe(&self, transcript: &mut Transcript) {
        transcript.bytes(b"to", self.to.as_bytes());
        transcript.u64(b"amount", self.amount);
    }
}

/// The same fields under another label.
#[derive(Clone)]
struct Postcard(Letter);

impl Document for Postcard {
    const LABEL: &'static str = "farthing test postcard";

    fn describe(&self, transcript: &mut Transcript) {
        self.0.describe(transcript);
    }
}

fn key(number: u64) -> SecretKey {
    SecretKey::generate(&mut TestRng::new("key", number))
}

fn letter() -> Letter {
    Letter {
        to: "bob".to_owned(),
        amount: 5,
    }
}

#[test]
fn the_same_statement_always_gets_the_same_bytes() {
    let statement = Statement {
        context: "farthing test",
        key_id: KeyId([3; 32]),
        digest: StatementDigest([4; 32]),
    };
    let signature = key(0).sign(&statement);
    assert_eq!(key(0).sign(&statement), signature);
    let others = [
        Statement {
            context: "farthing test 2",
            ..statement
        },
        Statement {
            key_id: KeyId([4; 32]),
            ..statement
        },
        Statement {
            digest: StatementDigest([3; 32]),
            ..statement
        },
    ];
    for other in others {
        // The same commitment under two statements would reveal the key.
        assert_ne!(key(0).sign(&other).commitment, signature.commitment);
        assert_eq!(
            key(0).public().verify(&other, &signature),
            Err(SignatureError::Forged)
        );
    }
    assert_ne!(key(1).sign(&statement).commitment, signature.commitment);
}

#[test]
fn a_document_is_bound_to_its_label_its_fields_and_its_signer() {
    let signed = Signed::sign(letter(), &key(0));
    assert_eq!(signed.verify(&key(0).public()), Ok(()));
    assert_eq!(signed.verify(&key(1).public()), Err(SignatureError::Forged));
    let changed = Signed {
        body: Letter {
            amount: 6,
            ..letter()
        },
        signature: signed.signature,
    };
    assert_eq!(changed.verify(&key(0).public()), Err(SignatureError::Forged));
    let relabelled = Signed {
        body: Postcard(letter()),
        signature: signed.signature,
    };
    assert_eq!(relabelled.verify(&key(0).public()), Err(SignatureError::Forged));
}

#[test]
fn a_secret_key_reads_back_and_malformed_keys_are_refused() {
    let original = key(0);
    let read = SecretKey::from_bytes(&original.to_bytes()).expect("its own bytes");
    assert_eq!(read.public(), original.public());
    assert_eq!(
        SecretKey::from_bytes(&[0; 32]).err(),
        Some(SignatureError::Identity("secret key"))
    );
    assert_eq!(
        SecretKey::from_wide(&[0; 64]).err(),
        Some(SignatureError::Identity("secret key"))
    );
    assert_eq!(
        SecretKey::from_bytes(&[255; 32]).err(),
        Some(SignatureError::NonCanonicalScalar("secret key"))
    );
    assert_eq!(original.public().check(), Ok(()));
    assert_eq!(
        PublicKey([0; 32]).check(),
        Err(SignatureError::Identity("public key"))
    );
    assert_eq!(
        PublicKey([255; 32]).check(),
        Err(SignatureError::NonCanonicalPoint("public key"))
    );
}

#[test]
fn both_sides_compute_the_same_shared_secret() {
    let shared = key(0).diffie_hellman(&key(1).public()).expect("a good key");
    assert_eq!(
        *shared.as_bytes(),
        *key(1)
            .diffie_hellman(&key(0).public())
            .expect("a good key")
            .as_bytes()
    );
    assert_ne!(
        *shared.as_bytes(),
        *key(0)
            .diffie_hellman(&key(2).public())
            .expect("a good key")
            .as_bytes()
    );
    let identity = key(0).diffie_hellman(&PublicKey([0; 32]));
    assert_eq!(identity.err(), Some(SignatureError::Identity("public key")));
}

#[test]
fn a_key_reads_back_from_its_text_and_debug_shows_eight_digits() {
    let public = key(0).public();
    let text = public.to_string();
    assert_eq!(text.len(), 64);
    assert_eq!(text.parse(), Ok(public));
    assert_eq!(text.to_uppercase().parse(), Ok(public));
    assert_eq!(format!("{public:?}"), format!("PublicKey({}…)", &text[..8]));
    for bad in [
        "",
        "00",
        &text[1..],
        &format!("{text}00"),
        &format!("{}zz", &text[2..]),
    ] {
        let error = bad.parse::<KeyId>().expect_err("not 64 digits");
        assert_eq!(error.got_chars, bad.len());
    }
}

/// The published vector of Merlin. A second implementation can compare its Merlin alone with it.
#[test]
fn a_transcript_equals_the_published_merlin_vector() {
    let mut transcript = Transcript::new(b"test protocol");
    transcript.bytes(b"some label", b"some data");
    let digest = hex::encode(transcript.digest32(b"challenge"));
    assert_eq!(
        digest,
        "d5a21972d0d5fe320c0d263fac7fffb8145aa640af6e9bca177c03c7efcf0615"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signatures_verify_and_altered_ones_do_not(number in any::<u64>(), digest: [u8; 32], bit in 0..512_usize) {
        let key = key(number);
        let statement = Statement { context: "farthing test", key_id: KeyId([3; 32]), digest: StatementDigest(digest) };
        let good = key.sign(&statement);
        prop_assert_eq!(key.public().verify(&statement, &good), Ok(()));
        let mut bad = good;
        let field = if bit < 256 { &mut bad.commitment.0 } else { &mut bad.response.0 };
        field[bit % 256 / 8] ^= 1 << (bit % 8);
        prop_assert!(key.public().verify(&statement, &bad).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_as_a_signature(commitment: [u8; 32], response: [u8; 32]) {
        let statement = Statement { context: "farthing test", key_id: KeyId([3; 32]), digest: StatementDigest([4; 32]) };
        let signature = Signature { commitment: EncodedPoint(commitment), response: EncodedScalar(response) };
        prop_assert!(key(0).public().verify(&statement, &signature).is_err());
    }
}
