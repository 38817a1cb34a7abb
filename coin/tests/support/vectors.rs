//! The test vectors: their types, and how they are made.
//!
//! Everything secret (nonces, blinders, x) is computed here a second time, from `docs/CRYPTOGRAPHY.md` and not by
//! the library, so that the vectors also hold what the library does not show.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT as G;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use farthing_coin::{
    Batch, Calendar, Challenge, Coin, Commitment, Denomination, DenominationSecret, Document, EpochKeys,
    KeyId, KeyList, Nonces, PublicKey, Response, SecretKey, Seed, Signature, Signed, Statement, Transcript,
    TranscriptExt, blind, unblind,
};
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::support::{CONTEXT, TestRng};

/// The group order, the smallest scalar encoding that is not canonical.
pub const GROUP_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
/// Encodings that RFC 9496, appendix A.2, lists as invalid.
pub const BAD_POINTS: [&str; 3] = [
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",
];
const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Serialize, Deserialize)]
pub struct Generators {
    pub suite: u8,
    pub g: String,
    pub h_uniform_bytes: String,
    pub h: String,
}

#[derive(Serialize, Deserialize)]
pub struct DenominationVector {
    pub master: String,
    pub bank: String,
    pub currency: String,
    pub value: u64,
    pub epoch: u32,
    pub issue_from_ms: u64,
    pub issue_until_ms: u64,
    pub spend_until_ms: u64,
    pub redeem_until_ms: u64,
    pub x: String,
    pub public: String,
    pub id: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct CoinVector {
    pub suite: u8,
    pub key_id: String,
    pub public: String,
    pub r: String,
    pub z: String,
    pub y: String,
}

#[derive(Serialize, Deserialize)]
pub struct IssueVector {
    pub denomination: usize,
    pub fresh: String,
    pub boot_id: String,
    pub session_id: String,
    pub client_randomness: String,
    pub bank_a: String,
    pub bank_b: String,
    pub bank_y: String,
    pub commitment_a: String,
    pub commitment_b: String,
    pub seed: String,
    pub request_id: String,
    pub slot: u32,
    pub coin_secret: String,
    pub alpha: String,
    pub r: String,
    pub beta: String,
    pub coin_challenge: String,
    pub challenge: String,
    pub response_z: String,
    pub response_b: String,
    pub response_y: String,
    pub coin: CoinVector,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct SignatureVector {
    pub public: String,
    pub context: String,
    pub key_id: String,
    pub digest: String,
    pub commitment: String,
    pub response: String,
}

#[derive(Serialize, Deserialize)]
pub struct SigningVector {
    pub secret: String,
    pub nonce: String,
    pub e: String,
    pub signature: SignatureVector,
}

#[derive(Serialize, Deserialize)]
pub struct BatchEntry {
    pub denomination: usize,
    pub coin: CoinVector,
    pub authorization: SignatureVector,
}

#[derive(Serialize, Deserialize)]
pub struct CulpritVector {
    pub index: usize,
    pub error: String,
}

#[derive(Serialize, Deserialize)]
pub struct BatchVector {
    pub name: String,
    pub entries: Vec<BatchEntry>,
    pub culprits: Vec<CulpritVector>,
}

#[derive(Serialize, Deserialize)]
pub struct NegativeCoin {
    pub name: String,
    pub denomination: usize,
    pub coin: CoinVector,
    pub error: String,
}

#[derive(Serialize, Deserialize)]
pub struct NegativeSignature {
    pub name: String,
    pub signature: SignatureVector,
    pub error: String,
}

#[derive(Serialize, Deserialize)]
pub struct Negatives {
    pub coins: Vec<NegativeCoin>,
    pub signatures: Vec<NegativeSignature>,
}

#[derive(Serialize, Deserialize)]
pub struct KeyListVector {
    pub secret: String,
    pub bank: String,
    pub currency: String,
    pub epoch_ms: u64,
    pub spend_epochs: u32,
    pub redeem_epochs: u32,
    pub values: Vec<u64>,
    pub first_epoch: u32,
    pub keys: Vec<Vec<String>>,
    pub chain: Vec<String>,
    pub document_digest: String,
    pub commitment: String,
    pub response: String,
}

#[derive(Serialize, Deserialize)]
pub struct SeedVector {
    pub seed: String,
    pub phrase: String,
    pub account_secret: String,
    pub account_public: String,
    pub counter: u64,
    pub withdraw_id: String,
    pub exchange_id: String,
    pub purchase_secret: String,
    pub note_id: String,
    pub note_key: String,
    pub request_id: String,
    pub slot: u32,
    pub coin_secret: String,
    pub client_randomness: String,
    pub other_public: String,
    pub diffie_hellman: String,
}

/// Every file of vectors, by name.
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

pub fn unhex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text)
        .expect("hexadecimal")
        .try_into()
        .expect("the right length")
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

impl DenominationVector {
    pub fn denomination(&self) -> Denomination {
        Denomination {
            bank: self.bank.parse().expect("hexadecimal"),
            currency: self.currency.clone(),
            value: self.value,
            epoch: self.epoch,
            issue_from_ms: self.issue_from_ms,
            issue_until_ms: self.issue_until_ms,
            spend_until_ms: self.spend_until_ms,
            redeem_until_ms: self.redeem_until_ms,
            public: self.public.parse().expect("hexadecimal"),
        }
    }
}

impl CoinVector {
    fn new(coin: &Coin) -> Self {
        Self {
            suite: coin.suite,
            key_id: coin.key_id.to_string(),
            public: coin.public.to_string(),
            r: hex::encode(coin.r),
            z: hex::encode(coin.z),
            y: hex::encode(coin.y),
        }
    }

