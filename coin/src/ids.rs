//! The ids and digests that coins, requests and signatures carry.

use crate::hex_bytes::bytes32;

bytes32! {
    /// The id of a denomination: a digest of all its fields, so that a coin names exactly what it is worth, where,
    /// and until when.
    KeyId
}

bytes32! {
    /// The digest of a list of keys up to one of its epochs.
    KeyListDigest
}

bytes32! {
    /// Names one withdrawal or exchange of a wallet: a repeated request has the same id and gets the same reply.
    RequestId
}

bytes32! {
    /// The id under which the bank keeps one note of a wallet.
    NoteId
}

bytes32! {
    /// The digest of everything that a signature says.
    StatementDigest
}
