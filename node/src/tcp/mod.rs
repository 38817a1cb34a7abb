//! The network over TCP, for lines that carry no UDP, and for proxies.
//!
//! A connection is TLS 1.3 with HTTP/2 in it. One HTTP/2 stream carries one request and its reply, each as a body.
//! Nothing else of HTTP has a meaning: the method, the path and the status are constants. The ALPN name of the
//! handshake is the lane, as in QUIC. A client authenticates a server by the fingerprint of its certificate.
//!
//! Nothing links two connections of a client. There are no session tickets and no 0-RTT, and each connection has its own
//! TLS configuration. Through a proxy, each has its own user name and password, unless one was given.

mod channel;
mod client;
mod conversation;
mod http;
mod server;
mod socks;
mod stream;

pub use client::TcpNetwork;
pub use conversation::{ABANDONED_MAX, REPLIES_MAX_BYTES};
pub use http::{HEADERS_MAX_BYTES, SEND_BUFFER_BYTES};
pub use server::{LISTEN_BACKLOG, TcpServer};
pub use socks::{PROXY_TIMEOUT_MS, ProxyError, SocksProxy};
