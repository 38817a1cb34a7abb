//! A tap on a line: it hands every datagram on, and notes from how many sockets they came.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How often a listener looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const DATAGRAM_MAX_BYTES: usize = 65_535;

type Clients = Mutex<BTreeMap<SocketAddr, Arc<UdpSocket>>>;

/// A tap in front of one server. It closes when it is dropped.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    clients: Arc<Clients>,
}

impl Tap {
    /// Opens a tap in front of `target`.
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
                let mut clients = clients.lock().expect("nobody has panicked with it");
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

    /// Where clients dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets that clients have used so far.
    pub fn sources(&self) -> Vec<SocketAddr> {
        let clients = self.clients.lock().expect("nobody has panicked with it");
        clients.keys().copied().collect()
    }
}

/// Hands the server's datagrams on to one client, while its line is open.
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
