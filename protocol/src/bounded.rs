//! Bounds of every list and text that a peer sends.
//!
//! The decoder refuses a longer list or text by its count: see [`farthing_coin::bounded`]. A row that is made from a
//! message has the message's bounds. A row that this program wrote itself decodes at any length, as earlier versions
//! stored texts without cutting them.

use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

pub use farthing_coin::bounded::{bytes, cut, list, text};

/// Encodes the reason of a refusal: use it with `#[serde(with = "reason")]`. The encoder cuts the text to
/// [`REASON_MAX_BYTES`](crate::limits::REASON_MAX_BYTES), and the decoder refuses a longer one.
pub mod reason {
    use super::{cut, text};
    use crate::limits::REASON_MAX_BYTES;
    use serde::{Deserializer, Serializer};

    /// Encodes the text, cut to the bound.
    ///
    /// # Errors
    /// The encoder's error.
    pub fn serialize<S: Serializer>(reason: &str, encoder: S) -> Result<S::Ok, S::Error> {
        encoder.serialize_str(cut(reason, REASON_MAX_BYTES))
    }

    /// Decodes a text within the bound.
    ///
    /// # Errors
    /// When the text is longer. The decoder's own error.
    pub fn deserialize<'de, D: Deserializer<'de>>(decoder: D) -> Result<String, D::Error> {
        text::<_, REASON_MAX_BYTES>(decoder)
    }
}

/// A list whose decoder accepts at most `MAX` entries. It is for places where there is no field with an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct List<T, const MAX: usize>(#[serde(deserialize_with = "list::<_, _, MAX>")] pub Vec<T>);

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T, const MAX: usize> DerefMut for List<T, MAX> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T, const MAX: usize> IntoIterator for List<T, MAX> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T, const MAX: usize> FromIterator<T> for List<T, MAX> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        List(entries.into_iter().collect())
    }
}

impl<T, const MAX: usize> From<Vec<T>> for List<T, MAX> {
    fn from(entries: Vec<T>) -> Self {
        List(entries)
    }
}
