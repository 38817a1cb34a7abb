#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use super::*;
use crate::{
    api::encode_reply,
    refusal::{Refusal, RelayFault},
    wire,
};
use farthing_coin::{PublicKey, SecretKey, Signed};
use getrandom::SysRng;
use rand_core::UnwrapErr;

/// Noon of some day (ms since 1970).
const NOON_MS: u64 = 20_000 * MS_PER_DAY + MS_PER_DAY / 2;

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn identity() -> SecretKey {
    SecretKey::generate(&mut rng())
}

fn keys_of(identity: &SecretKey) -> DecryptionKeys {
    DecryptionKeys::new(identity.public(), NOON_MS, &mut rng())
}

fn key_of(keys: &DecryptionKeys, identity: &SecretKey) -> EncryptionKey {
    keys.signed(identity).body
}

#[test]
fn a_request_and_its_reply_arrive_as_they_were_sent() {
    let identity = identity();
    let keys = keys_of(&identity);
    let key = key_of(&keys, &identity);
    for bytes in [0, 1, 1019, 1020, 1021, 5_000, 16_380, 127 * 1024 - 4] {
        let (request, _) = seal_request(&key, &vec![7; bytes], &mut rng()).unwrap();
        assert_eq!(request.body.len(), padded_bytes(bytes).unwrap() + 16);
        assert_eq!(*keys.open(&request).unwrap().0, vec![7; bytes]);
    }
    for bytes in [
        0,
        1,
        REPLY_CHUNK_BYTES,
        3 * REPLY_CHUNK_BYTES - 4,
        512 * 1024 + 64,
    ] {
        let (request, opener) = seal_request(&key, b"question", &mut rng()).unwrap();
        let (_, sealer) = keys.open(&request).unwrap();
        let reply = sealer.seal(&vec![9; bytes], &mut rng()).unwrap();
        assert!(reply.0.len() <= SEALED_REPLY_MAX_BYTES);
        assert_eq!(*opener.open(&reply).unwrap(), vec![9; bytes]);
    }
    let too_long = seal_request(&key, &vec![0; 516 * 1024], &mut rng());
    assert!(matches!(too_long, Err(SealError::TooLong { .. })));
}

#[test]
fn contents_of_one_class_have_one_length() {
    let identity = identity();
    let keys = keys_of(&identity);
    let key = key_of(&keys, &identity);
    let lengths = |request: &[u8], reply: &[u8]| {
        let (sealed, _) = seal_request(&key, request, &mut rng()).unwrap();
        let (_, sealer) = keys.open(&sealed).unwrap();
        let reply = sealer.seal(reply, &mut rng()).unwrap();
        (
            wire::encode(&sealed).unwrap().len(),
            wire::encode(&reply).unwrap().len(),
        )
    };
    assert_eq!(lengths(b"", b"yes"), lengths(&[1; 1000], &[2; 1000]));
    assert_ne!(lengths(b"", b""), lengths(&[1; 2000], b""));
}

#[test]
fn a_request_opens_only_at_its_target_on_its_day_and_unchanged() {
    let (identity, other) = (identity(), identity());
    let (keys, elsewhere) = (keys_of(&identity), keys_of(&other));
    let key = key_of(&keys, &identity);
    let (request, _) = seal_request(&key, b"question", &mut rng()).unwrap();
    let unopened = Some(RelayFault::DoesNotOpen.into());
    assert_eq!(elsewhere.open(&request).err(), unopened);
    let mut changed = request.clone();
    *changed.body.last_mut().unwrap() ^= 1;
    assert_eq!(keys.open(&changed).err(), unopened);
    let mut changed = request.clone();
    changed.encapsulated.0[0] ^= 1;
    assert_eq!(keys.open(&changed).err(), unopened);
    let mut changed = request.clone();
    changed.body.truncate(3);
    assert_eq!(keys.open(&changed).err(), unopened);
    // The key of a small order: the shared secret would not depend on the target.
    let mut changed = request.clone();
    changed.encapsulated.0 = [0; 32];
    assert_eq!(keys.open(&changed).err(), unopened);
    // The same key in the name of another target, or for another day.
    let foreign = EncryptionKey {
        target: other.public(),
        ..key.clone()
    };
    let (request, _) = seal_request(&foreign, b"question", &mut rng()).unwrap();
    assert_eq!(keys.open(&request).err(), unopened);
    let (mut request, _) = seal_request(
        &EncryptionKey {
            day: key.day + 1,
            ..key.clone()
        },
        b"",
        &mut rng(),
    )
    .unwrap();
    assert_eq!(keys.open(&request).err(), Some(RelayFault::OldKey.into()));
    request.day = key.day;
    assert_eq!(keys.open(&request).err(), unopened);
    let no_key = EncryptionKey {
        key: crate::ids::ObliviousKey([0; 32]),
        ..key
    };
    assert_eq!(seal_request(&no_key, b"", &mut rng()).err(), Some(SealError::Key));
}

