//! Requests and replies that a relay carries. The equations of `docs/PROTOCOL.md`, Relay, and those of HPKE (RFC 9180)
//! are implemented a second time.

use crate::nonces::Drawn;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use curve25519_dalek::MontgomeryPoint;
use farthing_coin::{PublicKey, Transcript, TranscriptExt};
use farthing_protocol::{
    ids::ObliviousKey,
    oblivious::{
        DecryptionKeys, EncryptionKey, ReplyOpener, SealedReply, SealedRequest, StoredKeys, padded_bytes,
        seal_request,
    },
    wire,
};
use farthing_vectors::{Claims, Field};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The plaintext of a chunk of a reply (bytes).
const CHUNK: usize = 16_384;

/// The classes of sizes (bytes).
const CLASSES: [usize; 7] = [1_024, 4_096, 8_192, 20_480, 65_536, 130_048, 528_384];

/// The content of `length` bytes: byte i is i mod 251.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn length_of(case: Field<'_>) -> usize {
    case.get("length").u64() as usize
}

/// The plaintext of a request or a reply: the length, the content and zeros.
fn padded(content: &[u8]) -> Vec<u8> {
    let class = CLASSES.into_iter().find(|class| content.len() + 4 <= *class);
    let mut plaintext = (content.len() as u32).to_le_bytes().to_vec();
    plaintext.extend_from_slice(content);
    plaintext.resize(class.expect("short enough"), 0);
    plaintext
}

// ---- the cases ----------------------------------------------------------------------------------------------------

/// The lengths around the border of each class.
pub(crate) fn padding() -> Vec<Value> {
    let largest = |class: usize| [(class - 4, Some(class)), (class - 3, None)];
    let borders = CLASSES.into_iter().flat_map(largest);
    let lengths = [(0, Some(1_024)), (1, Some(1_024))].into_iter().chain(borders);
    let case = |(length, class): (usize, Option<usize>)| {
        let class = class.or_else(|| CLASSES.into_iter().find(|class| length + 4 <= *class));
        json!({ "length": length, "padded": class })
    };
    lengths.map(case).collect()
}

/// What a wallet encrypts to `target`, whose key of the day has this secret.
pub(crate) fn requests(target: PublicKey) -> Vec<Value> {
    let of = |name: &str, day: u32, length: usize, ikm: [u8; 32]| {
        let secret = [day as u8; 32];
        let mut case = json!({
            "name": name,
            "target": hex::encode(target.0),
            "day": day,
            "secret": hex::encode(secret),
            "key": hex::encode(MontgomeryPoint::mul_base_clamped(secret).0),
            "ikm": hex::encode(ikm),
            "length": length,
        });
        let again = Hpke::of(Field(&case));
        let (request, _) = sealed(Field(&case));
        case["info"] = json!(hex::encode(info(&key_of(Field(&case)))));
        case["encapsulated"] = json!(hex::encode(request.encapsulated.0));
        case["shared_secret"] = json!(hex::encode(again.shared));
        case["aead_key"] = json!(hex::encode(again.key));
        case["base_nonce"] = json!(hex::encode(again.nonce));
        case["exported"] = json!(hex::encode(again.exported()));
        case["sha256"] = json!(hex::encode(Sha256::digest(&request.body)));
        // The bodies of larger classes have only their digest here.
        case["body"] = match length <= 1_020 {
            true => json!(hex::encode(&request.body)),
            false => Value::Null,
        };
        case
    };
    vec![
        of("empty", 20_454, 0, [1; 32]),
        of("another day", 20_455, 0, [1; 32]),
        of("the largest of its class", 20_454, 1_020, [2; 32]),
        of("the next class", 20_454, 1_021, [3; 32]),
        of("the longest", 20_454, 130_044, [4; 32]),
    ]
}

/// The replies to the empty request.
pub(crate) fn replies(target: PublicKey) -> Vec<Value> {
    let request = requests(target).swap_remove(0);
    let of = |name: &str, length: usize, nonce: [u8; 32]| {
        let mut case = json!({
            "name": name,
            "request": request.clone(),
            "length": length,
            "nonce": hex::encode(nonce),
        });
        let (_, reply) = answered(Field(&case));
        case["key"] = json!(hex::encode(reply_key(Field(&case))));
        case["bytes"] = json!(reply.0.len());
        case["sha256"] = json!(hex::encode(Sha256::digest(&reply.0)));
        let chunks = reply.0[32..].chunks(CHUNK + 16);
        case["tags"] = chunks
            .map(|chunk| json!(hex::encode(&chunk[chunk.len() - 16..])))
            .collect();
        case["sealed"] = match length <= 1_020 {
            true => json!(hex::encode(&reply.0)),
            false => Value::Null,
        };
        case
    };
    vec![
        of("empty", 0, [5; 32]),
        of("another nonce", 0, [6; 32]),
        of("two chunks", 16_381, [7; 32]),
        of("whole chunks", 65_532, [8; 32]),
        of("the longest", 528_380, [9; 32]),
    ]
}

