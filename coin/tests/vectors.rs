//! The vectors in `coin/vectors`: all are checked, and generating them again gives the same bytes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;
#[allow(dead_code, unreachable_pub)]
#[path = "support/vectors.rs"]
mod vectors;

use std::path::Path;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use farthing_coin::{
    BootId, Challenge, ClientRandomness, Commitment, Denomination, DenominationSecret, Document,
    EncodedPoint, EncodedScalar, KeyBook, KeyListDigest, MasterSecret, Nonces, PublicKey, RequestId,
    Response, SecretKey, Seed, blind, generator_g, generator_h, recover,
};
use serde::de::DeserializeOwned;
use support::TestRng;
use vectors::unhex;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    std::fs::read_to_string(&path).expect("a vector file")
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&text(name)).expect("vectors of this shape")
}

fn denominations() -> Vec<Denomination> {
    let vectors: Vec<vectors::DenominationVector> = read("denominations.json");
    vectors
        .iter()
        .map(vectors::DenominationVector::denomination)
        .collect()
}

#[test]
fn generating_the_vectors_again_gives_the_same_bytes() {
    for (name, made) in vectors::files() {
        assert!(
            made == text(name),
            "{name} has changed: was a hashed field changed on purpose?"
        );
    }
}

#[test]
fn the_generators_equal_the_published_ones() {
    let vector: vectors::Generators = read("generators.json");
    assert_eq!(vector.suite, farthing_coin::SUITE);
    assert_eq!(vector.g, hex::encode(generator_g()));
    assert_eq!(vector.h, hex::encode(generator_h()));
    let uniform = unhex(&vector.h_uniform_bytes);
    assert_eq!(
        RistrettoPoint::from_uniform_bytes(&uniform).compress().to_bytes(),
        generator_h().0
    );
}

#[test]
fn derived_denominations_equal_the_published_ones() {
    for vector in read::<Vec<vectors::DenominationVector>>("denominations.json") {
        let secret = DenominationSecret::derive(
            &MasterSecret::from_bytes(unhex(&vector.master)),
            vector.value,
            vector.epoch,
        );
        assert_eq!(secret.public().to_string(), vector.public);
        assert_eq!(vector.denomination().id().to_string(), vector.id);
        let x = SecretKey::from_bytes(&unhex(&vector.x)).expect("canonical");
        assert_eq!(x.public(), secret.public());
    }
}

#[test]
fn published_sessions_satisfy_every_equation() {
    let published: Vec<vectors::DenominationVector> = read("denominations.json");
    for vector in read::<Vec<vectors::IssueVector>>("issue.json") {
        let of = &published[vector.denomination];
        let x = Scalar::from_canonical_bytes(unhex(&of.x)).expect("canonical");
        vectors::check_issue(&vector, &of.denomination(), x);
    }
}

#[test]
fn both_sides_reproduce_the_published_sessions() {
    let published: Vec<vectors::DenominationVector> = read("denominations.json");
    for (number, vector) in read::<Vec<vectors::IssueVector>>("issue.json").iter().enumerate() {
        let of = &published[vector.denomination];
        let d = of.denomination();
        let secret =
            DenominationSecret::derive(&MasterSecret::from_bytes(unhex(&of.master)), of.value, of.epoch);
        let commitment = Commitment {
            a: EncodedPoint(unhex(&vector.commitment_a)),
            b: EncodedPoint(unhex(&vector.commitment_b)),
        };
        let challenge = Challenge(unhex(&vector.challenge));
        let response = Response {
            z: EncodedScalar(unhex(&vector.response_z)),
            b: EncodedScalar(unhex(&vector.response_b)),
            y: EncodedScalar(unhex(&vector.response_y)),
        };

        let mut rng = TestRng::new("vector nonces", number as u64);
        let session_id = hex::decode(&vector.session_id).expect("hexadecimal");
        let client_randomness = unhex(&vector.client_randomness);
        let (nonces, first) = Nonces::generate(
            &mut rng,
            &BootId(unhex(&vector.boot_id)),
            &session_id,
            &ClientRandomness(client_randomness),
        );
        assert_eq!(first, commitment);
        assert_eq!(nonces.respond(&secret, &challenge), Ok(response));

        let seed = Seed::from_bytes(&unhex(&vector.seed));
        let request_id = unhex(&vector.request_id);
        let blinders = seed.blinders(&RequestId(request_id), vector.slot, &d.id(), &commitment);
        let m = seed.coin_key(&RequestId(request_id), vector.slot).public();
        assert_eq!(blind(&d, &m, &commitment, &blinders), Ok(challenge));
        let recovered = recover(&d, &m, &challenge, &response, |key_id, first| {
            assert_eq!(*first, commitment);
            seed.blinders(&RequestId(request_id), vector.slot, key_id, first)
        });
        assert_eq!(recovered, Ok(vector.coin.coin()));
    }
}

