//! A value of a vector file, and its comparison with a value of the program.

use serde::Serialize;
use serde_json::Value;

/// Field names in the documents, and their names in the program.
const ALIASES: &[(&str, &str)] = &[
    ("A", "a"),
    ("B", "b"),
    ("at", "at_ms"),
    ("coin_key", "coin"),
    ("deadline", "deadline_ms"),
    ("encrypted_size", "encrypted_bytes"),
    ("epoch_length", "epoch_ms"),
    ("expired", "expired_ms"),
    ("expires", "expires_ms"),
    ("purchase_id", "purchase"),
    ("served_until", "served_until_ms"),
    ("wait", "wait_ms"),
    ("size", "size_bytes"),
];

/// A value of a vector file. Its accessors panic on a value of another kind.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a>(pub &'a Value);

impl<'a> Field<'a> {
    /// The field `name` of an object.
    #[must_use]
    pub fn get(self, name: &str) -> Field<'a> {
        self.find(name)
            .unwrap_or_else(|| panic!("no field `{name}` in {}", self.0))
    }

    /// The field `name` of an object, or `None` if it is absent or `null`.
    #[must_use]
    pub fn find(self, name: &str) -> Option<Field<'a>> {
        self.0.get(name).filter(|value| !value.is_null()).map(Field)
    }

    /// The elements of a list.
    #[must_use]
    pub fn items(self) -> Vec<Field<'a>> {
        let items = self.0.as_array().expect("a list");
        items.iter().map(Field).collect()
    }

    /// Hexadecimal bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        hex::decode(self.text()).expect("hexadecimal")
    }

    /// A known number of hexadecimal bytes.
    #[must_use]
    pub fn array<const N: usize>(self) -> [u8; N] {
        let bytes = self.bytes();
        bytes
            .try_into()
            .unwrap_or_else(|_| panic!("expected {N} bytes: {}", self.0))
    }

    /// A text.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.0.as_str().expect("a text")
    }

    /// A number.
    #[must_use]
    pub fn u64(self) -> u64 {
        self.0.as_u64().expect("a number")
    }

    /// A number of 32 bits.
    #[must_use]
    pub fn u32(self) -> u32 {
        self.u64().try_into().expect("32 bits")
    }

    /// Whether `ours` is the same value.
    ///
    /// # Errors
    /// The place of the difference, and both values.
    pub fn is_same(self, ours: &impl Serialize) -> Result<(), String> {
        let ours = serde_json::to_value(ours).map_err(|e| e.to_string())?;
        same(self.0, &ours, "value")
    }
}

/// Compares a vector's value with a program's value, field by field. Bytes are hexadecimal in the vector and numbers in
/// the program. A field may have another name. A struct of one field may be written as the field.
fn same(theirs: &Value, ours: &Value, at: &str) -> Result<(), String> {
    let differ = || {
        Err(format!(
            "{at}: the vector says {}, the program {}",
            short(theirs),
            short(ours)
        ))
    };
    match (theirs, ours) {
        (Value::String(text), Value::Array(numbers)) => {
            let bytes = numbers
                .iter()
                .map(|n| n.as_u64().and_then(|n| u8::try_from(n).ok()));
            let bytes: Option<Vec<u8>> = bytes.collect();
            if bytes.is_some_and(|bytes| hex::encode(bytes) == *text) {
                return Ok(());
            }
            differ()
        }
        (Value::Array(left), Value::Array(right)) => {
            if left.len() != right.len() {
                return differ();
            }
            (0..)
                .zip(left.iter().zip(right))
                .try_for_each(|(index, (left, right))| {
                    let index: u32 = index;
                    same(left, right, &format!("{at}[{index}]"))
                })
        }
        (Value::Object(left), Value::Object(right)) => {
            if left.len() != right.len() {
                return differ();
            }
            left.iter().try_for_each(|(name, left)| {
                let right = right.get(name).or_else(|| {
                    let mut aliases = ALIASES.iter().filter(|(theirs, _)| theirs == name);
                    aliases.find_map(|(_, ours)| right.get(*ours))
                });
                match right {
                    Some(right) => same(left, right, &format!("{at}.{name}")),
                    None => Err(format!("{at}: the program has no field `{name}`")),
                }
            })
        }
        (_, Value::Object(fields)) if fields.len() == 1 => {
            let (name, only) = fields.iter().next().expect("one field");
            same(theirs, only, &format!("{at}.{name}"))
        }
        _ if theirs == ours => Ok(()),
        _ => differ(),
    }
}

/// The start of a value, for a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bytes_names_and_structs_of_one_field_are_compared_by_what_they_say() {
        let same = |theirs: Value, ours: Value| Field(&theirs).is_same(&ours).is_ok();
        assert!(same(json!("00ff"), json!([0, 255])));
        assert!(same(json!(""), json!([])));
        assert!(same(json!({"a": 7}), json!({"a": {"only": 7}})));
        assert!(same(json!(u64::MAX), json!(u64::MAX)));
        assert!(!same(json!("00ff"), json!([0, 254])));
        assert!(!same(json!("00ff"), json!([0, 255, 0])));
        assert!(!same(json!("01"), json!([256])));
        assert!(!same(json!({"a": 7}), json!({"a": 7, "b": 8})));
        assert!(!same(json!({"a": 7}), json!({"b": 7})));
        assert!(!same(json!(null), json!([])));
        assert!(!same(json!([1]), json!([1, 2])));
    }
}