#[test]
fn a_request_that_is_opened_twice_gets_two_replies_under_two_keys() {
    let identity = identity();
    let keys = keys_of(&identity);
    let (request, opener) = seal_request(&key_of(&keys, &identity), b"question", &mut rng()).unwrap();
    let reply = || {
        keys.open(&request)
            .unwrap()
            .1
            .seal(b"answer", &mut rng())
            .unwrap()
    };
    let (first, second) = (reply(), reply());
    // The ciphertexts of one plaintext under one key and nonce would be equal.
    assert_ne!(first.0[32..], second.0[32..]);
    assert_eq!(*opener.open(&first).unwrap(), *opener.open(&second).unwrap());
}

#[test]
fn a_reply_that_was_changed_cut_reordered_or_swapped_does_not_open() {
    let identity = identity();
    let keys = keys_of(&identity);
    let key = key_of(&keys, &identity);
    let ask = || {
        let (request, opener) = seal_request(&key, b"question", &mut rng()).unwrap();
        let content = vec![5; 3 * REPLY_CHUNK_BYTES];
        let reply = keys.open(&request).unwrap().1.seal(&content, &mut rng()).unwrap();
        (opener, reply)
    };
    let (opener, reply) = ask();
    let (_, foreign) = ask();
    assert_eq!(opener.open(&foreign).err(), Some(SealError::DoesNotOpen));
    assert!(opener.open_beginning(&foreign.0).is_empty());
    let whole = reply.0.len();
    let chunk = REPLY_CHUNK_BYTES + 16;
    // Every cut, also at the end of a chunk.
    for cut in [
        0,
        31,
        32,
        40,
        32 + chunk,
        32 + 2 * chunk,
        whole - chunk,
        whole - 1,
    ] {
        let short = SealedReply(reply.0[..cut].to_vec());
        assert_eq!(
            opener.open(&short).err(),
            Some(SealError::DoesNotOpen),
            "cut at {cut}"
        );
    }
    for place in [0, 40, 32 + chunk, whole - 1] {
        let mut changed = reply.clone();
        changed.0[place] ^= 1;
        assert_eq!(opener.open(&changed).err(), Some(SealError::DoesNotOpen));
    }
    let mut reordered = reply.clone();
    let (first, second) = reordered.0[32..].split_at_mut(chunk);
    first.swap_with_slice(&mut second[..chunk]);
    assert_eq!(opener.open(&reordered).err(), Some(SealError::DoesNotOpen));
}

#[test]
fn what_has_arrived_of_a_reply_is_read() {
    let identity = identity();
    let keys = keys_of(&identity);
    let (request, opener) = seal_request(&key_of(&keys, &identity), b"question", &mut rng()).unwrap();
    let content: Vec<u8> = (0..100_000_u32).map(|place| place as u8).collect();
    let reply = keys.open(&request).unwrap().1.seal(&content, &mut rng()).unwrap();
    let begin = opener.open_beginning(&reply.0[..32 + 2 * (REPLY_CHUNK_BYTES + 16) + 5]);
    assert_eq!(*begin, content[..2 * REPLY_CHUNK_BYTES - 4]);
    assert!(opener.open_beginning(&reply.0[..1000]).is_empty());
    assert!(opener.open_beginning(&[]).is_empty());
}