// ---- the library --------------------------------------------------------------------------------------------------

fn key_of(case: Field<'_>) -> EncryptionKey {
    EncryptionKey {
        target: PublicKey(case.get("target").array()),
        day: case.get("day").u32(),
        key: ObliviousKey(case.get("key").array()),
    }
}

/// The request of a case, and the means to open its reply.
fn sealed(case: Field<'_>) -> (SealedRequest, ReplyOpener) {
    let mut rng = Drawn(case.get("ikm").bytes());
    seal_request(&key_of(case), &content(length_of(case)), &mut rng).expect("a request")
}

/// The keys of the target of a request.
fn keys_of(request: Field<'_>) -> DecryptionKeys {
    let secret: [u8; 32] = request.get("secret").array();
    let stored = vec![(request.get("day").u32(), secret)];
    let stored = wire::encode(&stored).expect("short");
    let stored: StoredKeys = wire::decode(&stored, 1_000).expect("stored keys");
    DecryptionKeys::from_stored(PublicKey(request.get("target").array()), &stored).expect("keys")
}

/// What the target has encrypted for a case of a reply.
fn answered(case: Field<'_>) -> (ReplyOpener, SealedReply) {
    let request = case.get("request");
    let (sealed, opener) = sealed(request);
    let (_, sealer) = keys_of(request).open(&sealed).expect("it opens");
    let mut rng = Drawn(case.get("nonce").bytes());
    let reply = sealer.seal(&content(length_of(case)), &mut rng).expect("a reply");
    (opener, reply)
}

// ---- the equations, a second time ---------------------------------------------------------------------------------

fn info(key: &EncryptionKey) -> [u8; 32] {
    let mut transcript = Transcript::start(b"oblivious request");
    transcript.bytes(b"target", &key.target.0);
    transcript.u32(b"day", key.day);
    transcript.bytes(b"key", &key.key.0);
    transcript.digest32(b"info")
}

fn reply_key(case: Field<'_>) -> [u8; 32] {
    let request = case.get("request");
    let mut transcript = Transcript::start(b"oblivious reply");
    transcript.bytes(b"secret", &request.get("exported").bytes());
    transcript.bytes(b"encapsulated key", &request.get("encapsulated").bytes());
    transcript.bytes(b"nonce", &case.get("nonce").bytes());
    transcript.digest32(b"key")
}

/// ChaCha20-Poly1305 without additional data: the ciphertext with its tag.
fn encrypt(key: &[u8; 32], nonce: [u8; 12], plaintext: &[u8]) -> Vec<u8> {
    let mut body = plaintext.to_vec();
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher
        .encrypt_inout_detached(&nonce.into(), &[], body.as_mut_slice().into())
        .expect("short");
    body.extend_from_slice(&tag);
    body
}

/// HMAC-SHA256 (RFC 2104) with a key of at most 64 bytes.
fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(data)
        .finalize();
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner);
    outer.finalize().into()
}

/// `LabeledExtract` (RFC 9180, section 4).
fn extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> [u8; 32] {
    hmac(salt, &[b"HPKE-v1", suite, label, ikm].concat())
}

/// `LabeledExpand` (RFC 9180, section 4), to at most 32 bytes.
fn expand<const N: usize>(suite: &[u8], secret: &[u8; 32], label: &[u8], info: &[u8]) -> [u8; N] {
    let length = (N as u16).to_be_bytes();
    let block = hmac(
        secret,
        &[&length[..], b"HPKE-v1", suite, label, info, &[1]].concat(),
    );
    *block.first_chunk().expect("one block")
}

/// The context of one request (RFC 9180, sections 4.1, 5.1 and 5.3): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
/// ChaCha20-Poly1305, base mode.
struct Hpke {
    encapsulated: [u8; 32],
    shared: [u8; 32],
    key: [u8; 32],
    nonce: [u8; 12],
    exporter: [u8; 32],
}

