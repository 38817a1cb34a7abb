//! Goods: round trips for every division into slices, all kinds of changes to the file, and known answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use farthing_protocol::goods::{
    CHUNK_BYTES, ContentKey, Decryptor, Encryptor, GOODS_MAX_BYTES, GoodsError, GoodsSummary, Opened,
    RunningDigest, TAG_BYTES, encrypted_len,
};
use farthing_protocol::ids::{EncryptedDigest, GoodsDigest};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
const SALT: [u8; 32] = [0xa5; 32];

fn key() -> ContentKey {
    ContentKey::from_bytes(std::array::from_fn(|i| i as u8))
}

fn goods(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7 % 251) as u8).collect()
}

/// Divides `bytes` at `cuts`, which need not be in order.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for to in cuts.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[from..to]);
        from = to;
    }
    pieces
}

fn encrypt_in(pieces: &[&[u8]]) -> (Vec<u8>, GoodsSummary) {
    let mut encryptor = Encryptor::new(&key(), SALT);
    let mut file = Vec::new();
    for piece in pieces {
        encryptor.update(piece, &mut file).unwrap();
    }
    let summary = encryptor.finish(&mut file).unwrap();
    (file, summary)
}

fn encrypt(goods: &[u8]) -> (Vec<u8>, GoodsSummary) {
    encrypt_in(&[goods])
}

fn decrypt_in(key: &ContentKey, pieces: &[&[u8]]) -> Result<(Vec<u8>, Opened), GoodsError> {
    let mut decryptor = Decryptor::new(key);
    let mut goods = Vec::new();
    for piece in pieces {
        decryptor.update(piece, &mut goods)?;
    }
    let opened = decryptor.finish(&mut goods)?;
    Ok((goods, opened))
}

