//! Offer and delivery: what a wallet asks of a merchant.
//!
//! ```text
//! wallet                                  merchant
//!   CatalogRequest  -------------------->   (not needed if the item id is known)
//!   OfferRequest    -------------------->   signs an offer; the time does not depend on the size of the goods
//!                   <--------------------  Offered: the offer, with small goods
//!   PieceRequest    -------------------->   (repeated, resumable)
//!                   <--------------------  a piece of the encrypted goods
//!   ... hold, at the escrow ...
//!   DeliverRequest  -------------------->   releases the goods key at the escrow
//!                   <--------------------  Signed<Receipt>
//! ```

use crate::{
    bounded,
    contract::{VerifiedContract, check_hold},
    documents::{Contract, Hold, Offer},
    ids::{EncryptedDigest, ItemId},
    limits::{
        CATALOG_ITEMS_MAX, CATALOG_PAGE_MAX, CATALOG_TEXT_MAX_BYTES, CURRENCY_MAX_BYTES,
        DESCRIPTION_MAX_BYTES, GOODS_PIECE_BYTES, GOODS_WITH_OFFER_MAX_BYTES, MEDIA_TYPE_MAX_BYTES,
        TITLE_MAX_BYTES,
    },
    money::Amount,
    refusal::{GoodsFault, Refusal},
    wire::{self, VARIANT_BYTES},
};
use farthing_coin::{PublicKey, Signed, is_currency};
use serde::{Deserialize, Serialize};

/// Asks for a page of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogRequest {
    /// The last item of the previous page. Absent for the first page.
    pub after: Option<ItemId>,
}

/// An item of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogItem {
    /// Names the item.
    pub item_id: ItemId,
    /// Its title.
    #[serde(deserialize_with = "bounded::text::<_, TITLE_MAX_BYTES>")]
    pub title: String,
    /// Its description.
    #[serde(deserialize_with = "bounded::text::<_, DESCRIPTION_MAX_BYTES>")]
    pub description: String,
    /// Its media type.
    #[serde(deserialize_with = "bounded::text::<_, MEDIA_TYPE_MAX_BYTES>")]
    pub media_type: String,
    /// Its size (bytes).
    pub size_bytes: u64,
    /// Its price.
    pub price: Amount,
    /// The currency of the price.
    #[serde(deserialize_with = "bounded::text::<_, CURRENCY_MAX_BYTES>")]
    pub currency: String,
}

/// A page of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogPage {
    /// The items, in the order of their ids: at most [`CATALOG_PAGE_MAX`].
    #[serde(deserialize_with = "bounded::list::<_, _, CATALOG_PAGE_MAX>")]
    pub items: Vec<CatalogItem>,
    /// Whether more items follow.
    pub more: bool,
}

impl CatalogItem {
    /// The length of all its texts (bytes).
    fn text_bytes(&self) -> usize {
        let texts = [&self.title, &self.description, &self.media_type, &self.currency];
        texts.iter().map(|text| text.len()).fold(0, usize::saturating_add)
    }

    /// Checks that every text is within its bound. The error names the first text that is not.
    fn check_bounds(&self) -> Result<(), &'static str> {
        let bounded = [
            (self.title.len() <= TITLE_MAX_BYTES, "title"),
            (self.description.len() <= DESCRIPTION_MAX_BYTES, "description"),
            (self.media_type.len() <= MEDIA_TYPE_MAX_BYTES, "media type"),
            (is_currency(&self.currency), "currency"),
        ];
        let broken = bounded.into_iter().find(|(fits, _)| !fits);
        broken.map_or(Ok(()), |(_, field)| Err(field))
    }
}

/// Reads a catalogue page by page. It keeps its position and the totals, not the items.
#[derive(Debug, Clone, Default)]
pub struct CatalogReader {
    last: Option<ItemId>,
    is_at_end: bool,
    items: usize,
    text_bytes: usize,
}

/// Why a wallet refuses a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogFault {
    /// A page has too many items.
    #[error("a page has {0} items, at most {CATALOG_PAGE_MAX} are allowed")]
    PageLength(usize),
    /// A page has no item, and says that more follow.
    #[error("a page has no item, and says that more follow")]
    EmptyPage,
    /// An item's id is not above the id of the item before it.
    #[error("its items are not in the order of their ids")]
    Order,
    /// A text of an item is not within its bound.
    #[error("the {0} of an item is out of bounds")]
    Bounds(&'static str),
    /// The catalogue has too many items.
    #[error("it has more than {CATALOG_ITEMS_MAX} items")]
    Items,
    /// The catalogue has too much text.
    #[error("it has more than {CATALOG_TEXT_MAX_BYTES} bytes of text")]
    Text,
}