#[test]
fn a_target_keeps_the_keys_of_two_days() {
    let identity = identity();
    let mut keys = keys_of(&identity);
    let ask = |keys: &DecryptionKeys| {
        seal_request(&key_of(keys, &identity), b"question", &mut rng())
            .unwrap()
            .0
    };
    let first = ask(&keys);
    assert!(!keys.rotate(NOON_MS + 1, &mut rng()));
    assert_eq!(key_of(&keys, &identity).day, 20_000);
    assert!(keys.rotate(NOON_MS + MS_PER_DAY, &mut rng()));
    let second = ask(&keys);
    assert!(keys.open(&first).is_ok() && keys.open(&second).is_ok());
    // A clock that goes back draws no second key for a day.
    assert!(!keys.rotate(NOON_MS, &mut rng()));
    let stored = keys.to_stored();
    let again = DecryptionKeys::from_stored(identity.public(), &stored).unwrap();
    assert!(again.open(&first).is_ok() && again.open(&second).is_ok());
    assert_eq!(again.signed(&identity), keys.signed(&identity));
    assert!(keys.rotate(NOON_MS + 2 * MS_PER_DAY, &mut rng()));
    assert_eq!(keys.open(&first).err(), Some(RelayFault::OldKey.into()));
    assert!(keys.open(&second).is_ok());
    // After a day without a rotation, the older keys are gone.
    assert!(keys.rotate(NOON_MS + 4 * MS_PER_DAY, &mut rng()));
    assert_eq!(keys.open(&second).err(), Some(RelayFault::OldKey.into()));
    assert!(!format!("{keys:?} {stored:?}").contains(&hex::encode(wire::encode(&stored).unwrap())[24..40]));
}

#[test]
fn stored_keys_of_other_days_or_of_no_day_are_not_read() {
    let target = identity().public();
    let read = |days: &[u32]| {
        let days: Vec<(u32, [u8; 32])> = days.iter().map(|day| (*day, [9; 32])).collect();
        let stored: StoredKeys = wire::decode(&wire::encode(&days).unwrap(), 1000).unwrap();
        DecryptionKeys::from_stored(target, &stored).is_some()
    };
    assert!(read(&[5]) && read(&[5, 4]) && read(&[u32::MAX, u32::MAX - 1]));
    assert!(!read(&[]) && !read(&[5, 5]) && !read(&[5, 6]) && !read(&[5, 3]));
}

#[test]
fn two_keys_for_one_day_convict_only_their_signer() {
    let (identity, other) = (identity(), identity());
    let signed = |by: &SecretKey, target: PublicKey, day: u32, key: u8| {
        let key = crate::ids::ObliviousKey([key; 32]);
        Signed::sign(EncryptionKey { target, day, key }, by)
    };
    let target = identity.public();
    let first = signed(&identity, target, 7, 1);
    let convict = |second: Signed<EncryptionKey>| {
        let first = first.clone();
        TwoKeys { first, second }.convict(&target)
    };
    assert!(convict(signed(&identity, target, 7, 2)));
    assert!(!convict(first.clone()));
    assert!(!convict(signed(&identity, target, 8, 2)));
    assert!(!convict(signed(&other, target, 7, 2)));
    assert!(!convict(signed(&identity, other.public(), 7, 2)));
}

#[test]
fn the_refusal_of_an_old_key_is_seen_without_decoding() {
    let reply = |reply: Result<SealedReply, Refusal>| encode_reply(&reply);
    let old = reply(Err(RelayFault::OldKey.into()));
    assert!(SealedReply::is_old_key(&old));
    assert!(!SealedReply::is_old_key(&[&old[..], &[0]].concat()));
    assert!(!SealedReply::is_old_key(&old[..old.len() - 1]));
    assert!(!SealedReply::is_old_key(&[]));
    assert!(!SealedReply::is_old_key(&reply(Err(
        RelayFault::DoesNotOpen.into()
    ))));
    assert!(!SealedReply::is_old_key(&reply(Ok(SealedReply(vec![0; 100])))));
}
