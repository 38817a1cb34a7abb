//! The network over QUIC.
