//! The ids and digests that documents and messages carry.

use farthing_coin::bytes32;

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
    /// The digest of an offer: all that the bank sees of it.
    OfferDigest
}
