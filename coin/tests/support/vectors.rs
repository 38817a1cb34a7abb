//! The test vectors and their generator.
//!
//! It computes the secret values (nonces, blinders, x) a second time, from `docs/CRYPTOGRAPHY.md` and without the library.
//! So the vectors also contain values that the library does not show.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT as G;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use farthing_coin::{
    Batch, BatchError, BatchErrorKind, BootId, Calendar, Challenge, Coin, Commitment, Denomination,
    DenominationSecret, Document, EpochKeys, KeyId, KeyList, MasterSecret, Nonces, PublicKey, Response,
    SecretKey, Seed, Signed, Statement, StatementDigest, Transcript, TranscriptExt, blind, recover,
};
use rand_core::Rng;
use serde::Serialize;

use super::support::{CONTEXT, TestRng};

#[path = "vector_negatives.rs"]
mod negatives;
#[path = "vector_types.rs"]
mod types;

pub use negatives::*;
pub use types::*;

/// The name and the text of every vector file.
pub fn files() -> Vec<(&'static str, String)> {
    vec![
        ("generators.json", render(&generators())),
        ("denominations.json", render(&denominations())),
        ("issue.json", render(&issues())),
        ("signatures.json", render(&signings())),
        ("batches.json", render(&batches())),
        ("negatives.json", render(&negatives())),
        ("key_list.json", render(&key_list())),
        ("seeds.json", render(&seeds())),
    ]
}

fn render(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain structs");
    text.push('\n');
    text
}

fn draw<const N: usize>(name: &str, number: usize) -> [u8; N] {
    let mut bytes = [0; N];
    TestRng::new(name, number as u64).fill_bytes(&mut bytes);
    bytes
}

fn fifth_power(y: Scalar) -> Scalar {
    y * y * y * y * y
}

fn h_uniform_bytes() -> [u8; 64] {
    let mut uniform = [0; 64];
    Transcript::start(b"generator H").challenge_bytes(b"uniform", &mut uniform);
    uniform
}

fn generators() -> Generators {
    let uniform = h_uniform_bytes();
    Generators {
        suite: 1,
        g: hex::encode(G.compress().as_bytes()),
        h_uniform_bytes: hex::encode(uniform),
        h: hex::encode(RistrettoPoint::from_uniform_bytes(&uniform).compress().as_bytes()),
    }
}

fn master() -> [u8; 32] {
    draw("vector master", 0)
}

fn bank() -> SecretKey {
    SecretKey::from_wide(&draw("vector bank", 0)).expect("not zero")
}

fn x_of(value: u64, epoch: u32) -> Scalar {
    let mut transcript = Transcript::start(b"denomination secret");
    transcript.bytes(b"master", &master());
    transcript.u64(b"value", value);
    transcript.u32(b"epoch", epoch);
    transcript.scalar(b"x")
}

/// Two values of one epoch, and the first value in the next.
const KEYS: [(u64, u32); 3] = [(1, 5), (64, 5), (1, 6)];

fn denomination(number: usize) -> Denomination {
    let (value, epoch) = KEYS[number];
    let issue_from_ms = 86_400_000 * u64::from(epoch);
    Denomination {
        bank: bank().public(),
        currency: "EUR".to_owned(),
        value,
        epoch,
        issue_from_ms,
        issue_until_ms: issue_from_ms + 86_400_000,
        spend_until_ms: issue_from_ms + 3 * 86_400_000,
        redeem_until_ms: issue_from_ms + 6 * 86_400_000,
        public: PublicKey((G * x_of(value, epoch)).compress().to_bytes()),
    }
}

fn denominations() -> Vec<DenominationVector> {
    let numbers = 0..KEYS.len();
    numbers
        .map(|number| {
            let d = denomination(number);
            DenominationVector {
                master: hex::encode(master()),
                bank: d.bank.to_string(),
                currency: d.currency.clone(),
                value: d.value,
                epoch: d.epoch,
                issue_from_ms: d.issue_from_ms,
                issue_until_ms: d.issue_until_ms,
                spend_until_ms: d.spend_until_ms,
                redeem_until_ms: d.redeem_until_ms,
                x: hex::encode(x_of(d.value, d.epoch).as_bytes()),
                public: d.public.to_string(),
                id: d.id().to_string(),
            }
        })
        .collect()
}

/// a, b and y of the bank, from the documented derivation.
fn nonces(
    fresh: &[u8; 64],
    boot_id: &[u8; 32],
    session_id: &[u8],
    client_randomness: &[u8; 32],
) -> [Scalar; 3] {
    let mut transcript = Transcript::start(b"issuing nonces");
    transcript.bytes(b"fresh", fresh);
    transcript.bytes(b"boot id", boot_id);
    transcript.bytes(b"session id", session_id);
    transcript.bytes(b"client randomness", client_randomness);
    [
        transcript.scalar(b"a"),
        transcript.scalar(b"b"),
        transcript.scalar(b"y"),
    ]
}