impl Hpke {
    const KEM: &[u8] = b"KEM\x00\x20";
    const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x03";

    fn of(case: Field<'_>) -> Hpke {
        let key = key_of(case);
        let drawn = extract(Self::KEM, b"", b"dkp_prk", &case.get("ikm").bytes());
        let secret: [u8; 32] = expand(Self::KEM, &drawn, b"sk", b"");
        let encapsulated = MontgomeryPoint::mul_base_clamped(secret).0;
        let dh = MontgomeryPoint(key.key.0).mul_clamped(secret).0;
        let prk = extract(Self::KEM, b"", b"eae_prk", &dh);
        let context = [encapsulated, key.key.0].concat();
        let shared: [u8; 32] = expand(Self::KEM, &prk, b"shared_secret", &context);

        let psk_id = extract(Self::SUITE, b"", b"psk_id_hash", b"");
        let info = extract(Self::SUITE, b"", b"info_hash", &info(&key));
        let context = [&[0][..], &psk_id, &info].concat();
        let secret = extract(Self::SUITE, &shared, b"secret", b"");
        Hpke {
            encapsulated,
            shared,
            key: expand(Self::SUITE, &secret, b"key", &context),
            nonce: expand(Self::SUITE, &secret, b"base_nonce", &context),
            exporter: expand(Self::SUITE, &secret, b"exp", &context),
        }
    }

    fn exported(&self) -> [u8; 32] {
        expand(Self::SUITE, &self.exporter, b"sec", b"farthing oblivious reply")
    }
}

// ---- the checks ---------------------------------------------------------------------------------------------------

pub(crate) fn check_padding(case: Field<'_>, claims: &mut Claims) {
    let padded = case.find("padded").map(Field::u64);
    let ours = padded_bytes(length_of(case)).ok();
    claims.equal("padded", ours.map(|bytes| bytes as u64), padded);
}

pub(crate) fn check_request(case: Field<'_>, claims: &mut Claims) {
    let (request, _) = sealed(case);
    claims.bytes("encapsulated", request.encapsulated.0, case);
    claims.bytes("sha256", Sha256::digest(&request.body), case);
    if let Some(body) = case.find("body") {
        claims.hex("body", &request.body, body);
    }
    let opened = keys_of(case).open(&request).ok();
    let opened = opened.map(|(opened, _)| opened.to_vec());
    claims.holds("opens", opened == Some(content(length_of(case))));

    claims.bytes("info", info(&key_of(case)), case);
    let again = Hpke::of(case);
    claims.bytes("shared_secret", again.shared, case);
    claims.bytes("aead_key", again.key, case);
    claims.bytes("base_nonce", again.nonce, case);
    claims.bytes("exported", again.exported(), case);
    claims.hex(
        "encapsulated, as documented",
        again.encapsulated,
        case.get("encapsulated"),
    );
    let body = encrypt(&again.key, again.nonce, &padded(&content(length_of(case))));
    claims.hex("sha256, as documented", Sha256::digest(body), case.get("sha256"));
}

pub(crate) fn check_reply(case: Field<'_>, claims: &mut Claims) {
    let (opener, reply) = answered(case);
    claims.equal("bytes", reply.0.len() as u64, case.get("bytes").u64());
    claims.bytes("sha256", Sha256::digest(&reply.0), case);
    if let Some(sealed) = case.find("sealed") {
        claims.hex("sealed", &reply.0, sealed);
    }
    let opened = opener.open(&reply).ok().map(|opened| opened.to_vec());
    claims.holds("opens", opened == Some(content(length_of(case))));

    let key = reply_key(case);
    claims.bytes("key", key, case);
    let plaintext = padded(&content(length_of(case)));
    let last = plaintext.len().div_ceil(CHUNK) - 1;
    let mut again = case.get("nonce").bytes();
    let tags = case.get("tags").items();
    claims.equal("tags", tags.len(), last + 1);
    for (number, chunk) in plaintext.chunks(CHUNK).enumerate() {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&(number as u64).to_be_bytes());
        nonce[11] = u8::from(number == last);
        let chunk = encrypt(&key, nonce, chunk);
        claims.hex(format!("tag {number}"), &chunk[chunk.len() - 16..], tags[number]);
        again.extend(chunk);
    }
    claims.hex("sha256, as documented", Sha256::digest(again), case.get("sha256"));
}
