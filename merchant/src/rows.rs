//! The tables of the merchant, except those of what it has [forgotten](crate::forgotten). The encrypted goods are files on the
//! shelf.

use farthing_coin::{PublicKey, Signed, is_currency};
use farthing_node::key_lists::{KeyListEpochsTable, KeyListRootsTable, KeyListTables};
use farthing_protocol::{
    decision::{Committed, Outcome},
    documents::{Abort, Contract, Hold, PurchaseId, Settled},
    goods::GoodsSummary,
    ids::{ItemId, SaleId},
    limits::{CURRENCY_MAX_BYTES, DESCRIPTION_MAX_BYTES, MEDIA_TYPE_MAX_BYTES, TITLE_MAX_BYTES},
    money::Amount,
    offer::CatalogItem,
    refund::Refunded,
    stream::{Opened, Raised, StreamCommit, Voucher},
};
use farthing_store::Table;
use serde::{Deserialize, Serialize};

/// The items for sale, by item id.
pub const ITEMS: Table<ItemId, Item> = Table::new(1, "items");

/// The items that were removed from the catalogue, by item id. Customers with an offer are still served.
pub const WITHDRAWN: Table<ItemId, Withdrawn> = Table::new(2, "withdrawn items");

/// The sales, by purchase id. A customer has sent a hold, or an escrow has committed the purchase on a sealed offer.
pub const SALES: Table<PurchaseId, Sale> = Table::new(3, "sales");

/// The open sales, which wait for a release or a credit, by purchase id.
pub const OPEN_SALES: Table<PurchaseId, ()> = Table::new(4, "open sales");

/// Exists once any item had sealed offers. Escrows are then asked for their committed sales.
pub const SEALS: Table<(), ()> = Table::new(5, "sealed offers");

/// The number of known sales on sealed offers, by escrow.
pub const KNOWN_SALES: Table<PublicKey, u64> = Table::new(6, "known sealed sales");

/// When each sale began and last changed, by purchase id. Absent for a sale that an earlier program has stored.
pub const SALE_DATES: Table<PurchaseId, SaleDates> = Table::new(7, "dates of sales");

/// The counts of items of which a limited number is sold, by item id. Absent for an item without a count.
pub const STOCKS: Table<ItemId, Stock> = Table::new(8, "stocks");

/// The offers that reserve one of an item with a count, by sale id.
pub const RESERVATIONS: Table<SaleId, Reservation> = Table::new(9, "reservations");

/// The same offers, by their end (ms since 1970).
pub const RESERVATION_ENDS: Table<(u64, SaleId), ()> = Table::new(10, "ends of reservations");

/// The events, by number from 1 on. A number is used once.
pub const EVENTS: Table<u64, Event> = Table::new(11, "events");

/// The number of the last event.
pub const EVENT_COUNT: Table<(), u64> = Table::new(12, "number of events");

/// Where events are posted, if anywhere.
pub const WEBHOOK: Table<(), Webhook> = Table::new(13, "webhook");

/// The number of the last event that the webhook has posted, of all up to it.
pub const DELIVERED: Table<(), u64> = Table::new(14, "delivered events");

/// The events that the webhook posts again, by number.
pub const REDELIVERIES: Table<u64, ()> = Table::new(15, "redeliveries");

/// What is refunded of sales, by purchase id.
pub const REFUNDS: Table<PurchaseId, Refund> = Table::new(16, "refunds");

/// The refunds that the bank has not confirmed, by purchase id.
pub const OPEN_REFUNDS: Table<PurchaseId, ()> = Table::new(17, "open refunds");

/// The items that are sold by ticks, by item id. Each has a row in the table of items or of withdrawn items too.
pub const STREAMS: Table<ItemId, StreamItem> = Table::new(18, "streams");

/// The promises of escrows to commit a number of ticks that their decision does not keep, by purchase id.
pub const BROKEN_PROMISES: Table<PurchaseId, Signed<Raised>> = Table::new(19, "broken promises");

/// One version of goods, encrypted once. An item id always stands for the same content and encryption.
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
    /// The name of the source file, for the operator.
    pub file_name: String,
    /// Whether its offers have the goods key, sealed to the escrow.
    pub sealed: bool,
}

impl Item {
    /// Refuses an item that does not fit an offer.
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
        check_currency(&self.currency)
    }

    /// Whether it costs nothing. Then the merchant gives its goods key for a contract without coins.
    pub fn is_free(&self) -> bool {
        self.price == Amount(0)
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

/// What an item has in addition if it is sold by ticks. The price of the item is that of all ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamItem {
    /// The number of ticks in each offer.
    pub ticks: u32,
    /// Where the data comes from.
    pub source: StreamSource,
}