impl CatalogReader {
    /// The next request. `None` at the end of the catalogue.
    pub fn request(&self) -> Option<CatalogRequest> {
        let request = CatalogRequest { after: self.last };
        (!self.is_at_end).then_some(request)
    }

    /// Takes the reply to the last [`request`](Self::request) and returns its items.
    ///
    /// # Errors
    /// When the page, or the catalogue up to and with it, is out of bounds. Then the caller stops reading.
    pub fn on_page(&mut self, page: CatalogPage) -> Result<Vec<CatalogItem>, CatalogFault> {
        let CatalogPage { items, more } = page;
        self.check(&items, more)?;
        self.last = items.last().map_or(self.last, |item| Some(item.item_id));
        self.is_at_end = !more;
        Ok(items)
    }

    fn check(&mut self, items: &[CatalogItem], more: bool) -> Result<(), CatalogFault> {
        if items.len() > CATALOG_PAGE_MAX {
            return Err(CatalogFault::PageLength(items.len()));
        }
        if items.is_empty() && more {
            return Err(CatalogFault::EmptyPage);
        }
        let mut last = self.last;
        for item in items {
            if last.is_some_and(|last| item.item_id <= last) {
                return Err(CatalogFault::Order);
            }
            last = Some(item.item_id);
            item.check_bounds().map_err(CatalogFault::Bounds)?;
            self.text_bytes = self.text_bytes.saturating_add(item.text_bytes());
        }
        self.items = self.items.saturating_add(items.len());
        if self.items > CATALOG_ITEMS_MAX {
            return Err(CatalogFault::Items);
        }
        if self.text_bytes > CATALOG_TEXT_MAX_BYTES {
            return Err(CatalogFault::Text);
        }
        Ok(())
    }
}

/// Asks for an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRequest {
    /// The item.
    pub item_id: ItemId,
    /// The bank whose coins will pay.
    pub bank: PublicKey,
    /// The escrow that will decide.
    pub escrow: PublicKey,
}

/// A merchant's offer, with the goods if they are small. So small goods need no request of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// The offer.
    pub offer: Signed<Offer>,
    /// The encrypted goods if they have at most [`GOODS_WITH_OFFER_MAX_BYTES`]. Otherwise empty.
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bounded::bytes::<_, { GOODS_WITH_OFFER_MAX_BYTES as usize }>"
    )]
    pub goods: Vec<u8>,
}

/// Asks for a piece of encrypted goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceRequest {
    /// The item.
    pub item_id: ItemId,
    /// The digest of the encrypted goods, as the offer says.
    pub encrypted_digest: EncryptedDigest,
    /// Where the piece begins (bytes). It has at most [`GOODS_PIECE_BYTES`].
    pub offset: u64,
}

/// A piece of encrypted goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The bytes. Empty only at the end of the goods.
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "bounded::bytes::<_, GOODS_PIECE_BYTES>"
    )]
    pub bytes: Vec<u8>,
}

impl Piece {
    /// The shorter piece that is the beginning of a reply. The digest of all goods shows whether it is right.
    pub(crate) fn beginning(reply: &[u8]) -> Option<Piece> {
        let none = Piece { bytes: Vec::new() };
        let header = wire::encode(&Ok::<_, Refusal>(none)).ok()?;
        let (begins, bytes) = reply.split_at_checked(header.len())?;
        let is_piece = begins.get(..VARIANT_BYTES) == header.get(..VARIANT_BYTES);
        (is_piece && !bytes.is_empty() && bytes.len() <= GOODS_PIECE_BYTES).then(|| Piece {
            bytes: bytes.to_vec(),
        })
    }
}

/// Hands the hold to the merchant, who then releases the goods key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverRequest {
    /// The contract.
    pub contract: Contract,
    /// The hold of its coins.
    pub hold: Signed<Hold>,
}

/// A delivery that is due from this merchant. Only [`verify_deliver`] makes one.
#[derive(Debug)]
pub struct VerifiedDeliver {
    contract: VerifiedContract,
    hold: Signed<Hold>,
}