/// alpha, r and beta of the wallet, from the documented derivation.
fn blinders(
    seed: &[u8; 32],
    request_id: &[u8; 32],
    slot: u32,
    key_id: &KeyId,
    commitment: &Commitment,
) -> [Scalar; 3] {
    let mut transcript = Transcript::start(b"wallet blinders");
    transcript.bytes(b"seed", seed);
    transcript.bytes(b"request id", request_id);
    transcript.u32(b"slot", slot);
    transcript.bytes(b"key id", &key_id.0);
    transcript.bytes(b"A", &commitment.a.0);
    transcript.bytes(b"B", &commitment.b.0);
    [
        transcript.scalar(b"alpha"),
        transcript.scalar(b"r"),
        transcript.scalar(b"beta"),
    ]
}

/// c', from the documented transcript.
pub fn coin_challenge(coin: &Coin, denomination: &Denomination) -> Scalar {
    let mut transcript = Transcript::start(b"coin");
    transcript.bytes(b"key id", &coin.key_id.0);
    transcript.bytes(b"X", &denomination.public.0);
    transcript.bytes(b"m", &coin.public.0);
    transcript.bytes(b"R", &coin.r.0);
    transcript.scalar(b"c")
}

/// The vector of one session, and the secret key of its coin.
fn issue(number: usize) -> (IssueVector, SecretKey) {
    let denomination_number = number % KEYS.len();
    let d = denomination(denomination_number);
    let secret = DenominationSecret::derive(&MasterSecret::from_bytes(master()), d.value, d.epoch);
    let fresh: [u8; 64] = draw("vector nonces", number);
    let boot_id = draw("vector boot", 0);
    let session_id = format!("session {number}");
    let seed_bytes = draw("vector seed", 0);
    let seed = Seed::from_bytes(&seed_bytes);
    let request_id = seed.withdraw_id(number as u64);
    let client_randomness = seed.client_randomness(&request_id);
    let slot = number as u32;

    let mut rng = TestRng::new("vector nonces", number as u64);
    let (bank, commitment) = Nonces::generate(
        &mut rng,
        &BootId(boot_id),
        session_id.as_bytes(),
        &client_randomness,
    );
    let key = seed.coin_key(&request_id, slot);
    let wallet = seed.blinders(&request_id, slot, &d.id(), &commitment);
    let challenge: Challenge = blind(&d, &key.public(), &commitment, &wallet).expect("a good first message");
    let response: Response = bank.respond(&secret, &challenge).expect("canonical");
    let coin = recover(&d, &key.public(), &challenge, &response, |_, _| wallet).expect("a good answer");

    let [a, b, y] = nonces(&fresh, &boot_id, session_id.as_bytes(), &client_randomness.0);
    let [alpha, r, beta] = blinders(&seed_bytes, &request_id.0, slot, &d.id(), &commitment);
    let vector = IssueVector {
        denomination: denomination_number,
        fresh: hex::encode(fresh),
        boot_id: hex::encode(boot_id),
        session_id: hex::encode(session_id),
        client_randomness: hex::encode(client_randomness),
        bank_a: hex::encode(a.as_bytes()),
        bank_b: hex::encode(b.as_bytes()),
        bank_y: hex::encode(y.as_bytes()),
        commitment_a: hex::encode(commitment.a),
        commitment_b: hex::encode(commitment.b),
        seed: hex::encode(seed_bytes),
        request_id: hex::encode(request_id),
        slot,
        coin_secret: hex::encode(key.to_bytes()),
        alpha: hex::encode(alpha.as_bytes()),
        r: hex::encode(r.as_bytes()),
        beta: hex::encode(beta.as_bytes()),
        coin_challenge: hex::encode(coin_challenge(&coin, &d).as_bytes()),
        challenge: challenge.to_string(),
        response_z: hex::encode(response.z),
        response_b: hex::encode(response.b),
        response_y: hex::encode(response.y),
        coin: CoinVector::new(&coin),
    };
    (vector, key)
}

fn issues() -> Vec<IssueVector> {
    (0..6).map(|number| issue(number).0).collect()
}

