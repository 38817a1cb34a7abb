//! The independent vectors of coins, keys, signatures and seeds, of versions 1 and 2. See `vectors/README.md`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod support;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT as G;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use farthing_coin::{
    Batch, Calendar, Challenge, Coin, Commitment, Denomination, DenominationSecret, Document, EncodedPoint,
    EncodedScalar, EpochKeys, KeyBook, KeyId, KeyList, MasterSecret, PublicKey, RequestId, Response,
    SecretKey, Seed, Signature, Signed, Statement, StatementDigest, Transcript, TranscriptExt, blind,
    generator_h, recover,
};
use farthing_vectors::{Check, Claims, Field, check_all, file};
use std::fmt::Debug;
use support::TestRng;

const CHECKS: &[Check] = &[
    ("parties", "bank", party),
    ("parties", "escrow", party),
    ("parties", "merchant", party),
    ("parties", "wallet", wallet),
    ("parties", "stranger", stranger),
    ("wallet", "wallets", wallets),
    ("wallet", "sessions", session),
    ("digests", "denominations", denomination),
    ("digests", "key_lists", key_list),
    ("keys", "diffie_hellman", diffie_hellman),
    ("negatives_coin", "points", point),
    ("negatives_coin", "scalars", scalar),
    ("negatives_coin", "wide_reductions", wide_reduction),
    ("negatives_coin", "denominations", denomination),
    ("negatives_coin", "coins", coin),
    ("negatives_coin", "signatures", signature),
    ("negatives_coin", "batches", batch),
    ("negatives_protocol", "phrases", phrase),
];

#[test]
fn every_case_of_version_1_agrees() {
    assert!(check_all("v1", "coin", CHECKS) > 1000);
}

/// The vectors of version 2. This implementation made them itself.
const CHECKS_2: &[Check] = &[("wallet", "accounts", account)];

#[test]
fn every_case_of_version_2_agrees() {
    assert!(check_all("v2", "coin", CHECKS_2) > 30);
}

// ---- reading ----------------------------------------------------------------------------------------------

fn key(field: Field<'_>) -> SecretKey {
    SecretKey::from_bytes(&field.array()).expect("a key")
}

fn public(field: Field<'_>) -> PublicKey {
    PublicKey(field.array())
}

fn canonical(field: Field<'_>) -> Scalar {
    Scalar::from_canonical_bytes(field.array()).expect("canonical")
}

fn decompressed(bytes: [u8; 32]) -> RistrettoPoint {
    CompressedRistretto(bytes).decompress().expect("a point")
}

fn encoded(point: RistrettoPoint) -> [u8; 32] {
    point.compress().to_bytes()
}

fn fifth_power(y: Scalar) -> Scalar {
    y * y * y * y * y
}

fn read_coin(field: Field<'_>) -> Coin {
    Coin {
        suite: field.get("suite").u64() as u8,
        key_id: KeyId(field.get("key_id").array()),
        public: public(field.get("public")),
        r: EncodedPoint(field.get("r").array()),
        z: EncodedScalar(field.get("z").array()),
        y: EncodedScalar(field.get("y").array()),
    }
}

fn read_denomination(field: Field<'_>) -> Denomination {
    Denomination {
        bank: public(field.get("bank")),
        currency: field.get("currency").text().to_owned(),
        value: field.get("value").u64(),
        epoch: field.get("epoch").u32(),
        issue_from_ms: field.get("issue_from").u64(),
        issue_until_ms: field.get("issue_until").u64(),
        spend_until_ms: field.get("spend_until").u64(),
        redeem_until_ms: field.get("redeem_until").u64(),
        public: public(field.get("X")),
    }
}

/// The denominations of a vector file, in order.
fn denominations(name: &str) -> Vec<Denomination> {
    let file = file("v1", name);
    let list = Field(&file).get("denominations").items();
    list.into_iter().map(read_denomination).collect()
}

