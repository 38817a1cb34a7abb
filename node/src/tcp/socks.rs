//! Connections through a SOCKS5 proxy (RFC 1928, RFC 1929), for example Tor.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use farthing_store::entropy::{Entropy, SystemEntropy};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error, TargetAddr};
use zeroize::Zeroizing;

use crate::address::Address;
use crate::network::NetworkError;
use crate::transport::dial::{Target, local};

/// How long a proxy may take to reach a server (ms). Tor may have to build a circuit first.
pub const PROXY_TIMEOUT_MS: u64 = 60_000;

/// The longest user name and the longest password (bytes). The bound is that of RFC 1929.
const CREDENTIAL_MAX_BYTES: usize = 255;

/// The random bytes of a user name and of a password that nobody chose.
const RANDOM_BYTES: usize = 16;

/// The scheme of a proxy, and the same with the resolving of names in it. Both mean that the proxy resolves names.
const SCHEMES: [&str; 2] = ["socks5://", "socks5h://"];

/// The error of a text that names no proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a proxy; write it as socks5://HOST:PORT or socks5://USER:PASSWORD@HOST:PORT, for Tor as \
     socks5://127.0.0.1:9050"
)]
pub struct ProxyError;

/// A SOCKS5 proxy. It connects to servers and resolves their host names.
///
/// Tor gives connections with different user names and passwords different circuits. So every connection has a random
/// user name and a random password, unless one was given.
#[derive(Clone, PartialEq, Eq)]
pub struct SocksProxy {
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Credentials {
    fn random() -> Self {
        let word = || {
            let mut bytes = [0; RANDOM_BYTES];
            SystemEntropy.fill(&mut bytes);
            Zeroizing::new(hex::encode(bytes))
        };
        Self {
            user: word(),
            password: word(),
        }
    }
}

impl fmt::Debug for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocksProxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for SocksProxy {
    type Err = ProxyError;

    /// Parses `socks5://[USER:PASSWORD@]HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let named = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let named = named.ok_or(ProxyError)?;
        let named = named.strip_suffix('/').unwrap_or(named);
        let (credentials, address) = match named.rsplit_once('@') {
            Some((credentials, address)) => (Some(parse_credentials(credentials)?), address),
            None => (None, named),
        };
        let (host, port) = address.rsplit_once(':').ok_or(ProxyError)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(bracketed) => bracketed,
            None if host.contains(':') => return Err(ProxyError),
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(ProxyError)?;
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ProxyError);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            credentials,
        })
    }
}

fn parse_credentials(text: &str) -> Result<Credentials, ProxyError> {
    let (user, password) = text.split_once(':').ok_or(ProxyError)?;
    let fits = |word: &str| (1..=CREDENTIAL_MAX_BYTES).contains(&word.len());
    match fits(user) && fits(password) {
        true => Ok(Credentials {
            user: Zeroizing::new(user.to_owned()),
            password: Zeroizing::new(password.to_owned()),
        }),
        false => Err(ProxyError),
    }
}

impl SocksProxy {
    /// Opens a stream to `address` of the server.
    ///
    /// # Errors
    /// [`NetworkError::Local`] when the proxy fails, [`NetworkError::Unreachable`] when it cannot reach the server.
    pub(super) async fn open(&self, target: &Target, address: &Address) -> Result<TcpStream, NetworkError> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let socket = timeout(target.limits.connect_timeout, connecting).await;
        let socket = socket.map_err(|_| self.failed("it is silent"))?;
        let socket = socket.map_err(|error| self.failed(error))?;
        let credentials = self.credentials.clone().unwrap_or_else(Credentials::random);
        let asking = Socks5Stream::connect_with_password_and_socket(
            socket,
            socks_address(address),
            &credentials.user,
            &credentials.password,
        );
        match timeout(Duration::from_millis(PROXY_TIMEOUT_MS), asking).await {
            Ok(Ok(stream)) => Ok(stream.into_inner()),
            Ok(Err(error)) => Err(self.refused(target, address, &error)),
            Err(_) => Err(target.unreachable(format!(
                "the proxy at {self} has not reached {address} within {PROXY_TIMEOUT_MS} ms"
            ))),
        }
    }

    /// The proxy itself cannot be used.
    fn failed(&self, reason: impl fmt::Display) -> NetworkError {
        local(format!(
            "the proxy at {self} cannot be used: {reason}; see that it runs and that its address is right"
        ))
    }

    /// The error for the answer of the proxy.
    fn refused(&self, target: &Target, address: &Address, error: &Error) -> NetworkError {
        match error {
            Error::PasswordAuthFailure(_) | Error::NoAcceptableAuthMethods => local(format!(
                "the proxy at {self} refuses the user name and password; give those that it knows"
            )),
            Error::GeneralSocksServerFailure
            | Error::ConnectionNotAllowedByRuleset
            | Error::NetworkUnreachable
            | Error::HostUnreachable
            | Error::ConnectionRefused
            | Error::TtlExpired => {
                target.unreachable(format!("the proxy at {self} cannot reach {address}: {error}"))
            }
            Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => self.failed(
                "it has closed the connection before its answer, as a server that is no SOCKS5 proxy does",
            ),
            other => self.failed(other),
        }
    }
}

/// The address as the proxy gets it: host names are not resolved here.
fn socks_address(address: &Address) -> TargetAddr<'_> {
    match address {
        Address::Ip(address) => TargetAddr::Ip(*address),
        Address::Host(host) => TargetAddr::Domain(host.name().into(), host.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SocksProxy, ProxyError> {
        text.parse()
    }

    #[test]
    fn a_proxy_is_parsed_and_printed_without_its_password() {
        for (text, printed) in [
            ("socks5://127.0.0.1:9050", "127.0.0.1:9050"),
            ("socks5h://localhost:9050/", "localhost:9050"),
            ("socks5://[::1]:9050", "[::1]:9050"),
            ("socks5://me:p@ss:word@proxy.example:1080", "proxy.example:1080"),
        ] {
            let proxy = parse(text).unwrap();
            assert_eq!(proxy.to_string(), printed);
            assert!(!format!("{proxy:?}").contains("word"));
        }
        let credentials = parse("socks5://me:p@ss:word@h:1").unwrap().credentials.unwrap();
        assert_eq!(
            (&**credentials.user, &**credentials.password),
            ("me", "p@ss:word")
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("socks5://{}:x@h:1", "u".repeat(256));
        for text in [
            "",
            "127.0.0.1:9050",
            "http://127.0.0.1:9050",
            "socks4://127.0.0.1:9050",
            "socks5://127.0.0.1",
            "socks5://:9050",
            "socks5://h:0",
            "socks5://h:66000",
            "socks5://::1:9050",
            "socks5://me@h:1",
            "socks5://:secret@h:1",
            "socks5://me:@h:1",
            "socks5://a b:1",
            &long,
        ] {
            assert_eq!(parse(text), Err(ProxyError), "{text}");
        }
    }

    #[test]
    fn two_connections_have_different_random_credentials() {
        let (first, second) = (Credentials::random(), Credentials::random());
        assert_ne!(first.user, second.user);
        assert_ne!(first.password, second.password);
        assert_eq!(first.user.len(), 2 * RANDOM_BYTES);
    }
}
