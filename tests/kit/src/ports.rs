//! Ports for nodes that are killed and started again on the same address.
//!
//! The kernel may give the port of a stopped node to any wallet or line that asks for a free port. The node could
//! not start again. So nodes get ports below the kernel's range.

use farthing_store::entropy::{Entropy, SystemEntropy};
use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// The first port for nodes, above the well-known services.
const FIRST: u16 = 10_000;

/// The kernel's first ephemeral port, if the kernel does not say.
const KERNELS_FIRST: u16 = 32_768;

/// The file in which Linux states its range.
const KERNELS_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The number of ports tried so far. The start is random, so that two programs try different ports.
static LOOKED_AT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let mut random = [0; 2];
    SystemEntropy.fill(&mut random);
    AtomicU16::new(u16::from_le_bytes(random))
});

/// A free port of the loopback device, for UDP and TCP, outside the kernel's range. Returns 0, which is any port, if the kernel's range
/// covers all ports.
///
/// # Errors
/// When no port is free.
pub fn free() -> io::Result<u16> {
    let range = FIRST..kernels_first();
    if range.is_empty() {
        return Ok(0);
    }
    for _ in range.clone() {
        let number = LOOKED_AT.fetch_add(1, Ordering::Relaxed) % (range.end - range.start);
        let port = range.start + number;
        let address = (Ipv4Addr::LOCALHOST, port);
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no port for a node is free",
    ))
}

fn kernels_first() -> u16 {
    let range = fs::read_to_string(KERNELS_RANGE).unwrap_or_default();
    let first = range
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok());
    first.unwrap_or(KERNELS_FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_is_none_that_the_kernel_gives_to_anybody() {
        let (first, second) = (free().unwrap(), free().unwrap());
        if kernels_first() <= FIRST {
            assert_eq!((first, second), (0, 0));
            return;
        }
        assert_ne!(first, second);
        for port in [first, second] {
            assert!((FIRST..kernels_first()).contains(&port), "{port}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        if kernels_first() <= FIRST {
            return;
        }
        let next = free().unwrap() + 1;
        let _taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, next));
        assert_ne!(free().unwrap(), next);
        let next = free().unwrap() + 1;
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, next));
        assert_ne!(free().unwrap(), next);
    }
}