/// The name of an error in the vectors. They call the denomination's key X.
fn error_name(error: impl Debug) -> String {
    format!("{error:?}").replace("denomination key", "X")
}

/// Claims that `result` is the error that the case names, or `Ok` if it names none.
fn refused<E: Debug>(claims: &mut Claims, result: Result<(), E>, case: Field<'_>) {
    let error = result.err().map(error_name);
    claims.equal("error", error, case.find("error").map(|e| e.text().to_owned()));
}

/// As [`refused`], for a case that names the kind of error without the field.
fn refused_as<E: Debug>(claims: &mut Claims, claim: &str, result: Result<(), E>, kind: Option<Field<'_>>) {
    let error = result.err().map(error_name);
    let error = error.map(|error| error.split('(').next().unwrap_or_default().to_owned());
    claims.equal(claim, error, kind.map(|e| e.text().to_owned()));
}

// ---- parties and wallets ----------------------------------------------------------------------------------

fn party(case: Field<'_>, claims: &mut Claims) {
    claims.bytes("identity", key(case.get("identity_secret")).public().0, case);
}

fn stranger(case: Field<'_>, claims: &mut Claims) {
    claims.bytes("public", key(case.get("secret")).public().0, case);
}

fn wallet(case: Field<'_>, claims: &mut Claims) {
    let seed = phrase_of(case, claims);
    let bank = file("v1", "parties");
    let bank = public(Field(&bank).get("bank").get("identity"));
    claims.bytes("bank_seed", *seed.for_bank(&bank).to_bytes(), case);
}

/// Claims the values that derive from a phrase alone.
fn phrase_of(case: Field<'_>, claims: &mut Claims) -> Seed {
    let seed = Seed::from_phrase(case.get("phrase").text()).expect("a good phrase");
    claims.bytes("seed", *seed.to_bytes(), case);
    claims.equal("phrase", seed.to_phrase().as_str(), case.get("phrase").text());
    let account = seed.account_key();
    claims.bytes("account_secret", *account.to_bytes(), case);
    claims.bytes("account", account.public().0, case);
    seed
}

/// The key of a wallet's account at one bank, from the library and from the documented derivation.
fn account(case: Field<'_>, claims: &mut Claims) {
    let seed = Seed::from_phrase(case.get("phrase").text()).expect("a good phrase");
    let bank = public(case.get("bank"));
    claims.bytes("bank_seed", *seed.for_bank(&bank).to_bytes(), case);
    let account = seed.bank_account_key(&bank);
    claims.bytes("account_secret", *account.to_bytes(), case);
    claims.bytes("account", account.public().0, case);
    let mut transcript = Transcript::start(b"wallet bank account key");
    transcript.bytes(b"seed", &case.get("bank_seed").bytes());
    let documented = transcript.scalar(b"key");
    claims.hex(
        "account_secret, as documented",
        documented.as_bytes(),
        case.get("account_secret"),
    );
    claims.holds(
        "differs from the shared account key",
        *account.to_bytes() != *seed.account_key().to_bytes(),
    );
}

