//! The merchant's events: a numbered list. Each event is written in the same step as the change that it is about, so none is
//! lost and none is invented. Events that are long past are forgotten ([`purge`](crate::purge)).
//!
//! An event names a purchase and an item. It has nothing about the customer, the coins or a connection.

use crate::rows::{EVENT_COUNT, EVENTS, Event, EventKind, SALES, SaleState};
use farthing_protocol::{
    documents::PurchaseId,
    ids::ItemId,
    money::{Amount, amount_text},
};
use farthing_store::{RowKey, StoreError, Transaction, View};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// The most events in one page.
pub const EVENTS_PAGE_MAX: usize = 1_000;

/// The number of items left at which an event tells the merchant.
pub const STOCK_LOW: u64 = 5;

/// The row that every transaction with an event reads.
pub fn event_reads() -> RowKey {
    EVENT_COUNT.key(&())
}

/// Appends an event.
///
/// # Errors
/// When the store fails.
pub fn append(tx: &mut Transaction<'_>, at_ms: u64, kind: EventKind) -> Result<(), StoreError> {
    let number = EVENT_COUNT.get(tx, &())?.unwrap_or_default().saturating_add(1);
    EVENT_COUNT.put(tx, &(), &number)?;
    EVENTS.put(tx, &number, &Event { at_ms, kind })
}

/// Appends the event of a sale's new state. The begin of a release or of a stream is none. A refusal of the escrow is none either: the
/// customer can begin again after it, so the list would grow without end.
///
/// # Errors
/// When the store fails.
pub fn append_sale(
    tx: &mut Transaction<'_>,
    at_ms: u64,
    purchase: PurchaseId,
    state: &SaleState,
) -> Result<(), StoreError> {
    let kind = match state {
        SaleState::Releasing | SaleState::Streaming | SaleState::Closing(_) | SaleState::Ended(_) => {
            return Ok(());
        }
        SaleState::Committed(_) | SaleState::Streamed(_) => EventKind::Committed(purchase),
        SaleState::Credited(..) | SaleState::StreamCredited(..) => EventKind::Credited(purchase),
        SaleState::Unpaid(..) | SaleState::StreamUnpaid(..) => EventKind::Unpaid(purchase),
        SaleState::Aborted(_) => EventKind::Aborted(purchase),
    };
    append(tx, at_ms, kind)
}

/// Appends the event that few or none of an item are left, if `left` says so.
///
/// # Errors
/// When the store fails.
pub fn append_stock(
    tx: &mut Transaction<'_>,
    at_ms: u64,
    item_id: ItemId,
    left: u64,
) -> Result<(), StoreError> {
    match left {
        0 => append(tx, at_ms, EventKind::StockOut(item_id)),
        STOCK_LOW => append(tx, at_ms, EventKind::StockLow(item_id, left)),
        _ => Ok(()),
    }
}

/// An event, as programs read it. The same event is always the same, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// Its number. The first event is 1, and each further one has the next number. So only the numbers of forgotten events are
    /// left out, and no number is used again.
    pub number: u64,
    /// Its id, for whoever receives it twice.
    pub id: String,
    /// When it happened (ms since 1970).
    pub at_ms: u64,
    /// `sale.committed`, `sale.credited`, `sale.unpaid`, `sale.aborted`, `sale.refunded`, `stock.low` or `stock.out`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The item.
    pub item_id: Option<ItemId>,
    /// How many are left, for `stock.low` and `stock.out`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left: Option<u64>,
    /// What the bank has refunded of the sale in all, for `sale.refunded`: an amount as text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refunded: Option<String>,
    /// The purchase id of the sale, for an event about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub purchase: Option<PurchaseId>,
    /// The sale, for an event about one that is not forgotten.
    #[serde(flatten)]
    pub sale: Option<EventSale>,
}

impl EventLine {
    /// Whether the event is about a sale that is forgotten.
    pub fn has_lost_its_sale(&self) -> bool {
        self.purchase.is_some() && self.sale.is_none()
    }
}

/// The sale that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSale {
    /// The title in its offer.
    pub title: String,
    /// The price. For a stream that the escrow has committed: what was paid of it.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The currency.
    pub currency: String,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsPage {
    /// At most [`EVENTS_PAGE_MAX`] events, in order.
    pub events: Vec<EventLine>,
    /// Whether more follow.
    pub more: bool,
}

/// The page of the events after number `after`. If the next ones are forgotten, it begins with the first one that is kept.
///
/// # Errors
/// When the store fails.
pub fn page(view: &View, after: u64) -> Result<EventsPage, StoreError> {
    let mut rows = EVENTS.scan(view, Bound::Excluded(&after), EVENTS_PAGE_MAX + 1)?;
    let more = rows.len() > EVENTS_PAGE_MAX;
    rows.truncate(EVENTS_PAGE_MAX);
    let lines = rows.into_iter().map(|(number, event)| line(view, number, &event));
    Ok(EventsPage {
        events: lines.collect::<Result<_, _>>()?,
        more,
    })
}

/// The event with this number, if it is kept.
///
/// # Errors
/// When the store fails.
pub fn find(view: &View, number: u64) -> Result<Option<EventLine>, StoreError> {
    let event = EVENTS.peek(view, &number)?;
    event.map(|event| line(view, number, &event)).transpose()
}

fn line(view: &View, number: u64, event: &Event) -> Result<EventLine, StoreError> {
    let (kind, item_id, left) = match event.kind {
        EventKind::Committed(_) => ("sale.committed", None, None),
        EventKind::Credited(_) => ("sale.credited", None, None),
        EventKind::Unpaid(_) => ("sale.unpaid", None, None),
        EventKind::Aborted(_) => ("sale.aborted", None, None),
        EventKind::StockLow(item_id, left) => ("stock.low", Some(item_id), Some(left)),
        EventKind::StockOut(item_id) => ("stock.out", Some(item_id), Some(0)),
        EventKind::Refunded(..) => ("sale.refunded", None, None),
    };
    let purchase = event.kind.purchase();
    // A sale's contract never changes, nor what the escrow has committed, so the event stays the same.
    let offer = match purchase {
        Some(purchase) => SALES.peek(view, &purchase)?.map(|sale| {
            let amount = sale.paid().unwrap_or(sale.contract.terms.price);
            (amount, sale.contract.offer.body)
        }),
        None => None,
    };
    Ok(EventLine {
        number,
        id: format!("evt_{number}_{}", event.at_ms),
        at_ms: event.at_ms,
        kind: kind.into(),
        item_id: item_id.or(offer.as_ref().map(|(_, offer)| offer.item_id)),
        left,
        refunded: match event.kind {
            EventKind::Refunded(_, total) => Some(total.to_string()),
            _ => None,
        },
        purchase,
        sale: offer.map(|(amount, offer)| EventSale {
            title: offer.title,
            amount,
            currency: offer.currency,
        }),
    })
}
