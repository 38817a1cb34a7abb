//! The URL of a database with a store.

use crate::limits::DATABASE_URL_MAX_BYTES;
use crate::postgres::error::DatabaseError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// The schema of a URL that names none.
const SCHEMA_DEFAULT: &str = "farthing";

/// The longest name of a schema (bytes). PostgreSQL cuts longer names off.
const SCHEMA_MAX_BYTES: usize = 63;

/// The URL of a database: `postgres://USER@HOST:PORT/DATABASE?schema=NAME&sslrootcert=FILE`.
///
/// Beside the parameters of PostgreSQL it takes `schema`, `farthing` by default, and `sslrootcert`, the file with the
/// certificates (PEM) that sign the server's. A server that is neither on this machine's loopback device nor behind a Unix
/// socket is reached over TLS only, and needs `sslrootcert`. With it, the loopback device has TLS too. The URL never has a password.
///
/// ```
/// use farthing_store::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://bank@db.example/cash?schema=bank&sslrootcert=/etc/farthing/db.pem".parse()?;
/// assert_eq!(url.schema(), "bank");
/// let with_password = "postgres://bank:secret@localhost/cash".parse::<DatabaseUrl>();
/// assert!(!with_password.unwrap_err().to_string().contains("secret"));
/// # Ok::<(), farthing_store::DatabaseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseUrl {
    text: String,
    config: Config,
    schema: String,
    root_certificates: Option<PathBuf>,
}

impl DatabaseUrl {
    /// The schema of the tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The parameters of PostgreSQL.
    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    /// The file with the certificates that sign the server's. `None` if the connection stays on this machine.
    pub(crate) fn root_certificates(&self) -> Option<&Path> {
        self.root_certificates.as_deref()
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Self, DatabaseError> {
        let wrong = |why: &str| DatabaseError::Url { why: why.to_owned() };
        if text.len() > DATABASE_URL_MAX_BYTES {
            return Err(wrong("it is too long"));
        }
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
            return Err(wrong("it does not begin with postgres://"));
        }
        let (mut schema, mut root_certificates) = (SCHEMA_DEFAULT.to_owned(), None);
        let (place, parameters) = text.split_once('?').unwrap_or((text, ""));
        let mut others = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("schema", name)) => name.clone_into(&mut schema),
                Some(("sslrootcert", path)) => root_certificates = Some(PathBuf::from(path)),
                _ => others.push(parameter),
            }
        }
        if !is_schema(&schema) {
            return Err(wrong(
                "a schema's name has lower-case letters, digits and `_`, at most 63, and no digit first",
            ));
        }
        let plain = format!("{place}?{}", others.join("&"));
        // The parser's own message could repeat a password that was put in a wrong place.
        let config: Config = plain
            .parse()
            .map_err(|_| wrong("it is not like postgres://USER@HOST:PORT/DATABASE"))?;
        if config.get_password().is_some() {
            return Err(wrong(
                "it has a password, which everybody would see who reads the settings; give it as PGPASSWORD, or in the file \
                 that FARTHING_STORE_PASSWORD_FILE names",
            ));
        }
        let root_certificates = match is_local(&config) {
            // It may have TLS here too.
            true => root_certificates,
            false if config.get_ssl_mode() == SslMode::Disable => {
                return Err(wrong("the server is on another machine, so `sslmode=disable` is not allowed"));
            }
            false => Some(root_certificates.ok_or_else(|| {
                wrong(
                    "the server is on another machine, so it needs `sslrootcert=FILE`: the certificates that sign the server's",
                )
            })?),
        };
        Ok(Self {
            text: text.to_owned(),
            config,
            schema,
            root_certificates,
        })
    }
}

fn is_schema(name: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    let is_first = name.as_bytes().first().is_some_and(is_letter);
    let is_rest = name.bytes().all(|byte| is_letter(&byte) || byte.is_ascii_digit());
    is_first && is_rest && name.len() <= SCHEMA_MAX_BYTES && !name.starts_with("pg_")
}

/// Whether every connection stays on this machine.
fn is_local(config: &Config) -> bool {
    let is_local_host = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    // Without a host, it is the Unix socket or the loopback device.
    config.get_hosts().iter().all(is_local_host) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

impl TryFrom<String> for DatabaseUrl {
    type Error = DatabaseError;

    fn try_from(text: String) -> Result<Self, DatabaseError> {
        text.parse()
    }
}

impl From<DatabaseUrl> for String {
    fn from(url: DatabaseUrl) -> Self {
        url.text
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        text.parse::<DatabaseUrl>().unwrap_err().to_string()
    }

    #[test]
    fn a_password_is_refused_and_never_repeated() {
        for text in [
            "postgres://bank:secret@localhost/cash",
            "postgres://localhost/cash?password=secret",
            "postgres://localhost/cash?schema=bank&password=secret",
            "postgres://localhost/cash?port=secret",
        ] {
            let why = why(text);
            assert!(!why.contains("secret"), "{why}");
        }
        assert!(why("postgres://bank:secret@localhost/cash").contains("FARTHING_STORE_PASSWORD_FILE"));
    }

    #[test]
    fn another_machine_is_reached_over_tls_only() {
        let remote = "postgres://bank@db.example/cash";
        assert!(why(remote).contains("sslrootcert"));
        assert!(why(&format!("{remote}?sslrootcert=/ca.pem&sslmode=disable")).contains("sslmode"));
        assert!(why("postgres://bank@localhost/cash?hostaddr=192.0.2.1").contains("sslrootcert"));
        let url: DatabaseUrl = format!("{remote}?sslrootcert=/ca.pem").parse().unwrap();
        assert_eq!(url.root_certificates(), Some(Path::new("/ca.pem")));
        for local in [
            "postgres://bank@localhost/cash",
            "postgres://bank@127.0.0.1:5433/cash",
            "postgres://bank@%2Frun%2Fpostgresql/cash",
            "postgres:///cash?host=/run/postgresql&user=bank",
        ] {
            let url: DatabaseUrl = local.parse().unwrap();
            assert_eq!(
                (url.root_certificates(), url.schema()),
                (None, "farthing"),
                "{local}"
            );
        }
    }

    #[test]
    fn a_schema_that_would_need_quotes_is_refused() {
        for name in ["", "Bank", "1", "a\"b", "a b", "pg_x", &"a".repeat(64)] {
            let text = format!("postgres://localhost/cash?schema={name}");
            assert!(why(&text).contains("schema"), "{name}");
        }
    }
}