fn wallets(case: Field<'_>, claims: &mut Claims) {
    let seed = phrase_of(case, claims);
    for bank in case.get("banks").items() {
        let seed = seed.for_bank(&public(bank.get("bank")));
        claims.bytes("bank_seed", *seed.to_bytes(), bank);
        for id in bank.get("withdraw_ids").items() {
            claims.hex(
                "withdraw_ids",
                seed.withdraw_id(id.get("counter").u64()),
                id.get("id"),
            );
        }
        for id in bank.get("exchange_ids").items() {
            claims.hex(
                "exchange_ids",
                seed.exchange_id(id.get("counter").u64()),
                id.get("id"),
            );
        }
        for request in bank.get("client_randomness").items() {
            let randomness = seed.client_randomness(&RequestId(request.get("request_id").array()));
            claims.hex("client_randomness", randomness, request.get("randomness"));
        }
        for slot in bank.get("coin_keys").items() {
            coin_key(&seed, slot, claims);
        }
        for slot in bank.get("blinders").items() {
            blinders(&seed, slot, claims);
        }
        for purchase in bank.get("purchase_keys").items() {
            let key = seed.purchase_key(purchase.get("counter").u64());
            claims.bytes("purchase_secret", *key.to_bytes(), purchase);
            claims.bytes("purchase_key", key.public().0, purchase);
        }
        for note in bank.get("notes").items() {
            let counter = note.get("counter").u64();
            claims.bytes("note_id", seed.recovery_record_id(counter), note);
            claims.bytes("note_key", *seed.recovery_record_key(counter).as_bytes(), note);
        }
        claims.bytes("memo_key", *seed.recovery_record_key(u64::MAX).as_bytes(), bank);
    }
}

/// Claims a coin's key, and the id of its request.
fn coin_key(seed: &Seed, slot: Field<'_>, claims: &mut Claims) {
    let counter = slot.get("counter").u64();
    let id = match slot.get("of").text() {
        "withdraw" => seed.withdraw_id(counter),
        _ => seed.exchange_id(counter),
    };
    claims.bytes("request_id", id, slot);
    let key = seed.coin_key(&id, slot.get("slot").u32());
    claims.bytes("coin_secret", *key.to_bytes(), slot);
    if let Some(public) = slot.find("public") {
        claims.hex("public", key.public().0, public);
    }
}

/// Claims alpha, r and beta, which the library does not show. It compares the documented derivation with the vector, and the
/// library's challenge with the challenge of the vector's blinders.
fn blinders(seed: &Seed, slot: Field<'_>, claims: &mut Claims) {
    let request_id = slot.get("request_id").array();
    let number = slot.get("slot").u32();
    let key_id = KeyId(slot.get("key_id").array());
    let commitment = Commitment {
        a: EncodedPoint(slot.get("A").array()),
        b: EncodedPoint(slot.get("B").array()),
    };
    let mut transcript = Transcript::start(b"wallet blinders");
    transcript.bytes(b"seed", seed.to_bytes().as_ref());
    transcript.bytes(b"request id", &request_id);
    transcript.u32(b"slot", number);
    transcript.bytes(b"key id", &key_id.0);
    transcript.bytes(b"A", &commitment.a.0);
    transcript.bytes(b"B", &commitment.b.0);
    for (name, label) in [("alpha", &b"alpha"[..]), ("r", b"r"), ("beta", b"beta")] {
        claims.bytes(name, transcript.scalar(label).as_bytes(), slot);
    }
    let any = denominations("digests").remove(0);
    let m = seed.coin_key(&RequestId(request_id), number).public();
    let blinders = seed.blinders(&RequestId(request_id), number, &key_id, &commitment);
    let challenge = blind(&any, &m, &commitment, &blinders).expect("a good first message");
    claims.equal(
        "challenge",
        challenge.0,
        Blinding::read(slot, &commitment).challenge(&any, &m).1,
    );
}

/// A first message and blinders, from a vector.
struct Blinding {
    a: RistrettoPoint,
    b: RistrettoPoint,
    alpha: Scalar,
    r: Scalar,
    beta: Scalar,
}

impl Blinding {
    fn read(slot: Field<'_>, commitment: &Commitment) -> Self {
        Blinding {
            a: decompressed(commitment.a.0),
            b: decompressed(commitment.b.0),
            alpha: canonical(slot.get("alpha")),
            r: canonical(slot.get("r")),
            beta: canonical(slot.get("beta")),
        }
    }

