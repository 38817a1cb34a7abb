//! The keys of a stream's ticks: a hash chain.
//!
//! ```text
//! T(N)   = the goods key of the sale, sealed to the escrow in the offer
//! T(i-1) = SHA-256("farthing tick chain" || i || T(i))        i: 4 bytes, big-endian
//! T(0)   = the key commitment of the offer
//! K(i)   = SHA-256("farthing tick key" || i || T(i))          the key that encrypts tick i
//! tick i = ChaCha20-Poly1305(K(i), nonce 0, record)           associated data: purchase id || i
//! ```
//!
//! Each step has its index, so a key in the wrong place leads to another commitment. SHA-256 is used without a transcript,
//! as a stream takes two digests for each tick.

use crate::{
    goods::{GoodsKey, TAG_BYTES},
    ids::{KeyCommitment, PurchaseId},
};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Nonce, Tag};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The most ticks of one stream. An escrow hashes all keys of a stream once.
pub const TICKS_MAX: u32 = 1 << 16;

/// How many keys lie between two that a [`KeyChain`] keeps.
const SPACING: u32 = 256;

const CHAIN_LABEL: &[u8] = b"farthing tick chain";
const KEY_LABEL: &[u8] = b"farthing tick key";

/// The key of the tick before tick `index`, from the key of tick `index`.
fn below(key: &GoodsKey, index: u32) -> GoodsKey {
    digest(CHAIN_LABEL, key, index)
}

fn digest(label: &[u8], key: &GoodsKey, index: u32) -> GoodsKey {
    let hash = Sha256::new()
        .chain_update(label)
        .chain_update(index.to_be_bytes())
        .chain_update(key.as_bytes());
    GoodsKey::from_bytes(hash.finalize().into())
}

/// The commitment of a stream to its keys, from the key of tick `ticks`.
#[must_use]
pub fn commitment(key: &GoodsKey, ticks: u32) -> KeyCommitment {
    KeyCommitment(*key_at(key, ticks, 0).as_bytes())
}

/// Whether `key` is the key of tick `ticks` of the stream with this commitment.
#[must_use]
pub fn fits(commitment: &KeyCommitment, key: &GoodsKey, ticks: u32) -> bool {
    self::commitment(key, ticks).0.ct_eq(&commitment.0).into()
}

/// The key of tick `to`, from the key of the later tick `from`. A `to` that is not before `from` gives `key` itself.
#[must_use]
pub fn key_at(key: &GoodsKey, from: u32, to: u32) -> GoodsKey {
    let mut current = key.clone();
    for index in (to.saturating_add(1)..=from).rev() {
        current = below(&current, index);
    }
    current
}

/// All keys of one stream, for its merchant. It keeps one in 256 keys, and the 256 around the last one that was asked for.
#[derive(Debug)]
pub struct KeyChain {
    /// The keys of tick `SPACING`, `2 * SPACING`, and so on, and of the last tick.
    kept: Vec<GoodsKey>,
    ticks: u32,
    commitment: KeyCommitment,
    /// The number of the block in `block`.
    at: Option<u32>,
    /// The keys of the block's ticks, from its last tick down to its first.
    block: Vec<GoodsKey>,
}

impl KeyChain {
    /// The chain that ends with the key of tick `ticks`.
    #[must_use]
    pub fn new(last: &GoodsKey, ticks: u32) -> Self {
        let mut kept = vec![last.clone()];
        let mut current = last.clone();
        for index in (1..=ticks).rev() {
            current = below(&current, index);
            let tick = index.saturating_sub(1);
            if tick > 0 && tick.is_multiple_of(SPACING) {
                kept.push(current.clone());
            }
        }
        kept.reverse();
        Self {
            kept,
            ticks,
            commitment: KeyCommitment(*current.as_bytes()),
            at: None,
            block: Vec::new(),
        }
    }

    /// The commitment, for the offer.
    pub fn commitment(&self) -> KeyCommitment {
        self.commitment
    }

    /// The number of ticks.
    pub fn ticks(&self) -> u32 {
        self.ticks
    }

    /// The key of tick `index`, 1 for the first. `None` if there is no such tick.
    pub fn key(&mut self, index: u32) -> Option<GoodsKey> {
        if index == 0 || index > self.ticks {
            return None;
        }
        let number = index.div_ceil(SPACING).checked_sub(1)?;
        if self.at != Some(number) {
            let first = number.saturating_mul(SPACING);
            let last = first.saturating_add(SPACING).min(self.ticks);
            let mut key = self.kept.get(usize::try_from(number).ok()?)?.clone();
            self.block.clear();
            for tick in (first.saturating_add(1)..=last).rev() {
                let next = below(&key, tick);
                self.block.push(std::mem::replace(&mut key, next));
            }
            self.at = Some(number);
        }
        let last = number.saturating_add(1).saturating_mul(SPACING).min(self.ticks);
        self.block
            .get(usize::try_from(last.checked_sub(index)?).ok()?)
            .cloned()
    }
}

/// The keys that a customer has of one stream: all up to a tick. Each new key is checked against the last one.
#[derive(Debug, Clone)]
pub struct KnownKeys {
    ticks: u32,
    last: GoodsKey,
}

impl KnownKeys {
    /// No key yet of the stream with this commitment.
    #[must_use]
    pub fn none(commitment: &KeyCommitment) -> Self {
        Self {
            ticks: 0,
            last: GoodsKey::from_bytes(commitment.0),
        }
    }