    pub fn coin(&self) -> Coin {
        Coin {
            suite: self.suite,
            key_id: KeyId(unhex(&self.key_id)),
            public: PublicKey(unhex(&self.public)),
            r: unhex(&self.r),
            z: unhex(&self.z),
            y: unhex(&self.y),
        }
    }
}

impl SignatureVector {
    fn new(public: &PublicKey, statement: &Statement, signature: &Signature) -> Self {
        Self {
            public: public.to_string(),
            context: statement.context.to_owned(),
            key_id: hex::encode(statement.key_id),
            digest: hex::encode(statement.digest),
            commitment: hex::encode(signature.commitment),
            response: hex::encode(signature.response),
        }
    }

    /// The signer, the statement and the signature. A statement's context is static, so it is leaked here.
    pub fn parts(&self) -> (PublicKey, Statement, Signature) {
        let statement = Statement {
            context: Box::leak(self.context.clone().into_boxed_str()),
            key_id: unhex(&self.key_id),
            digest: unhex(&self.digest),
        };
        let signature = Signature {
            commitment: unhex(&self.commitment),
            response: unhex(&self.response),
        };
        (PublicKey(unhex(&self.public)), statement, signature)
    }
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
fn blinders(seed: &[u8; 32], request_id: &[u8; 32], slot: u32, commitment: &Commitment) -> [Scalar; 3] {
    let mut transcript = Transcript::start(b"wallet blinders");
    transcript.bytes(b"seed", seed);
    transcript.bytes(b"request id", request_id);
    transcript.u32(b"slot", slot);
    transcript.bytes(b"A", &commitment.a);
    transcript.bytes(b"B", &commitment.b);
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
    transcript.bytes(b"R", &coin.r);
    transcript.scalar(b"c")
}

/// The vector of one session, and the secret key of its coin.
fn issue(number: usize) -> (IssueVector, SecretKey) {
    let denomination_number = number % KEYS.len();
    let d = denomination(denomination_number);
    let secret = DenominationSecret::derive(&master(), d.value, d.epoch);
    let fresh: [u8; 64] = draw("vector nonces", number);
    let boot_id = draw("vector boot", 0);
    let session_id = format!("session {number}");
    let seed_bytes = draw("vector seed", 0);
    let seed = Seed::from_bytes(&seed_bytes);
    let request_id = seed.withdraw_id(number as u64);
    let client_randomness = seed.client_randomness(&request_id);
    let slot = number as u32;

    let mut rng = TestRng::new("vector nonces", number as u64);
    let (bank, commitment) = Nonces::generate(&mut rng, &boot_id, session_id.as_bytes(), &client_randomness);
    let key = seed.coin_key(&request_id, slot);
    let wallet = seed.blinders(&request_id, slot, &commitment);
    let challenge: Challenge = blind(&d, &key.public(), &commitment, &wallet).expect("a good first message");
    let response: Response = bank.respond(&secret, &challenge).expect("canonical");
    let coin = unblind(&d, &key.public(), &commitment, &wallet, &response).expect("a good answer");

    let [a, b, y] = nonces(&fresh, &boot_id, session_id.as_bytes(), &client_randomness);
    let [alpha, r, beta] = blinders(&seed_bytes, &request_id, slot, &commitment);
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

/// Checks one session equation by equation, with nothing of the library's but the coin's verification.
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
    assert_eq!(r_prime.compress().to_bytes(), coin.r);
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
    assert_eq!((r + alpha5 * z + alpha * b).to_bytes(), coin.z);
    assert_eq!((alpha * y).to_bytes(), coin.y);
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
        key_id: draw("vector key id", number),
        digest: draw("vector digest", number),
    };
    let signature = key.sign(&statement);
    let mut nonce = Transcript::start(b"signature nonce");
    nonce.bytes(b"secret", key.to_bytes().as_ref());
    nonce.bytes(b"context", statement.context.as_bytes());
    nonce.bytes(b"P", &key.public().0);
    nonce.bytes(b"key id", &statement.key_id);
    nonce.bytes(b"digest", &statement.digest);
    let mut challenge = Transcript::start(b"signature");
    challenge.bytes(b"context", statement.context.as_bytes());
    challenge.bytes(b"P", &key.public().0);
    challenge.bytes(b"key id", &statement.key_id);
    challenge.bytes(b"S", &signature.commitment);
    challenge.bytes(b"digest", &statement.digest);
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
    assert_eq!((G * k).compress().to_bytes(), signature.commitment);
    assert_eq!((k + e * x).to_bytes(), signature.response);
    assert_eq!(public.verify(&statement, &signature), Ok(()));
}

fn batch_entries() -> Vec<BatchEntry> {
    let entry = |number| {
        let (vector, key) = issue(number);
        let statement = Statement {
            context: CONTEXT,
            key_id: unhex(&vector.coin.key_id),
            digest: draw("vector purchase", 0),
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

/// Verifies the entries as one batch and gives the culprits as index and error.
pub fn verify_entries(entries: &[BatchEntry], denominations: &[Denomination]) -> Vec<(usize, String)> {
    let mut batch = Batch::new();
    for (index, entry) in entries.iter().enumerate() {
        let (_, statement, signature) = entry.authorization.parts();
        let d = &denominations[entry.denomination];
        batch.coin_with_authorization(index, &entry.coin.coin(), d, &statement, &signature);
    }
    let culprits = batch
        .verify(&mut TestRng::new("vector batch", 0))
        .err()
        .unwrap_or_default();
    culprits
        .iter()
        .map(|culprit| (culprit.index, format!("{:?}", culprit.what)))
        .collect()
}

fn batches() -> Vec<BatchVector> {
    let all: Vec<Denomination> = (0..KEYS.len()).map(denomination).collect();
    let mut forged = batch_entries();
    let coin = &mut forged[2].coin;
    std::mem::swap(&mut coin.z, &mut coin.y);
    forged[4].authorization.digest = hex::encode(draw::<32>("vector purchase", 1));
    forged[5].coin.y = ZERO.to_owned();
    let batch = |name: &str, entries: Vec<BatchEntry>| {
        let culprits = verify_entries(&entries, &all);
        let culprits = culprits
            .into_iter()
            .map(|(index, error)| CulpritVector { index, error })
            .collect();
        BatchVector {
            name: name.to_owned(),
            entries,
            culprits,
        }
    };
    vec![batch("all good", batch_entries()), batch("three bad", forged)]
}

fn flip(text: &str) -> String {
    let mut bytes: [u8; 32] = unhex(text);
    bytes[0] ^= 2;
    hex::encode(bytes)
}

fn negatives() -> Negatives {
    Negatives {
        coins: negative_coins(),
        signatures: negative_signatures(),
    }
}

fn negative_coins() -> Vec<NegativeCoin> {
    let good = issue(0).0.coin;
    let other = issue(3).0.coin;
    let mut cases: Vec<(String, usize, CoinVector)> = Vec::new();
    let mut case = |name: &str, denomination: usize, change: &dyn Fn(&mut CoinVector)| {
        let mut coin = good.clone();
        change(&mut coin);
        cases.push((name.to_owned(), denomination, coin));
    };
    case("suite 0", 0, &|coin| coin.suite = 0);
    case("suite 2", 0, &|coin| coin.suite = 2);
    case("key id altered", 0, &|coin| coin.key_id = flip(&coin.key_id));
    case("checked under another value's key", 1, &|_| ());
    case("checked under another epoch's key", 2, &|_| ());
    case("relabelled with another value's key id", 1, &|coin| {
        coin.key_id = denomination(1).id().to_string()
    });
    case("relabelled with another epoch's key id", 2, &|coin| {
        coin.key_id = denomination(2).id().to_string()
    });
    case("y' is zero", 0, &|coin| coin.y = ZERO.to_owned());
    case("public is the identity", 0, &|coin| coin.public = ZERO.to_owned());
    case("r is the identity", 0, &|coin| coin.r = ZERO.to_owned());
    for bad in BAD_POINTS {
        case("public is no point", 0, &|coin| coin.public = bad.to_owned());
        case("r is no point", 0, &|coin| coin.r = bad.to_owned());
    }
    case("z is the group order", 0, &|coin| coin.z = GROUP_ORDER.to_owned());
    case("y is the group order", 0, &|coin| coin.y = GROUP_ORDER.to_owned());
    case("z altered", 0, &|coin| coin.z = flip(&coin.z));
    case("y altered", 0, &|coin| coin.y = flip(&coin.y));
    case("z and y swapped", 0, &|coin| {
        std::mem::swap(&mut coin.z, &mut coin.y)
    });
    case("public of another coin", 0, &|coin| {
        coin.public = other.public.clone()
    });
    case("r of another coin", 0, &|coin| coin.r = other.r.clone());
    case("z of another coin", 0, &|coin| coin.z = other.z.clone());
    case("y of another coin", 0, &|coin| coin.y = other.y.clone());
    case("r and z of another coin", 0, &|coin| {
        coin.r = other.r.clone();
        coin.z = other.z.clone();
    });
    let refused = |(name, number, coin): (String, usize, CoinVector)| {
        let error = coin.coin().verify(&denomination(number)).expect_err(&name);
        NegativeCoin {
            name,
            denomination: number,
            coin,
            error: format!("{error:?}"),
        }
    };
    cases.into_iter().map(refused).collect()
}

fn negative_signatures() -> Vec<NegativeSignature> {
    let good = signing(0).signature;
    let other = signing(1).signature;
    let mut cases: Vec<(String, SignatureVector)> = Vec::new();
    let mut case = |name: &str, change: &dyn Fn(&mut SignatureVector)| {
        let mut signature = good.clone();
        change(&mut signature);
        cases.push((name.to_owned(), signature));
    };
    case("another signer", &|signature| {
        signature.public = other.public.clone()
    });
    case("another context", &|signature| signature.context.push('x'));
    case("key id altered", &|signature| {
        signature.key_id = flip(&signature.key_id)
    });
    case("digest altered", &|signature| {
        signature.digest = flip(&signature.digest)
    });
    case("commitment of another signature", &|signature| {
        signature.commitment = other.commitment.clone()
    });
    case("response altered", &|signature| {
        signature.response = flip(&signature.response)
    });
    case("response is the group order", &|signature| {
        signature.response = GROUP_ORDER.to_owned()
    });
    case("signer is the identity", &|signature| {
        signature.public = ZERO.to_owned()
    });
    case("commitment is the identity", &|signature| {
        signature.commitment = ZERO.to_owned()
    });
    for bad in BAD_POINTS {
        case("signer is no point", &|signature| {
            signature.public = bad.to_owned()
        });
        case("commitment is no point", &|signature| {
            signature.commitment = bad.to_owned()
        });
    }
    let refused = |(name, vector): (String, SignatureVector)| {
        let (public, statement, signature) = vector.parts();
        let error = public.verify(&statement, &signature).expect_err(&name);
        NegativeSignature {
            name,
            signature: vector,
            error: format!("{error:?}"),
        }
    };
    cases.into_iter().map(refused).collect()
}

fn key_list() -> KeyListVector {
    let values = vec![1, 2, 8];
    let first_epoch = 5;
    let epochs: Vec<EpochKeys> = (first_epoch..first_epoch + 3)
        .map(|epoch| EpochKeys {
            epoch,
            keys: values
                .iter()
                .map(|value| DenominationSecret::derive(&master(), *value, epoch).public())
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

impl KeyListVector {
    pub fn signed(&self) -> Signed<KeyList> {
        let epoch = |(epoch, keys): (u32, &Vec<String>)| EpochKeys {
            epoch,
            keys: keys.iter().map(|key| key.parse().expect("hexadecimal")).collect(),
        };
        let body = KeyList {
            bank: self.bank.parse().expect("hexadecimal"),
            currency: self.currency.clone(),
            calendar: Calendar {
                epoch_ms: self.epoch_ms,
                spend_epochs: self.spend_epochs,
                redeem_epochs: self.redeem_epochs,
            },
            values: self.values.clone(),
            epochs: (self.first_epoch..).zip(&self.keys).map(epoch).collect(),
        };
        let signature = Signature {
            commitment: unhex(&self.commitment),
            response: unhex(&self.response),
        };
        Signed { body, signature }
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
            note_id: hex::encode(seed.note_id(counter)),
            note_key: hex::encode(seed.note_key(counter)),
            request_id: hex::encode(request_id),
            slot,
            coin_secret: hex::encode(seed.coin_key(&request_id, slot).to_bytes()),
            client_randomness: hex::encode(seed.client_randomness(&request_id)),
            other_public: other.to_string(),
            diffie_hellman: hex::encode(seed.account_key().diffie_hellman(&other).expect("a good key")),
        }
    };
    [[0; 32], [0x7f; 32], draw("vector seed", 0)]
        .into_iter()
        .enumerate()
        .map(vector)
        .collect()
}
