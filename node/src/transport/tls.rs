//! The cryptography of every connection.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};

/// The server name that every client sends. A constant does not show which server the client wants.
pub(crate) const SERVER_NAME: &str = "farthing";

/// The cryptography of every connection: X25519, and SHA-256 with AES-128, or ChaCha20 on a processor without AES.
///
/// Longer keys and digests would add no strength, because X25519 limits it. Processors have no instructions for
/// SHA-384, which would take a twelfth of a handshake.
pub(crate) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    })
});
