//! The probe of a process under a fault test: one connection to a socket for each point that is reached.
//!
//! The process connects, writes one line, and waits until the other side says anything, closes the connection, or
//! [`WAIT_MAX`] is over. The line has three fields with tabs between them: who reached it (`bank`, `escrow`,
//! `merchant`, `wallet`), the point, and for points of messages the server and the question, such as `escrow hold`.
//! It says what kind of thing happens, and nothing of whom or what it happens to.

use super::message_probe::MessageProbe;
use crate::card::RoleName;
use farthing_store::probe::Probe;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// The socket that is told of every point, by its path; a process started without it tells nobody.
pub const PROBE_VARIABLE: &str = "FARTHING_PROBE";

/// How long a process waits at a point at most.
pub const WAIT_MAX: Duration = Duration::from_secs(120);

/// Tells a socket.
#[derive(Debug)]
pub struct SocketProbe {
    socket: PathBuf,
    party: &'static str,
}

impl SocketProbe {
    /// A probe that tells `socket` what `party` does.
    #[must_use]
    pub fn new(socket: PathBuf, party: &'static str) -> Self {
        SocketProbe { socket, party }
    }

    fn tell(&self, what: &str) {
        // A socket that nobody listens on any more holds nobody up.
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
