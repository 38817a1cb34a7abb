//! Delivery addresses and postal codes, in the one form that is compared and hashed.
//!
//! Spaces, line breaks and capitals do not distinguish addresses: a machine reads them differently from print. Every other
//! character does.

use farthing_coin::{Transcript, TranscriptExt, bytes32};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest address (bytes, in its compared form).
pub const ADDRESS_MAX_BYTES: usize = 512;

/// The longest postal code (bytes).
pub const POSTAL_CODE_MAX_BYTES: usize = 12;

bytes32! {
    /// The digest of a delivery address.
    AddressDigest
}

/// Why a text is no address or no postal code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The address has no words.
    #[error("the address is empty")]
    Empty,
    /// The address is too long.
    #[error("the address has {0} bytes, at most {ADDRESS_MAX_BYTES} are allowed")]
    TooLong(usize),
    /// The address has control characters.
    #[error("the address has control characters")]
    Control,
    /// The text is no postal code.
    #[error(
        "`{0}` is no postal code: it has 1 to {POSTAL_CODE_MAX_BYTES} letters A to Z, digits, spaces and hyphens"
    )]
    PostalCode(String),
    /// No line of the address has a postal code.
    #[error("no line of the address has a digit, so its postal code is not known; name it with --postcode")]
    NoPostalCode,
    /// The postal code is not in the address.
    #[error("the postal code {0} is not in the address")]
    Absent(PostalCode),
}

/// An address in its compared form: its words in capitals, with one space between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// The address with these lines.
    ///
    /// # Errors
    /// When it has no words, is too long, or has control characters.
    pub fn new(lines: &[impl AsRef<str>]) -> Result<Address, AddressError> {
        let words = lines.iter().flat_map(|line| line.as_ref().split_whitespace());
        let text = words.collect::<Vec<_>>().join(" ").to_uppercase();
        match text {
            empty if empty.is_empty() => Err(AddressError::Empty),
            long if long.len() > ADDRESS_MAX_BYTES => Err(AddressError::TooLong(long.len())),
            control if control.chars().any(char::is_control) => Err(AddressError::Control),
            text => Ok(Address(text)),
        }
    }

    /// The digest. The address stands beside the indicium in clear, so the digest hides nothing.
    #[must_use]
    pub fn digest(&self) -> AddressDigest {
        let mut transcript = Transcript::start(b"farthing postage address");
        transcript.bytes(b"address", self.0.as_bytes());
        AddressDigest(transcript.digest32(b"digest"))
    }

    /// Whether the words of the postal code stand in the address, one after another.
    #[must_use]
    pub fn has(&self, code: &PostalCode) -> bool {
        format!(" {} ", self.0).contains(&format!(" {code} "))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A postal code: letters in capitals, digits, and single spaces and hyphens between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PostalCode(String);

impl PostalCode {
    /// The postal code of an address: in its last line with a digit, the words with digits that follow each other.
    ///
    /// # Errors
    /// When no line has a digit, or the words are no postal code.
    pub fn in_lines(lines: &[impl AsRef<str>]) -> Result<PostalCode, AddressError> {
        let has_digit = |text: &&str| text.bytes().any(|byte| byte.is_ascii_digit());
        let line = lines.iter().rev().map(AsRef::as_ref).find(has_digit);
        let words = line.ok_or(AddressError::NoPostalCode)?.split_whitespace();
        let code: Vec<&str> = words
            .skip_while(|word| !has_digit(word))
            .take_while(has_digit)
            .map(|word| word.trim_matches(','))
            .collect();
        code.join(" ").parse()
    }

    /// Whether it begins with `prefix`.
    #[must_use]
    pub fn begins_with(&self, prefix: &PostalCode) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// Its characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PostalCode {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<PostalCode, AddressError> {
        let code = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_ascii_uppercase();
        let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" -".contains(&byte);
        match (1..=POSTAL_CODE_MAX_BYTES).contains(&code.len()) && code.bytes().all(is_part) {
            true => Ok(PostalCode(code)),
            false => Err(AddressError::PostalCode(text.to_owned())),
        }
    }
}

impl TryFrom<String> for PostalCode {
    type Error = AddressError;

    /// Takes only the one form of a code.
    fn try_from(text: String) -> Result<PostalCode, AddressError> {
        match text.parse::<PostalCode>() {
            Ok(code) if code.0 == text => Ok(code),
            _ => Err(AddressError::PostalCode(text)),
        }
    }
}

impl From<PostalCode> for String {
    fn from(code: PostalCode) -> String {
        code.0
    }
}

impl fmt::Display for PostalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 3] = ["Erika Mustermann", "Heidestraße 17", "51147 Köln"];

    fn address(lines: &[&str]) -> Address {
        Address::new(lines).unwrap()
    }

    #[test]
    fn spaces_lines_and_capitals_do_not_matter_and_a_digit_does() {
        let one = address(&LINES);
        let same = address(&["  erika   MUSTERMANN", "", "Heidestraße 17 51147", "Köln "]);
        assert_eq!(one.digest(), same.digest());
        for other in [
            ["Erika Mustermann", "Heidestraße 18", "51147 Köln"],
            ["Erika Mustermann", "Heidestraße 17", "51148 Köln"],
            ["Erik Amustermann", "Heidestraße 17", "51147 Köln"],
        ] {
            assert_ne!(one.digest(), address(&other).digest(), "{other:?}");
        }
        assert_eq!(Address::new(&[" ", ""]), Err(AddressError::Empty));
        assert_eq!(Address::new(&["a\u{7}b"]), Err(AddressError::Control));
        assert_eq!(Address::new(&["a".repeat(513)]), Err(AddressError::TooLong(513)));
    }

    #[test]
    fn the_postal_code_is_found_in_the_last_line_with_a_digit() {
        let code = |lines: &[&str]| PostalCode::in_lines(lines).unwrap().to_string();
        assert_eq!(code(&LINES), "51147");
        assert_eq!(
            code(&["10 Downing Street", "London sw1a 2aa", "United Kingdom"]),
            "SW1A 2AA"
        );
        assert_eq!(
            code(&["1600 Pennsylvania Ave", "Washington, DC 20500-0003"]),
            "20500-0003"
        );
        assert_eq!(
            PostalCode::in_lines(&["nowhere"]),
            Err(AddressError::NoPostalCode)
        );
        assert!(address(&LINES).has(&"51147".parse().unwrap()));
        assert!(!address(&LINES).has(&"5114".parse().unwrap()));
    }

    #[test]
    fn a_postal_code_has_one_form() {
        for wrong in ["", "1234567890123", "ä", "1\n", "12_3"] {
            let refused = PostalCode::try_from(wrong.to_owned());
            assert!(refused.is_err(), "{wrong:?}");
        }
        assert!(PostalCode::try_from("sw1".to_owned()).is_err());
        assert!(PostalCode::try_from("A  B".to_owned()).is_err());
        let (code, prefix): (PostalCode, PostalCode) = ("51147".parse().unwrap(), "51".parse().unwrap());
        assert!(code.begins_with(&prefix) && !prefix.begins_with(&code));
    }
}