/// The error of opening `file`. It must be the same for the whole file and for pieces.
fn refusal(file: &[u8]) -> GoodsError {
    let whole = decrypt_in(&key(), &[file]).unwrap_err();
    let in_pieces: Vec<&[u8]> = file.chunks(4099).collect();
    assert_eq!(decrypt_in(&key(), &in_pieces).unwrap_err(), whole);
    whole
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

fn check_round_trip(goods: &[u8], goods_cuts: &[usize], file_cuts: &[usize]) {
    let (file, summary) = encrypt_in(&pieces(goods, goods_cuts));
    assert_eq!(summary.size_bytes, goods.len() as u64);
    assert_eq!(summary.encrypted_bytes, file.len() as u64);
    assert_eq!(encrypted_len(summary.size_bytes), file.len() as u64);
    assert_eq!(summary.digest, GoodsDigest(sha256(&[&SALT, goods])));
    assert_eq!(summary.encrypted_digest, EncryptedDigest(sha256(&[&file])));

    let (opened_goods, opened) = decrypt_in(&key(), &pieces(&file, file_cuts)).unwrap();
    assert!(opened_goods == goods, "other goods came out than went in");
    let expected = Opened {
        size_bytes: summary.size_bytes,
        digest: summary.digest,
        salt: SALT,
        encrypted_digest: summary.encrypted_digest,
    };
    assert_eq!(opened, expected);
}

/// Sizes of goods around every border: 0, a chunk with the salt, a chunk without it, several chunks.
fn border_sizes() -> Vec<usize> {
    let first = CHUNK_BYTES - SALT.len();
    let mut sizes = vec![0, 1];
    for border in [first, CHUNK_BYTES, first + CHUNK_BYTES, 3 * CHUNK_BYTES] {
        sizes.extend([border - 1, border, border + 1]);
    }
    sizes
}

#[test]
fn goods_of_every_border_size_decrypt_to_themselves() {
    for size in border_sizes() {
        check_round_trip(&goods(size), &[], &[]);
        check_round_trip(
            &goods(size),
            &[1, CHUNK_BYTES, CHUNK_BYTES + 1],
            &[15, SEALED_CHUNK_BYTES],
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_division_into_slices_does_not_change_the_result(
        size in prop_oneof![prop::sample::select(border_sizes()), 0..3 * CHUNK_BYTES],
        goods_cuts in prop::collection::vec(any::<usize>(), 0..9),
        file_cuts in prop::collection::vec(any::<usize>(), 0..9),
    ) {
        check_round_trip(&goods(size), &goods_cuts, &file_cuts);
        let in_pieces = encrypt_in(&pieces(&goods(size), &goods_cuts));
        prop_assert!(in_pieces == encrypt(&goods(size)), "the cuts showed in the file");
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found_in_its_chunk(at in any::<usize>(), bit in 0..8u32) {
        let (mut file, _) = encrypt(&goods(2 * CHUNK_BYTES + 9));
        let at = at % file.len();
        file[at] ^= 1 << bit;
        let chunk = (at / SEALED_CHUNK_BYTES) as u64;
        prop_assert_eq!(refusal(&file), GoodsError::Corrupt { chunk });
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused(keep in any::<usize>()) {
        let (file, _) = encrypt(&goods(2 * CHUNK_BYTES + 9));
        let keep = keep % file.len();
        let chunk = (keep / SEALED_CHUNK_BYTES) as u64;
        let error = refusal(&file[..keep]);
        prop_assert!(
            error == GoodsError::Truncated { chunk } || error == GoodsError::Corrupt { chunk },
            "{} bytes kept: {}", keep, error
        );
    }
}

#[test]
fn a_flipped_bit_in_the_body_or_tag_of_each_chunk_names_the_chunk() {
    let (file, _) = encrypt(&goods(3 * CHUNK_BYTES));
    for chunk in 0..3 {
        for within in [0, CHUNK_BYTES - 1, CHUNK_BYTES, SEALED_CHUNK_BYTES - 1] {
            let mut changed = file.clone();
            changed[chunk * SEALED_CHUNK_BYTES + within] ^= 0x80;
            assert_eq!(refusal(&changed), GoodsError::Corrupt { chunk: chunk as u64 });
        }
    }
    let mut changed = file;
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(&changed), GoodsError::Corrupt { chunk: 3 });
}

#[test]
fn swapped_repeated_and_dropped_chunks_are_refused() {
    let (file, _) = encrypt(&goods(3 * CHUNK_BYTES));
    let chunks: Vec<&[u8]> = file.chunks(SEALED_CHUNK_BYTES).collect();
    let arranged = |order: &[usize]| -> Vec<u8> { order.iter().flat_map(|i| chunks[*i].to_vec()).collect() };
    let corrupt = |chunk| GoodsError::Corrupt { chunk };

    assert!(decrypt_in(&key(), &[&arranged(&[0, 1, 2, 3])]).is_ok());
    assert_eq!(refusal(&arranged(&[1, 0, 2, 3])), corrupt(0));
    assert_eq!(refusal(&arranged(&[0, 2, 1, 3])), corrupt(1));
    assert_eq!(refusal(&arranged(&[0, 1, 3, 2])), corrupt(2));
    assert_eq!(refusal(&arranged(&[0, 1, 1, 2, 3])), corrupt(2));
    assert_eq!(refusal(&arranged(&[1, 2, 3])), corrupt(0));
    assert_eq!(refusal(&arranged(&[0, 2, 3])), corrupt(1));
    assert_eq!(refusal(&arranged(&[0, 1, 3])), corrupt(2));
    // The file lacks its last chunk, its last chunks, or all chunks.
    assert_eq!(refusal(&arranged(&[0, 1, 2])), GoodsError::Truncated { chunk: 3 });
    assert_eq!(refusal(&arranged(&[0])), GoodsError::Truncated { chunk: 1 });
    assert_eq!(refusal(&[]), GoodsError::Truncated { chunk: 0 });
    // The last chunk is as short as a tag.
    let stub = [arranged(&[0, 1]), chunks[2][..TAG_BYTES].to_vec()].concat();
    assert_eq!(refusal(&stub), GoodsError::Truncated { chunk: 2 });
}

#[test]
fn bytes_after_the_last_chunk_are_refused() {
    // The last chunk is full, so the following bytes begin a new chunk.
    let (file, _) = encrypt(&goods(2 * CHUNK_BYTES - SALT.len()));
    assert_eq!(file.len(), 2 * SEALED_CHUNK_BYTES);
    for more in [
        &file[..1],
        &file[..SEALED_CHUNK_BYTES],
        &file[SEALED_CHUNK_BYTES..],
    ] {
        let longer = [&file, more].concat();
        assert_eq!(refusal(&longer), GoodsError::Extended { chunk: 1 });
    }
    // The last chunk is not full, so the following bytes count as a part of it.
    let (file, _) = encrypt(&goods(CHUNK_BYTES));
    assert_eq!(
        refusal(&[&file[..], &[0]].concat()),
        GoodsError::Corrupt { chunk: 1 }
    );
    assert_eq!(
        refusal(&[&file[..], &file].concat()),
        GoodsError::Corrupt { chunk: 1 }
    );
}

#[test]
fn another_key_opens_nothing() {
    let (file, _) = encrypt(&goods(CHUNK_BYTES));
    let mut bytes = *key().as_bytes();
    bytes[31] ^= 1;
    let error = decrypt_in(&ContentKey::from_bytes(bytes), &[&file]).unwrap_err();
    assert_eq!(error, GoodsError::Corrupt { chunk: 0 });
    assert_eq!(
        error.to_string(),
        "chunk 0 of the encrypted goods does not open: it was changed or belongs elsewhere"
    );
}

#[test]
fn a_file_mixed_from_two_files_under_one_key_has_other_digests() {
    // A key must never be used twice. If it was, a chunk of one file opens in the place of a chunk of the other.
    let (ours, summary) = encrypt(&goods(CHUNK_BYTES));
    let (theirs, _) = encrypt(&vec![0; CHUNK_BYTES]);
    let mixed = [&ours[..SEALED_CHUNK_BYTES], &theirs[SEALED_CHUNK_BYTES..]].concat();
    let (_, opened) = decrypt_in(&key(), &[&mixed]).unwrap();
    assert_ne!(opened.digest, summary.digest);
    assert_ne!(opened.encrypted_digest, summary.encrypted_digest);
}

#[test]
fn after_an_error_no_more_goods_are_appended() {
    let (mut file, _) = encrypt(&goods(3 * CHUNK_BYTES));
    file[SEALED_CHUNK_BYTES] ^= 1;
    let mut decryptor = Decryptor::new(&key());
    let mut out = Vec::new();
    let error = GoodsError::Corrupt { chunk: 1 };
    assert_eq!(decryptor.update(&file, &mut out), Err(error));
    assert_eq!(out.len(), CHUNK_BYTES - SALT.len());
    assert_eq!(
        decryptor.update(&file[2 * SEALED_CHUNK_BYTES..], &mut out),
        Err(error)
    );
    assert_eq!(decryptor.finish(&mut out), Err(error));
    assert_eq!(out.len(), CHUNK_BYTES - SALT.len());
}

#[test]
fn a_plaintext_shorter_than_a_salt_is_refused() {
    // The test makes the file with the cipher itself: 31 bytes as the last chunk.
    use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
    let mut body = [7u8; 31];
    let mut nonce = [0u8; 12];
    nonce[11] = 1;
    let tag = ChaCha20Poly1305::new(key().as_bytes().into())
        .encrypt_inout_detached(&nonce.into(), &[], body.as_mut_slice().into())
        .unwrap();
    assert_eq!(refusal(&[&body[..], &tag[..]].concat()), GoodsError::NoSalt);
}

#[test]
fn lengths_are_exact_and_never_overflow() {
    assert_eq!(encrypted_len(0), 48);
    assert_eq!(encrypted_len(CHUNK_BYTES as u64 - 32), SEALED_CHUNK_BYTES as u64);
    assert_eq!(
        encrypted_len(CHUNK_BYTES as u64 - 31),
        SEALED_CHUNK_BYTES as u64 + 17
    );
    assert_eq!(
        encrypted_len(GOODS_MAX_BYTES),
        (1 << 48) + 32 + ((1 << 32) + 1) * 16
    );
    assert!(encrypted_len(u64::MAX) > GOODS_MAX_BYTES);
}

#[test]
fn the_running_digest_of_a_resumed_download_is_the_encrypted_digest() {
    let (file, summary) = encrypt(&goods(2 * CHUNK_BYTES));
    let mut interrupted = RunningDigest::new();
    interrupted.update(&file[..1000]);
    let resume_at = interrupted.bytes() as usize;
    let mut digest = RunningDigest::new();
    digest.update(&file[..resume_at]);
    digest.update(&file[resume_at..]);
    assert_eq!(digest.bytes(), summary.encrypted_bytes);
    assert_eq!(digest.finish(), summary.encrypted_digest);
}

#[test]
fn keys_do_not_print_themselves() {
    assert_eq!(format!("{:?}", key()), "ContentKey(redacted)");
    assert_eq!(
        format!("{:?}", Encryptor::new(&key(), SALT)),
        "Encryptor { chunk: 0, .. }"
    );
    assert_eq!(
        format!("{:?}", Decryptor::new(&key())),
        "Decryptor { chunk: 0, .. }"
    );
}

/// A second implementation in Python, of RFC 8439 and of the construction, computed these answers.
#[test]
fn known_answers() {
    let (file, summary) = encrypt(b"farthing");
    assert_eq!(
        hex::encode(file),
        "ccf9d97c94af1ddf88d4db8a16b1b2b7b5549ae56b1459d0e09f108d8c4b3aaf\
         b54c9e7edb92c0e4ea23154ba259ec5d5025c2bcaa5dca9c"
    );
    assert_eq!(
        hex::encode(summary.digest),
        "35c05a20869fdd76c03cbd46126a8185a05f6cdf44ed71276ee928395336f566"
    );
    assert_eq!(
        hex::encode(summary.encrypted_digest),
        "21c5c64eeb1b4372e1b8d27b6146e28a800bc51c4cb4c117b946f9a23d3c1e93"
    );

    let (file, summary) = encrypt(&goods(3 * CHUNK_BYTES));
    assert_eq!(file.len(), 196_704);
    assert_eq!(
        hex::encode(summary.digest),
        "5496dfbfd99b1adeab0e465c070d7f7f1cb0f76f1ec1d1aec80cd68621de79ad"
    );
    assert_eq!(
        hex::encode(summary.encrypted_digest),
        "642b3acc04eafbaae5b11212a9ff644519303241528d7e27bb521a6914778f1a"
    );
}