    /// R' and c, from the equations.
    fn challenge(&self, denomination: &Denomination, m: &PublicKey) -> ([u8; 32], [u8; 32]) {
        let alpha5 = fifth_power(self.alpha);
        let x_point = decompressed(denomination.public.0);
        let r = G * self.r + self.a * alpha5 + x_point * (alpha5 * self.beta) + self.b * self.alpha;
        let c = coin_challenge(denomination, m, &encoded(r)) * alpha5.invert() + self.beta;
        (encoded(r), c.to_bytes())
    }
}

/// c', from the documented transcript.
fn coin_challenge(denomination: &Denomination, m: &PublicKey, r: &[u8; 32]) -> Scalar {
    let mut transcript = Transcript::start(b"coin");
    transcript.bytes(b"key id", &denomination.id().0);
    transcript.bytes(b"X", &denomination.public.0);
    transcript.bytes(b"m", &m.0);
    transcript.bytes(b"R", r);
    transcript.scalar(b"c")
}

fn session(case: Field<'_>, claims: &mut Claims) {
    let seed = Seed::from_bytes(&case.get("bank_seed").array());
    coin_key(&seed, case, claims);
    blinders(&seed, case, claims);
    let id = KeyId(case.get("key_id").array());
    let all = denominations("digests");
    let d = all.iter().find(|d| d.id() == id).expect("a known key");
    claims.bytes("X", d.public.0, case);
    claims.bytes("X", key(case.get("x")).public().0, case);

    let commitment = Commitment {
        a: EncodedPoint(case.get("A").array()),
        b: EncodedPoint(case.get("B").array()),
    };
    let response = case.get("response");
    let (z, b, y) = (response.get("z"), response.get("b"), response.get("y"));
    let (a, x, c) = (
        canonical(case.get("a")),
        canonical(case.get("x")),
        canonical(case.get("challenge")),
    );
    let h = decompressed(generator_h().0);
    claims.bytes("A", encoded(G * a), case);
    claims.bytes("B", encoded(G * canonical(b) + h * canonical(y)), case);
    claims.hex("z", (a + (c + fifth_power(canonical(y))) * x).to_bytes(), z);

    let request_id = case.get("request_id").array();
    let slot = case.get("slot").u32();
    let m = seed.coin_key(&RequestId(request_id), slot).public();
    let blinding = Blinding::read(case, &commitment);
    let (r_prime, _) = blinding.challenge(d, &m);
    claims.bytes("R", r_prime, case);
    claims.bytes("coin_challenge", coin_challenge(d, &m, &r_prime).as_bytes(), case);
    let own = seed.blinders(&RequestId(request_id), slot, &id, &commitment);
    let challenge = blind(d, &m, &commitment, &own).expect("a good first message");
    claims.bytes("challenge", challenge.0, case);

    let response = Response {
        z: EncodedScalar(z.array()),
        b: EncodedScalar(b.array()),
        y: EncodedScalar(y.array()),
    };
    let recovered = recover(d, &m, &challenge, &response, |key_id, first| {
        claims.equal("reconstructed", *first, commitment);
        seed.blinders(&RequestId(request_id), slot, key_id, first)
    });
    let recovered = recovered.expect("a good answer");
    claims.equal("coin", recovered, read_coin(case.get("coin")));
    claims.result("coin verifies", recovered.verify(d));
}

// ---- digests and keys -------------------------------------------------------------------------------------

fn denomination(case: Field<'_>, claims: &mut Claims) {
    let denomination = read_denomination(case);
    claims.bytes("id", denomination.id().0, case);
    claims.bytes("X", key(case.get("x")).public().0, case);
    if let Some(master) = case.find("master") {
        let secret = DenominationSecret::derive(
            &MasterSecret::from_bytes(master.array()),
            denomination.value,
            denomination.epoch,
        );
        claims.bytes("X", secret.public().0, case);
    }
}

