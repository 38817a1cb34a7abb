//! The common form of `farthing:` URIs: named parts in one order, and one encoding of each text.

use std::{fmt, fmt::Write, iter::Peekable, str::Split};

/// The longest text of a URI (bytes, UTF-8).
pub const TEXT_MAX_BYTES: usize = 128;

/// The parts of a URI, in their order.
pub(crate) struct Parts<'t>(Peekable<Split<'t, char>>);

impl<'t> Parts<'t> {
    /// The parts of what follows the prefix.
    pub(crate) fn of(query: &'t str) -> Parts<'t> {
        Parts(query.split('&').peekable())
    }

    /// The value of the next part, if it has this name.
    pub(crate) fn next(&mut self, name: &str) -> Option<&'t str> {
        let is_it = |part: &&str| part.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let found = self.0.next_if(is_it)?;
        found.split_once('=').map(|(_, value)| value)
    }
}

/// Whether a text is short enough for a URI, and has no control characters.
pub(crate) fn is_fitting(text: &str) -> bool {
    text.len() <= TEXT_MAX_BYTES && !text.chars().any(char::is_control)
}

/// Writes a text percent-encoded. Only the unreserved characters of RFC 3986 (section 2.3) stand for themselves.
pub(crate) fn write_encoded(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => f.write_char(byte.into())?,
            false => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

/// The text of a percent-encoded part; `None` if it is damaged.
pub(crate) fn decoded(part: &str) -> Option<String> {
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
