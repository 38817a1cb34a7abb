//! Serialization of a fixed number of bytes: hex in formats that people read, raw bytes in all others.
//!
//! Use it for fields, as `#[serde(with = "farthing_coin::hex_bytes")]`. Raw bytes have no length before them. In JSON a
//! list of numbers is accepted too, because older programs wrote it.
//!
//! A format that is not for people must write integers with a fixed width, little-endian, as messages and rows do. It
//! gets eight bytes at a time, as one integer. One call for each byte would cost more than the rest of a row.
//!
//! ```
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Tag(#[serde(with = "farthing_coin::hex_bytes")] [u8; 2]);
//!
//! assert_eq!(serde_json::to_string(&Tag([0, 255])).unwrap(), r#""00ff""#);
//! let tag: Tag = serde_json::from_str("[0, 255]").unwrap();
//! assert_eq!(tag.0, [0, 255]);
//! ```
//!
//! [`bytes32!`](crate::bytes32) defines types with this serialization.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};

#[doc(hidden)]
pub use serde;

/// Writes `bytes`.
///
/// # Errors
/// The errors of the serializer.
pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serdect::array::serialize_hex_lower_or_bin(bytes, serializer);
    }
    // Serdect would write the length first. Messages and rows have no length before fixed bytes.
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    let mut tuple = serializer.serialize_tuple(words.len() + rest.len())?;
    for word in words {
        tuple.serialize_element(&u64::from_le_bytes(*word))?;
    }
    for byte in rest {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

/// Reads bytes that [`serialize`] wrote.
///
/// # Errors
/// When the number of bytes is not `N`, or the text is not hex.
pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Bytes)
    } else {
        deserializer.deserialize_tuple(N / WORD_BYTES + N % WORD_BYTES, Words)
    }
}

/// Bytes that one integer takes.
const WORD_BYTES: usize = size_of::<u64>();

/// Reads integers of eight bytes, and then single bytes.
struct Words<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Words<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; N];
        let missing = || A::Error::custom("the bytes end too early");
        let (words, rest) = bytes.as_chunks_mut::<WORD_BYTES>();
        for word in words {
            let read: u64 = list.next_element()?.ok_or_else(missing)?;
            *word = read.to_le_bytes();
        }
        for byte in rest {
            *byte = list.next_element()?.ok_or_else(missing)?;
        }
        Ok(bytes)
    }
}

struct Bytes<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes in hex")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.len() != 2 * N {
            return Err(E::invalid_length(text.len() / 2, &self));
        }
        let mut bytes = [0; N];
        serdect::array::deserialize_hex_or_bin(&mut bytes, StrDeserializer::new(text))?;
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; N];
        for (read, byte) in bytes.iter_mut().enumerate() {
            *byte = list
                .next_element()?
                .ok_or_else(|| A::Error::invalid_length(read, &self))?;
        }
        Ok(bytes)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "got {got_chars} characters that are not the expected 64 hexadecimal digits; copy the whole value again"
)]
pub struct ParseHexError {
    /// Length of the text (bytes).
    pub got_chars: usize,
}

/// Reads 64 hexadecimal digits, in lower or upper case.
///
/// # Errors
/// When the text is not 64 hexadecimal digits.
pub fn parse(text: &str) -> Result<[u8; 32], ParseHexError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHexError {
        got_chars: text.len(),
    })?;
    Ok(bytes)
}

/// Writes all digits.
///
/// # Errors
/// The errors of the formatter.
pub fn display(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&hex::encode(bytes))
}

/// Writes the first eight digits and an ellipsis. In a log they suffice to tell values apart.
///
/// # Errors
/// The errors of the formatter.
pub fn debug(name: &str, bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{name}(")?;
    for byte in bytes.iter().take(4) {
        write!(f, "{byte:02x}")?;
    }
    write!(f, "…)")
}

/// Implements `Serialize` and `Deserialize` with the functions of this module.
#[doc(hidden)]
#[macro_export]
macro_rules! hex_serde {
    ($name:ident) => {
        impl $crate::hex_bytes::serde::Serialize for $name {
            fn serialize<S: $crate::hex_bytes::serde::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                $crate::hex_bytes::serialize(&self.0, serializer)
            }
        }

        impl<'de> $crate::hex_bytes::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::hex_bytes::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::hex_bytes::deserialize(deserializer).map(Self)
            }
        }
    };
}

/// Defines a type for an id, a key or a digest of 32 bytes.
///
/// It is hex in text and in JSON, and raw bytes in messages and rows. `Debug` shows the first digits.
///
/// ```
/// farthing_coin::bytes32! {
///     /// Names a parcel.
///     ParcelId
/// }
///
/// let parcel = ParcelId([0xab; 32]);
/// assert_eq!(parcel.to_string(), "ab".repeat(32));
/// assert_eq!("AB".repeat(32).parse(), Ok(parcel));
/// assert_eq!(format!("{parcel:?}"), "ParcelId(abababab…)");
/// assert_eq!(serde_json::to_value(parcel).unwrap(), "ab".repeat(32));
/// ```
#[macro_export]
macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::hex_bytes::display(&self.0, f)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::hex_bytes::debug(stringify!($name), &self.0, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::hex_bytes::ParseHexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::hex_bytes::parse(text).map(Self)
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        $crate::hex_serde!($name);
    };
}
pub use bytes32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use crate::sign::PublicKey;
    use serde::Serialize;

    #[derive(Serialize)]
    struct Values {
        key: PublicKey,
        values: Vec<u64>,
    }

    #[test]
    fn json_has_hex_for_bytes_and_lists_for_lists() {
        let key = PublicKey([0xab; 32]);
        let values = vec![1, 2, 4];
        let json = serde_json::to_string(&Values { key, values }).unwrap();
        assert_eq!(
            json,
            format!(r#"{{"key":"{}","values":[1,2,4]}}"#, "ab".repeat(32))
        );
    }

    #[test]
    fn json_is_read_as_hex_in_lower_or_upper_case_and_as_a_list() {
        let key = PublicKey([0xab; 32]);
        for json in [
            format!(r#""{}""#, "ab".repeat(32)),
            format!(r#""{}""#, "AB".repeat(32)),
            format!("{:?}", [0xab_u8; 32]),
        ] {
            assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key, "{json}");
        }
    }

    #[test]
    fn wrong_lengths_and_digits_are_refused_and_the_error_does_not_show_the_text() {
        for (json, says) in [
            (
                format!(r#""{}""#, "ab".repeat(31)),
                "invalid length 31, expected 32 bytes in hex",
            ),
            (format!(r#""{}""#, "ab".repeat(33)), "invalid length 33"),
            (format!(r#""{}""#, "xy".repeat(32)), "hex digits"),
            (format!("{:?}", [0xab_u8; 31]), "invalid length 31"),
            (format!("{:?}", [0xab_u8; 33]), "trailing"),
            ("7".to_owned(), "expected 32 bytes in hex"),
        ] {
            let error = serde_json::from_str::<PublicKey>(&json).unwrap_err().to_string();
            assert!(error.contains(says), "{json}: {error}");
            assert!(!error.contains("xy"), "{error}");
        }
    }
}
