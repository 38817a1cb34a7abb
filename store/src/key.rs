//! Keys as bytes. The order of the bytes is the order of the keys.

use farthing_coin::{KeyId, PublicKey, RecoveryRecordId, RequestId, StatementDigest};
use farthing_protocol::{
    documents::PurchaseId,
    ids::{CoinsDigest, CreditId, DepositId, ItemId, SaleId, SessionDigest},
};

/// The prefix that is reserved for the store. No table may have it.
pub(crate) const RESERVED_PREFIX: u8 = 0;

/// The prefix of the row with the schema version. Each namespace has one such row.
pub(crate) const SCHEMA_PREFIX: u8 = 254;

/// The prefix of all namespaces. No table may have it.
pub(crate) const NAMESPACES_PREFIX: u8 = 255;

/// A key of a [`Table`](super::Table). Equal keys have equal bytes, and different keys have different bytes.
pub trait Key: Sized {
    /// Appends the key's bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Decodes a key. `None` if `bytes` are no key, or bytes are left over.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// A key of fixed length. Another key can follow it.
pub trait FixedKey: Key {
    /// Its length (bytes).
    const BYTES: usize;
}

/// The stored key of one row: its table's prefix and its own bytes. [`Table::key`](super::Table::key) makes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey(Vec<u8>);

/// The longest row key in the programs' tables: a prefix, two keys and a number (bytes).
const ROW_KEY_BYTES: usize = 80;

impl RowKey {
    /// The row of the table with this prefix, at `key`.
    pub(crate) fn new(prefix: u8, key: &impl Key) -> Self {
        // Room for the longest key, so that the vector does not grow while the key is written.
        let mut bytes = Vec::with_capacity(ROW_KEY_BYTES);
        bytes.push(prefix);
        key.write(&mut bytes);
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Key for () {
    fn write(&self, _out: &mut Vec<u8>) {}

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

impl FixedKey for () {
    const BYTES: usize = 0;
}

/// Whole numbers, big-endian. So the order of their bytes is the order of the numbers.
macro_rules! number {
    ($($t:ty),*) => {$(
        impl Key for $t {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_be_bytes)
            }
        }

        impl FixedKey for $t {
            const BYTES: usize = size_of::<$t>();
        }
    )*};
}
number!(u8, u16, u32, u64);

impl<const N: usize> Key for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

impl<const N: usize> FixedKey for [u8; N] {
    const BYTES: usize = N;
}

macro_rules! newtype {
    ($($t:ident),*) => {$(
        impl Key for $t {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                Key::read(bytes).map($t)
            }
        }

        impl FixedKey for $t {
            const BYTES: usize = 32;
        }
    )*};
}
newtype!(
    CoinsDigest,
    CreditId,
    DepositId,
    ItemId,
    KeyId,
    PublicKey,
    PurchaseId,
    RecoveryRecordId,
    RequestId,
    SaleId,
    SessionDigest,
    StatementDigest
);

/// Names, in the order of their UTF-8 bytes. Nothing marks the end of a name, so it must be the last part of a key.
impl Key for String {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }
}

impl<A: FixedKey, B: Key> Key for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(A::BYTES)?;
        Some((A::read(first)?, B::read(second)?))
    }
}

impl<A: FixedKey, B: FixedKey> FixedKey for (A, B) {
    const BYTES: usize = A::BYTES + B::BYTES;
}

impl<A: FixedKey, B: FixedKey, C: Key> Key for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_at_checked(A::BYTES)?;
        let (second, third) = rest.split_at_checked(B::BYTES)?;
        Some((A::read(first)?, B::read(second)?, C::read(third)?))
    }
}

impl<A: FixedKey, B: FixedKey, C: FixedKey> FixedKey for (A, B, C) {
    const BYTES: usize = A::BYTES + B::BYTES + C::BYTES;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn bytes(key: &impl Key) -> Vec<u8> {
        let mut out = Vec::new();
        key.write(&mut out);
        out
    }

    fn assert_reads_back<K: Key + PartialEq + Debug>(key: K) {
        let written = bytes(&key);
        assert_eq!(K::read(&written), Some(key));
    }

    #[test]
    fn keys_read_back_and_refuse_other_lengths() {
        assert_reads_back(());
        assert_reads_back(7u64);
        assert_reads_back([7u8; 32]);
        assert_reads_back(PublicKey([1; 32]));
        assert_reads_back((KeyId([1; 32]), PublicKey([2; 32])));
        assert_reads_back((9u64, "a name".to_string()));
        assert_reads_back((9u64, 3u8, [1u8; 16]));
        assert_eq!(<(u64, u64)>::read(&[0; 15]), None);
        assert_eq!(<(u64, u64)>::read(&[0; 17]), None);
        assert_eq!(<()>::read(&[0]), None);
    }

    #[test]
    fn the_order_of_the_bytes_is_the_order_of_the_keys() {
        let mut keys = [(256u64, 1u8), (1, 255), (255, 0), (1, 0)];
        let mut written: Vec<_> = keys.iter().map(bytes).collect();
        keys.sort();
        written.sort();
        assert_eq!(written, keys.iter().map(bytes).collect::<Vec<_>>());
    }
}
