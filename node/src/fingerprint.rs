//! What a card pins of a node's TLS certificate.

farthing_coin::bytes32! {
    /// SHA-256 of the DER of a node's TLS certificate.
    Fingerprint
}