#[test]
fn signing_again_gives_the_published_signatures() {
    for vector in read::<Vec<vectors::SigningVector>>("signatures.json") {
        vectors::check_signing(&vector);
        let key = SecretKey::from_bytes(&unhex(&vector.secret)).expect("canonical");
        let (_, statement, signature) = vector.signature.parts();
        assert_eq!(key.sign(&statement), signature);
    }
}

#[test]
fn batches_name_the_first_published_culprit() {
    let all = denominations();
    for batch in read::<Vec<vectors::BatchVector>>("batches.json") {
        let published = |it: &vectors::CulpritVector| (it.index, it.error.clone());
        let expected: Vec<_> = batch.culprits.iter().map(published).collect();
        let single = vectors::culprits(&batch.entries, &all);
        assert_eq!(single.iter().map(published).collect::<Vec<_>>(), expected);
        let named = vectors::verify_entries(&batch.entries, &all).err();
        let named = named.map(|it| (it.index, format!("{:?}", it.what)));
        assert_eq!(named.as_ref(), expected.first(), "{}", batch.name);
        assert_eq!(expected.is_empty(), batch.name == "all good");
    }
}

#[test]
fn negative_vectors_are_refused_with_the_published_error() {
    let all = denominations();
    let negatives: vectors::Negatives = read("negatives.json");
    for case in negatives.coins {
        let error = case
            .coin
            .coin()
            .verify(&all[case.denomination])
            .expect_err(&case.name);
        assert_eq!(format!("{error:?}"), case.error, "{}", case.name);
    }
    for case in negatives.signatures {
        let (public, statement, signature) = case.signature.parts();
        let error = public.verify(&statement, &signature).expect_err(&case.name);
        assert_eq!(format!("{error:?}"), case.error, "{}", case.name);
    }
}

#[test]
fn the_key_list_verifies_and_has_the_published_chain() {
    let vector: vectors::KeyListVector = read("key_list.json");
    let signed = vector.signed();
    assert_eq!(hex::encode(signed.body.digest()), vector.document_digest);
    let bank: PublicKey = vector.bank.parse().expect("hexadecimal");
    let book = KeyBook::new(signed, &bank).expect("a good list");
    for link in &vector.chain {
        assert!(book.knows_digest(&KeyListDigest(unhex(link))));
    }
    assert_eq!(hex::encode(book.digest()), *vector.chain.last().expect("a link"));
}

#[test]
fn seeds_derive_the_published_values() {
    for vector in read::<Vec<vectors::SeedVector>>("seeds.json") {
        let seed = Seed::from_phrase(&vector.phrase).expect("a good phrase");
        assert_eq!(hex::encode(seed.to_bytes()), vector.seed);
        let account = seed.account_key();
        assert_eq!(hex::encode(account.to_bytes()), vector.account_secret);
        assert_eq!(account.public().to_string(), vector.account_public);
        assert_eq!(hex::encode(seed.withdraw_id(vector.counter)), vector.withdraw_id);
        assert_eq!(hex::encode(seed.exchange_id(vector.counter)), vector.exchange_id);
        assert_eq!(
            hex::encode(seed.purchase_key(vector.counter).to_bytes()),
            vector.purchase_secret
        );
        assert_eq!(
            hex::encode(seed.recovery_record_id(vector.counter)),
            vector.note_id
        );
        assert_eq!(
            hex::encode(seed.recovery_record_key(vector.counter).as_bytes()),
            vector.note_key
        );
        let request_id = unhex(&vector.request_id);
        assert_eq!(
            hex::encode(seed.coin_key(&RequestId(request_id), vector.slot).to_bytes()),
            vector.coin_secret
        );
        assert_eq!(
            hex::encode(seed.client_randomness(&RequestId(request_id))),
            vector.client_randomness
        );
        let shared = account
            .diffie_hellman(&PublicKey(unhex(&vector.other_public)))
            .expect("a good key");
        assert_eq!(hex::encode(shared.as_bytes()), vector.diffie_hellman);
    }
}

/// The vectors of RFC 9496, appendices A.1 to A.3.
#[test]
fn the_group_equals_the_vectors_of_rfc_9496() {
    let multiples = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
        "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
        "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
    ];
    for (multiple, encoding) in (0_u64..).zip(multiples) {
        let point = RistrettoPoint::mul_base(&Scalar::from(multiple));
        assert_eq!(hex::encode(point.compress().as_bytes()), encoding);
    }
    for bad in vectors::BAD_POINTS {
        assert!(CompressedRistretto(unhex(bad)).decompress().is_none());
    }
    let uniform = "5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c1\
                   4d98b696a1bbfb5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6";
    let element = RistrettoPoint::from_uniform_bytes(&unhex(uniform));
    let expected = "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46";
    assert_eq!(hex::encode(element.compress().as_bytes()), expected);
}
