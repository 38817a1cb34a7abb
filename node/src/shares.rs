//! Shares of a bounded resource, by the network address of the client. So no one address takes all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

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

    /// The address, or the first one of the site.
    pub(crate) fn address(self) -> IpAddr {
        self.0
    }
}

/// How much of a resource each client has. It keeps a client only while the client has a share or waits for one.
#[derive(Debug)]
pub(crate) struct Shares {
    most: usize,
    clients: Mutex<HashMap<Origin, Client>>,
}

/// A client: the units that are left to it, and how many hold one or wait for one.
#[derive(Debug)]
struct Client {
    left: Arc<Semaphore>,
    users: usize,
}

/// One unit of the resource. It is given back when this is dropped, but not before its time.
#[derive(Debug)]
pub(crate) struct Share {
    unit: Option<(OwnedSemaphorePermit, User)>,
    /// When it may be given back.
    not_before: Option<Instant>,
}

impl Share {
    fn new(unit: OwnedSemaphorePermit, user: User) -> Self {
        Self {
            unit: Some((unit, user)),
            not_before: None,
        }
    }

    /// Keeps the unit from the client until `time`, even if the share is dropped before.
    pub(crate) fn until(mut self, time: Instant) -> Self {
        self.not_before = Some(time);
        self
    }
}

/// Someone who holds a unit of a client or waits for one.
#[derive(Debug)]
struct User {
    shares: Arc<Shares>,
    of: Origin,
}

impl Shares {
    /// Shares of at most `most` units for each client.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.min(Semaphore::MAX_PERMITS),
            clients: Mutex::default(),
        })
    }

    /// Takes one unit for a client. `None` if the client has all of its share.
    pub(crate) fn take(self: &Arc<Self>, of: Origin) -> Option<Share> {
        let (user, left) = self.user(of);
        Some(Share::new(left.try_acquire_owned().ok()?, user))
    }

    /// Takes one unit for a client as soon as one is left to it. Those who wait take turns. `None` if this takes longer
    /// than `most`.
    pub(crate) async fn wait(self: &Arc<Self>, of: Origin, most: Duration) -> Option<Share> {
        let (user, left) = self.user(of);
        let unit = timeout(most, left.acquire_owned()).await.ok()?.ok()?;
        Some(Share::new(unit, user))
    }

    fn user(self: &Arc<Self>, of: Origin) -> (User, Arc<Semaphore>) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(of).or_insert_with(|| Client {
            left: Arc::new(Semaphore::new(self.most)),
            users: 0,
        });
        client.users = client.users.saturating_add(1);
        let left = Arc::clone(&client.left);
        let shares = Arc::clone(self);
        (User { shares, of }, left)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let unit = self.unit.take();
        let early = self.not_before.filter(|time| *time > Instant::now());
        if let (Some(time), Ok(runtime)) = (early, Handle::try_current()) {
            runtime.spawn(async move {
                sleep_until(time).await;
                drop(unit);
            });
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut clients = self.shares.clients.lock().unwrap_or_else(PoisonError::into_inner);
        match clients.get_mut(&self.of) {
            Some(client) if client.users > 1 => client.users -= 1,
            _ => drop(clients.remove(&self.of)),
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
            shares.clients.lock().unwrap().is_empty(),
            "no client is kept that has nothing"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_next_unit_and_waits_no_longer_than_told() {
        let shares = Shares::new(1);
        let (one, most) = (at("192.0.2.1"), Duration::from_millis(100));
        let held = shares.take(one).unwrap();
        assert!(shares.wait(one, most).await.is_none());
        assert!(shares.wait(at("192.0.2.2"), most).await.is_some());
        let (next, ()) = tokio::join!(shares.wait(one, most), async { drop(held) });
        assert!(next.is_some());
        drop(next);
        assert!(shares.clients.lock().unwrap().is_empty(), "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_with_a_time_is_not_given_back_before() {
        let shares = Shares::new(1);
        let one = at("192.0.2.1");
        let began = Instant::now();
        let held = shares.take(one).unwrap();
        drop(held.until(began + Duration::from_millis(300)));
        assert!(shares.take(one).is_none());
        let next = shares.wait(one, Duration::from_secs(1)).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(300));
        drop(next.until(began));
        assert!(shares.clients.lock().unwrap().is_empty(), "its time has passed");
    }

    #[test]
    fn the_addresses_of_one_site_are_one_client() {
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
