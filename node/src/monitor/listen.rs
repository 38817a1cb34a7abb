//! The address of the port, and the names under which it may be asked.

use std::net::{IpAddr, SocketAddr};

/// The error of an address for the metrics.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Other machines reach the address, and nobody has allowed that.
    #[error(
        "metrics on {0} could be read from other machines, without a password or encryption; use 127.0.0.1, or allow it \
         with --metrics-open (`metrics_open = true` in config.toml) behind a firewall"
    )]
    Open(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen on {address} for the metrics: {source}; is another program running there?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// A checked address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    pub(crate) is_open: bool,
}

impl Listen {
    /// The address of the settings. `None` if they have none.
    ///
    /// # Errors
    /// [`ListenError::Open`].
    pub(crate) fn choose(metrics: Option<SocketAddr>, is_open: bool) -> Result<Option<Self>, ListenError> {
        let Some(address) = metrics else {
            return Ok(None);
        };
        if !address.ip().to_canonical().is_loopback() && !is_open {
            return Err(ListenError::Open(address));
        }
        Ok(Some(Self { address, is_open }))
    }

    /// Whether a request may name `host`, which is a name or an address with or without a port.
    ///
    /// A browser can be made to ask this port under a name of an attacker, who then reads the answer (DNS rebinding). So the
    /// only name is `localhost`. A port that is open to others also has names without a dot, such as a service in a container,
    /// which no stranger can own. An address is no name.
    pub(crate) fn allows(self, host: &str) -> bool {
        if host.eq_ignore_ascii_case("localhost") || host_of(host).eq_ignore_ascii_case("localhost") {
            return true;
        }
        match host_of(host).parse::<IpAddr>().or_else(|_| host.parse()) {
            Ok(ip) => self.is_open || ip.to_canonical().is_loopback(),
            Err(_) => self.is_open && is_label(host_of(host)),
        }
    }
}

/// Whether `name` is a host name without a dot.
fn is_label(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.bytes().all(is_part)
}

/// The host without its port and brackets.
fn host_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_must_be_allowed() {
        let chosen = |address: &str, is_open| Listen::choose(Some(address.parse().unwrap()), is_open);
        assert!(Listen::choose(None, true).unwrap().is_none());
        for address in ["127.0.0.1:9101", "[::1]:9101", "[::ffff:127.0.0.1]:9101"] {
            assert!(!chosen(address, false).unwrap().unwrap().is_open, "{address}");
        }
        for address in ["0.0.0.0:9101", "[::]:9101", "192.0.2.1:9101"] {
            let refused = chosen(address, false);
            assert!(matches!(refused, Err(ListenError::Open(_))), "{address}");
            assert!(chosen(address, true).unwrap().is_some());
        }
    }

    #[test]
    fn a_foreign_name_is_refused() {
        let local = Listen {
            address: "127.0.0.1:9101".parse().unwrap(),
            is_open: false,
        };
        let open = Listen {
            is_open: true,
            ..local
        };
        for host in [
            "localhost",
            "LocalHost:9101",
            "127.0.0.1:9101",
            "127.0.0.1",
            "[::1]:9101",
            "[::1]",
            "127.9.9.9:1",
        ] {
            assert!(local.allows(host) && open.allows(host), "{host}");
        }
        for host in [
            "",
            ":9101",
            "evil.example:9101",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9101",
            "localhost:9101:1",
            "a@127.0.0.1",
        ] {
            assert!(!local.allows(host), "{host}");
            assert!(!open.allows(host), "{host}");
        }
        assert!(!local.allows("192.0.2.1:9101"));
        assert!(open.allows("bank:9101") && !local.allows("bank:9101"));
        assert!(open.allows("192.0.2.1:9101"));
        assert!(open.allows("[2001:db8::1]:9101"));
    }
}
