//! Shares of a bounded resource, by the network address of the client. So no one address takes all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The bits of an IPv6 address that name a site. One client usually has all addresses of a site.
const SITE_MASK: u128 = !0 << 64;

/// A client as the server tells clients apart: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpAddr);

impl Origin {
    /// The client at `address`.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(IpAddr::V6((address.to_bits() & SITE_MASK).into())),
            address => Self(address),
        }
    }
}

/// How much of a resource each client has. It keeps a client only while the client has a share.
#[derive(Debug)]
pub(crate) struct Shares {
    most: usize,
    taken: Mutex<HashMap<Origin, usize>>,
}

/// One unit of the resource. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    of: Origin,
}

impl Shares {
    /// Shares of at most `most` units for each client.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
        })
    }

    /// Takes one unit for a client. `None` if the client has all of its share.
    pub(crate) fn take(self: &Arc<Self>, of: Origin) -> Option<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has = taken.get(&of).copied().unwrap_or_default();
        if has >= self.most {
            return None;
        }
        taken.insert(of, has.saturating_add(1));
        Some(Share {
            shares: Arc::clone(self),
            of,
        })
    }
}

impl Share {
    /// The client.
    pub(crate) fn of(&self) -> Origin {
        self.of
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.of) {
            Some(has) if *has > 1 => *has -= 1,
            _ => drop(taken.remove(&self.of)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Origin {
        Origin::of(address.parse().unwrap())
    }

    #[test]
    fn a_client_takes_its_share_and_no_more() {
        let shares = Shares::new(2);
        let first = shares.take(at("192.0.2.1"));
        let second = shares.take(at("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(shares.take(at("192.0.2.1")).is_none());
        assert!(shares.take(at("192.0.2.2")).is_some());
        drop(first);
        assert!(shares.take(at("192.0.2.1")).is_some());
        drop(second);
        assert!(
            shares.taken.lock().unwrap().is_empty(),
            "no client is kept that has nothing"
        );
    }

    #[test]
    fn the_addresses_of_one_site_are_one_client() {
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
