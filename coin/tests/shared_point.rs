//! Shared points: a recipient can prove the point with which a text was sealed to them, and nobody else can.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use farthing_coin::{EncodedPoint, EncodedScalar, PublicKey, SecretKey, SharedPoint, SignatureError};
use support::TestRng;

const CONTEXT: [u8; 32] = [7; 32];

fn key(number: u64) -> SecretKey {
    SecretKey::generate(&mut TestRng::new("shared point", number))
}

fn shown() -> (SecretKey, SecretKey, SharedPoint) {
    let (escrow, ephemeral) = (key(1), key(2));
    let shown = escrow
        .show_shared_point(&ephemeral.public(), &CONTEXT)
        .expect("a point");
    (escrow, ephemeral, shown)
}

#[test]
fn both_holders_and_the_verifier_get_the_same_secret() {
    let (escrow, ephemeral, shown) = shown();
    let verified = shown
        .verify(&escrow.public(), &ephemeral.public(), &CONTEXT)
        .expect("it is proven");
    assert_eq!(
        verified,
        escrow.diffie_hellman(&ephemeral.public()).expect("a key")
    );
    assert_eq!(
        verified,
        ephemeral.diffie_hellman(&escrow.public()).expect("a key")
    );
    let again = escrow.show_shared_point(&ephemeral.public(), &CONTEXT);
    assert_eq!(again, Ok(shown), "the same bytes each time");
}

#[test]
fn a_proof_holds_for_its_keys_and_its_context_alone() {
    let (escrow, ephemeral, shown) = shown();
    let (escrow, ephemeral, other) = (escrow.public(), ephemeral.public(), key(3).public());
    for (key, base, context) in [
        (other, ephemeral, CONTEXT),
        (escrow, other, CONTEXT),
        (ephemeral, escrow, CONTEXT),
        (escrow, ephemeral, [8; 32]),
    ] {
        assert_eq!(
            shown.verify(&key, &base, &context).err(),
            Some(SignatureError::Forged)
        );
    }
}

#[test]
fn another_point_and_a_changed_proof_are_refused() {
    let (escrow, ephemeral, shown) = shown();
    let (escrow, ephemeral) = (escrow.public(), ephemeral.public());
    let verify = |shown: SharedPoint| shown.verify(&escrow, &ephemeral, &CONTEXT).err();
    let mut changed = shown;
    changed.point = EncodedPoint(key(4).public().0);
    assert_eq!(verify(changed), Some(SignatureError::Forged));
    for change in [
        |shown: &mut SharedPoint| shown.challenge.0[0] ^= 1,
        |shown: &mut SharedPoint| shown.response.0[0] ^= 1,
    ] {
        let mut changed = shown;
        change(&mut changed);
        assert!(verify(changed).is_some());
    }
    let mut malformed = shown;
    malformed.point = EncodedPoint([0xff; 32]);
    assert_eq!(
        verify(malformed),
        Some(SignatureError::NonCanonicalPoint("shared point"))
    );
    malformed.point = EncodedPoint([0; 32]);
    assert_eq!(verify(malformed), Some(SignatureError::Identity("shared point")));
    let mut malformed = shown;
    malformed.response = EncodedScalar([0xff; 32]);
    assert_eq!(
        verify(malformed),
        Some(SignatureError::NonCanonicalScalar("response"))
    );
}

#[test]
fn no_shared_point_is_made_with_a_malformed_key() {
    let escrow = key(1);
    let no_point = PublicKey([0xff; 32]);
    assert!(escrow.show_shared_point(&no_point, &CONTEXT).is_err());
    assert!(escrow.show_shared_point(&PublicKey([0; 32]), &CONTEXT).is_err());
}
