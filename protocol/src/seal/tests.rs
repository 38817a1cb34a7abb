//! Sealing: round trips, wrong keys and ids, changes of every field, and known answers.

use super::*;
use crate::ids::{EphemeralId, ItemId, NodeSecret, SaleId, SealingContext};
use farthing_coin::{RecoveryRecordId, RecoveryRecordKey};

const SALE: [u8; 32] = [0x33; 32];
const OTHER: [u8; 32] = [0x34; 32];
const SECRET: [u8; 32] = [0x44; 32];

fn goods_key() -> GoodsKey {
    GoodsKey::from_bytes([0x11; 32])
}

fn content_key() -> ContentKey {
    ContentKey::from_bytes([0x22; 32])
}

fn purchase_key(byte: u8) -> SecretKey {
    SecretKey::from_wide(&[byte; 64]).unwrap()
}

fn sealed() -> SealedKey {
    let ephemeral = derive_ephemeral(&NodeSecret::from_bytes(SECRET), &EphemeralId(SALE));
    seal_goods_key(
        &ephemeral,
        &purchase_key(7).public(),
        &SealingContext(SALE),
        &goods_key(),
    )
    .unwrap()
}

#[test]
fn a_commitment_opens_to_its_key_alone() {
    let commitment = commit_goods_key(&goods_key());
    assert!(opens(&commitment, &goods_key()));
    for bit in 0..256 {
        let mut other = *goods_key().as_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!opens(&commitment, &GoodsKey::from_bytes(other)));
        let mut changed = commitment;
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!opens(&changed, &goods_key()));
    }
}

#[test]
fn derived_keys_differ_by_secret_id_and_use() {
    let keys = [
        *derive_goods_key(&NodeSecret::from_bytes(SECRET), &SaleId(SALE)).as_bytes(),
        *derive_goods_key(&NodeSecret::from_bytes(SECRET), &SaleId(OTHER)).as_bytes(),
        *derive_goods_key(&NodeSecret::from_bytes(OTHER), &SaleId(SALE)).as_bytes(),
        *derive_content_key(&NodeSecret::from_bytes(SECRET), &ItemId(SALE)).as_bytes(),
        *derive_content_key(&NodeSecret::from_bytes(SECRET), &ItemId(OTHER)).as_bytes(),
        *derive_content_key(&NodeSecret::from_bytes(OTHER), &ItemId(SALE)).as_bytes(),
        *derive_ephemeral(&NodeSecret::from_bytes(SECRET), &EphemeralId(SALE)).to_bytes(),
        *derive_ephemeral(&NodeSecret::from_bytes(SECRET), &EphemeralId(OTHER)).to_bytes(),
        *derive_ephemeral(&NodeSecret::from_bytes(OTHER), &EphemeralId(SALE)).to_bytes(),
    ];
    assert_eq!(std::collections::BTreeSet::from(keys).len(), keys.len());
    assert_eq!(
        derive_goods_key(&NodeSecret::from_bytes(SECRET), &SaleId(SALE)),
        derive_goods_key(&NodeSecret::from_bytes(SECRET), &SaleId(SALE))
    );
}

#[test]
fn a_wrapped_key_opens_with_its_goods_key_for_its_sale_alone() {
    let wrapped = wrap(&goods_key(), &SaleId(SALE), &content_key()).unwrap();
    let refused = Err(SealError::DoesNotOpen("wrapped key"));
    assert_eq!(unwrap(&goods_key(), &SaleId(SALE), &wrapped), Ok(content_key()));
    assert_eq!(unwrap(&goods_key(), &SaleId(OTHER), &wrapped), refused);
    assert_eq!(
        unwrap(&GoodsKey::from_bytes(OTHER), &SaleId(SALE), &wrapped),
        refused
    );
    for byte in 0..48 {
        let mut changed = wrapped;
        match byte {
            0..32 => changed.body.0[byte] ^= 1,
            _ => changed.tag[byte - 32] ^= 1,
        }
        assert_eq!(unwrap(&goods_key(), &SaleId(SALE), &changed), refused);
    }
}

#[test]
fn a_sealed_key_opens_for_its_holder_and_purchase_alone() {
    let refused = Err(SealError::DoesNotOpen("sealed key"));
    assert_eq!(
        open_goods_key(&purchase_key(7), &SealingContext(SALE), &sealed()),
        Ok(goods_key())
    );
    assert_eq!(
        open_goods_key(&purchase_key(8), &SealingContext(SALE), &sealed()),
        refused
    );
    assert_eq!(
        open_goods_key(&purchase_key(7), &SealingContext(OTHER), &sealed()),
        refused
    );
    // With another ephemeral key the same ciphertext is a different sealed key.
    let ephemeral = purchase_key(9).public();
    let stolen = SealedKey {
        ephemeral,
        ..sealed()
    };
    assert_eq!(
        open_goods_key(&purchase_key(7), &SealingContext(SALE), &stolen),
        refused
    );
    for byte in 0..48 {
        let mut changed = sealed();
        match byte {
            0..32 => changed.body.0[byte] ^= 0x80,
            _ => changed.tag[byte - 32] ^= 0x80,
        }
        assert_eq!(
            open_goods_key(&purchase_key(7), &SealingContext(SALE), &changed),
            refused
        );
    }
}

