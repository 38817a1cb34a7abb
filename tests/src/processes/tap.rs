//! A tap on a line: it forwards every datagram, and records the sockets that sent one.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Interval at which a listener checks whether the tap still exists.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const DATAGRAM_MAX_BYTES: usize = 65_535;

type Clients = Mutex<BTreeMap<SocketAddr, Arc<UdpSocket>>>;

/// A tap before one server. It closes when it is dropped.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    clients: Arc<Clients>,
}

impl Tap {
    /// Opens a tap before `target`.
    pub fn open(target: SocketAddr) -> Tap {
        let listen = socket();
        let address = listen.local_addr().expect("a bound socket has an address");
        let clients = Arc::new(Clients::default());
        let (listen, seen) = (Arc::new(listen), Arc::downgrade(&clients));
        thread::spawn(move || {
            let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
            while let Some(clients) = seen.upgrade() {
                let Ok((length, from)) = listen.recv_from(&mut buffer) else {
                    continue;
                };
                let mut clients = clients.lock().expect("no holder of the lock panicked");
                let upstream = clients.entry(from).or_insert_with(|| {
                    let upstream = Arc::new(socket());
                    answer(&upstream, &listen, from);
                    upstream
                });
                let _lost = upstream.send_to(&buffer[..length], target);
            }
        });
        Tap { address, clients }
    }

    /// The address that clients dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets that clients have used so far.
    pub fn sources(&self) -> Vec<SocketAddr> {
        let clients = self.clients.lock().expect("no holder of the lock panicked");
        clients.keys().copied().collect()
    }
}

/// Forwards the datagrams of the server to one client, while the tap is open.
fn answer(upstream: &Arc<UdpSocket>, listen: &Arc<UdpSocket>, client: SocketAddr) {
    let (upstream, listen) = (Arc::downgrade(upstream), Arc::clone(listen));
    thread::spawn(move || {
        let mut buffer = vec![0; DATAGRAM_MAX_BYTES];
        while let Some(upstream) = upstream.upgrade() {
            if let Ok(length) = upstream.recv(&mut buffer) {
                let _lost = listen.send_to(&buffer[..length], client);
            }
        }
    });
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    socket.set_read_timeout(Some(LOOK_EVERY)).expect("a bound socket");
    socket
}