/// Where the data of a stream comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamSource {
    /// A file. Each tick is one chunk of it. The shelf has the digests of the chunks.
    File {
        /// Its absolute path.
        path: String,
        /// The size of each chunk (bytes). The last one may be shorter.
        chunk_bytes: u32,
        /// The number of chunks. A stream may have more ticks than chunks.
        chunks: u32,
    },
    /// Records that are fed to the running node. Each tick is one record.
    Live,
}

/// An item that was removed from the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The item.
    pub item: Item,
    /// How long its goods are served (ms since 1970). No offer promises a later time.
    pub served_until_ms: u64,
}

/// A sale whose coins were held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// The contract, signed by both sides.
    pub contract: Contract,
    /// The hold. For a stream it is the escrow's word that the stream is open: an [`Opened`], which has the same fields,
    /// with its signature. See [`Sale::opened`].
    pub hold: Signed<Hold>,
    /// The state.
    pub state: SaleState,
}

impl Sale {
    /// A stream that its escrow has opened.
    pub fn streaming(contract: Contract, opened: &Signed<Opened>) -> Self {
        let bank_hold = opened.body.bank_hold.clone();
        Self {
            contract,
            hold: Signed {
                body: Hold { bank_hold },
                signature: opened.signature,
            },
            state: SaleState::Streaming,
        }
    }

    /// The escrow's word that the stream is open. `None` for a sale that is not a stream.
    pub fn opened(&self) -> Option<Signed<Opened>> {
        let bank_hold = self.hold.body.bank_hold.clone();
        self.contract.offer.body.ticks().map(|_| Signed {
            body: Opened { bank_hold },
            signature: self.hold.signature,
        })
    }

    /// What the escrow has committed: the price, or for a stream what the voucher pays. `None` for a sale that is not
    /// committed.
    pub fn paid(&self) -> Option<Amount> {
        let stream = self.state.streamed().map(|stream| stream.voucher.body.amount);
        stream.or_else(|| self.state.committed().map(|_| self.contract.terms.price))
    }
}

/// How many of an item are left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// How many can still be sold, with the ones that offers reserve. `None` for any number.
    pub left: Option<u64>,
    /// How many of them offers reserve.
    pub reserved: u64,
}

/// An offer that reserves one of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The item.
    pub item_id: ItemId,
    /// The escrow of the offer.
    pub escrow: PublicKey,
    /// Whether the offer is sealed, so that the escrow sells it without the merchant.
    pub sealed: bool,
    /// When the offer expires (ms since 1970).
    pub ends_ms: u64,
    /// How many purchases of the offer are being released. The escrow commits at most one of them.
    pub releasing: u32,
}

/// Something that happened in the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When (ms since 1970).
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The escrow has committed a sale.
    Committed(PurchaseId),
    /// The bank has credited a sale.
    Credited(PurchaseId),
    /// The bank has applied an abort of a committed sale.
    Unpaid(PurchaseId),
    /// The escrow has aborted a sale.
    Aborted(PurchaseId),
    /// Few of an item are left.
    StockLow(ItemId, u64),
    /// None of an item are left.
    StockOut(ItemId),
    /// The bank has refunded this much of a sale in all.
    Refunded(PurchaseId, Amount),
}

impl EventKind {
    /// The sale that the event is about.
    pub fn purchase(&self) -> Option<PurchaseId> {
        match self {
            EventKind::Committed(purchase)
            | EventKind::Credited(purchase)
            | EventKind::Unpaid(purchase)
            | EventKind::Aborted(purchase)
            | EventKind::Refunded(purchase, _) => Some(*purchase),
            EventKind::StockLow(..) | EventKind::StockOut(_) => None,
        }
    }
}

/// Where events are posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The URL.
    pub url: String,
}

/// What is refunded of a sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// What is to be refunded of it in all. It only grows.
    pub total: Amount,
    /// The bank's last confirmation.
    pub refunded: Option<Signed<Refunded>>,
    /// Why the bank has refused the total, if it has.
    pub why: Option<String>,
}

impl Refund {
    /// What the bank has confirmed.
    pub fn confirmed(&self) -> Amount {
        let refunded = self.refunded.as_ref();
        refunded.map(|refunded| refunded.body.total).unwrap_or_default()
    }
}

