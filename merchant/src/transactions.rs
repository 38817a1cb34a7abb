//! Every write of the merchant.

use crate::check::{
    CheckedAbort, CheckedCommit, CheckedCredit, CheckedSale, CheckedStream, OwnDelivery, OwnStream,
};
use crate::events;
use crate::forgotten::{is_forgotten, is_forgotten_reads};
use crate::rows::{
    BROKEN_PROMISES, ITEMS, Item, KNOWN_SALES, OPEN_SALES, SALE_DATES, SALES, SEALS, STOCKS, STREAMS, Sale,
    SaleDates, SaleState, StreamItem, StreamPapers, WITHDRAWN, Withdrawn,
};
use crate::stock;
use farthing_coin::{PublicKey, Signed};
use farthing_protocol::{
    bounded::cut,
    decision::Committed,
    documents::{Contract, PurchaseId},
    ids::ItemId,
    limits::REASON_MAX_BYTES,
    money::Amount,
    stream::Raised,
};
use farthing_store::{Reads, RowKey, StoreError, Transaction};
use serde::{Deserialize, Serialize};

/// The rows that [`add_item`] reads.
pub fn add_item_reads(item_id: &ItemId) -> [RowKey; 2] {
    [ITEMS.key(item_id), WITHDRAWN.key(item_id)]
}

/// Adds an item to the catalogue.
///
/// # Errors
/// When its id is taken, or the store fails.
pub fn add_item(tx: &mut Transaction<'_>, item_id: &ItemId, item: &Item) -> Result<(), StoreError> {
    if ITEMS.get(tx, item_id)?.is_some() || WITHDRAWN.get(tx, item_id)?.is_some() {
        return Err(StoreError::Refused(
            "the item id is taken; add the goods again".into(),
        ));
    }
    if item.sealed {
        SEALS.put(tx, &(), &())?;
    }
    ITEMS.put(tx, item_id, item)
}

/// Adds an item that is sold by ticks to the catalogue. It reads what [`add_item`] reads.
///
/// # Errors
/// As [`add_item`].
pub fn add_stream(
    tx: &mut Transaction<'_>,
    item_id: &ItemId,
    item: &Item,
    stream: &StreamItem,
) -> Result<(), StoreError> {
    add_item(tx, item_id, item)?;
    STREAMS.put(tx, item_id, stream)
}

/// What changes in an item. The goods stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemChange {
    /// The new title.
    pub title: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// The new price.
    pub price: Option<Amount>,
}

impl ItemChange {
    /// The item with the change.
    #[must_use]
    pub fn of(self, item: Item) -> Item {
        Item {
            title: self.title.unwrap_or(item.title),
            description: self.description.unwrap_or(item.description),
            price: self.price.unwrap_or(item.price),
            ..item
        }
    }
}

/// The rows that [`change_item`] reads.
pub fn change_item_reads(item_id: &ItemId) -> [RowKey; 2] {
    [ITEMS.key(item_id), STOCKS.key(item_id)]
}

/// Changes an item in the catalogue. Offers that are signed already stay as they are. Returns the changed item, if the
/// item is for sale.
///
/// # Errors
/// When the changed item would not fit an offer, or has a count and would be free. When the store fails.
pub fn change_item(
    tx: &mut Transaction<'_>,
    item_id: &ItemId,
    change: ItemChange,
) -> Result<Option<Item>, StoreError> {
    let Some(item) = ITEMS.get(tx, item_id)? else {
        return Ok(None);
    };
    let item = change.of(item);
    item.check().map_err(StoreError::Refused)?;
    let left = STOCKS.get(tx, item_id)?.unwrap_or_default().left;
    stock::check_counts(&item, left).map_err(StoreError::Refused)?;
    ITEMS.put(tx, item_id, &item)?;
    Ok(Some(item))
}

/// The rows that [`withdraw_item`] reads.
pub fn withdraw_item_reads(item_id: &ItemId) -> [RowKey; 1] {
    [ITEMS.key(item_id)]
}

/// Removes an item from the catalogue. Its goods are served until `served_until_ms`. Returns whether the item existed.
///
/// # Errors
/// When the store fails.
pub fn withdraw_item(
    tx: &mut Transaction<'_>,
    item_id: &ItemId,
    served_until_ms: u64,
) -> Result<bool, StoreError> {
    let Some(item) = ITEMS.get(tx, item_id)? else {
        return Ok(false);
    };
    ITEMS.delete(tx, item_id)?;
    let withdrawn = Withdrawn {
        item,
        served_until_ms,
    };
    WITHDRAWN.put(tx, item_id, &withdrawn)?;
    Ok(true)
}

