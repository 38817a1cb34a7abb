//! Documents as JSON with bytes in hex.
//!
//! Signed documents hold bytes as lists of numbers once serde_json has written them. People and other programs
//! expect hex. In a document every list of small numbers is bytes, so writing needs no schema; reading takes hex
//! wherever the document's type has bytes, and lists of numbers as well.

use serde::de::{
    DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor,
    value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// `value` with every list of bytes in hex.
pub(super) fn to_hex(value: Value) -> Value {
    match value {
        Value::Array(items) => match bytes(&items) {
            Some(bytes) => Value::String(hex::encode(bytes)),
            None => Value::Array(items.into_iter().map(to_hex).collect()),
        },
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name, to_hex(value)))
                .collect(),
        ),
        other => other,
    }
}

fn bytes(items: &[Value]) -> Option<Vec<u8>> {
    if items.is_empty() {
        return None;
    }
    let byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
    items.iter().map(byte).collect()
}

/// Reads what [`to_hex`] wrote, or the same with lists of numbers. Unknown fields are passed over.
pub(super) fn from_hex<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    T::deserialize(Hexed(value))
}

struct Hexed<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, Error> for Hexed<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Hexed<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(Hexed));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), Hexed(value)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let Value::String(text) = self.0 else {
            return self.deserialize_any(visitor);
        };
        let bytes = hex::decode(text).map_err(|why| Error::custom(format!("`{text}` is not hex: {why}")))?;
        if bytes.len() != length {
            let got = bytes.len();
            return Err(Error::custom(format!(
                "`{text}` has {got} bytes, expected {length}"
            )));
        }
        visitor.visit_seq(SeqDeserializer::new(bytes.into_iter()))
    }

    /// A list of small numbers was written as bytes.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::String(text) = self.0 else {
            return self.deserialize_any(visitor);
        };
        let bytes = hex::decode(text).map_err(|why| Error::custom(format!("`{text}` is not hex: {why}")))?;
        visitor.visit_seq(SeqDeserializer::new(bytes.into_iter()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), Hexed(value)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(fields)))
            }
            other => other.deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Key([u8; 4]);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Once,
        By { key: Key },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Document {
        title: String,
        keys: Vec<Key>,
        none: Vec<Key>,
        raw: [u8; 2],
        size: u64,
        kind: Kind,
        other_kind: Kind,
        maybe: Option<Key>,
        values: Vec<u64>,
    }

    fn document() -> Document {
        Document {
            title: "deadbeef".into(),
            keys: vec![Key([1, 2, 3, 4]), Key([255; 4])],
            none: Vec::new(),
            raw: [0, 9],
            size: u64::MAX,
            kind: Kind::Once,
            other_kind: Kind::By { key: Key([8; 4]) },
            maybe: Some(Key([7; 4])),
            values: vec![1, 2, 4],
        }
    }

    #[test]
    fn bytes_are_hex_and_nothing_else_is() {
        let plain = serde_json::to_value(document()).unwrap();
        let hexed = to_hex(plain.clone());
        let expected = json!({
            "title": "deadbeef", "keys": ["01020304", "ffffffff"], "none": [], "raw": "0009",
            "size": u64::MAX, "kind": "Once",
            "other_kind": { "By": { "key": "08080808" } }, "maybe": "07070707", "values": "010204",
        });
        assert_eq!(hexed, expected);
        assert_eq!(from_hex::<Document>(&hexed).unwrap(), document());
        assert_eq!(from_hex::<Document>(&plain).unwrap(), document());
    }

    #[test]
    fn wrong_bytes_are_refused_with_what_was_got() {
        for (raw, says) in [
            ("00", "1 bytes, expected 2"),
            ("0x", "not hex"),
            ("000900", "3 bytes"),
        ] {
            let mut value = to_hex(serde_json::to_value(document()).unwrap());
            value["raw"] = json!(raw);
            let error = from_hex::<Document>(&value).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