#[test]
fn a_sealed_key_opens_again_with_its_ephemeral_key_alone() {
    let (ephemeral, to) = (
        derive_ephemeral(&NodeSecret::from_bytes(SECRET), &EphemeralId(SALE)),
        purchase_key(7).public(),
    );
    let refused = Err(SealError::DoesNotOpen("sealed key"));
    assert_eq!(
        reopen_goods_key(&ephemeral, &to, &SealingContext(SALE), &sealed()),
        Ok(goods_key())
    );
    assert_eq!(
        reopen_goods_key(&ephemeral, &to, &SealingContext(OTHER), &sealed()),
        refused
    );
    assert_eq!(
        reopen_goods_key(
            &ephemeral,
            &purchase_key(8).public(),
            &SealingContext(SALE),
            &sealed()
        ),
        refused
    );
    assert_eq!(
        reopen_goods_key(
            &derive_ephemeral(&NodeSecret::from_bytes(OTHER), &EphemeralId(SALE)),
            &to,
            &SealingContext(SALE),
            &sealed()
        ),
        refused
    );
}

#[test]
fn sealing_again_gives_the_same_bytes() {
    assert_eq!(sealed(), sealed());
}

#[test]
fn the_identity_and_invalid_points_are_refused_on_both_sides() {
    for bytes in [[0; 32], [0xff; 32]] {
        let bad = PublicKey(bytes);
        let to_bad = seal_goods_key(
            &derive_ephemeral(&NodeSecret::from_bytes(SECRET), &EphemeralId(SALE)),
            &bad,
            &SealingContext(SALE),
            &goods_key(),
        );
        assert!(matches!(to_bad, Err(SealError::PublicKey(_))), "{to_bad:?}");
        let from_bad = SealedKey {
            ephemeral: bad,
            ..sealed()
        };
        let opened = open_goods_key(&purchase_key(7), &SealingContext(SALE), &from_bad);
        assert!(matches!(opened, Err(SealError::PublicKey(_))), "{opened:?}");
    }
}

#[test]
fn every_sealed_record_has_the_same_length() {
    for text_bytes in [0, 1, 255, 256, RECORD_TEXT_MAX_BYTES - 1, RECORD_TEXT_MAX_BYTES] {
        let text: Vec<u8> = (0..text_bytes).map(|i| i as u8).collect();
        let note = seal_record(
            &RecoveryRecordKey::from_bytes(SECRET),
            &RecoveryRecordId(SALE),
            &text,
        )
        .unwrap();
        assert_eq!(note.len(), SEALED_RECORD_BYTES);
        assert_eq!(
            *open_record(
                &RecoveryRecordKey::from_bytes(SECRET),
                &RecoveryRecordId(SALE),
                &note
            )
            .unwrap(),
            text
        );
    }
}

#[test]
fn a_record_with_a_too_long_text_is_refused() {
    for got_bytes in [
        RECORD_TEXT_MAX_BYTES + 1,
        SEALED_RECORD_BYTES,
        usize::from(u16::MAX) + 1,
    ] {
        assert_eq!(
            seal_record(
                &RecoveryRecordKey::from_bytes(SECRET),
                &RecoveryRecordId(SALE),
                &vec![1; got_bytes]
            ),
            Err(SealError::RecordTooLong { got_bytes })
        );
    }
}

#[test]
fn a_record_opens_only_unchanged_with_its_key_and_id() {
    let note = seal_record(
        &RecoveryRecordKey::from_bytes(SECRET),
        &RecoveryRecordId(SALE),
        b"farthing",
    )
    .unwrap();
    let refused = Err(SealError::DoesNotOpen("sealed record"));
    assert_eq!(
        open_record(
            &RecoveryRecordKey::from_bytes(OTHER),
            &RecoveryRecordId(SALE),
            &note
        ),
        refused
    );
    assert_eq!(
        open_record(
            &RecoveryRecordKey::from_bytes(SECRET),
            &RecoveryRecordId(OTHER),
            &note
        ),
        refused
    );
    for byte in [
        0,
        1,
        2,
        100,
        SEALED_RECORD_BYTES - 17,
        SEALED_RECORD_BYTES - 16,
        SEALED_RECORD_BYTES - 1,
    ] {
        let mut changed = note.clone();
        changed[byte] ^= 1;
        assert_eq!(
            open_record(
                &RecoveryRecordKey::from_bytes(SECRET),
                &RecoveryRecordId(SALE),
                &changed
            ),
            refused
        );
    }
    for got_bytes in [0, 1, SEALED_RECORD_BYTES - 1, SEALED_RECORD_BYTES + 1] {
        let mut cut = note.clone();
        cut.resize(got_bytes, 0);
        assert_eq!(
            open_record(
                &RecoveryRecordKey::from_bytes(SECRET),
                &RecoveryRecordId(SALE),
                &cut
            ),
            Err(SealError::RecordLength { got_bytes })
        );
    }
}

