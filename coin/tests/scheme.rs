//! The blind signature: issuance, refusals, restoring, and attacks that its rules prevent.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use farthing_coin::{
    BlindError, Blinders, BootId, Challenge, ClientRandomness, Coin, CoinError, Commitment, EncodedPoint,
    EncodedScalar, IssueError, KeyId, Nonces, RequestId, Response, SecretKey, Seed, Transcript,
    TranscriptExt, blind, generator_g, generator_h, joining_blinders, recover,
};
use proptest::prelude::*;
use sha2::Sha512;
use support::{TestRng, denomination, issue};

const GROUP_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn group_order() -> [u8; 32] {
    hex::decode(GROUP_ORDER)
        .expect("hexadecimal")
        .try_into()
        .expect("32 bytes")
}

fn scalar(bytes: &[u8; 32]) -> Scalar {
    Scalar::from_canonical_bytes(*bytes).expect("canonical")
}

fn add_one(bytes: &[u8; 32]) -> [u8; 32] {
    (scalar(bytes) + Scalar::ONE).to_bytes()
}

#[test]
fn a_coin_is_issued_and_verifies_under_its_own_key_alone() {
    let mut rng = TestRng::new("issue", 0);
    let (secret, d) = denomination(8, 1);
    let (_, other_value) = denomination(16, 1);
    let (_, other_epoch) = denomination(8, 2);
    let coin = issue(&mut rng, &secret, &d).coin;
    assert_eq!(coin.verify(&d), Ok(()));
    assert_eq!(coin.verify(&other_value), Err(CoinError::WrongKey));
    assert_eq!(coin.verify(&other_epoch), Err(CoinError::WrongKey));
    let relabelled = Coin {
        key_id: other_value.id(),
        ..coin
    };
    assert_eq!(relabelled.verify(&other_value), Err(CoinError::Forged));
}

/// Each field is part of the key id, so a bank cannot change the value, the dates or the currency of a coin.
#[test]
fn a_coin_is_bound_to_every_field_of_its_denomination() {
    let (secret, d) = denomination(8, 1);
    let coin = issue(&mut TestRng::new("fields", 0), &secret, &d).coin;
    let changes: [&dyn Fn(&mut farthing_coin::Denomination); 8] = [
        &|d| d.bank = denomination(16, 1).0.public(),
        &|d| d.currency.push('X'),
        &|d| d.value *= 2,
        &|d| d.epoch += 1,
        &|d| d.issue_from_ms += 1,
        &|d| d.issue_until_ms += 1,
        &|d| d.spend_until_ms += 1,
        &|d| d.redeem_until_ms += 1,
    ];
    for change in changes {
        let mut changed = d.clone();
        change(&mut changed);
        assert_eq!(coin.verify(&changed), Err(CoinError::WrongKey));
    }
}

/// This attack is why nonces can be neither stored nor copied.
#[test]
fn two_answers_with_the_same_nonces_reveal_the_key() {
    let (secret, _) = denomination(8, 1);
    let nonces = || {
        Nonces::generate(
            &mut TestRng::new("repeated", 0),
            &BootId([1; 32]),
            b"session",
            &ClientRandomness([2; 32]),
        )
    };
    let (first, commitment) = nonces();
    let (second, same) = nonces();
    assert_eq!(commitment, same, "a repeated generator repeats the nonces");
    let (c1, c2) = (Scalar::from(1_u64), Scalar::from(2_u64));
    let z1 = first
        .respond(&secret, &Challenge(c1.to_bytes()))
        .expect("canonical")
        .z;
    let z2 = second
        .respond(&secret, &Challenge(c2.to_bytes()))
        .expect("canonical")
        .z;
    let x = (scalar(&z1.0) - scalar(&z2.0)) * (c1 - c2).invert();
    assert_eq!(
        RistrettoPoint::mul_base(&x).compress().to_bytes(),
        secret.public().0
    );
}