/// The rows that [`forget_item`] reads.
pub fn forget_item_reads(item_id: &ItemId) -> [RowKey; 1] {
    [WITHDRAWN.key(item_id)]
}

/// Deletes a withdrawn item whose promised time has ended. Returns whether it did.
///
/// # Errors
/// When the store fails.
pub fn forget_item(tx: &mut Transaction<'_>, item_id: &ItemId, now_ms: u64) -> Result<bool, StoreError> {
    match WITHDRAWN.get(tx, item_id)? {
        Some(withdrawn) if withdrawn.served_until_ms <= now_ms => {
            WITHDRAWN.delete(tx, item_id)?;
            STOCKS.delete(tx, item_id)?;
            STREAMS.delete(tx, item_id)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The next step of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryStep {
    /// The merchant releases the goods key.
    Release,
    /// The sale is committed with these documents.
    Committed(Box<Committed>),
    /// The escrow has aborted the purchase.
    Aborted,
    /// The contract is of version 1, and the sale is new. The merchant releases nothing for it.
    WithoutCauses,
    /// The sale is new, its offer reserves nothing, and no more of the item are left.
    SoldOut,
    /// The purchase is long past, and the merchant keeps nothing of it.
    Closed,
}

/// The rows that every change of a sale reads.
pub fn sale_reads(purchase: &PurchaseId) -> [RowKey; 3] {
    [
        SALES.key(purchase),
        SALE_DATES.key(purchase),
        events::event_reads(),
    ]
}

/// The rows that a decision about the sale of `contract` reads.
pub fn decided_sale_reads(contract: &Contract) -> Reads {
    let offer = &contract.offer.body;
    Reads::from(sale_reads(&contract.terms.purchase_id()))
        .and(stock::sale_stock_reads(&offer.item_id, &offer.sale_id))
}

/// The rows that [`begin_release`] reads.
pub fn begin_release_reads(contract: &Contract) -> Reads {
    decided_sale_reads(contract).and([is_forgotten_reads(&contract.terms)])
}

/// Stores that a release begins, before the goods key is sent. Does nothing if the sale has ended.
///
/// # Errors
/// When the store fails.
pub fn begin_release(
    tx: &mut Transaction<'_>,
    delivery: &OwnDelivery,
    now_ms: u64,
) -> Result<DeliveryStep, StoreError> {
    let contract = delivery.deliver.contract();
    let purchase = contract.purchase();
    let existing = SALES.get(tx, &purchase)?;
    if existing.is_none() && is_forgotten(tx, contract.terms())? {
        return Ok(DeliveryStep::Closed);
    }
    match existing.map(|sale| sale.state) {
        Some(
            SaleState::Committed(committed)
            | SaleState::Credited(committed, _)
            | SaleState::Unpaid(committed, _),
        ) => Ok(DeliveryStep::Committed(committed)),
        Some(SaleState::Aborted(_)) => Ok(DeliveryStep::Aborted),
        Some(SaleState::Releasing) => Ok(DeliveryStep::Release),
        // A stream's contract is no contract for a release, so the sale is not one.
        Some(
            SaleState::Streaming
            | SaleState::Closing(_)
            | SaleState::Streamed(_)
            | SaleState::StreamCredited(..)
            | SaleState::StreamUnpaid(..),
        ) => Ok(DeliveryStep::SoldOut),
        Some(SaleState::Ended(_)) | None if !contract.wants_causes() => Ok(DeliveryStep::WithoutCauses),
        Some(SaleState::Ended(_)) | None => {
            if !stock::begin(tx, delivery.deliver.offer())? {
                return Ok(DeliveryStep::SoldOut);
            }
            let sale = Sale {
                contract: contract.contract().clone(),
                hold: delivery.deliver.hold().clone(),
                state: SaleState::Releasing,
            };
            keep_sale(tx, &purchase, &sale, now_ms)?;
            Ok(DeliveryStep::Release)
        }
    }
}

/// The rows that [`learn_sales`] reads.
pub fn learn_sales_reads(escrow: &PublicKey, sales: &[CheckedSale]) -> Reads {
    let of_sale = |sale: &CheckedSale| {
        let offer = &sale.contract.offer.body;
        let stock = stock::sale_stock_reads(&offer.item_id, &offer.sale_id);
        let rows = sale_reads(&sale.commit.purchase).into_iter().chain(stock);
        rows.chain([is_forgotten_reads(&sale.contract.terms)])
    };
    Reads::from([KNOWN_SALES.key(escrow)]).and(sales.iter().flat_map(of_sale))
}

/// Stores the sales that `escrow` has committed on sealed offers, after the first `known` sales. A sale that may be one that was
/// forgotten is only counted.
///
/// # Errors
/// When the store fails.
pub fn learn_sales(
    tx: &mut Transaction<'_>,
    escrow: &PublicKey,
    known: u64,
    sales: &[CheckedSale],
    now_ms: u64,
) -> Result<(), StoreError> {
    if KNOWN_SALES.get(tx, escrow)?.unwrap_or_default() != known {
        return Ok(());
    }
    for sale in sales {
        let purchase = sale.commit.purchase;
        // The row exists if the customer has sent its hold too.
        if SALES.get(tx, &purchase)?.is_some() {
            commit_sale(tx, &sale.commit, now_ms)?;
            continue;
        }
        if is_forgotten(tx, &sale.contract.terms)? {
            continue;
        }
        let row = Sale {
            contract: sale.contract.clone(),
            hold: sale.hold.clone(),
            state: SaleState::Committed(Box::new(sale.commit.committed.clone())),
        };
        keep_sale(tx, &purchase, &row, now_ms)?;
        sell(tx, &row, now_ms)?;
    }
    KNOWN_SALES.put(tx, escrow, &known.saturating_add(sales.len() as u64))
}

/// The rows that [`begin_stream`] reads.
pub fn begin_stream_reads(own: &OwnStream) -> Reads {
    let terms = &own.watch.contract().terms;
    Reads::from(sale_reads(&own.watch.purchase())).and([is_forgotten_reads(terms)])
}

/// Stores that a stream is open, before the customer is told. Does nothing if it is stored. Returns the state of the sale, or
/// `None` if the purchase is long past and the merchant keeps nothing of it.
///
/// # Errors
/// When the store fails.
pub fn begin_stream(
    tx: &mut Transaction<'_>,
    own: &OwnStream,
    now_ms: u64,
) -> Result<Option<SaleState>, StoreError> {
    let purchase = own.watch.purchase();
    if let Some(sale) = SALES.get(tx, &purchase)? {
        return Ok(Some(sale.state));
    }
    let contract = own.watch.contract();
    if is_forgotten(tx, &contract.terms)? {
        return Ok(None);
    }
    let sale = Sale::streaming(contract.clone(), own.watch.opened());
    keep_sale(tx, &purchase, &sale, now_ms)?;
    Ok(Some(sale.state))
}

/// Stores that the merchant ends a stream, with what it has of it, before the escrow is asked. Returns that: the higher ones of
/// `papers` and the stored ones.
///
/// # Errors
/// When the store fails.
pub fn close_stream(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    papers: &StreamPapers,
    now_ms: u64,
) -> Result<StreamPapers, StoreError> {
    let sale = SALES.get(tx, purchase)?;
    let stored = sale.and_then(|sale| sale.state.closing().cloned());
    let papers = papers.clone().merge(stored.unwrap_or_default());
    advance(tx, purchase, now_ms, |state| match state {
        SaleState::Streaming => Some(SaleState::Closing(Box::new(papers.clone()))),
        SaleState::Closing(stored) if *stored != papers => Some(SaleState::Closing(Box::new(papers.clone()))),
        _ => None,
    })?;
    Ok(papers)
}

/// Stores the escrow's commit of a stream. An abort stays, as its event names another amount.
///
/// # Errors
/// When the store fails.
pub fn commit_stream(
    tx: &mut Transaction<'_>,
    checked: &CheckedStream,
    now_ms: u64,
) -> Result<(), StoreError> {
    advance(tx, &checked.purchase, now_ms, |state| match state {
        SaleState::Streaming | SaleState::Closing(_) | SaleState::Ended(_) => {
            Some(SaleState::Streamed(Box::new(checked.stream.clone())))
        }
        _ => None,
    })
}

/// Stores a promise that the escrow's decision on a stream does not keep. Does nothing if the sale is forgotten.
///
/// # Errors
/// When the store fails.
pub fn keep_promise(tx: &mut Transaction<'_>, raised: &Signed<Raised>) -> Result<(), StoreError> {
    let purchase = &raised.body.purchase;
    match SALES.get(tx, purchase)? {
        Some(_) => BROKEN_PROMISES.put(tx, purchase, raised),
        None => Ok(()),
    }
}

/// Stores the escrow's receipt and commit.
///
/// # Errors
/// When the store fails.
pub fn commit_sale(tx: &mut Transaction<'_>, checked: &CheckedCommit, now_ms: u64) -> Result<(), StoreError> {
    advance(tx, &checked.purchase, now_ms, |state| match state {
        SaleState::Releasing | SaleState::Ended(_) | SaleState::Aborted(_) => {
            Some(SaleState::Committed(Box::new(checked.committed.clone())))
        }
        _ => None,
    })
}

/// Stores the bank's signed word that it has credited the sale. The sale has ended.
///
/// # Errors
/// When the store fails.
pub fn credit_sale(tx: &mut Transaction<'_>, checked: &CheckedCredit, now_ms: u64) -> Result<(), StoreError> {
    advance(tx, &checked.settled.body.purchase, now_ms, |state| match state {
        SaleState::Committed(committed) => Some(SaleState::Credited(committed, checked.settled.clone())),
        SaleState::Streamed(stream) => Some(SaleState::StreamCredited(stream, checked.settled.clone())),
        _ => None,
    })
}

/// Stores the abort that the bank has applied instead. The sale has ended and is not paid.
///
/// # Errors
/// When the store fails.
pub fn leave_sale_unpaid(
    tx: &mut Transaction<'_>,
    checked: &CheckedAbort,
    now_ms: u64,
) -> Result<(), StoreError> {
    advance(tx, &checked.purchase, now_ms, |state| match state {
        SaleState::Committed(committed) => Some(SaleState::Unpaid(committed, checked.abort.clone())),
        SaleState::Streamed(stream) => Some(SaleState::StreamUnpaid(stream, checked.abort.clone())),
        _ => None,
    })
}

/// Ends a sale that the escrow refused to commit. Stores its reason, cut to the length of a refusal. If the customer sends the hold again, the sale begins again.
///
/// # Errors
/// When the store fails.
pub fn end_sale(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    why: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    advance(tx, purchase, now_ms, |state| match state {
        SaleState::Releasing | SaleState::Streaming | SaleState::Closing(_) => {
            Some(SaleState::Ended(cut(why, REASON_MAX_BYTES).to_owned()))
        }
        _ => None,
    })
}

/// Stores the abort with which the escrow answered a release or the end of a stream. The sale has ended.
///
/// # Errors
/// When the store fails.
pub fn abort_sale(tx: &mut Transaction<'_>, checked: &CheckedAbort, now_ms: u64) -> Result<(), StoreError> {
    advance(tx, &checked.purchase, now_ms, |state| match state {
        SaleState::Releasing | SaleState::Streaming | SaleState::Closing(_) => {
            Some(SaleState::Aborted(Box::new(checked.abort.clone())))
        }
        _ => None,
    })
}

/// Moves a sale to the next state that `step` returns, and updates the list of open sales.
fn advance(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    now_ms: u64,
    step: impl FnOnce(SaleState) -> Option<SaleState>,
) -> Result<(), StoreError> {
    let Some(sale) = SALES.get(tx, purchase)? else {
        return Ok(());
    };
    let Sale {
        contract,
        hold,
        state,
    } = sale;
    let Some(state) = step(state) else { return Ok(()) };
    let sale = Sale {
        contract,
        hold,
        state,
    };
    keep_sale(tx, purchase, &sale, now_ms)?;
    match &sale.state {
        SaleState::Committed(_) => sell(tx, &sale, now_ms),
        // A stream has no count, so it has no reservation either.
        SaleState::Ended(_) => stock::leave(tx, &sale.contract.offer.body, false),
        SaleState::Aborted(_) => stock::leave(tx, &sale.contract.offer.body, true),
        _ => Ok(()),
    }
}

/// Takes a committed sale from the count of its item.
fn sell(tx: &mut Transaction<'_>, sale: &Sale, now_ms: u64) -> Result<(), StoreError> {
    let offer = &sale.contract.offer.body;
    match stock::sell(tx, offer)? {
        Some(left) => events::append_stock(tx, now_ms, offer.item_id, left),
        None => Ok(()),
    }
}

/// Writes a sale with its new state, its dates, and the event. Its state says whether it is open.
fn keep_sale(
    tx: &mut Transaction<'_>,
    purchase: &PurchaseId,
    sale: &Sale,
    now_ms: u64,
) -> Result<(), StoreError> {
    let begun_ms = SALE_DATES
        .get(tx, purchase)?
        .map_or(now_ms, |dates| dates.begun_ms);
    let dates = SaleDates {
        begun_ms,
        changed_ms: now_ms,
    };
    SALE_DATES.put(tx, purchase, &dates)?;
    events::append_sale(tx, now_ms, *purchase, &sale.state)?;
    match sale.state.is_open() {
        true => OPEN_SALES.put(tx, purchase, &())?,
        false => OPEN_SALES.delete(tx, purchase)?,
    }
    SALES.put(tx, purchase, sale)
}