/// The dates of a sale, by the merchant's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleDates {
    /// When the merchant first knew of it (ms since 1970).
    pub begun_ms: u64,
    /// When its state last changed (ms since 1970).
    pub changed_ms: u64,
}

/// The state of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaleState {
    /// The goods key is being released to the escrow.
    Releasing,
    /// The escrow has committed it. The bank has not confirmed the credit.
    Committed(Box<Committed>),
    /// The bank has credited it.
    Credited(Box<Committed>, Signed<Settled>),
    /// The escrow refused to commit it. The customer keeps the coins.
    Ended(String),
    /// The bank has applied an earlier abort of the same escrow. The sale is not paid, and both decisions convict the
    /// escrow.
    Unpaid(Box<Committed>, Signed<Abort>),
    /// The escrow had aborted the purchase before the release, with this abort. The customer keeps the coins.
    Aborted(Box<Signed<Abort>>),
    /// It is a stream that is open.
    Streaming,
    /// The escrow has committed a stream. The bank has not confirmed the credit.
    Streamed(Box<StreamCommit>),
    /// The bank has credited a stream.
    StreamCredited(Box<StreamCommit>, Signed<Settled>),
    /// The bank has applied an earlier abort of a stream by the same escrow, as in `Unpaid`.
    StreamUnpaid(Box<StreamCommit>, Signed<Abort>),
    /// The merchant ends a stream, and its escrow has not told the end yet.
    Closing(Box<StreamPapers>),
}

/// What a merchant has in its hands of a stream that has not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPapers {
    /// The highest voucher.
    pub voucher: Option<Signed<Voucher>>,
    /// The escrow's highest promise.
    pub raised: Option<Signed<Raised>>,
}

impl StreamPapers {
    /// The higher voucher and the higher promise of two.
    pub fn merge(self, other: StreamPapers) -> StreamPapers {
        let vouchers = self.voucher.into_iter().chain(other.voucher);
        let promises = self.raised.into_iter().chain(other.raised);
        StreamPapers {
            voucher: vouchers.max_by_key(|voucher| voucher.body.ticks),
            raised: promises.max_by_key(|raised| raised.body.ticks),
        }
    }
}

impl SaleState {
    /// The escrow's documents, if it has committed the sale, and the sale is not a stream.
    pub fn committed(&self) -> Option<&Committed> {
        match self {
            SaleState::Committed(committed)
            | SaleState::Credited(committed, _)
            | SaleState::Unpaid(committed, _) => Some(committed),
            _ => None,
        }
    }

    /// The escrow's documents, if it has committed the sale, and the sale is a stream.
    pub fn streamed(&self) -> Option<&StreamCommit> {
        match self {
            SaleState::Streamed(stream)
            | SaleState::StreamCredited(stream, _)
            | SaleState::StreamUnpaid(stream, _) => Some(stream),
            _ => None,
        }
    }

    /// Whether the sale is a stream whose end the escrow has not told yet.
    pub fn is_streaming(&self) -> bool {
        matches!(self, SaleState::Streaming | SaleState::Closing(_))
    }

    /// What the merchant has of a stream that it ends. `None` if it does not end one.
    pub fn closing(&self) -> Option<&StreamPapers> {
        match self {
            SaleState::Closing(papers) => Some(papers),
            _ => None,
        }
    }

    /// How a stream has ended, as its escrow told it. `None` if it is open, or the sale is not a stream.
    pub fn stream_outcome(&self) -> Option<Outcome> {
        match self {
            SaleState::Aborted(abort) => Some(Outcome::Aborted((**abort).clone())),
            state => state.streamed().cloned().map(Box::new).map(Outcome::Streamed),
        }
    }

    /// Whether the sale waits for its escrow or its bank.
    pub fn is_open(&self) -> bool {
        matches!(
            self,
            SaleState::Releasing
                | SaleState::Committed(_)
                | SaleState::Streaming
                | SaleState::Closing(_)
                | SaleState::Streamed(_)
        )
    }

    /// The word for the state.
    pub fn as_str(&self) -> &'static str {
        match self {
            SaleState::Releasing => "releasing",
            SaleState::Streaming => "streaming",
            SaleState::Closing(_) => "closing",
            SaleState::Committed(_) | SaleState::Streamed(_) => "committed",
            SaleState::Credited(..) | SaleState::StreamCredited(..) => "credited",
            SaleState::Unpaid(..) | SaleState::StreamUnpaid(..) => "unpaid",
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

/// Refuses a name that no bank can have for its currency.
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
