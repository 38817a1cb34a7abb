//! The network between nodes and wallets, as traits.
//!
//! A request is one call on a channel and has one reply. The roles see only these traits. So a simulator that injects
//! faults can replace the real ones (see [`crate::quic`] and [`crate::tcp`]).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::shares::Share;
use async_trait::async_trait;

use crate::card::Card;
/// The kind of a connection. A server learns it in the handshake and never mixes lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// From the owner of an account, who identifies themselves.
    Identified,
    /// From a wallet that does not identify itself.
    Anonymous,
    /// From another server.
    Peer,
    /// From a relay, with the encrypted requests of wallets.
    Relayed,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 4] = [Lane::Identified, Lane::Anonymous, Lane::Peer, Lane::Relayed];

    /// The ALPN name that a client offers in the handshake for this lane.
    #[must_use]
    pub const fn alpn(self) -> &'static str {
        match self {
            Lane::Identified => "farthing/2 identified",
            Lane::Anonymous => "farthing/2 anonymous",
            Lane::Peer => "farthing/2 peer",
            Lane::Relayed => "farthing/2 relayed",
        }
    }

    /// The lane of a negotiated ALPN name, or `None` for an unknown name.
    #[must_use]
    pub fn from_alpn(alpn: &[u8]) -> Option<Lane> {
        Self::ALL.into_iter().find(|lane| lane.alpn().as_bytes() == alpn)
    }
}

/// A network: it opens channels to servers.
#[async_trait]
pub trait Network: Send + Sync {
    /// Opens a channel to the server of `card`. It shares no socket, session ticket or token with any other channel.
    /// A server that stays silent is given up after a bounded time.
    ///
    /// # Errors
    /// [`NetworkError`]. No request was sent, so the server has not acted.
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError>;
}

/// An open channel to one server. It closes when it is dropped.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Sends `request` and waits for its reply. `timeout` is how long the server may be silent. The call ends at the
    /// latest after `timeout` and the time of request and reply on the slowest line. Concurrent calls do not wait for
    /// each other.
    ///
    /// # Errors
    /// [`NetworkError`]. [`NetworkError::acted`] says whether the server may have acted on the request.
    async fn call(&self, request: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, NetworkError> {
        let mut reply = Vec::new();
        self.call_into(request, timeout, &mut reply).await?;
        Ok(reply)
    }

    /// Like [`call`](Channel::call), but puts the reply into `reply`, which is empty. If the call fails, what has arrived
    /// of the reply is there.
    ///
    /// # Errors
    /// As [`call`](Channel::call).
    async fn call_into(
        &self,
        request: Vec<u8>,
        timeout: Duration,
        reply: &mut Vec<u8>,
    ) -> Result<(), NetworkError>;
}

/// Tells the clients of one process apart. It is made from the address with a key that only this process has, so it says
/// nothing about the client. It is for sharing out work among clients, and goes into no message, row or log. So it cannot
/// be printed or serialized.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNumber(pub u64);

impl std::fmt::Debug for ClientNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientNumber(..)")
    }
}

impl ClientNumber {
    /// All clients that are not told apart.
    pub const ANY: ClientNumber = ClientNumber(0);
}

/// The client of a request. The request is at work from its client's turn until this is dropped, and then the client's
/// next request has its turn.
#[derive(Debug)]
pub struct Caller {
    number: ClientNumber,
    turn: Option<Share>,
}

impl Caller {
    /// A caller that is not told apart and has no turn.
    #[must_use]
    pub fn any() -> Self {
        Caller::new(ClientNumber::ANY, None)
    }

    pub(crate) fn new(number: ClientNumber, turn: Option<Share>) -> Self {
        Self { number, turn }
    }

    /// Gives the turn back, for a request that waits for others and needs this node no more for now.
    #[must_use]
    pub fn give_back(self) -> ClientNumber {
        drop(self.turn);
        self.number
    }
}

/// A service: it answers the requests to a server.
#[async_trait]
pub trait Service: Send + Sync {
    /// Returns the reply to `request`, which came on `lane`. It never fails: an error is a reply too.
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8>;

    /// Like [`call`](Service::call), for a service that is fair to the clients that it has. A service that only waits may
    /// give back the caller's turn before it answers.
    async fn call_from(&self, caller: Caller, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let _turn = caller;
        self.call(lane, request).await
    }

    /// Like [`call`](Service::call), for a request in a reserved slot.
    async fn call_reserved(&self, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        self.call(lane, request).await
    }

    /// Whether `request` may use a reserved slot of the server, for requests that end a purchase. Only the first bytes
    /// of `request` may have arrived. The server calls this before it decodes the request, so it must be cheap.
    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        let _ordinary = (lane, request);
        false
    }

    /// Whether the operator has pinned a server at `address`. It may then bring the requests of many customers.
    fn is_known_server(&self, address: IpAddr) -> bool {
        let _unknown = address;
        false
    }
}

/// Whether the peer may have acted on a request that got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// It has not acted: the request never reached it completely, or the peer said so.
    No,
    /// It is unknown. Send the same request again.
    Unknown,
}

impl std::fmt::Display for Acted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Acted::No => "it has not acted on the request",
            Acted::Unknown => "whether it has acted on the request is unknown: send the same request again",
        })
    }
}

