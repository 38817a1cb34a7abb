//! How nodes and wallets reach each other, as traits.
//!
//! A request is one call on a channel and has one reply. The traits are all that the roles see of the
//! network, so that a simulator with faults of its own can stand in for QUIC (see [`crate::quic`]).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::card::Card;
/// Who speaks on a channel. A server knows it from the handshake and never mixes the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The owner of an account, who says who she is.
    Identified,
    /// A wallet that says nothing about itself.
    Anonymous,
    /// Another server.
    Peer,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 3] = [Lane::Identified, Lane::Anonymous, Lane::Peer];

    /// The protocol name that a client offers in the handshake for this lane.
    #[must_use]
    pub const fn alpn(self) -> &'static str {
        match self {
            Lane::Identified => "farthing/2 identified",
            Lane::Anonymous => "farthing/2 anonymous",
            Lane::Peer => "farthing/2 peer",
        }
    }

    /// The lane of a negotiated protocol name, if it is one.
    #[must_use]
    pub fn from_alpn(alpn: &[u8]) -> Option<Lane> {
        Self::ALL.into_iter().find(|lane| lane.alpn().as_bytes() == alpn)
    }
}

/// Whatever opens channels to servers.
#[async_trait]
pub trait Network: Send + Sync {
    /// Opens a channel to the server of `card` that shares nothing with any other channel: no socket, no
    /// session ticket, no token.
    ///
    /// # Errors
    /// [`NetworkError`]; no request has been sent, so the server has certainly not acted.
    async fn connect(&self, card: &Card, lane: Lane) -> Result<Arc<dyn Channel>, NetworkError>;
}

/// An open channel to one server. It closes when it is dropped.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Sends `request` and waits for its reply. `timeout` is how long the server may be silent. The call ends at
    /// the latest after `timeout` and the time of request and reply on the slowest line. Many calls may be under way at once; they do
    /// not wait for each other.
    ///
    /// # Errors
    /// [`NetworkError`]; [`NetworkError::acted`] says whether the server may have acted on the request.
    async fn call(&self, request: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, NetworkError>;
}

/// What a server does with a request.
#[async_trait]
pub trait Service: Send + Sync {
    /// The reply to `request`, which came on `lane`. Never fails: an error is a reply as well.
    async fn call(&self, lane: Lane, request: Vec<u8>) -> Vec<u8>;

    /// Whether `request`, of which the first bytes have come, may have one of the places that a server keeps for requests
    /// that end a purchase. It is asked before the request is decoded, and must cost nothing.
    fn is_reserved(&self, lane: Lane, request: &[u8]) -> bool {
        let _ordinary = (lane, request);
        false
    }
}

/// Whether the peer may have acted on a request that got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// It certainly has not: the request never reached it whole, or it said so.
    No,
    /// Nobody here can know: ask again with the same request.
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

/// Why a request got no reply. `peer` is the server as its card names it, such as ``bank `central` ``.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No connection came about.
    #[error("{peer} cannot be reached: {reason}; see that it runs and that its card has the right address")]
    Unreachable {
        /// The server.
        peer: String,
        /// What happened.
        reason: String,
    },
    /// The time for the call ran out.
    #[error("{peer} has not answered within {waited_ms} ms; {acted}")]
    TimedOut {
        /// The server.
        peer: String,
        /// How long the call waited (ms).
        waited_ms: u64,
        /// Whether the server may have acted.
        acted: Acted,
    },
    /// Somebody else answers at the server's address. Trying again does not help.
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
    /// Somebody shows the server's certificate without having its key. Trying again does not help.
    #[error("whoever answers for {peer} shows its certificate but cannot sign with its key: an impostor")]
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
        /// What was offered.
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
        /// What is allowed (bytes).
        max_bytes: usize,
        /// Whether the server may have acted: it may if it is the reply that is too long.
        acted: Acted,
    },
    /// The server has as much to do as it takes. It has not acted on the request.
    #[error("{peer} is busy; try again in {retry_after_ms} ms")]
    Busy {
        /// The server.
        peer: String,
        /// When to try again (ms from now).
        retry_after_ms: u64,
    },
    /// The server would not take the request, for the reason given. It has not acted on it.
    #[error("{peer} has refused the request: {reason}")]
    Refused {
        /// The server.
        peer: String,
        /// Why.
        reason: String,
    },
    /// This machine could not do its part (no socket, say). Nothing was sent.
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
            NetworkError::Unreachable { .. }
            | NetworkError::WrongCertificate { .. }
            | NetworkError::Impostor { .. }
            | NetworkError::WrongProtocol { .. }
            | NetworkError::Busy { .. }
            | NetworkError::Refused { .. }
            | NetworkError::Local { .. } => Acted::No,
        }
    }

    /// Whether trying again without changing anything is pointless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            NetworkError::WrongCertificate { .. }
                | NetworkError::Impostor { .. }
                | NetworkError::WrongProtocol { .. }
                | NetworkError::TooLong { .. }
        )
    }
}
