//! The common form of `farthing:` URIs: a prefix, then named parts in one order, and one encoding of each text.

use farthing_coin::PublicKey;
use farthing_protocol::money::Amount;
use std::{fmt, fmt::Write, iter::Peekable, str::Split};

/// The longest text of a URI (bytes, UTF-8).
pub const TEXT_MAX_BYTES: usize = 128;

/// The length of a [`KeyPrefix`] (bytes).
const PREFIX_BYTES: usize = 16;

/// A kind of `farthing:` URI. What is written by [`Display`](fmt::Display) is its only text.
pub trait Uri: fmt::Display + Sized {
    /// What it is, in an error.
    const NAME: &'static str;
    /// What every such URI begins with.
    const PREFIX: &'static str;
    /// The longest one (bytes).
    const MAX_BYTES: usize;

    /// Reads the parts after the prefix. What is left of them is refused by [`read`].
    ///
    /// # Errors
    /// When a part is missing or damaged, or says what no such URI can say.
    fn read_parts(parts: &mut Parts<'_>) -> Result<Self, UriError>;
}

/// Why a text is not a URI of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It is too long.
    #[error("this is no {name}: it is longer than {max_bytes} bytes; copy it again")]
    TooLong {
        /// What it should be.
        name: &'static str,
        /// The longest one (bytes).
        max_bytes: usize,
    },
    /// It begins otherwise.
    #[error("this is no {name}: it does not begin with `{prefix}`; copy it again")]
    Prefix {
        /// What it should be.
        name: &'static str,
        /// What it should begin with.
        prefix: &'static str,
    },
    /// A part is missing, unknown, repeated, out of order, or not in its only form.
    #[error("this {name} is damaged: its {part} is not in its place or not in its form; copy it again")]
    Part {
        /// What it should be.
        name: &'static str,
        /// The part, or `end` for what is no part of it.
        part: &'static str,
    },
    /// A key in it is not a key.
    #[error("this {0} is damaged: nobody can have the key in it")]
    NoKey(&'static str),
    /// The text is too long, or has control characters.
    #[error("the text has more than {TEXT_MAX_BYTES} bytes or control characters; shorten it")]
    Text,
}

/// Reads a URI. Every other writing of the same one is refused, and so is everything after it.
///
/// # Errors
/// Those of [`Uri::read_parts`], and when the text is too long, begins otherwise, or is not the URI's only text.
pub fn read<U: Uri>(text: &str) -> Result<U, UriError> {
    let (name, prefix, max_bytes) = (U::NAME, U::PREFIX, U::MAX_BYTES);
    if text.len() > max_bytes {
        return Err(UriError::TooLong { name, max_bytes });
    }
    let query = text.strip_prefix(prefix);
    let query = query.ok_or(UriError::Prefix { name, prefix })?;
    let mut parts = Parts {
        name,
        left: query.split('&').peekable(),
    };
    let uri = U::read_parts(&mut parts)?;
    match uri.to_string() == text {
        true => Ok(uri),
        false => Err(parts.damaged("end")),
    }
}

/// The beginning of a node's identity key. It is long enough that nobody can make another key with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPrefix([u8; PREFIX_BYTES]);

impl KeyPrefix {
    /// The prefix with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; PREFIX_BYTES]) -> KeyPrefix {
        KeyPrefix(bytes)
    }

    /// The prefix of this key.
    #[must_use]
    pub fn of(key: &PublicKey) -> KeyPrefix {
        let mut prefix = [0; PREFIX_BYTES];
        prefix.iter_mut().zip(key.0).for_each(|(to, from)| *to = from);
        KeyPrefix(prefix)
    }

    /// Whether this key begins with it.
    #[must_use]
    pub fn is_of(&self, key: &PublicKey) -> bool {
        KeyPrefix::of(key) == *self
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The parts of a URI, in their order.
#[derive(Debug, Clone)]
pub struct Parts<'t> {
    /// What the URI is, in an error.
    name: &'static str,
    left: Peekable<Split<'t, char>>,
}

impl<'t> Parts<'t> {
    /// The value of the next part, if it has this name.
    pub fn next(&mut self, name: &str) -> Option<&'t str> {
        let is_it = |part: &&str| part.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let found = self.left.next_if(is_it)?;
        found.split_once('=').map(|(_, value)| value)
    }

    /// The bytes of the next part, which is in hex.
    ///
    /// # Errors
    /// When it has another name, or is damaged.
    pub fn bytes<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], UriError> {
        bytes_of(self.next(name)).ok_or(self.damaged(name))
    }

    /// The amount in the next part, if it has this name.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn amount(&mut self, name: &'static str) -> Result<Option<Amount>, UriError> {
        let part = self.next(name);
        part.map(|amount| amount.parse().map_err(|_| self.damaged(name)))
            .transpose()
    }

    /// The text of the next part, or an empty one if it has another name. An error calls it `shown`.
    ///
    /// # Errors
    /// When it is damaged, is too long, or has control characters.
    pub fn text(&mut self, name: &str, shown: &'static str) -> Result<String, UriError> {
        let text = self.next(name).map_or(Some(String::new()), decoded);
        let text = text.ok_or(self.damaged(shown))?;
        check_text(&text)?;
        Ok(text)
    }

    /// The error of a part that is missing or damaged.
    #[must_use]
    pub fn damaged(&self, part: &'static str) -> UriError {
        let name = self.name;
        UriError::Part { name, part }
    }
}

/// Checks the length and the characters of a text.
///
/// # Errors
/// [`UriError::Text`] when it is too long or has control characters.
pub fn check_text(text: &str) -> Result<(), UriError> {
    match text.len() <= TEXT_MAX_BYTES && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(UriError::Text),
    }
}

/// Writes a text percent-encoded. Only the unreserved characters of RFC 3986 (section 2.3) stand for themselves.
///
/// # Errors
/// When the formatter cannot be written.
pub fn write_encoded(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => f.write_char(byte.into())?,
            false => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

/// The text of a percent-encoded part; `None` if it is damaged.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let mut decoded = [0];
        hex::decode_to_slice(digits, &mut decoded).ok()?;
        bytes.extend(decoded);
    }
    String::from_utf8(bytes).ok()
}

/// The bytes of a part in hex; `None` if it is missing or damaged.
pub(crate) fn bytes_of<const N: usize>(part: Option<&str>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(part?, &mut bytes).ok()?;
    Some(bytes)
}
