//! Offer and delivery: what a customer asks of a merchant.
//!
//! ```text
//! wallet                                  merchant
//!   CatalogRequest  -------------------->   (not where the whole id is known)
//!   OfferRequest    -------------------->   signs an offer, in constant time whatever the goods' size
//!                   <--------------------  Offered: the offer, with small goods
//!   PieceRequest    -------------------->   (repeated, resumable)
//!                   <--------------------  a piece of the encrypted goods
//!   ... hold, at the escrow ...
//!   DeliverRequest  -------------------->   releases the goods key at the escrow
//!                   <--------------------  Signed<Receipt>
//! ```

use crate::{
    contract::{VerifiedContract, check_hold},
    documents::{Contract, Hold, Offer},
    money::Amount,
    refusal::{GoodsFault, Refusal},
};
use farthing_coin::{PublicKey, Signed};
use serde::{Deserialize, Serialize};

/// Asks for a page of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRequest {
    /// The last item of the page before, if this is not the first.
    pub after: Option<[u8; 32]>,
}

/// One item of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogItem {
    /// Names the item.
    pub item_id: [u8; 32],
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// Its media type.
    pub media_type: String,
    /// Its size (bytes).
    pub size_bytes: u64,
    /// Its price.
    pub price: Amount,
    /// The currency of the price.
    pub currency: String,
}

/// A page of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogPage {
    /// At most [`CATALOG_PAGE_MAX`](crate::limits::CATALOG_PAGE_MAX), by item id.
    pub items: Vec<CatalogItem>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// Asks for an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRequest {
    /// The item.
    pub item_id: [u8; 32],
    /// The bank whose coins will pay.
    pub bank: PublicKey,
    /// The escrow that will decide.
    pub escrow: PublicKey,
}

/// A merchant's offer, with the goods if they are small: so that they cost no question of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// The offer.
    pub offer: Signed<Offer>,
    /// All of the encrypted goods if they have at most
    /// [`GOODS_WITH_OFFER_MAX_BYTES`](crate::limits::GOODS_WITH_OFFER_MAX_BYTES), else nothing.
    #[serde(with = "serde_bytes")]
    pub goods: Vec<u8>,
}

/// Asks for a piece of encrypted goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceRequest {
    /// The item.
    pub item_id: [u8; 32],
    /// The digest of the encrypted goods, as the offer says.
    pub encrypted_digest: [u8; 32],
    /// Where the piece begins (bytes); it is at most [`GOODS_PIECE_BYTES`](crate::limits::GOODS_PIECE_BYTES) long.
    pub offset: u64,
}

/// A piece of encrypted goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Empty only at the end of the goods.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// Hands the hold to the merchant, who releases the goods key for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverRequest {
    /// What was agreed.
    pub contract: Contract,
    /// That the coins are held.
    pub hold: Signed<Hold>,
}

/// A delivery that is this merchant's to make. Only [`verify_deliver`] makes one.
#[derive(Debug)]
pub struct VerifiedDeliver {
    contract: VerifiedContract,
    hold: Signed<Hold>,
}

/// Verifies, at the merchant, that a delivery is due: the contract is with him, and its coins are held.
///
/// # Errors
/// Names the first thing at fault.
pub fn verify_deliver(request: DeliverRequest, here: &PublicKey) -> Result<VerifiedDeliver, Refusal> {
    let DeliverRequest { contract, hold } = request;
    if contract.terms.merchant != *here {
        return Err(GoodsFault::UnknownOffer.into());
    }
    let contract = contract.verified()?;
    check_hold(contract.contract(), &hold)?;
    Ok(VerifiedDeliver { contract, hold })
}

impl VerifiedDeliver {
    /// The contract.
    pub fn contract(&self) -> &VerifiedContract {
        &self.contract
    }

    /// The offer that it delivers on.
    pub fn offer(&self) -> &Offer {
        &self.contract.contract().offer.body
    }

    /// The hold.
    pub fn hold(&self) -> &Signed<Hold> {
        &self.hold
    }
}