/// A cloned machine repeats the output of its generator, but not its boot id, session ids and clients.
#[test]
fn nonces_depend_on_more_than_the_generator() {
    let draw = |boot: u8, session: &[u8], client: u8| {
        Nonces::generate(
            &mut TestRng::new("cloned", 0),
            &BootId([boot; 32]),
            session,
            &ClientRandomness([client; 32]),
        )
        .1
    };
    let first = draw(1, b"session", 1);
    assert_eq!(draw(1, b"session", 1), first);
    for other in [
        draw(2, b"session", 1),
        draw(1, b"session 2", 1),
        draw(1, b"session", 2),
    ] {
        assert_ne!(other.a, first.a);
        assert_ne!(other.b, first.b);
    }
}

#[test]
fn h_is_not_the_identity_nor_g_nor_a_hash_of_empty_input() {
    let h = generator_h();
    assert_ne!(h.0, [0; 32], "the identity");
    assert_ne!(h, generator_g());
    assert!(CompressedRistretto(h.0).decompress().is_some());
    let empty_hash = RistrettoPoint::hash_from_bytes::<Sha512>(b"");
    assert_ne!(h.0, empty_hash.compress().to_bytes());
    assert_ne!(
        h.0,
        RistrettoPoint::from_uniform_bytes(&[0; 64]).compress().to_bytes()
    );
    let mut unlabelled = [0; 64];
    Transcript::new(b"").challenge_bytes(b"", &mut unlabelled);
    assert_ne!(
        h.0,
        RistrettoPoint::from_uniform_bytes(&unlabelled)
            .compress()
            .to_bytes()
    );
    let mut no_purpose = [0; 64];
    Transcript::start(b"").challenge_bytes(b"uniform", &mut no_purpose);
    assert_ne!(
        h.0,
        RistrettoPoint::from_uniform_bytes(&no_purpose)
            .compress()
            .to_bytes()
    );
}