#[test]
fn a_record_with_a_wrong_length_or_padding_inside_is_refused() {
    let plaintexts = [
        (u16::MAX, 0),
        (RECORD_TEXT_MAX_BYTES as u16 + 1, 0),
        (RECORD_TEXT_MAX_BYTES as u16 - 1, 1),
        (0, 1),
    ];
    for (length, last) in plaintexts {
        let mut body = vec![0; SEALED_RECORD_BYTES - RECORD_NONCE_BYTES - TAG_BYTES];
        body[..2].copy_from_slice(&length.to_le_bytes());
        *body.last_mut().unwrap() = last;
        let nonce = note_nonce(
            &RecoveryRecordKey::from_bytes(SECRET),
            &RecoveryRecordId(SALE),
            &body,
        );
        let tag = encrypt(
            &note_key(
                &RecoveryRecordKey::from_bytes(SECRET),
                &RecoveryRecordId(SALE),
                &nonce,
            ),
            &SALE,
            &mut body,
            "sealed record",
        )
        .unwrap();
        let note = [&nonce[..], &body, &tag].concat();
        assert_eq!(
            open_record(
                &RecoveryRecordKey::from_bytes(SECRET),
                &RecoveryRecordId(SALE),
                &note
            ),
            Err(SealError::RecordMalformed)
        );
    }
}

#[test]
fn two_texts_under_one_key_and_id_have_unrelated_ciphertexts() {
    let one = seal_record(
        &RecoveryRecordKey::from_bytes(SECRET),
        &RecoveryRecordId(SALE),
        b"one wallet",
    )
    .unwrap();
    let copy = seal_record(
        &RecoveryRecordKey::from_bytes(SECRET),
        &RecoveryRecordId(SALE),
        b"its copy",
    )
    .unwrap();
    assert_eq!(
        one,
        seal_record(
            &RecoveryRecordKey::from_bytes(SECRET),
            &RecoveryRecordId(SALE),
            b"one wallet"
        )
        .unwrap()
    );
    // With the same keystream the padding would be equal.
    assert_ne!(one[1000..], copy[1000..]);
}

/// A second implementation in Python, of Merlin, ristretto255 and RFC 8439, computed these answers.
#[test]
fn known_answers() {
    let derived_goods_key = derive_goods_key(&NodeSecret::from_bytes(SECRET), &SaleId(SALE));
    let derived_content_key = derive_content_key(&NodeSecret::from_bytes(SECRET), &ItemId(SALE));
    let wrapped = wrap(&goods_key(), &SaleId(SALE), &content_key()).unwrap();
    let sealed = sealed();
    let note = seal_record(
        &RecoveryRecordKey::from_bytes(*goods_key().as_bytes()),
        &RecoveryRecordId(SALE),
        b"farthing",
    )
    .unwrap();
    let answers: [(&[u8], &str); 10] = [
        (
            &commit_goods_key(&goods_key()).0,
            "b2f8974845e1f60d00ec240f9e01adce497de54a76f687d9bf47f7b2673363c4",
        ),
        (
            derived_goods_key.as_bytes(),
            "2759793c4e670ab0c72fa3c0d5ba9e2eb22ad4a33c9cf15d1fa23df43e62dbc3",
        ),
        (
            derived_content_key.as_bytes(),
            "e56e5ac3524f5c6a1ad3b55e9bdd2ca01fee3aa5f045c2c096e1813cc5636ff9",
        ),
        (
            &wrapped.body.0,
            "e14bfa3bc16b85e714ab0e33e86bd7972ef71c22dd6f800ac52a3c00ada0671e",
        ),
        (&wrapped.tag, "93a2e81d509fa8b4270d7f6de04ca920"),
        (
            &sealed.ephemeral.0,
            "1203dc1dde9a096b928c6519531300454351c80590f7459e881de7d77f67536d",
        ),
        (
            &sealed.body.0,
            "da9986f7ab823485cdea74dcd787abcc45f39c1723b815a20ed1dd454d7b6d7a",
        ),
        (&sealed.tag, "40e72ef47c6115568c388c1cc8ddd144"),
        (
            &note[..32],
            "9eb8ee8377f6cf89ad752618dc7bd8d3b7b37f766db7d5fb14c0993931e740bc",
        ),
        (
            &note[SEALED_RECORD_BYTES - TAG_BYTES..],
            "75401534fc0e3428b7136896b94c3b86",
        ),
    ];
    for (got, expected) in answers {
        assert_eq!(hex::encode(got), expected);
    }
}
