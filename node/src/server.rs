//! The server of a node: one service over QUIC and over TCP, at the same address and with the same bounds.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use crate::network::Service;
use crate::process::StopToken;
use crate::quic::QuicServer;
use crate::tcp::TcpServer;
use crate::transport::{Gate, ServerCounters, ServerError, ServerIdentity, ServerLimits};

/// How many ports are tried if any port will do. A port can be free for UDP and taken for TCP.
pub const PORT_ATTEMPTS_MAX: usize = 32;

/// A port of `address` that is free for UDP and for TCP.
///
/// # Errors
/// When there is none.
pub fn free_port(address: SocketAddr) -> io::Result<SocketAddr> {
    let free = || {
        let socket = UdpSocket::bind(address)?;
        let free = socket.local_addr()?;
        TcpListener::bind(free)?;
        Ok(free)
    };
    for _ in 1..PORT_ATTEMPTS_MAX {
        match free() {
            Err(error) if is_taken(&error) => {}
            done => return done,
        }
    }
    free()
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// A server that listens. It answers while [`run`](Server::run) runs.
#[derive(Debug)]
pub struct Server {
    quic: QuicServer,
    tcp: TcpServer,
    gate: Arc<Gate>,
}

impl Server {
    /// Listens on `address` over UDP and over TCP, as `identity`. With port 0 it takes any port that is free for both.
    /// Must be called within a runtime.
    ///
    /// # Errors
    /// [`ServerError`]. Nothing listens then.
    pub fn bind(
        address: SocketAddr,
        identity: &ServerIdentity,
        service: Arc<dyn Service>,
        limits: ServerLimits,
    ) -> Result<Self, ServerError> {
        let gate = Gate::new(service, limits);
        for _ in 1..PORT_ATTEMPTS_MAX {
            match Self::bind_both(address, identity, &gate) {
                Err(ServerError::Bind {
                    protocol: TcpServer::PROTOCOL,
                    source,
                    ..
                }) if address.port() == 0 && is_taken(&source) => {}
                done => return done,
            }
        }
        Self::bind_both(address, identity, &gate)
    }

    fn bind_both(
        address: SocketAddr,
        identity: &ServerIdentity,
        gate: &Arc<Gate>,
    ) -> Result<Self, ServerError> {
        let quic = QuicServer::behind(address, identity, Arc::clone(gate))?;
        let tcp = TcpServer::behind(quic.local_addr(), identity, Arc::clone(gate))?;
        Ok(Self {
            quic,
            tcp,
            gate: Arc::clone(gate),
        })
    }

    /// The address on which the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.quic.local_addr()
    }

    /// The counters of its requests. They stay readable after it has stopped.
    #[must_use]
    pub fn counters(&self) -> Arc<ServerCounters> {
        self.gate.counters()
    }

    /// The bounds of its clients, which say how full it is. They stay readable after it has stopped.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Answers requests until `stop` fires. Then it accepts no more, waits at most [`ServerLimits::stop_timeout`] for
    /// requests under way, and closes.
    pub async fn run(self, stop: StopToken) {
        tokio::join!(self.quic.run(stop.clone()), self.tcp.run(stop));
    }
}