#[test]
fn the_wallet_refuses_a_bad_first_message() {
    let mut rng = TestRng::new("first", 0);
    let (_, d) = denomination(8, 1);
    let (_, good) = Nonces::generate(&mut rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
    let (m, blinders) = (
        SecretKey::generate(&mut rng).public(),
        Blinders::generate(&mut rng),
    );
    let no_point = [0xff; 32];
    let cases = [
        (
            Commitment {
                a: EncodedPoint([0; 32]),
                ..good
            },
            BlindError::Identity("A"),
        ),
        (
            Commitment {
                b: EncodedPoint([0; 32]),
                ..good
            },
            BlindError::Identity("B"),
        ),
        (
            Commitment {
                a: EncodedPoint(no_point),
                ..good
            },
            BlindError::NonCanonicalPoint("A"),
        ),
        (
            Commitment {
                b: EncodedPoint(no_point),
                ..good
            },
            BlindError::NonCanonicalPoint("B"),
        ),
    ];
    for (bad, error) in cases {
        assert_eq!(blind(&d, &m, &bad, &blinders), Err(error));
    }
}

#[test]
fn the_wallet_refuses_a_malformed_answer() {
    let (secret, d) = denomination(8, 1);
    let session = issue(&mut TestRng::new("answer", 0), &secret, &d);
    let (good, m) = (session.response, session.key.public());
    let recovered = |challenge: &Challenge, answer: &Response| {
        recover(&d, &m, challenge, answer, |_, _| {
            panic!("nothing is derived from it")
        })
    };
    let order = group_order();
    let scalar = BlindError::NonCanonicalScalar;
    let cases = [
        (
            Response {
                y: EncodedScalar([0; 32]),
                ..good
            },
            BlindError::ZeroY,
        ),
        (
            Response {
                z: EncodedScalar(order),
                ..good
            },
            scalar("z"),
        ),
        (
            Response {
                b: EncodedScalar(order),
                ..good
            },
            scalar("b"),
        ),
        (
            Response {
                y: EncodedScalar(order),
                ..good
            },
            scalar("y"),
        ),
    ];
    for (bad, error) in cases {
        assert_eq!(recovered(&session.challenge, &bad), Err(error));
    }
    assert_eq!(recovered(&Challenge(order), &good), Err(scalar("challenge")));
    // c + y^5 and z are zero, so the first message A is the identity.
    let one = Scalar::ONE.to_bytes();
    let marking = Response {
        z: EncodedScalar([0; 32]),
        b: EncodedScalar(one),
        y: EncodedScalar(one),
    };
    let challenge = Challenge((-Scalar::ONE).to_bytes());
    assert_eq!(recovered(&challenge, &marking), Err(BlindError::Identity("A")));
}

#[test]
fn the_bank_refuses_a_challenge_that_is_not_canonical() {
    let (secret, _) = denomination(8, 1);
    let bad = Challenge(group_order());
    assert_eq!(bad.check(), Err(IssueError::NonCanonicalScalar("challenge")));
    let (nonces, _) = Nonces::generate(
        &mut TestRng::new("bank", 0),
        &BootId([1; 32]),
        b"session",
        &ClientRandomness([2; 32]),
    );
    assert_eq!(
        nonces.respond(&secret, &bad),
        Err(IssueError::NonCanonicalScalar("challenge"))
    );
    assert_eq!(Challenge([0; 32]).check(), Ok(()));
}

/// A restored wallet has only its seed, and the challenge and response that the bank stored.
#[test]
fn a_coin_is_restored_from_the_seed_and_the_stored_reply() {
    let (secret, d) = denomination(8, 1);
    let seed = Seed::generate(&mut TestRng::new("restore", 0));
    let request_id = seed.withdraw_id(3);
    let randomness = seed.client_randomness(&request_id);
    let nonces = || {
        Nonces::generate(
            &mut TestRng::new("bank", 1),
            &BootId([1; 32]),
            b"session",
            &randomness,
        )
    };
    let (first, commitment) = nonces();
    let m = seed.coin_key(&request_id, 0).public();
    let blinders = seed.blinders(&request_id, 0, &d.id(), &commitment);
    let challenge = blind(&d, &m, &commitment, &blinders).expect("good");
    let response = first.respond(&secret, &challenge).expect("canonical");

    let phrase = seed.to_phrase();
    let restored = Seed::from_phrase(&phrase).expect("its own phrase");
    let derived = |key_id: &KeyId, same: &Commitment| {
        assert_eq!((*key_id, *same), (d.id(), commitment));
        restored.blinders(&request_id, 0, key_id, same)
    };
    let coin = recover(&d, &m, &challenge, &response, derived).expect("good");
    assert_eq!((coin.public, coin.verify(&d)), (m, Ok(())));

    // An answer to another wallet's challenge, a changed answer and an answer of another key make no coin.
    let other = Seed::generate(&mut TestRng::new("restore", 1));
    let strange = |key_id: &KeyId, same: &Commitment| other.blinders(&request_id, 0, key_id, same);
    let refused = Err(BlindError::OtherChallenge);
    assert_eq!(recover(&d, &m, &challenge, &response, strange), refused);
    let (other_secret, _) = denomination(16, 1);
    let (same_nonces, _) = nonces();
    let other_keys = same_nonces.respond(&other_secret, &challenge);
    for changed in [
        other_keys.expect("canonical"),
        Response {
            z: EncodedScalar(add_one(&response.z.0)),
            ..response
        },
        Response {
            b: EncodedScalar(add_one(&response.b.0)),
            ..response
        },
        Response {
            y: EncodedScalar(add_one(&response.y.0)),
            ..response
        },
    ] {
        let derived = |key_id: &KeyId, same: &Commitment| restored.blinders(&request_id, 0, key_id, same);
        assert_eq!(recover(&d, &m, &challenge, &changed, derived), refused);
    }
}

/// Each session explains each coin of its key, so the bank cannot tell which coin a session has issued.
#[test]
fn blinders_join_every_session_with_every_coin() {
    let mut rng = TestRng::new("blindness", 0);
    let (secret, d) = denomination(8, 1);
    let sessions: Vec<_> = (0..5).map(|_| issue(&mut rng, &secret, &d)).collect();
    for session in &sessions {
        for coin in sessions.iter().map(|other| other.coin) {
            let (commitment, challenge, response) =
                (&session.commitment, &session.challenge, &session.response);
            let blinders = joining_blinders(&d, commitment, challenge, response, &coin).expect("always");
            assert_eq!(blind(&d, &coin.public, commitment, &blinders), Ok(*challenge));
            let joined = recover(&d, &coin.public, challenge, response, |_, sent| {
                assert_eq!(sent, commitment);
                blinders
            });
            assert_eq!(joined, Ok(coin));
        }
    }
    let forged = Coin {
        z: EncodedScalar(add_one(&sessions[0].coin.z.0)),
        ..sessions[0].coin
    };
    let session = &sessions[1];
    let joined = joining_blinders(
        &d,
        &session.commitment,
        &session.challenge,
        &session.response,
        &forged,
    );
    assert!(joined.is_none(), "only valid coins are explained");
    // This response does not answer the session.
    let (commitment, challenge) = (&session.commitment, &session.challenge);
    let altered = Response {
        z: EncodedScalar(add_one(&session.response.z.0)),
        ..session.response
    };
    assert!(joining_blinders(&d, commitment, challenge, &altered, &sessions[0].coin).is_none());
}

#[test]
fn secrets_do_not_show_in_debug() {
    let mut rng = TestRng::new("debug", 0);
    let (secret, _) = denomination(8, 1);
    let key = SecretKey::generate(&mut rng);
    let seed = Seed::generate(&mut rng);
    let (nonces, _) = Nonces::generate(&mut rng, &BootId([1; 32]), b"session", &ClientRandomness([2; 32]));
    let blinders = Blinders::generate(&mut rng);
    let shown = format!("{key:?} {seed:?} {nonces:?} {blinders:?} {secret:?}");
    let start = &hex::encode(key.to_bytes())[..8];
    assert!(!shown.contains(start) && !shown.contains(&hex::encode(seed.to_bytes())[..8]));
    assert!(
        shown.contains("Nonces { .. }") && shown.contains("Blinders { .. }") && shown.contains("Seed(..)")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Issuance succeeds for all random values, and verification refuses a coin with any bit altered.
    #[test]
    fn a_coin_with_any_bit_altered_is_refused(number in any::<u64>(), field in 0..6_usize, bit in 0..256_usize) {
        let (secret, d) = denomination(8, 1);
        let mut coin = issue(&mut TestRng::new("property", number), &secret, &d).coin;
        prop_assert_eq!(coin.verify(&d), Ok(()));
        let flip = |bytes: &mut [u8; 32]| bytes[bit / 8] ^= 1 << (bit % 8);
        match field {
            0 => coin.suite ^= 1 << (bit % 8),
            1 => flip(&mut coin.key_id.0),
            2 => flip(&mut coin.public.0),
            3 => flip(&mut coin.r.0),
            4 => flip(&mut coin.z.0),
            _ => flip(&mut coin.y.0),
        }
        prop_assert!(coin.verify(&d).is_err());
    }

    /// Arbitrary bytes give an error, never a panic.
    #[test]
    fn arbitrary_bytes_are_refused(public: [u8; 32], r: [u8; 32], z: [u8; 32], y: [u8; 32]) {
        let (_, d) = denomination(8, 1);
        let coin = Coin { suite: 1, key_id: d.id(), public: farthing_coin::PublicKey(public), r: EncodedPoint(r), z: EncodedScalar(z), y: EncodedScalar(y) };
        prop_assert!(coin.verify(&d).is_err());
        let m = farthing_coin::PublicKey(public);
        let seed = Seed::from_bytes(&r);
        let answer = Response { z: EncodedScalar(r), b: EncodedScalar(y), y: EncodedScalar(z) };
        let derived = |key_id: &KeyId, first: &Commitment| seed.blinders(&RequestId(public), 0, key_id, first);
        prop_assert!(recover(&d, &m, &Challenge(z), &answer, derived).is_err());
    }
}
