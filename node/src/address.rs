//! Where a node answers: IP addresses and host names, each with a port.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most addresses of a node.
pub const ADDRESSES_MAX: usize = 8;

/// The maximum length of all addresses of a node together (characters). So a card without further fields is never too
/// long.
pub const ADDRESSES_MAX_CHARS: usize = 320;

/// The maximum length of a host name (characters).
pub const HOST_MAX_CHARS: usize = 253;

/// The maximum length of a part of a host name between two dots (characters).
const LABEL_MAX_CHARS: usize = 63;

/// The error of a text that is not a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address to reach a node at; write it as 192.0.2.1:7001, [2001:db8::1]:7001 or bank.example:7001, \
     and several (at most {ADDRESSES_MAX}, with {ADDRESSES_MAX_CHARS} characters) with commas between them"
)]
pub struct AddressError(pub String);

/// A host name in lower case, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the name is that of an onion service, which no resolver may be asked for (RFC 7686).
    #[must_use]
    pub fn is_onion(&self) -> bool {
        self.name.ends_with(".onion")
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// One address of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A host name and a port. The name is resolved at each connection.
    Host(Host),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Host(Host { name, port }) => write!(f, "{name}:{port}"),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Parses an address that a client can connect to. It need not be the canonical text that is printed.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError(shorten(text));
        let address = match text.parse() {
            Ok(address) => Address::Ip(address),
            Err(_) => Address::Host(parse_host(&text.to_ascii_lowercase()).ok_or_else(refused)?),
        };
        if !is_reachable(&address) {
            return Err(refused());
        }
        Ok(address)
    }
}

/// Whether a client can connect to the address. A node may listen on `0.0.0.0`, but no client can connect to it.
fn is_reachable(address: &Address) -> bool {
    match address {
        Address::Ip(address) => address.port() != 0 && !address.ip().is_unspecified(),
        Address::Host(host) => host.port != 0,
    }
}

/// Parses a host name of letters, digits and hyphens. A name whose last label is a number is refused: some resolvers
/// read it as an IP address.
fn parse_host(text: &str) -> Option<Host> {
    let (name, port) = text.split_once(':')?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        (1..=LABEL_MAX_CHARS).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next()?;
    if name.len() > HOST_MAX_CHARS
        || !name.split('.').all(is_label)
        || !last.starts_with(|c: char| c.is_ascii_lowercase())
    {
        return None;
    }
    Some(Host {
        name: name.to_owned(),
        port: port.parse().ok()?,
    })
}

/// The addresses of a node, 1 to [`ADDRESSES_MAX`], in the order in which clients try them. The text has commas between
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Addresses(Vec<Address>);

impl Addresses {
    /// Every address.
    #[must_use]
    pub fn all(&self) -> &[Address] {
        &self.0
    }

    /// The only address, if it is an IP address.
    #[must_use]
    pub fn only_ip(&self) -> Option<SocketAddr> {
        match self.0.as_slice() {
            [Address::Ip(address)] => Some(*address),
            _ => None,
        }
    }

    /// Removes the last address. Returns false if it is the only one, which stays.
    pub(crate) fn remove_last(&mut self) -> bool {
        let is_removed = self.0.len() > 1;
        if is_removed {
            self.0.pop();
        }
        is_removed
    }

    /// Whether clients can connect to every address.
    #[must_use]
    pub fn are_reachable(&self) -> bool {
        self.0.iter().all(is_reachable)
    }
}

impl From<SocketAddr> for Addresses {
    fn from(address: SocketAddr) -> Self {
        Self(vec![Address::Ip(address)])
    }
}

impl From<Addresses> for String {
    fn from(addresses: Addresses) -> String {
        addresses.to_string()
    }
}

impl TryFrom<String> for Addresses {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, address) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
}

impl FromStr for Addresses {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut addresses = Vec::new();
        for part in text.split(',') {
            let address = part.parse()?;
            if addresses.len() == ADDRESSES_MAX || addresses.contains(&address) {
                return Err(AddressError(shorten(text)));
            }
            addresses.push(address);
        }
        let addresses = Self(addresses);
        if addresses.to_string().len() > ADDRESSES_MAX_CHARS {
            return Err(AddressError(shorten(text)));
        }
        Ok(addresses)
    }
}

/// Shortens `text` to the length that fits into a message.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        format!("{shown}...")
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_bounded_and_print_as_their_canonical_text() {
        let long = format!("{}.example:7001", "a".repeat(LABEL_MAX_CHARS));
        for text in [
            "127.0.0.1:7001",
            "[2001:db8::7]:65535",
            "localhost:1",
            "bank-1.shop.example:7001",
            "bank:7001,10.0.0.1:7001,[::1]:7001",
            "1a.b2:7001",
            long.as_str(),
        ] {
            let addresses: Addresses = text.parse().unwrap();
            assert_eq!(addresses.to_string(), text);
            assert!(addresses.are_reachable());
        }
        for (text, canonical) in [
            ("Bank.Example:7001", "bank.example:7001"),
            ("bank:07001", "bank:7001"),
            ("[2001:DB8:0::7]:7001", "[2001:db8::7]:7001"),
        ] {
            assert_eq!(text.parse::<Addresses>().unwrap().to_string(), canonical);
        }
        let long = format!("{}.example:7001", "a".repeat(LABEL_MAX_CHARS + 1));
        let longer = format!("{}a:7001", "a.".repeat(HOST_MAX_CHARS / 2 + 1));
        let many: Vec<String> = (1..=ADDRESSES_MAX + 1)
            .map(|port| format!("host:{port}"))
            .collect();
        let many = many.join(",");
        let label = "a".repeat(LABEL_MAX_CHARS);
        let wide = format!("{label}.{label}:7001,{label}.{label}:7002,{label}:7003");
        assert!(wide.len() > ADDRESSES_MAX_CHARS);
        for text in [
            "",
            "bank",
            "bank:0",
            "bank:65536",
            ":7001",
            "-bank:7001",
            "bank-:7001",
            "bank.:7001",
            "a..b:7001",
            "a_b:7001",
            "bänk:7001",
            "127.1:7001",
            "010.0.0.1:7001",
            "host.1:7001",
            "0.0.0.0:7001",
            "[::]:7001",
            "bank:7001,",
            "bank:7001,BANK:7001",
            "bank:7001, other:7001",
            "::1:7001",
            long.as_str(),
            longer.as_str(),
            many.as_str(),
            wide.as_str(),
        ] {
            assert!(text.parse::<Addresses>().is_err(), "{text}");
        }
    }
}