fn read_key_list(case: Field<'_>) -> KeyList {
    let calendar = case.get("calendar");
    let keys = |epoch: Field<'_>| EpochKeys {
        epoch: epoch.get("epoch").u32(),
        keys: epoch.get("keys").items().into_iter().map(public).collect(),
    };
    KeyList {
        bank: public(case.get("bank")),
        currency: case.get("currency").text().to_owned(),
        calendar: Calendar {
            epoch_ms: calendar.get("epoch_length").u64(),
            spend_epochs: calendar.get("spend_epochs").u32(),
            redeem_epochs: calendar.get("redeem_epochs").u32(),
        },
        values: case.get("values").items().into_iter().map(Field::u64).collect(),
        epochs: case.get("epochs").items().into_iter().map(keys).collect(),
    }
}

fn key_list(case: Field<'_>, claims: &mut Claims) {
    let list = read_key_list(case);
    claims.result("check", list.check());
    let links = case.get("links").items();
    let (root, later) = links.split_first().expect("a first link");
    claims.hex("first link", first_link(&list), *root);
    let chain = list.chain();
    claims.equal("number of links", chain.len(), later.len());
    for (link, published) in chain.iter().zip(later) {
        claims.hex("link", link, *published);
    }
    claims.bytes("document_digest", list.digest(), case);

    // The signer must be the bank that the list names.
    let bank = SecretKey::from_wide(&[9; 64]).expect("not zero");
    let book = |list: &KeyList| {
        let list = KeyList {
            bank: bank.public(),
            ..list.clone()
        };
        KeyBook::new(Signed::sign(list, &bank), &bank.public()).expect("a good list")
    };
    let file = file("v1", "digests");
    let all = Field(&file).get("key_lists").items();
    let older = case.find("extends").map(|index| all[index.u64() as usize]);
    let extended: Vec<bool> = (all.iter())
        .filter(|other| other.get("name").text() != case.get("name").text())
        .map(|other| book(&list).extends(&book(&read_key_list(*other))))
        .collect();
    claims.equal("extends", extended.contains(&true), older.is_some());
    if let Some(older) = older {
        claims.holds(
            "extends that list",
            book(&list).extends(&book(&read_key_list(older))),
        );
        let link = older.get("digest");
        claims.holds(
            "knows its digest",
            later.iter().any(|known| known.text() == link.text()),
        );
    }
    claims.hex("digest", chain.last().expect("a link"), case.get("digest"));
}

/// The first link of a list's chain, from the documented transcript.
fn first_link(list: &KeyList) -> [u8; 32] {
    let mut transcript = Transcript::start(b"key list");
    transcript.bytes(b"bank", &list.bank.0);
    transcript.bytes(b"currency", list.currency.as_bytes());
    transcript.u64(b"epoch length", list.calendar.epoch_ms);
    transcript.u32(b"spend epochs", list.calendar.spend_epochs);
    transcript.u32(b"redeem epochs", list.calendar.redeem_epochs);
    transcript.count(b"values", list.values.len());
    for value in &list.values {
        transcript.u64(b"value", *value);
    }
    transcript.digest32(b"link")
}

fn diffie_hellman(case: Field<'_>, claims: &mut Claims) {
    let (secret, other) = (case.get("secret"), case.get("public"));
    let point = decompressed(other.array()) * canonical(secret);
    claims.bytes("point", encoded(point), case);
    let shared = key(secret).diffie_hellman(&public(other)).expect("a good key");
    claims.bytes("shared", *shared.as_bytes(), case);
}

// ---- refused values ---------------------------------------------------------------------------------------

fn point(case: Field<'_>, claims: &mut Claims) {
    let key = public(case.get("encoding"));
    refused_as(claims, "public key", key.check(), case.find("error"));
    let statement = Statement {
        context: "any",
        key_id: KeyId([0; 32]),
        digest: StatementDigest([0; 32]),
    };
    let signature = Signature {
        commitment: EncodedPoint(key.0),
        response: EncodedScalar([0; 32]),
    };
    let signer = SecretKey::from_wide(&[9; 64]).expect("not zero").public();
    // A good commitment is not refused for its encoding.
    let error = signer.verify(&statement, &signature).err();
    let error = error.filter(|error| *error != farthing_coin::SignatureError::Forged);
    refused_as(
        claims,
        "commitment",
        error.map_or(Ok(()), Err),
        case.find("error"),
    );
}

