//! Bounds of every list and text that a peer sends.
//!
//! The decoder refuses what is longer, by its count: see [`farthing_coin::bounded`]. A row that is made of a message has
//! the message's bounds. A row of this program's own making decodes whatever its length, as texts were kept uncut once.

use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

pub use farthing_coin::bounded::{bytes, cut, list, text};

/// For `#[serde(with = "reason")]`: a text that says why something was refused. What is sent is cut to
/// [`REASON_MAX_BYTES`](crate::limits::REASON_MAX_BYTES); what is longer is refused by the decoder.
pub mod reason {
    use super::{cut, text};
    use crate::limits::REASON_MAX_BYTES;
    use serde::{Deserializer, Serializer};

    /// Encodes as much of the text as may be sent.
    ///
    /// # Errors
    /// As the encoder.
    pub fn serialize<S: Serializer>(reason: &str, encoder: S) -> Result<S::Ok, S::Error> {
        encoder.serialize_str(cut(reason, REASON_MAX_BYTES))
    }

    /// Decodes a text that is not longer than may be sent.
    ///
    /// # Errors
    /// When it is longer, or as the decoder.
    pub fn deserialize<'de, D: Deserializer<'de>>(decoder: D) -> Result<String, D::Error> {
        text::<_, REASON_MAX_BYTES>(decoder)
    }
}

/// A list of at most `MAX` entries when it is decoded, where no field can say so.
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