    /// How many ticks the keys open.
    pub fn ticks(&self) -> u32 {
        self.ticks
    }

    /// Takes the key of tick `ticks`, and returns the keys of all ticks after the ones that were known, in their order.
    /// `None` if the key is not the stream's. Then nothing has changed.
    ///
    /// A key that is known already gives no key.
    pub fn learn(&mut self, ticks: u32, key: &GoodsKey) -> Option<Vec<GoodsKey>> {
        if ticks <= self.ticks {
            let known = key_at(&self.last, self.ticks, ticks);
            return bool::from(known.as_bytes().ct_eq(key.as_bytes())).then(Vec::new);
        }
        if ticks > TICKS_MAX {
            return None;
        }
        let mut keys = Vec::new();
        let mut current = key.clone();
        for index in (self.ticks.saturating_add(1)..=ticks).rev() {
            let next = below(&current, index);
            keys.push(std::mem::replace(&mut current, next));
        }
        if !bool::from(current.as_bytes().ct_eq(self.last.as_bytes())) {
            return None;
        }
        keys.reverse();
        self.last = key.clone();
        self.ticks = ticks;
        Some(keys)
    }
}

/// Encrypts tick `index` of a purchase. `key` is the key of this tick, and encrypts nothing else.
#[must_use]
pub fn encrypt_tick(key: &GoodsKey, purchase: &PurchaseId, index: u32, mut record: Vec<u8>) -> Vec<u8> {
    let cipher = cipher(key, index);
    let sealed = cipher.encrypt_inout_detached(
        &Nonce::default(),
        &associated(purchase, index),
        record.as_mut_slice().into(),
    );
    match sealed {
        Ok(tag) => record.extend_from_slice(&tag),
        // The cipher refuses messages of 256 GiB only. A tick without a tag does not open.
        Err(_) => record.clear(),
    }
    record
}

/// Opens tick `index` of a purchase with the key of this tick. `None` if it does not open.
#[must_use]
pub fn decrypt_tick(key: &GoodsKey, purchase: &PurchaseId, index: u32, mut tick: Vec<u8>) -> Option<Vec<u8>> {
    let length = tick.len().checked_sub(TAG_BYTES)?;
    let tag: [u8; TAG_BYTES] = tick.get(length..)?.try_into().ok()?;
    tick.truncate(length);
    cipher(key, index)
        .decrypt_inout_detached(
            &Nonce::default(),
            &associated(purchase, index),
            tick.as_mut_slice().into(),
            &Tag::from(tag),
        )
        .ok()?;
    Some(tick)
}

fn cipher(key: &GoodsKey, index: u32) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(digest(KEY_LABEL, key, index).as_bytes().into())
}

fn associated(purchase: &PurchaseId, index: u32) -> Vec<u8> {
    [purchase.0.as_slice(), &index.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    const PURCHASE: PurchaseId = PurchaseId([7; 32]);

    fn last() -> GoodsKey {
        GoodsKey::from_bytes([5; 32])
    }

    #[test]
    fn a_chain_gives_the_keys_that_lead_to_its_commitment() {
        for ticks in [1, 2, 255, 256, 257, 600, 1024] {
            let mut chain = KeyChain::new(&last(), ticks);
            assert_eq!(chain.commitment(), commitment(&last(), ticks));
            for index in [1, 2, 255, 256, 257, 512, ticks] {
                let expected = (index <= ticks).then(|| key_at(&last(), ticks, index));
                assert_eq!(chain.key(index), expected, "{index} of {ticks}");
            }
            assert_eq!(chain.key(0), None);
            assert_eq!(chain.key(ticks + 1), None);
            assert!(fits(&chain.commitment(), &last(), ticks));
            assert!(!fits(&chain.commitment(), &last(), ticks + 1));
        }
    }

    #[test]
    fn a_customer_learns_keys_in_order_and_no_other_key() {
        let mut chain = KeyChain::new(&last(), 300);
        let mut known = KnownKeys::none(&chain.commitment());
        let mut learned = Vec::new();
        for ticks in [1, 5, 270, 300] {
            let key = chain.key(ticks).unwrap();
            assert_eq!(known.learn(ticks + 1, &key), None, "in the wrong place");
            assert_eq!(known.learn(ticks, &GoodsKey::from_bytes([9; 32])), None);
            learned.extend(known.learn(ticks, &key).unwrap());
            assert_eq!(known.learn(ticks, &key), Some(Vec::new()));
            assert_eq!(known.ticks(), ticks);
        }
        let all: Vec<GoodsKey> = (1..=300).map(|index| chain.key(index).unwrap()).collect();
        assert_eq!(learned, all);
        assert_eq!(known.learn(TICKS_MAX + 1, &last()), None);
    }

    #[test]
    fn a_tick_opens_in_its_place_only() {
        let key = last();
        let tick = encrypt_tick(&key, &PURCHASE, 3, b"a record".to_vec());
        assert_eq!(
            decrypt_tick(&key, &PURCHASE, 3, tick.clone()).unwrap(),
            b"a record"
        );
        assert_eq!(decrypt_tick(&key, &PURCHASE, 4, tick.clone()), None);
        assert_eq!(decrypt_tick(&key, &PurchaseId([8; 32]), 3, tick.clone()), None);
        let mut changed = tick;
        *changed.first_mut().unwrap() ^= 1;
        assert_eq!(decrypt_tick(&key, &PURCHASE, 3, changed), None);
        assert_eq!(decrypt_tick(&key, &PURCHASE, 3, vec![0; 3]), None);
    }
}
