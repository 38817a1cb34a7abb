//! How a fixed number of bytes is serialized: in hex where people read it, raw everywhere else.
//!
//! For fields, as `#[serde(with = "farthing_coin::hex_bytes")]`. Raw means each byte, without a length before them. A
//! list of numbers is read as well where people read: older programs wrote JSON so.
//!
//! ```
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Tag(#[serde(with = "farthing_coin::hex_bytes")] [u8; 2]);
//!
//! assert_eq!(serde_json::to_string(&Tag([0, 255])).unwrap(), r#""00ff""#);
//! let tag: Tag = serde_json::from_str("[0, 255]").unwrap();
//! assert_eq!(tag.0, [0, 255]);
//! ```

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};

/// Writes `bytes`.
///
/// # Errors
/// What the serializer says.
pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serdect::array::serialize_hex_lower_or_bin(bytes, serializer);
    }
    // Serdect would write the length first, which no message and no row has.
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

/// Reads what [`serialize`] wrote.
///
/// # Errors
/// When it is another number of bytes, or not hex.
pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(Bytes)
    } else {
        deserializer.deserialize_tuple(N, Bytes)
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
    fn json_is_read_in_hex_of_either_case_and_as_a_list() {
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
    fn other_lengths_and_other_digits_are_refused_without_showing_them() {
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
