//! The further fields of a card.

use std::collections::BTreeMap;
use std::fmt;

/// The most further fields of a card.
pub const FIELDS_MAX: usize = 8;

/// The maximum length of a field's name (characters).
pub const FIELD_NAME_MAX_CHARS: usize = 16;

/// The maximum length of a field's value (characters).
pub const FIELD_VALUE_MAX_CHARS: usize = 128;

/// Fields of a card that this program does not know, `/NAME=VALUE` each, in the order of their names.
///
/// They are kept and printed as they came, and have no other effect. So a newer program can add a key, and an older one
/// passes the card on unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Parses the fields that follow a card's identity. `None` if the text is not canonical.
    pub(super) fn parse<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let in_order = fields
                .last_key_value()
                .is_none_or(|(last, _): (&String, _)| last.as_str() < name);
            if !in_order || fields.len() == FIELDS_MAX || !is_name(name) || !is_value(value) {
                return None;
            }
            fields.insert(name.to_owned(), value.to_owned());
        }
        Some(Self(fields))
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(name, value)| write!(f, "/{name}={value}"))
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=FIELD_NAME_MAX_CHARS).contains(&text.len()) && text.bytes().all(allowed)
}

/// A value has only characters that no shell interprets.
fn is_value(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@,+".contains(&byte);
    (1..=FIELD_VALUE_MAX_CHARS).contains(&text.len()) && text.bytes().all(allowed)
}