/// Checks one session equation by equation. It uses only the coin's verification from the library.
pub fn check_issue(vector: &IssueVector, d: &Denomination, x: Scalar) {
    let scalar = |text: &str| Scalar::from_canonical_bytes(unhex(text)).expect("canonical");
    let point = |text: &str| CompressedRistretto(unhex(text)).decompress().expect("a point");
    let h = RistrettoPoint::from_uniform_bytes(&h_uniform_bytes());
    let (a, b, y) = (
        scalar(&vector.bank_a),
        scalar(&vector.bank_b),
        scalar(&vector.bank_y),
    );
    let (alpha, r, beta) = (scalar(&vector.alpha), scalar(&vector.r), scalar(&vector.beta));
    let (a_point, b_point) = (point(&vector.commitment_a), point(&vector.commitment_b));
    assert_eq!(a_point, G * a);
    assert_eq!(b_point, G * b + h * y);
    let alpha5 = fifth_power(alpha);
    let coin = vector.coin.coin();
    let r_prime = G * r + a_point * alpha5 + (G * x) * (alpha5 * beta) + b_point * alpha;
    assert_eq!(r_prime.compress().to_bytes(), coin.r.0);
    let c_prime = coin_challenge(&coin, d);
    assert_eq!(c_prime, scalar(&vector.coin_challenge));
    let c = c_prime * alpha5.invert() + beta;
    assert_eq!(c, scalar(&vector.challenge));
    let z = a + (c + fifth_power(y)) * x;
    assert_eq!(
        (z, b, y),
        (
            scalar(&vector.response_z),
            scalar(&vector.response_b),
            scalar(&vector.response_y)
        )
    );
    assert_eq!((r + alpha5 * z + alpha * b).to_bytes(), coin.z.0);
    assert_eq!((alpha * y).to_bytes(), coin.y.0);
    assert_eq!(
        (G * scalar(&vector.coin_secret)).compress().to_bytes(),
        coin.public.0
    );
    assert_eq!(coin.verify(d), Ok(()));
}

fn signing(number: usize) -> SigningVector {
    let key = SecretKey::from_wide(&draw("vector signer", number)).expect("not zero");
    let statement = Statement {
        context: CONTEXT,
        key_id: KeyId(draw("vector key id", number)),
        digest: StatementDigest(draw("vector digest", number)),
    };
    let signature = key.sign(&statement);
    let mut nonce = Transcript::start(b"signature nonce");
    nonce.bytes(b"secret", key.to_bytes().as_ref());
    nonce.bytes(b"context", statement.context.as_bytes());
    nonce.bytes(b"P", &key.public().0);
    nonce.bytes(b"key id", &statement.key_id.0);
    nonce.bytes(b"digest", &statement.digest.0);
    let mut challenge = Transcript::start(b"signature");
    challenge.bytes(b"context", statement.context.as_bytes());
    challenge.bytes(b"P", &key.public().0);
    challenge.bytes(b"key id", &statement.key_id.0);
    challenge.bytes(b"S", &signature.commitment.0);
    challenge.bytes(b"digest", &statement.digest.0);
    SigningVector {
        secret: hex::encode(key.to_bytes()),
        nonce: hex::encode(nonce.scalar(b"k").as_bytes()),
        e: hex::encode(challenge.scalar(b"e").as_bytes()),
        signature: SignatureVector::new(&key.public(), &statement, &signature),
    }
}

fn signings() -> Vec<SigningVector> {
    (0..4).map(signing).collect()
}

/// Checks one signature equation by equation.
pub fn check_signing(vector: &SigningVector) {
    let scalar = |text: &str| Scalar::from_canonical_bytes(unhex(text)).expect("canonical");
    let (x, k, e) = (scalar(&vector.secret), scalar(&vector.nonce), scalar(&vector.e));
    let (public, statement, signature) = vector.signature.parts();
    assert_eq!((G * x).compress().to_bytes(), public.0);
    assert_eq!((G * k).compress().to_bytes(), signature.commitment.0);
    assert_eq!((k + e * x).to_bytes(), signature.response.0);
    assert_eq!(public.verify(&statement, &signature), Ok(()));
}

fn batch_entries() -> Vec<BatchEntry> {
    let entry = |number| {
        let (vector, key) = issue(number);
        let statement = Statement {
            context: CONTEXT,
            key_id: KeyId(unhex(&vector.coin.key_id)),
            digest: StatementDigest(draw("vector purchase", 0)),
        };
        let signature = key.sign(&statement);
        BatchEntry {
            denomination: vector.denomination,
            coin: vector.coin,
            authorization: SignatureVector::new(&key.public(), &statement, &signature),
        }
    };
    (0..6).map(entry).collect()
}

