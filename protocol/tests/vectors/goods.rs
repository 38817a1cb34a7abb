//! Encrypted goods.

use crate::support::party;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use farthing_protocol::{
    goods::{ContentKey, Decryptor, Encryptor, encrypted_len},
    ids::{ItemId, NodeSecret},
    seal::derive_content_key,
};
use farthing_vectors::{Claims, Field};
use sha2::{Digest, Sha256};

const CHUNK: usize = 65_536;
const TAG: usize = 16;

/// The goods of `goods.json`: byte i is i mod 251.
fn bytes_of(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

fn open(key: &ContentKey, file: &[u8]) -> Option<Vec<u8>> {
    let mut goods = Vec::new();
    let mut decryptor = Decryptor::new(key);
    decryptor.update(file, &mut goods).ok()?;
    decryptor.finish(&mut goods).ok()?;
    Some(goods)
}

pub(crate) fn item(case: Field<'_>, claims: &mut Claims) {
    let secret = party(["merchant", "secret"]);
    let key = derive_content_key(
        &NodeSecret::from_bytes(secret),
        &ItemId(case.get("item_id").array()),
    );
    let goods = case.get("goods").bytes();
    let mut file = Vec::new();
    let mut encryptor = Encryptor::new(&key, case.get("salt").array());
    encryptor.update(&goods, &mut file).expect("small");
    encryptor.finish(&mut file).expect("small");
    claims.bytes("file", &file, case);
    claims.equal("opened", open(&key, &file), Some(goods));
}

pub(crate) fn goods(case: Field<'_>, claims: &mut Claims) {
    let key = ContentKey::from_bytes(case.get("content_key").array());
    let salt = case.get("salt").array();
    let size = case.get("size").u64();
    let goods = bytes_of(size as usize);
    let mut file = Vec::new();
    let mut encryptor = Encryptor::new(&key, salt);
    // The division into slices makes no difference.
    for piece in goods.chunks(40_000) {
        encryptor.update(piece, &mut file).expect("small");
    }
    let summary = encryptor.finish(&mut file).expect("small");
    claims.equal("size", summary.size_bytes, size);
    claims.equal(
        "encrypted_size",
        summary.encrypted_bytes,
        case.get("encrypted_size").u64(),
    );
    claims.equal(
        "encrypted_len",
        encrypted_len(size),
        case.get("encrypted_size").u64(),
    );
    claims.bytes("goods_digest", summary.digest, case);
    claims.bytes("encrypted_digest", summary.encrypted_digest, case);
    claims.equal("opened", open(&key, &file).as_ref(), Some(&goods));
    if let Some(published) = case.find("file") {
        claims.hex("file", &file, published);
    }
    let chunks = case.get("chunks").items();
    let sealed: Vec<&[u8]> = file.chunks(CHUNK + TAG).collect();
    claims.equal("number of chunks", sealed.len(), chunks.len());
    for (number, (sealed, chunk)) in sealed.iter().zip(&chunks).enumerate() {
        let (body, tag) = sealed.split_at(sealed.len() - TAG);
        claims.hex("tag", tag, chunk.get("tag"));
        claims.hex("first_16", &sealed[..16], chunk.get("first_16"));
        claims.equal(
            "plaintext_bytes",
            body.len() as u64,
            chunk.get("plaintext_bytes").u64(),
        );
        let nonce = nonce(number, number + 1 == chunks.len());
        claims.hex("nonce", nonce, chunk.get("nonce"));
    }
    let plaintext = [salt.as_slice(), &goods].concat();
    claims.equal(
        "as documented",
        chunked(&key, &plaintext, chunks.len()).concat(),
        file,
    );
}

fn nonce(number: usize, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&(number as u64).to_be_bytes());
    nonce[11] = last.into();
    nonce
}

/// The chunks of a file, made as documented.
fn chunked(key: &ContentKey, plaintext: &[u8], chunks: usize) -> Vec<Vec<u8>> {
    let parts = plaintext.chunks(CHUNK).enumerate();
    parts
        .map(|(i, part)| sealed(key, nonce(i, i + 1 == chunks), part))
        .collect()
}

fn sealed(key: &ContentKey, nonce: [u8; 12], plaintext: &[u8]) -> Vec<u8> {
    let mut body = plaintext.to_vec();
    let cipher = ChaCha20Poly1305::new(key.as_bytes().into());
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &[], body.as_mut_slice().into());
    body.extend_from_slice(&tag.expect("short"));
    body
}

pub(crate) fn refused(case: Field<'_>, claims: &mut Claims) {
    let key = ContentKey::from_bytes(case.get("content_key").array());
    let file = match case.find("file") {
        Some(file) => file.bytes(),
        None => made(case, &key),
    };
    claims.equal("bytes", file.len() as u64, case.get("bytes").u64());
    claims.bytes("sha256", Sha256::digest(&file), case);
    let opens = case.get("opens").0.as_bool().expect("a bool");
    claims.equal("opens", open(&key, &file).is_some(), opens);
}

/// Makes a long file as the name of its case says.
fn made(case: Field<'_>, key: &ContentKey) -> Vec<u8> {
    let plaintext = |size| [case.get("salt").bytes(), bytes_of(size)].concat();
    let long = plaintext(131_072);
    let [first, second, third] = chunked(key, &long, 3).try_into().expect("three chunks");
    match case.get("name").text() {
        "an empty chunk behind the last whole one" => {
            let whole = sealed(key, nonce(0, false), &plaintext(65_504));
            [whole, sealed(key, nonce(1, true), &[])].concat()
        }
        "three chunks, as they should be" => [first, second, third].concat(),
        "without the last chunk" => [first, second].concat(),
        "the first two chunks swapped" => [second, first, third].concat(),
        "the second chunk twice" => [first, second.clone(), second, third].concat(),
        "every chunk marked as the last" => {
            let chunks = long.chunks(CHUNK).enumerate();
            let sealed = chunks.map(|(i, chunk)| sealed(key, nonce(i, true), chunk));
            sealed.collect::<Vec<_>>().concat()
        }
        other => panic!("nothing says how `{other}` is made"),
    }
}