fn scalar(case: Field<'_>, claims: &mut Claims) {
    let encoding = case.get("encoding").array();
    refused_as(
        claims,
        "challenge",
        Challenge(encoding).check(),
        case.find("error"),
    );
    let zero = encoding == [0; 32];
    let secret = SecretKey::from_bytes(&encoding).map(drop);
    if !zero {
        refused_as(claims, "secret key", secret, case.find("error"));
    } else {
        claims.equal(
            "secret key",
            format!("{secret:?}"),
            r#"Err(Identity("secret key"))"#.to_owned(),
        );
    }
}

fn wide_reduction(case: Field<'_>, claims: &mut Claims) {
    let reduced = SecretKey::from_wide(&case.get("bytes").array()).map(|key| *key.to_bytes());
    let expected = case.get("scalar").array();
    // Zero is no secret key.
    claims.equal("scalar", reduced.ok(), (expected != [0; 32]).then_some(expected));
}

fn coin(case: Field<'_>, claims: &mut Claims) {
    let index = case.get("denomination").u64() as usize;
    let mut denomination = denominations("negatives_coin").remove(index);
    if let Some(other) = case.find("X") {
        denomination.public = public(other);
    }
    let coin = read_coin(case.get("coin"));
    refused(claims, coin.verify(&denomination), case);
    let mut batch = Batch::new();
    batch.coin(0, &coin, &denomination);
    let culprit = batch.verify(&mut TestRng::new("independent batch", 0));
    let error = culprit.err().map(|it| error_name(it.what));
    let error = error.map(|error| error["Coin(".len()..error.len() - 1].to_owned());
    claims.equal(
        "in a batch",
        error,
        case.find("error").map(|e| e.text().to_owned()),
    );
}

/// The signer, the statement and the signature of a case.
fn signed(case: Field<'_>) -> (PublicKey, Statement, Signature) {
    let statement = Statement {
        context: case.get("context").text().to_owned().leak(),
        key_id: KeyId(case.get("key_id").array()),
        digest: StatementDigest(case.get("digest").array()),
    };
    let signature = Signature {
        commitment: EncodedPoint(case.get("commitment").array()),
        response: EncodedScalar(case.get("response").array()),
    };
    (public(case.get("public")), statement, signature)
}

fn signature(case: Field<'_>, claims: &mut Claims) {
    let (public, statement, signature) = signed(case);
    refused(claims, public.verify(&statement, &signature), case);
}

fn batch(case: Field<'_>, claims: &mut Claims) {
    let all = denominations("negatives_coin");
    let mut batch = Batch::new();
    for (index, entry) in case.get("entries").items().into_iter().enumerate() {
        let denomination = &all[entry.get("denomination").u64() as usize];
        let (_, statement, signature) = signed(entry.get("authorization"));
        let coin = read_coin(entry.get("coin"));
        batch.coin_with_authorization(index, &coin, denomination, &statement, &signature);
    }
    let culprit = batch.verify(&mut TestRng::new("independent batch", 0)).err();
    let named = culprit.map(|it| (it.index as u64, format!("{:?}", it.what)));
    let expected = case.get("culprits").items().into_iter().next();
    let expected = expected.map(|c| (c.get("index").u64(), c.get("error").text().to_owned()));
    claims.equal("first culprit", named, expected);
}

fn phrase(case: Field<'_>, claims: &mut Claims) {
    let seed = Seed::from_phrase(case.get("phrase").text()).ok();
    let seed = seed.map(|seed| hex::encode(*seed.to_bytes()));
    claims.equal("seed", seed, case.find("seed").map(|s| s.text().to_owned()));
}
