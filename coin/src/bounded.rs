//! Bounds in decoders. They refuse a list, text or byte string that is too long by its count, before they read its content
//! or take memory for it.
//!
//! Use the functions in `#[serde(deserialize_with = "...")]`. They change neither the encoding nor the type of a field.
//!
//! ```
//! use farthing_coin::bounded;
//!
//! #[derive(serde::Deserialize)]
//! struct Letter {
//!     #[serde(deserialize_with = "bounded::text::<_, 96>")]
//!     title: String,
//!     #[serde(deserialize_with = "bounded::list::<_, _, 3>")]
//!     pages: Vec<u32>,
//! }
//!
//! let letter = |pages: &str| serde_json::from_str::<Letter>(&format!(r#"{{"title": "a", "pages": {pages}}}"#));
//! assert!(letter("[1, 2, 3]").is_ok());
//! assert!(letter("[1, 2, 3, 4]").is_err());
//! ```

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Decodes a list of at most `MAX` entries.
///
/// # Errors
/// When the list is longer, and the errors of the decoder.
pub fn list<'de, D, T, const MAX: usize>(decoder: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    decoder.deserialize_seq(List::<T, MAX>(PhantomData))
}

/// Decodes a text of at most `MAX` bytes.
///
/// # Errors
/// When the text is longer, and the errors of the decoder.
pub fn text<'de, D, const MAX: usize>(decoder: D) -> Result<String, D::Error>
where
    D: Deserializer<'de>,
{
    decoder.deserialize_str(Text::<MAX>)
}

/// Decodes a byte string of at most `MAX` bytes, as `serde_bytes` encodes it.
///
/// # Errors
/// When the byte string is longer, and the errors of the decoder.
pub fn bytes<'de, D, const MAX: usize>(decoder: D) -> Result<Vec<u8>, D::Error>
where
    D: Deserializer<'de>,
{
    decoder.deserialize_bytes(Bytes::<MAX>)
}

/// Cuts `text` to at most `max_bytes` bytes, at the end of a character.
pub fn cut(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

fn check<E: Error>(what: &str, got: usize, most: usize) -> Result<(), E> {
    if got <= most {
        return Ok(());
    }
    Err(E::custom(format_args!(
        "there are {got} {what}, at most {most} are allowed"
    )))
}

struct List<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let announced = entries.size_hint().unwrap_or_default();
        check("entries", announced, MAX)?;
        let mut list = Vec::with_capacity(announced.min(MAX));
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
            check("entries", list.len(), MAX)?;
        }
        Ok(list)
    }
}

struct Text<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for Text<MAX> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of at most {MAX} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        check("bytes of text", text.len(), MAX)?;
        Ok(text.to_owned())
    }
}

struct Bytes<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for Bytes<MAX> {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a byte string of at most {MAX} bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        check("bytes", bytes.len(), MAX)?;
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{BorrowedBytesDeserializer, Error, SeqDeserializer, StrDeserializer};

    #[test]
    fn a_list_text_or_byte_string_above_its_bound_is_refused() {
        let numbers = |count: u32| SeqDeserializer::<_, Error>::new(0..count);
        assert_eq!(list::<_, u32, 3>(numbers(3)).unwrap(), [0, 1, 2]);
        assert!(list::<_, u32, 3>(numbers(4)).is_err());
        let word = |word: &'static str| -> StrDeserializer<'static, Error> { word.into_deserializer() };
        assert_eq!(text::<_, 3>(word("abc")).unwrap(), "abc");
        assert!(text::<_, 3>(word("abcd")).is_err());
        let raw = |raw: &'static [u8]| BorrowedBytesDeserializer::<Error>::new(raw);
        assert_eq!(bytes::<_, 3>(raw(&[1, 2, 3])).unwrap(), [1, 2, 3]);
        assert!(bytes::<_, 3>(raw(&[1, 2, 3, 4])).is_err());
    }

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("é", 1), "");
        assert_eq!(cut("", 0), "");
    }
}
