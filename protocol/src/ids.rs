//! The ids and digests that documents and messages carry.

use farthing_coin::{PublicKey, RecoveryRecordId, RequestId, StatementDigest, bytes32, secret32};

/// Says which ids and digests can stand for a wider one.
macro_rules! stands_for {
    ($($narrow:ty => $wide:ident;)*) => {$(
        impl From<$narrow> for $wide {
            fn from(narrow: $narrow) -> Self {
                Self(narrow.0)
            }
        }
    )*};
}

stands_for! {
    CoinsDigest => IssueSource;
    PublicKey => IssueSource;
    RecoveryRecordId => RecordId;
    PublicKey => RecordId;
    RequestId => RecordId;
    SaleId => EphemeralId;
    PurchaseId => EphemeralId;
    PurchaseId => SealingContext;
}

bytes32! {
    /// A digest that names a purchase: the digest of its [`Terms`](crate::documents::Terms).
    PurchaseId
}

impl PurchaseId {
    /// The id as the digest that each coin's key signs for the hold.
    pub fn digest(&self) -> StatementDigest {
        StatementDigest(self.0)
    }
}

bytes32! {
    /// Names one sale of one merchant: random, and never used twice, as the goods key is derived from it.
    SaleId
}

bytes32! {
    /// Names what a merchant sells, in the catalogue.
    ItemId
}

bytes32! {
    /// The commitment of an offer to its goods key.
    KeyCommitment
}

bytes32! {
    /// SHA-256 of salt and goods.
    GoodsDigest
}

bytes32! {
    /// SHA-256 of the encrypted goods.
    EncryptedDigest
}

bytes32! {
    /// The digest of the coins that pay, in their order.
    CoinsDigest
}

bytes32! {
    /// The digest of a note and its id.
    NoteDigest
}

bytes32! {
    /// Names an issuing session by the bank's commitments: see [`session_digest`](crate::issue::session_digest).
    SessionDigest
}

bytes32! {
    /// What an issuance is paid with: the account that is debited, or the digest of the coins that are taken in.
    IssueSource
}

bytes32! {
    /// One run of a node's journal, random at the node's start. Within one run a journal only grows.
    JournalRun
}

bytes32! {
    /// The hash of a record of a journal, which covers all records before it.
    RecordHash
}

bytes32! {
    /// Random, so that no earlier answer of a witness can stand for a new one.
    WitnessNonce
}

bytes32! {
    /// What a goods key is sealed for: a purchase, by its id, or an offer, by its
    /// [`sealing_context`](crate::documents::Offer::sealing_context).
    SealingContext
}

bytes32! {
    /// The id that a bucket orders its records by: a request id, a note id, or a coin's key.
    RecordId
}

bytes32! {
    /// A key of 32 bytes, encrypted.
    KeyCiphertext
}

bytes32! {
    /// What an ephemeral key is made for: a purchase, by its id, or an offer, by its sale id.
    EphemeralId
}

secret32! {
    /// A merchant's or an escrow's secret, from which the keys of its sales, contents and sealings are derived.
    NodeSecret
}

bytes32! {
    /// The digest of an offer: all that the bank sees of it.
    OfferDigest
}
