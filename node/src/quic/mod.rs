//! The network over QUIC.
//!
//! One bidirectional stream carries one request and its reply. A frame is all bytes that a side sends before its FIN.
//! The ALPN name of the handshake is the lane. A client authenticates a server by the fingerprint of its certificate.
//!
//! Nothing links two connections of a client. Each has its own socket, endpoint and TLS configuration. There are no
//! session tickets, no address tokens and no 0-RTT.

mod channel;
mod client;
mod server;
mod socket;
mod transport;

pub use client::QuicNetwork;
pub use server::QuicServer;
