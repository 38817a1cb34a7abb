//! A node's card: what others need to reach the node and to authenticate it.
//!
//! A card is one line of text without characters that a shell interprets:
//!
//! ```text
//! farthing-card:bank:central@127.0.0.1:7001/<fingerprint>/<identity>
//! farthing-card:bank:central@bank.example:7001,[2001:db8::1]:7001/<fingerprint>/<identity>/<name>=<value>
//! ```
//!
//! A card may have several addresses, and fields that this program does not know.

mod fields;

use crate::address::{AddressError, Addresses, shorten};
use crate::fingerprint::Fingerprint;
use std::fmt;
use std::str::FromStr;

use farthing_coin::PublicKey;
use serde::{Deserialize, Serialize};

pub use fields::{FIELD_NAME_MAX_CHARS, FIELD_VALUE_MAX_CHARS, FIELDS_MAX, Fields};

/// The prefix of every card.
pub const PREFIX: &str = "farthing-card";

/// The maximum length of a name (characters).
pub const NAME_MAX_CHARS: usize = 32;

/// The maximum length of a card (characters). Longer lines are refused before they are parsed.
pub const CARD_MAX_CHARS: usize = 512;

/// The role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Keeps accounts, issues coins, and knows the state of every coin.
    Bank,
    /// Decides each purchase exactly once.
    Escrow,
    /// Sells digital goods.
    Merchant,
    /// Carries the anonymous requests of wallets, so that no server sees who asks.
    Relay,
}

impl RoleName {
    /// Every role.
    pub const ALL: [RoleName; 4] = [
        RoleName::Bank,
        RoleName::Escrow,
        RoleName::Merchant,
        RoleName::Relay,
    ];

    /// The parties of a purchase. A relay carries requests to them.
    pub const PARTIES: [RoleName; 3] = [RoleName::Bank, RoleName::Escrow, RoleName::Merchant];

    /// The role in lower case, as in a card.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RoleName::Bank => "bank",
            RoleName::Escrow => "escrow",
            RoleName::Merchant => "merchant",
            RoleName::Relay => "relay",
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RoleName {
    type Err = CardError;

    fn from_str(text: &str) -> Result<Self, CardError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| CardError::Role(shorten(text)))
    }
}

/// A node's card. As text, and in serde, it is the line that the module documentation shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Card {
    /// The node's role.
    pub role: RoleName,
    /// The node's name: 1 to [`NAME_MAX_CHARS`] of `a-z`, `0-9` and `-`. Names are local. Only keys identify a node.
    pub name: String,
    /// The addresses where the node answers.
    pub address: Addresses,
    /// The SHA-256 digest of its TLS certificate (DER).
    pub fingerprint: Fingerprint,
    /// The key with which it signs documents.
    pub identity: PublicKey,
    /// Fields that this program does not know.
    pub fields: Fields,
}

impl Card {
    /// The node's role and name, as messages show them: ``bank `central` ``.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} `{}`", self.role, self.name)
    }

    /// The fingerprint in hex.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint.to_string()
    }

    /// The identity key in hex.
    #[must_use]
    pub fn identity_hex(&self) -> String {
        hex::encode(self.identity.0)
    }

    /// The card with as many of its parts as `max_chars` have room for. It loses its further fields first, and then
    /// addresses from the last one on. The first address always stays.
    #[must_use]
    pub fn shortened(&self, max_chars: usize) -> Card {
        let mut card = self.clone();
        let is_long = |card: &Card| card.to_string().len() > max_chars;
        if is_long(&card) {
            card.fields = Fields::default();
        }
        while is_long(&card) && card.address.remove_last() {}
        card
    }

    /// Whether `other` has the same fingerprint and identity key.
    #[must_use]
    pub fn same_keys(&self, other: &Card) -> bool {
        self.fingerprint == other.fingerprint && self.identity == other.identity
    }
}

