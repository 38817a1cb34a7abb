//! The ids and digests that documents and messages carry.

use farthing_coin::{PublicKey, RecoveryRecordId, RequestId, StatementDigest, bytes32, secret32};

/// Declares which ids and digests convert to a wider type.
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
    DepositId => StatementDigest;
}

bytes32! {
    /// Names a purchase: the digest of its [`Terms`](crate::documents::Terms).
    PurchaseId
}

impl PurchaseId {
    /// The id as the digest that each coin's key signs for the hold.
    pub fn digest(&self) -> StatementDigest {
        StatementDigest(self.0)
    }
}

bytes32! {
    /// Names one sale of one merchant. It is random and never used twice, as the goods key is derived from it.
    SaleId
}

bytes32! {
    /// Names an item in a merchant's catalogue, and one encryption of its goods.
    ItemId
}

bytes32! {
    /// The commitment of an offer to its goods key.
    KeyCommitment
}

bytes32! {
    /// SHA-256 of the salt and the goods.
    GoodsDigest
}

bytes32! {
    /// SHA-256 of the encrypted goods.
    EncryptedDigest
}

bytes32! {
    /// SHA-256 of an encrypted tick of a stream.
    TickDigest
}

bytes32! {
    /// The digest of an ordered list of coins: [`coins_digest`](crate::documents::coins_digest).
    CoinsDigest
}

bytes32! {
    /// The digest of a recovery record and its id: [`recovery_record_digest`](crate::documents::recovery_record_digest).
    RecoveryRecordDigest
}

bytes32! {
    /// Names an issuing session by the bank's commitments: [`session_digest`](crate::issue::session_digest).
    SessionDigest
}

bytes32! {
    /// What pays for an issuance: the account that is debited, the digest of the coins that are taken in, or the
    /// [digest](crate::reserve::reserve_source) of the reserve that is debited.
    IssueSource
}

bytes32! {
    /// Names a deposit: the digest of the [`Deposit`](crate::deposit::Deposit).
    DepositId
}

bytes32! {
    /// The digest of what pays for a deposit: [`source`](crate::deposit::DepositFrom::source).
    DepositSource
}

bytes32! {
    /// The digest of a text and its salt: [`text_digest`](crate::deposit::text_digest).
    TextDigest
}

bytes32! {
    /// Names a credit of a reserve by its source: [`id`](crate::reserve::CreditSource::id).
    CreditId
}

bytes32! {
    /// Names one run of a node. It is drawn at the node's start. Within one run a journal only grows.
    JournalRun
}

bytes32! {
    /// The hash of a journal's record. It covers all records before it.
    RecordHash
}

bytes32! {
    /// The random value of one question to a witness. No earlier answer fits it.
    WitnessNonce
}

bytes32! {
    /// What a goods key is sealed for: the id of a purchase, or the
    /// [`sealing_context`](crate::documents::Offer::sealing_context) of an offer.
    SealingContext
}

bytes32! {
    /// The id by which a bucket orders its records: a request id, the id of a recovery record, or a coin's key.
    RecordId
}

bytes32! {
    /// An encrypted key of 32 bytes.
    KeyCiphertext
}

bytes32! {
    /// What an ephemeral key is made for: the id of a purchase, or the sale id of an offer.
    EphemeralId
}

secret32! {
    /// A merchant's or an escrow's secret. The keys of its sales, contents and sealed keys derive from it.
    NodeSecret
}

bytes32! {
    /// The digest of an offer. The bank sees nothing else of the offer.
    OfferDigest
}

bytes32! {
    /// A public key of X25519, to which a target has requests encrypted.
    ObliviousKey
}

bytes32! {
    /// The encapsulated key of one request: an ephemeral public key of X25519.
    EncapsulatedKey
}

secret32! {
    /// The secret that the keys of the replies to one request are derived from.
    ReplySecret
}