/// The error of a request without a reply. `peer` is the server as its card names it: ``bank `central` ``.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No connection could be made.
    #[error("{peer} cannot be reached: {reason}; see that it runs and that its card has the right address")]
    Unreachable {
        /// The server.
        peer: String,
        /// What happened.
        reason: String,
    },
    /// The call timed out.
    #[error("{peer} has not answered within {waited_ms} ms; {acted}")]
    TimedOut {
        /// The server.
        peer: String,
        /// How long the call waited (ms).
        waited_ms: u64,
        /// Whether the server may have acted.
        acted: Acted,
    },
    /// Another server answers at the address. Trying again does not help.
    #[error(
        "{peer} showed a certificate with the fingerprint {got}, its card has {expected}; do not trust it until \
         its operator has given you a new card"
    )]
    WrongCertificate {
        /// The server.
        peer: String,
        /// The fingerprint in the card (hex).
        expected: String,
        /// The fingerprint of the certificate that was shown (hex).
        got: String,
    },
    /// Another party shows the server's certificate but does not have its key. Trying again does not help.
    #[error(
        "an impostor answers at the address of {peer}: it shows the certificate but cannot sign with its key"
    )]
    Impostor {
        /// The server.
        peer: String,
    },
    /// The server does not speak this version of the protocol on this lane. Trying again does not help.
    #[error(
        "{peer} speaks another version of the protocol (this program speaks `{expected}`); nothing was sent; bring the \
         older of the two programs up to date"
    )]
    WrongProtocol {
        /// The server.
        peer: String,
        /// The ALPN name that was offered.
        expected: String,
    },
    /// The connection ended before the reply.
    #[error("the connection to {peer} ended: {reason}; {acted}")]
    Closed {
        /// The server.
        peer: String,
        /// What happened.
        reason: String,
        /// Whether the server may have acted.
        acted: Acted,
    },
    /// A request or a reply is longer than a frame may be. Trying again does not help.
    #[error("a frame to or from {peer} is longer than the {max_bytes} bytes that are allowed; {acted}")]
    TooLong {
        /// The server.
        peer: String,
        /// The limit (bytes).
        max_bytes: usize,
        /// Whether the server may have acted. It may have if the reply is too long.
        acted: Acted,
    },
    /// The server is busy. It has not acted on the request.
    #[error("{peer} is busy; try again in {retry_after_ms} ms")]
    Busy {
        /// The server.
        peer: String,
        /// When to try again (ms from now).
        retry_after_ms: u64,
    },
    /// A relay did not bring an answer of the server. Whatever the relay says proves nothing about the server.
    #[error("{relay} has brought no answer of {peer}: {reason}; {}", Acted::Unknown)]
    NotBrought {
        /// The relay.
        relay: String,
        /// The server.
        peer: String,
        /// What happened.
        reason: String,
        /// When to try again (ms from now), if the relay or the server said that it is busy.
        retry_after_ms: Option<u64>,
    },
    /// A server has signed two encryption keys for one day, so that it could tell wallets apart. Trying again does not
    /// help.
    #[error(
        "{peer} has signed two encryption keys for one day, so it may be telling wallets apart; nothing more is sent to it \
         for some days, and the wallet keeps both keys"
    )]
    TwoKeys {
        /// The server.
        peer: String,
    },
    /// A server has signed an encryption key that is no key, so nothing can be encrypted to it. Trying again does not help
    /// until the server has another key.
    #[error(
        "{peer} has signed an encryption key that is not a valid key, so no request can be encrypted to it; nothing was \
         sent, and only its operator can repair this"
    )]
    BadKey {
        /// The server.
        peer: String,
    },
    /// The server has refused the request. It has not acted on it.
    #[error("{peer} has refused the request: {reason}")]
    Refused {
        /// The server.
        peer: String,
        /// The reason.
        reason: String,
    },
    /// This machine has failed, for example it has no free socket. Nothing was sent.
    #[error("this machine cannot open a connection: {reason}")]
    Local {
        /// What happened.
        reason: String,
    },
}

impl NetworkError {
    /// Whether the server may have acted on the request.
    #[must_use]
    pub fn acted(&self) -> Acted {
        match self {
            NetworkError::TimedOut { acted, .. }
            | NetworkError::Closed { acted, .. }
            | NetworkError::TooLong { acted, .. } => *acted,
            NetworkError::NotBrought { .. } => Acted::Unknown,
            NetworkError::Unreachable { .. }
            | NetworkError::WrongCertificate { .. }
            | NetworkError::Impostor { .. }
            | NetworkError::WrongProtocol { .. }
            | NetworkError::Busy { .. }
            | NetworkError::TwoKeys { .. }
            | NetworkError::BadKey { .. }
            | NetworkError::Refused { .. }
            | NetworkError::Local { .. } => Acted::No,
        }
    }

    /// Whether the same call would always fail again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            NetworkError::WrongCertificate { .. }
                | NetworkError::Impostor { .. }
                | NetworkError::WrongProtocol { .. }
                | NetworkError::TooLong { .. }
                | NetworkError::TwoKeys { .. }
                | NetworkError::BadKey { .. }
        )
    }
}
