//! The probe of a process under a fault test. Each reached point makes one connection to a socket.
//!
//! The process connects, writes one line, and waits. It continues when the other side writes anything or closes the
//! connection, or after [`WAIT_MAX`]. The line has three fields with tabs between them: the party (`bank`, `escrow`,
//! `merchant`, `wallet`), the point, and for points of messages the server and the question, such as `escrow hold`. The
//! line names the kind of event only. It identifies no customer and no purchase.

use super::message_probe::MessageProbe;
use crate::card::RoleName;
use farthing_store::probe::Probe;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// The environment variable with the path of the socket. A process without it reports no points.
pub const PROBE_VARIABLE: &str = "FARTHING_PROBE";

/// The longest wait at a point.
pub const WAIT_MAX: Duration = Duration::from_secs(120);

/// A probe that reports to a socket.
#[derive(Debug)]
pub struct SocketProbe {
    socket: PathBuf,
    party: &'static str,
}

impl SocketProbe {
    /// Reports the points of `party` to `socket`.
    #[must_use]
    pub fn new(socket: PathBuf, party: &'static str) -> Self {
        SocketProbe { socket, party }
    }

    fn tell(&self, what: &str) {
        // If nobody listens on the socket any more, the process continues.
        let Ok(mut stream) = UnixStream::connect(&self.socket) else {
            return;
        };
        let told = stream
            .set_read_timeout(Some(WAIT_MAX))
            .and_then(|()| stream.write_all(format!("{}\t{what}\n", self.party).as_bytes()));
        if told.is_ok() {
            let _go = stream.read(&mut [0; 1]);
        }
    }
}

impl Probe for SocketProbe {
    fn reached(&self, point: &'static str) {
        self.tell(&format!("{point}\t"));
    }
}

impl MessageProbe for SocketProbe {
    fn message(&self, point: &'static str, server: RoleName, question: &'static str) {
        self.tell(&format!("{point}\t{server} {question}"));
    }
}
