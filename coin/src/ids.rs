//! The ids and digests that coins, requests and signatures carry.

use crate::hex_bytes::bytes32;

bytes32! {
    /// The id of a denomination, a digest of all its fields. So a coin names its value, its bank and its dates.
    KeyId
}

bytes32! {
    /// The digest of a key list up to one of its epochs.
    KeyListDigest
}

bytes32! {
    /// The id of one withdrawal or exchange of a wallet. A repeated request has the same id and gets the same reply.
    RequestId
}

bytes32! {
    /// The id under which the bank keeps one recovery record of a wallet.
    RecoveryRecordId
}

bytes32! {
    /// The digest of a signed statement.
    StatementDigest
}