/// The error of a line that is not a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The line does not have the format of a card.
    #[error(
        "this is not a card: {0}; a card is one line, \
         `farthing-card:ROLE:NAME@ADDRESS:PORT/FINGERPRINT/IDENTITY`"
    )]
    Shape(String),
    /// The role does not exist.
    #[error("`{0}` is not a role; roles are bank, escrow, merchant and relay")]
    Role(String),
    /// The name is not valid.
    #[error("`{0}` is not a name; names have 1 to {NAME_MAX_CHARS} characters out of a-z, 0-9 and -")]
    Name(String),
    /// Nobody can connect to the address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A further field is not valid, or the fields are not in order.
    #[error("`{0}` are not further fields of a card; was the card altered?")]
    Fields(String),
    /// The fingerprint or the identity is not 32 bytes in hex.
    #[error("the {field} has to be 64 characters out of 0-9 and a-f, got `{got}`; was the card cut off?")]
    Hex {
        /// The name of the field.
        field: &'static str,
        /// The text of the field.
        got: String,
    },
    /// The identity is not a public key.
    #[error("the identity `{0}` is not a public key; was the card altered?")]
    Identity(String),
}

/// Checks that `name` is valid: 1 to [`NAME_MAX_CHARS`] of `a-z`, `0-9` and `-`.
///
/// # Errors
/// [`CardError::Name`] with the refused text.
pub fn check_name(name: &str) -> Result<(), CardError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_MAX_CHARS || !name.chars().all(allowed) {
        return Err(CardError::Name(shorten(name)));
    }
    Ok(())
}

/// Parses a name, for the arguments of a command.
///
/// # Errors
/// As [`check_name`].
pub fn parse_name(text: &str) -> Result<String, CardError> {
    check_name(text).map(|()| text.to_owned())
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}:{}:{}@{}/{}/{}{}",
            self.role,
            self.name,
            self.address,
            self.fingerprint_hex(),
            self.identity_hex(),
            self.fields
        )
    }
}

impl FromStr for Card {
    type Err = CardError;

    fn from_str(line: &str) -> Result<Self, CardError> {
        let shape = |what: &str| CardError::Shape(format!("{what} in `{}`", shorten(line)));
        if line.len() > CARD_MAX_CHARS {
            return Err(shape("too many characters"));
        }
        let rest = line.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(':'));
        let rest = rest.ok_or_else(|| shape("no `farthing-card:` at the beginning"))?;
        let (role, rest) = rest
            .split_once(':')
            .ok_or_else(|| shape("no `:` after the role"))?;
        let (name, rest) = rest
            .split_once('@')
            .ok_or_else(|| shape("no `@` after the name"))?;
        let (address, rest) = rest
            .split_once('/')
            .ok_or_else(|| shape("no `/` after the address"))?;
        let (fingerprint, rest) = rest
            .split_once('/')
            .ok_or_else(|| shape("no `/` after the fingerprint"))?;
        let (identity, fields) = match rest.split_once('/') {
            Some((identity, fields)) => (identity, Some(fields)),
            None => (rest, None),
        };
        let role = role.parse()?;
        check_name(name)?;
        let addresses: Addresses = address.parse()?;
        if addresses.to_string() != address {
            return Err(AddressError(shorten(address)).into());
        }
        let key = PublicKey(parse_hex("identity", identity)?);
        key.check().map_err(|_| CardError::Identity(shorten(identity)))?;
        Ok(Card {
            role,
            name: name.to_owned(),
            address: addresses,
            fingerprint: Fingerprint(parse_hex("fingerprint", fingerprint)?),
            identity: key,
            fields: Fields::parse(fields.into_iter().flat_map(|fields| fields.split('/')))
                .ok_or_else(|| CardError::Fields(shorten(fields.unwrap_or_default())))?,
        })
    }
}

/// Parses 32 bytes of lower-case hex.
fn parse_hex(field: &'static str, text: &str) -> Result<[u8; 32], CardError> {
    let refused = || CardError::Hex {
        field,
        got: shorten(text),
    };
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(refused());
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| refused())?;
    Ok(bytes)
}

impl From<Card> for String {
    fn from(card: Card) -> String {
        card.to_string()
    }
}

impl TryFrom<String> for Card {
    type Error = CardError;

    fn try_from(line: String) -> Result<Self, CardError> {
        line.parse()
    }
}