/// Verifies at the merchant that a delivery is due: the contract names this merchant, and its coins are held.
///
/// # Errors
/// Names the first thing at fault.
pub fn verify_deliver(request: DeliverRequest, self_id: &PublicKey) -> Result<VerifiedDeliver, Refusal> {
    let DeliverRequest { contract, hold } = request;
    if contract.terms.merchant != *self_id {
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

    /// The offer of the contract.
    pub fn offer(&self) -> &Offer {
        &self.contract.contract().offer.body
    }

    /// The hold.
    pub fn hold(&self) -> &Signed<Hold> {
        &self.hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> ItemId {
        let mut id = [0; 32];
        id[24..].copy_from_slice(&number.to_be_bytes());
        ItemId(id)
    }

    fn item(number: u64) -> CatalogItem {
        CatalogItem {
            item_id: id(number),
            title: "A postcard".into(),
            description: String::new(),
            media_type: "text/plain".into(),
            size_bytes: 1,
            price: Amount(1),
            currency: "FTH".into(),
        }
    }

    #[test]
    fn the_beginning_of_a_reply_is_a_shorter_piece() {
        let bytes: Vec<u8> = (0..100).collect();
        let reply = wire::encode(&Ok::<_, Refusal>(Piece { bytes: bytes.clone() })).unwrap();
        let header = reply.len() - bytes.len();
        for cut in 0..=reply.len() {
            let piece = Piece::beginning(&reply[..cut]).map(|piece| piece.bytes);
            let expected = bytes
                .get(..cut.saturating_sub(header))
                .filter(|bytes| !bytes.is_empty());
            assert_eq!(piece.as_deref(), expected, "cut at {cut}");
        }
        let refusal = wire::encode(&Err::<Piece, _>(Refusal::Goods(GoodsFault::UnknownPiece))).unwrap();
        assert_eq!(Piece::beginning(&[refusal, bytes].concat()), None);
        let long = [&reply[..header], &vec![0; GOODS_PIECE_BYTES + 1]].concat();
        assert_eq!(Piece::beginning(&long), None);
    }

    fn page(numbers: impl IntoIterator<Item = u64>, more: bool) -> CatalogPage {
        let items = numbers.into_iter().map(item).collect();
        CatalogPage { items, more }
    }

    #[test]
    fn a_catalogue_is_read_to_its_end() {
        let mut reader = CatalogReader::default();
        assert_eq!(reader.request(), Some(CatalogRequest { after: None }));
        assert_eq!(reader.on_page(page(1..=64, true)).unwrap().len(), 64);
        assert_eq!(reader.request(), Some(CatalogRequest { after: Some(id(64)) }));
        assert_eq!(reader.on_page(page([70], false)).unwrap().len(), 1);
        assert_eq!(reader.request(), None);
        let mut nothing = CatalogReader::default();
        assert!(nothing.on_page(page([], false)).unwrap().is_empty());
        assert_eq!(nothing.request(), None);
    }

    #[test]
    fn a_page_that_breaks_the_rules_is_refused() {
        let long = |change: &dyn Fn(&mut CatalogItem)| {
            let mut page = page([1], false);
            change(&mut page.items[0]);
            page
        };
        let cases = [
            (page(1..=65, false), CatalogFault::PageLength(65)),
            (page([], true), CatalogFault::EmptyPage),
            (page([1, 1], false), CatalogFault::Order),
            (page([2, 1], false), CatalogFault::Order),
            (
                long(&|item| item.title = "x".repeat(97)),
                CatalogFault::Bounds("title"),
            ),
            (
                long(&|item| item.description = "x".repeat(257)),
                CatalogFault::Bounds("description"),
            ),
            (
                long(&|item| item.media_type = "x".repeat(65)),
                CatalogFault::Bounds("media type"),
            ),
            (
                long(&|item| item.currency = "\u{1b}[2J".into()),
                CatalogFault::Bounds("currency"),
            ),
        ];
        for (page, fault) in cases {
            assert_eq!(CatalogReader::default().on_page(page), Err(fault));
        }
        let mut reader = CatalogReader::default();
        reader.on_page(page([5], true)).unwrap();
        assert_eq!(reader.on_page(page([5], false)), Err(CatalogFault::Order));
    }

    #[test]
    fn an_endless_catalogue_is_refused_at_its_bounds() {
        let per_page = CATALOG_PAGE_MAX as u64;
        let read = |text: &str| {
            let mut reader = CatalogReader::default();
            for number in 0u64.. {
                let first = number * per_page;
                let mut page = page(first..first + per_page, true);
                page.items
                    .iter_mut()
                    .for_each(|item| item.description = text.into());
                if let Err(fault) = reader.on_page(page) {
                    return (number as usize * CATALOG_PAGE_MAX, fault);
                }
            }
            unreachable!()
        };
        assert_eq!(read(""), (CATALOG_ITEMS_MAX, CatalogFault::Items));
        let (items, fault) = read(&"x".repeat(DESCRIPTION_MAX_BYTES));
        assert_eq!(fault, CatalogFault::Text);
        assert!(items * DESCRIPTION_MAX_BYTES < CATALOG_TEXT_MAX_BYTES);
    }
}