/// Verifies each entry by itself. Returns the index and the error of each culprit.
pub fn culprits(entries: &[BatchEntry], denominations: &[Denomination]) -> Vec<CulpritVector> {
    let mut culprits = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let (signer, statement, signature) = entry.authorization.parts();
        let coin = entry.coin.coin().verify(&denominations[entry.denomination]);
        let errors = [
            coin.err().map(BatchErrorKind::Coin),
            signer
                .verify(&statement, &signature)
                .err()
                .map(BatchErrorKind::Signature),
        ];
        let named = |what: BatchErrorKind| CulpritVector {
            index,
            error: format!("{what:?}"),
        };
        culprits.extend(errors.into_iter().flatten().map(named));
    }
    culprits
}

/// Verifies the entries as one batch.
pub fn verify_entries(entries: &[BatchEntry], denominations: &[Denomination]) -> Result<(), BatchError> {
    let mut batch = Batch::new();
    for (index, entry) in entries.iter().enumerate() {
        let (_, statement, signature) = entry.authorization.parts();
        let d = &denominations[entry.denomination];
        batch.coin_with_authorization(index, &entry.coin.coin(), d, &statement, &signature);
    }
    batch.verify(&mut TestRng::new("vector batch", 0))
}

fn batches() -> Vec<BatchVector> {
    let all: Vec<Denomination> = (0..KEYS.len()).map(denomination).collect();
    let mut forged = batch_entries();
    let coin = &mut forged[2].coin;
    std::mem::swap(&mut coin.z, &mut coin.y);
    forged[4].authorization.digest = hex::encode(draw::<32>("vector purchase", 1));
    forged[5].coin.y = ZERO.to_owned();
    let batch = |name: &str, entries: Vec<BatchEntry>| BatchVector {
        name: name.to_owned(),
        culprits: culprits(&entries, &all),
        entries,
    };
    vec![batch("all good", batch_entries()), batch("three bad", forged)]
}

fn key_list() -> KeyListVector {
    let values = vec![1, 2, 8];
    let first_epoch = 5;
    let epochs: Vec<EpochKeys> = (first_epoch..first_epoch + 3)
        .map(|epoch| EpochKeys {
            epoch,
            keys: values
                .iter()
                .map(|value| {
                    DenominationSecret::derive(&MasterSecret::from_bytes(master()), *value, epoch).public()
                })
                .collect(),
        })
        .collect();
    let calendar = Calendar {
        epoch_ms: 86_400_000,
        spend_epochs: 2,
        redeem_epochs: 3,
    };
    let list = KeyList {
        bank: bank().public(),
        currency: "EUR".to_owned(),
        calendar,
        values,
        epochs,
    };
    let signed = Signed::sign(list, &bank());
    let list = &signed.body;
    let texts = |keys: &EpochKeys| keys.keys.iter().map(PublicKey::to_string).collect();
    KeyListVector {
        secret: hex::encode(bank().to_bytes()),
        bank: list.bank.to_string(),
        currency: list.currency.clone(),
        epoch_ms: calendar.epoch_ms,
        spend_epochs: calendar.spend_epochs,
        redeem_epochs: calendar.redeem_epochs,
        values: list.values.clone(),
        first_epoch,
        keys: list.epochs.iter().map(texts).collect(),
        chain: list.chain().iter().map(hex::encode).collect(),
        document_digest: hex::encode(list.digest()),
        commitment: hex::encode(signed.signature.commitment),
        response: hex::encode(signed.signature.response),
    }
}

fn seeds() -> Vec<SeedVector> {
    let vector = |(number, bytes): (usize, [u8; 32])| {
        let seed = Seed::from_bytes(&bytes);
        let (counter, slot) = (number as u64 * 1000, number as u32);
        let request_id = seed.withdraw_id(counter);
        let other = bank().public();
        SeedVector {
            seed: hex::encode(bytes),
            phrase: seed.to_phrase().to_string(),
            account_secret: hex::encode(seed.account_key().to_bytes()),
            account_public: seed.account_key().public().to_string(),
            counter,
            withdraw_id: hex::encode(request_id),
            exchange_id: hex::encode(seed.exchange_id(counter)),
            purchase_secret: hex::encode(seed.purchase_key(counter).to_bytes()),
            note_id: hex::encode(seed.recovery_record_id(counter)),
            note_key: hex::encode(seed.recovery_record_key(counter).as_bytes()),
            request_id: hex::encode(request_id),
            slot,
            coin_secret: hex::encode(seed.coin_key(&request_id, slot).to_bytes()),
            client_randomness: hex::encode(seed.client_randomness(&request_id)),
            other_public: other.to_string(),
            diffie_hellman: hex::encode(
                seed.account_key()
                    .diffie_hellman(&other)
                    .expect("a good key")
                    .as_bytes(),
            ),
        }
    };
    [[0; 32], [0x7f; 32], draw("vector seed", 0)]
        .into_iter()
        .enumerate()
        .map(vector)
        .collect()
}
