//! What a merchant keeps on disk, besides the encrypted goods.

use farthing_coin::{PublicKey, Signed, is_currency};
use farthing_node::key_lists::{KeyListEpochsTable, KeyListRootsTable, KeyListTables};
use farthing_protocol::{
    decision::Committed,
    documents::{Abort, Contract, Hold, PurchaseId, Settled},
    goods::GoodsSummary,
    ids::ItemId,
    limits::{CURRENCY_MAX_BYTES, DESCRIPTION_MAX_BYTES, MEDIA_TYPE_MAX_BYTES, TITLE_MAX_BYTES},
    money::Amount,
    offer::CatalogItem,
};
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// What is for sale, by item id.
pub const ITEMS: Table<ItemId, Item> = Table::new(1, "items");

/// What is no longer for sale, but served to those who hold offers for it, by item id.
pub const WITHDRAWN: Table<ItemId, Withdrawn> = Table::new(2, "withdrawn items");

/// The sales that customers have brought a hold for, or that an escrow has committed on a sealed offer, by purchase id.
pub const SALES: Table<PurchaseId, Sale> = Table::new(3, "sales");

/// The sales that are not at their end: to be released, or to be credited. By purchase id.
pub const OPEN_SALES: Table<PurchaseId, ()> = Table::new(4, "open sales");

/// That there is or was an item whose offers are sealed: escrows are asked what they have committed.
pub const SEALS: Table<(), ()> = Table::new(5, "sealed offers");

/// How many of the sales that an escrow has committed on sealed offers are known, by escrow.
pub const KNOWN_SALES: Table<PublicKey, u64> = Table::new(6, "known sealed sales");

/// One version of some goods, encrypted once. An item id never stands for another content or another encryption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// Its media type.
    pub media_type: String,
    /// Its price.
    pub price: Amount,
    /// The currency of the price.
    pub currency: String,
    /// Sizes and digests of the goods and of the encrypted file.
    pub summary: GoodsSummary,
    /// What the file was called that the goods were read from, for the operator.
    pub file_name: String,
    /// Whether its offers have the goods key in them, sealed to the escrow.
    pub sealed: bool,
}

impl Item {
    /// Refuses an item that no offer could describe.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn check(&self) -> Result<(), String> {
        let lengths = [
            ("title", self.title.len(), TITLE_MAX_BYTES),
            ("description", self.description.len(), DESCRIPTION_MAX_BYTES),
            ("media type", self.media_type.len(), MEDIA_TYPE_MAX_BYTES),
        ];
        for (what, got, most) in lengths {
            if got > most {
                return Err(format!(
                    "the {what} has {got} bytes, at most {most} are allowed; shorten it"
                ));
            }
        }
        if self.title.trim().is_empty() {
            return Err("the title is empty; give one with --title".into());
        }
        if self.price == Amount(0) {
            return Err("the price is zero; the least is 0.01".into());
        }
        check_currency(&self.currency)
    }

    /// The item as customers see it.
    pub fn for_catalog(&self, item_id: ItemId) -> CatalogItem {
        CatalogItem {
            item_id,
            title: self.title.clone(),
            description: self.description.clone(),
            media_type: self.media_type.clone(),
            size_bytes: self.summary.size_bytes,
            price: self.price,
            currency: self.currency.clone(),
        }
    }
}

/// An item that was taken out of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// What it was.
    pub item: Item,
    /// Until when its goods are served (ms since 1970): no offer promises more.
    pub served_until_ms: u64,
}

/// A sale whose coins were held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// Signed by both sides.
    pub contract: Contract,
    /// That the coins were held.
    pub hold: Signed<Hold>,
    /// How far it has come.
    pub state: SaleState,
}

/// How far a sale has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaleState {
    /// The goods key is on its way to the escrow.
    Releasing,
    /// The escrow has committed it; the bank has not confirmed the credit yet.
    Committed(Box<Committed>),
    /// The bank has credited it.
    Credited(Box<Committed>, Signed<Settled>),
    /// The escrow would not commit it; the customer keeps her coins.
    Ended(String),
    /// The bank was shown an abort by the same escrow before, and obeys that: nobody pays, and both decisions convict
    /// the escrow.
    Unpaid(Box<Committed>, Signed<Abort>),
    /// The escrow had aborted the purchase when it was to commit it, by this; the customer keeps the coins.
    Aborted(Box<Signed<Abort>>),
}

impl SaleState {
    /// The escrow's documents, if it has committed the sale.
    pub fn committed(&self) -> Option<&Committed> {
        match self {
            SaleState::Committed(committed)
            | SaleState::Credited(committed, _)
            | SaleState::Unpaid(committed, _) => Some(committed),
            SaleState::Releasing | SaleState::Ended(_) | SaleState::Aborted(_) => None,
        }
    }

    /// The state in a word.
    pub fn as_str(&self) -> &'static str {
        match self {
            SaleState::Releasing => "releasing",
            SaleState::Committed(_) => "committed",
            SaleState::Credited(..) => "credited",
            SaleState::Unpaid(..) => "unpaid",
            SaleState::Ended(_) => "ended",
            SaleState::Aborted(_) => "aborted",
        }
    }
}

/// The roots of the banks' lists of keys.
pub const KEY_LIST_ROOTS: KeyListRootsTable = Table::new(40, "roots of key lists");

/// Their epochs, one row each.
pub const KEY_LIST_EPOCHS: KeyListEpochsTable = Table::new(41, "epochs of key lists");

/// The banks' lists of keys.
pub const KEY_LISTS: KeyListTables = KeyListTables {
    roots: &KEY_LIST_ROOTS,
    epochs: &KEY_LIST_EPOCHS,
};

/// Refuses what no bank can call its currency.
///
/// # Errors
/// A message for the operator.
pub fn check_currency(currency: &str) -> Result<(), String> {
    if !is_currency(currency) {
        return Err(format!(
            "`{currency}` is not a currency: give 1 to {CURRENCY_MAX_BYTES} printable ASCII characters"
        ));
    }
    Ok(())
}
