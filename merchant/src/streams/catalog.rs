//! Streams in the catalogue.

use crate::payable::{UnpayableAt, check_payable};
use crate::rows::{ITEMS, Item, STREAMS, StreamItem, StreamSource};
use crate::shelf::GoodsShelf;
use crate::transactions;
use farthing_protocol::{ids::ItemId, limits::TICK_MAX_BYTES, money::Amount, stream::chain::TICKS_MAX};
use farthing_store::{Store, StoreError, View};

/// The answer to records for a node that does not run.
pub(crate) const NOT_RUNNING: &str =
    "live records go to a running node only, and none runs here; start it with `farthing-merchant serve`";

impl StreamItem {
    /// Refuses a stream that does not fit an offer.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn check(&self, price: Amount) -> Result<(), String> {
        if price == Amount(0) {
            return Err("a stream is never free; give a price per tick".into());
        }
        if !(1..=TICKS_MAX).contains(&self.ticks) {
            return Err(format!(
                "a stream has 1 to {TICKS_MAX} ticks, and this one would have {}",
                self.ticks
            ));
        }
        let StreamSource::File {
            chunk_bytes, chunks, ..
        } = &self.source
        else {
            return Ok(());
        };
        let size = usize::try_from(*chunk_bytes).unwrap_or(usize::MAX);
        if !(1..=TICK_MAX_BYTES).contains(&size) {
            return Err(format!(
                "a chunk has 1 to {TICK_MAX_BYTES} bytes, and {size} were given"
            ));
        }
        if *chunks == 0 || *chunks > self.ticks {
            return Err(format!(
                "the file has {chunks} chunks of {chunk_bytes} bytes, and the stream {} ticks; there has to be a chunk, and a \
                 tick for each",
                self.ticks
            ));
        }
        Ok(())
    }
}

/// Adds a stream to the catalogue. Returns the banks whose coins cannot pay its price.
///
/// # Errors
/// A message for the operator.
pub(crate) fn add(
    store: &Store,
    shelf: &GoodsShelf,
    item_id: ItemId,
    item: Item,
    stream: StreamItem,
) -> Result<Vec<UnpayableAt>, String> {
    item.check()?;
    stream.check(item.price)?;
    let unpayable = check_payable(&store.view(), &item)?;
    if let StreamSource::File { chunks, .. } = &stream.source {
        let on_shelf = shelf
            .chunks(&item_id)
            .map_err(|e| format!("the digests of the file are not on the shelf: {e}"))?;
        if on_shelf != u64::from(*chunks) {
            return Err(format!(
                "the shelf has the digests of {on_shelf} chunks, expected {chunks}; add the stream again"
            ));
        }
    }
    store
        .transact_blocking(transactions::add_item_reads(&item_id), move |tx| {
            transactions::add_stream(tx, &item_id, &item, &stream)
        })
        .map_err(|e| e.to_string())?;
    Ok(unpayable)
}

/// The number of ticks of an item, if it is a stream.
pub(crate) fn ticks(view: &View, item_id: &ItemId) -> Result<Option<u32>, StoreError> {
    Ok(STREAMS.peek(view, item_id)?.map(|stream| stream.ticks))
}

/// Refuses a change that a stream does not have.
///
/// # Errors
/// A message for the operator, if the item is a stream.
pub(crate) fn check_no_stream(view: &View, item_id: &ItemId, what: &str) -> Result<(), String> {
    match ticks(view, item_id).map_err(|e| e.to_string())? {
        Some(_) => Err(format!("this item is a stream, and {what}; nothing was changed")),
        None => Ok(()),
    }
}

/// Refuses records for an item that is not a live stream for sale.
///
/// # Errors
/// A message for the operator.
pub(crate) fn check_live(view: &View, item_id: &ItemId) -> Result<(), String> {
    let is_for_sale = ITEMS.peek(view, item_id).map_err(|e| e.to_string())?.is_some();
    match STREAMS.peek(view, item_id).map_err(|e| e.to_string())? {
        Some(StreamItem {
            source: StreamSource::Live,
            ..
        }) if is_for_sale => Ok(()),
        _ => Err(format!("no live stream {item_id} is for sale")),
    }
}
