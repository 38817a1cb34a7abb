//! The common form of `farthing:` URIs: named parts in one order, and one encoding of each text.

use farthing_coin::PublicKey;
use std::{fmt, fmt::Write, iter::Peekable, str::Split};

/// The longest text of a URI (bytes, UTF-8).
pub const TEXT_MAX_BYTES: usize = 128;

/// The length of a [`KeyPrefix`] (bytes).
const PREFIX_BYTES: usize = 16;

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
pub struct Parts<'t>(Peekable<Split<'t, char>>);

impl<'t> Parts<'t> {
    /// The parts of what follows the prefix.
    #[must_use]
    pub fn of(query: &'t str) -> Parts<'t> {
        Parts(query.split('&').peekable())
    }

    /// The value of the next part, if it has this name.
    pub fn next(&mut self, name: &str) -> Option<&'t str> {
        let is_it = |part: &&str| part.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let found = self.0.next_if(is_it)?;
        found.split_once('=').map(|(_, value)| value)
    }
}

/// Whether a text is short enough for a URI, and has no control characters.
#[must_use]
pub fn is_fitting(text: &str) -> bool {
    text.len() <= TEXT_MAX_BYTES && !text.chars().any(char::is_control)
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
#[must_use]
pub fn decoded(part: &str) -> Option<String> {
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
#[must_use]
pub fn bytes_of<const N: usize>(part: Option<&str>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(part?, &mut bytes).ok()?;
    Some(bytes)
}
