//! The requests of the merchant's operator.
//!
//! [`answer`] needs only the store and the shelf. The running node calls it for its socket. If no node runs, the command
//! line calls it.

use crate::events;
use crate::evidence::evidence;
pub use crate::lookup::{LINES_PAGE_MAX, PREFIX_MIN_CHARS, Page};
use crate::lookup::{find, find_any, page};
use crate::merchant::Merchant;
use crate::payable::{UnpayableAt, check_payable};
use crate::refunds::{self, RefundLine};
use crate::rows::{
    BROKEN_PROMISES, DELIVERED, EVENT_COUNT, ITEMS, Item, REDELIVERIES, REFUNDS, SALES, STOCKS, Sale, Stock,
    StreamItem, WEBHOOK, WITHDRAWN,
};
use crate::sales::{self, SaleFilter};
use crate::shelf::GoodsShelf;
use crate::stock;
use crate::streams::catalog;
use crate::transactions::{self, ItemChange};
use crate::webhook::{self, REDELIVERIES_MAX, Receiver};
use async_trait::async_trait;
use farthing_node::admin::{AdminHandler, reply};
use farthing_protocol::{
    documents::PurchaseId,
    evidence::Papers,
    ids::ItemId,
    money::{Amount, amount_text},
};
use farthing_store::{Reads, Store, StoreError, Transaction, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{ops::Bound, str::FromStr};

/// A request of the operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AdminRequest {
    /// Adds an item to the catalogue. Its goods are on the shelf already. The reply is [`GoodsAdded`].
    GoodsAdd {
        /// The item id.
        item_id: ItemId,
        /// The item.
        item: Box<Item>,
        /// How many of it are sold. Absent for any number.
        #[serde(default)]
        stock: Option<u64>,
    },
    /// Adds an item that is sold by ticks. For a file the digests of its chunks are on the shelf already. The reply is
    /// [`GoodsAdded`].
    StreamAdd {
        /// The item id.
        item_id: ItemId,
        /// The item. Its price is that of all ticks.
        item: Box<Item>,
        /// Its ticks and where its data comes from.
        stream: StreamItem,
    },
    /// Adds records to a live stream. It is for a running node. The reply is nothing.
    StreamFeed {
        /// The item id.
        item_id: ItemId,
        /// The records (hex).
        records: Vec<String>,
    },
    /// Ends the data of a live stream, and removes its item from the catalogue. The reply is [`GoodsRemoved`].
    StreamEnd {
        /// The item id.
        item_id: ItemId,
        /// How long the item is kept for its open streams (ms since 1970).
        served_until_ms: u64,
    },
    /// Lists a page of the catalogue. The reply is a [`Page`] of [`GoodsLine`].
    GoodsList {
        /// The last item of the previous page.
        after: Option<ItemId>,
    },
    /// Removes an item from the catalogue. The reply is [`GoodsRemoved`].
    GoodsRemove {
        /// The item id or its first characters (hex).
        item: String,
        /// How long its goods are served (ms since 1970).
        served_until_ms: u64,
    },
    /// Changes an item. The reply is [`GoodsChanged`].
    GoodsSet {
        /// The item id or its first characters (hex).
        item: String,
        /// What changes.
        change: ItemChange,
    },
    /// Shows an item. The reply is a [`GoodsLine`].
    GoodsShow {
        /// The item id or its first characters (hex).
        item: String,
    },
    /// Sets how many of an item can still be sold. The reply is [`GoodsStock`].
    GoodsStock {
        /// The item id or its first characters (hex).
        item: String,
        /// The count, with the ones that offers reserve. Absent for any number.
        left: Option<u64>,
    },
    /// Lists a page of the sales. The reply is a [`SalesPage`](sales::SalesPage).
    Sales {
        /// The last sale that was read for the previous page.
        after: Option<PurchaseId>,
        /// Which sales are listed.
        #[serde(default)]
        filter: SaleFilter,
    },
    /// Raises what is refunded of a sale. The reply is a [`RefundLine`].
    Refund {
        /// The purchase id or its first characters (hex).
        sale: String,
        /// What is refunded of it in all. Absent for the whole price.
        total: Option<Amount>,
    },
    /// Lists a page of the events. The reply is an [`EventsPage`](events::EventsPage).
    Events {
        /// The number of the last event of the previous page.
        after: u64,
    },
    /// Sets the webhook. Its secret is in the directory already. The reply is [`WebhookState`].
    WebhookSet {
        /// The URL.
        url: String,
    },
    /// Shows the webhook. The reply is [`WebhookState`].
    WebhookShow,
    /// Removes the webhook. The reply is [`WebhookState`].
    WebhookRemove,
    /// Posts an event again. The reply is [`WebhookState`].
    WebhookRedeliver {
        /// The number of the event.
        number: u64,
    },
    /// Exports what proves a sale. The reply is [`SaleEvidence`].
    Evidence {
        /// The purchase id or its first characters (hex).
        sale: String,
    },
}

/// An item was added to the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsAdded {
    /// The item id.
    pub item_id: ItemId,
    /// The title.
    pub title: String,
    /// The price.
    #[serde(with = "amount_text")]
    pub price: Amount,
    /// The currency.
    pub currency: String,
    /// The size of the goods (bytes).
    pub size_bytes: u64,
    /// The banks whose coins cannot pay the price.
    #[serde(default)]
    pub unpayable: Vec<UnpayableAt>,
}

/// An item was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsChanged {
    /// The item id.
    pub item_id: ItemId,
    /// The item as it is now.
    pub item: Item,
    /// The banks whose coins cannot pay the price.
    pub unpayable: Vec<UnpayableAt>,
}

/// An item was removed from the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsRemoved {
    /// The item id.
    pub item_id: ItemId,
    /// The title.
    pub title: String,
    /// How long its goods are served (ms since 1970).
    pub served_until_ms: u64,
}

/// The count of an item was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsStock {
    /// The item id.
    pub item_id: ItemId,
    /// The title.
    pub title: String,
    /// The stock as it is now.
    #[serde(flatten)]
    pub stock: Stock,
}

/// The webhook, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookState {
    /// The URL. Absent if there is no webhook.
    pub url: Option<String>,
    /// The number of the last delivered event, of all up to it.
    pub delivered: Option<u64>,
    /// The number of events.
    pub events: u64,
    /// How many events are posted again.
    pub again: usize,
}

/// An item in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsLine {
    /// The item id.
    pub item_id: ItemId,
    /// The item.
    pub item: Item,
    /// How many are left, and reserved.
    #[serde(default)]
    pub stock: Stock,
    /// The number of ticks, if it is a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticks: Option<u32>,
}

/// The evidence of one sale.
#[derive(Debug, Serialize, Deserialize)]
pub struct SaleEvidence {
    /// The purchase id.
    pub purchase: PurchaseId,
    /// The documents, for `farthing receipt verify`.
    pub evidence: Papers,
}

#[async_trait]
impl AdminHandler for Merchant {
    async fn admin(&self, request: Value) -> Result<Value, String> {
        let request: AdminRequest =
            serde_json::from_value(request).map_err(|e| format!("the command is not understood: {e}"))?;
        let (store, shelf) = (self.store.clone(), self.shelf.clone());
        match &request {
            AdminRequest::StreamFeed { item_id, records } => return self.feed(*item_id, records),
            AdminRequest::StreamEnd { item_id, .. } => self.streams.end_feed(item_id),
            _ => {}
        }
        let is_refund = matches!(request, AdminRequest::Refund { .. });
        let answer = tokio::task::spawn_blocking(move || answer(&store, &shelf, request))
            .await
            .map_err(|e| e.to_string())?;
        if is_refund {
            self.refund_asked.notify_one();
        }
        answer
    }
}

impl Merchant {
    fn feed(&self, item_id: ItemId, records: &[String]) -> Result<Value, String> {
        catalog::check_live(&self.store.view(), &item_id)?;
        let records = records.iter().map(hex::decode).collect::<Result<_, _>>();
        let records = records.map_err(|e| format!("a record is not understood: {e}"))?;
        self.streams.feed_records(item_id, records)?;
        Ok(Value::Null)
    }
}

/// Executes `request` and returns its reply as JSON. Each request names the type of its reply. Blocks.
///
/// # Errors
/// A message for the operator.
pub fn answer(store: &Store, shelf: &GoodsShelf, request: AdminRequest) -> Result<Value, String> {
    let view = store.view();
    match request {
        AdminRequest::GoodsAdd { item_id, item, stock } => reply(&add(store, shelf, item_id, *item, stock)?),
        AdminRequest::GoodsList { after } => reply(&goods_page(&view, after.as_ref())?),
        AdminRequest::GoodsRemove {
            item,
            served_until_ms,
        } => reply(&remove(store, &item, served_until_ms)?),
        AdminRequest::StreamAdd {
            item_id,
            item,
            stream,
        } => reply(&add_stream(store, shelf, item_id, *item, stream)?),
        AdminRequest::StreamFeed { .. } => Err(catalog::NOT_RUNNING.into()),
        AdminRequest::StreamEnd {
            item_id,
            served_until_ms,
        } => reply(&end_stream(store, item_id, served_until_ms)?),
        AdminRequest::GoodsShow { item } => {
            let (item_id, item) = find(&ITEMS, &view, &item, "item")?;
            reply(&goods_line(&view, item_id, item)?)
        }
        AdminRequest::GoodsStock { item, left } => reply(&set_stock(store, &item, left)?),
        AdminRequest::GoodsSet { item, change } => reply(&change_item(store, &item, &change)?),
        AdminRequest::Sales { after, filter } => {
            reply(&sales::page(&view, after.as_ref(), &filter).map_err(|e| message(&e))?)
        }
        AdminRequest::Refund { sale, total } => reply(&refund(store, &sale, total)?),
        AdminRequest::Events { after } => reply(&events::page(&view, after).map_err(|e| message(&e))?),
        AdminRequest::WebhookSet { url } => {
            Receiver::parse(&url)?;
            write(store, webhook::set_reads(), move |tx| webhook::set(tx, &url))?;
            reply(&webhook_state(&view)?)
        }
        AdminRequest::WebhookShow => reply(&webhook_state(&view)?),
        AdminRequest::WebhookRemove => {
            write(store, [], |tx| {
                DELIVERED.delete(tx, &())?;
                WEBHOOK.delete(tx, &())
            })?;
            reply(&webhook_state(&view)?)
        }
        AdminRequest::WebhookRedeliver { number } => {
            check_redelivery(&view, number)?;
            write(store, [], move |tx| REDELIVERIES.put(tx, &number, &()))?;
            reply(&webhook_state(&view)?)
        }
        AdminRequest::Evidence { sale } => {
            let (purchase, sale) = find_sale(&view, &sale)?;
            let refund = REFUNDS.peek(&view, &purchase).map_err(|e| message(&e))?;
            let broken = BROKEN_PROMISES.peek(&view, &purchase).map_err(|e| message(&e))?;
            let refunded = refund.and_then(|refund| refund.refunded);
            let evidence = evidence(sale, refunded, broken)?;
            reply(&SaleEvidence { purchase, evidence })
        }
    }
}

/// The one sale whose id begins with `prefix` (hex).
fn find_sale(view: &View, prefix: &str) -> Result<(PurchaseId, Sale), String> {
    find_any(&SALES, view, prefix, "sale")?.ok_or_else(|| {
        format!(
            "there is no sale `{prefix}` here: it is unknown, or it is long past and was forgotten; `sales` has the sums of \
             forgotten sales"
        )
    })
}

fn goods_page(view: &View, after: Option<&ItemId>) -> Result<Page<GoodsLine>, String> {
    let Page { lines, more } = page(&ITEMS, view, after, |item_id, item| (item_id, item))?;
    let lines = lines
        .into_iter()
        .map(|(item_id, item)| goods_line(view, item_id, item))
        .collect::<Result<_, _>>()?;
    Ok(Page { lines, more })
}

fn goods_line(view: &View, item_id: ItemId, item: Item) -> Result<GoodsLine, String> {
    let stock = STOCKS.peek(view, &item_id).map_err(|e| message(&e))?;
    Ok(GoodsLine {
        item_id,
        item,
        stock: stock.unwrap_or_default(),
        ticks: catalog::ticks(view, &item_id).map_err(|e| message(&e))?,
    })
}

fn remove(store: &Store, item: &str, served_until_ms: u64) -> Result<GoodsRemoved, String> {
    let (item_id, found) = find(&ITEMS, &store.view(), item, "item")?;
    write(store, transactions::withdraw_item_reads(&item_id), move |tx| {
        transactions::withdraw_item(tx, &item_id, served_until_ms)
    })?;
    Ok(GoodsRemoved {
        item_id,
        title: found.title,
        served_until_ms,
    })
}

/// Removes a stream from the catalogue, unless the operator has removed it before.
fn end_stream(store: &Store, item_id: ItemId, served_until_ms: u64) -> Result<GoodsRemoved, String> {
    let withdrawn = WITHDRAWN.peek(&store.view(), &item_id).map_err(|e| message(&e))?;
    match withdrawn {
        Some(withdrawn) => Ok(GoodsRemoved {
            item_id,
            title: withdrawn.item.title,
            served_until_ms: withdrawn.served_until_ms,
        }),
        None => remove(store, &item_id.to_string(), served_until_ms),
    }
}

fn add(
    store: &Store,
    shelf: &GoodsShelf,
    item_id: ItemId,
    item: Item,
    stock: Option<u64>,
) -> Result<GoodsAdded, String> {
    item.check()?;
    stock::check_counts(&item, stock)?;
    let unpayable = check_payable(&store.view(), &item)?;
    let on_shelf = shelf
        .encrypted_bytes(&item_id)
        .map_err(|e| format!("the goods are not on the shelf: {e}"))?;
    if on_shelf != item.summary.encrypted_bytes {
        let expected = item.summary.encrypted_bytes;
        return Err(format!(
            "the goods on the shelf have {on_shelf} bytes, expected {expected}; add them again"
        ));
    }
    let added = GoodsAdded {
        item_id,
        title: item.title.clone(),
        price: item.price,
        currency: item.currency.clone(),
        size_bytes: item.summary.size_bytes,
        unpayable,
    };
    store
        .transact_blocking(transactions::add_item_reads(&item_id), move |tx| {
            stock::open_stock(tx, &item_id, stock)?;
            transactions::add_item(tx, &item_id, &item)
        })
        .map_err(|e| message(&e))?;
    Ok(added)
}

fn add_stream(
    store: &Store,
    shelf: &GoodsShelf,
    item_id: ItemId,
    item: Item,
    stream: StreamItem,
) -> Result<GoodsAdded, String> {
    let mut added = GoodsAdded {
        item_id,
        title: item.title.clone(),
        price: item.price,
        currency: item.currency.clone(),
        size_bytes: item.summary.size_bytes,
        unpayable: Vec::new(),
    };
    added.unpayable = catalog::add(store, shelf, item_id, item, stream)?;
    Ok(added)
}

fn write<T: Send + 'static>(
    store: &Store,
    reads: impl Into<Reads>,
    closure: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    store.transact_blocking(reads, closure).map_err(|e| message(&e))
}

fn webhook_state(view: &View) -> Result<WebhookState, String> {
    let state = || {
        let again = REDELIVERIES.scan(view, Bound::Unbounded, REDELIVERIES_MAX)?;
        Ok::<_, StoreError>(WebhookState {
            url: WEBHOOK.peek(view, &())?.map(|webhook| webhook.url),
            delivered: DELIVERED.peek(view, &())?,
            events: EVENT_COUNT.peek(view, &())?.unwrap_or_default(),
            again: again.len(),
        })
    };
    state().map_err(|e| message(&e))
}

fn check_redelivery(view: &View, number: u64) -> Result<(), String> {
    let state = webhook_state(view)?;
    if state.url.is_none() {
        return Err("there is no webhook; set one with `webhook set DIR URL`".into());
    }
    if !(1..=state.events).contains(&number) {
        return Err(format!(
            "there is no event {number}; the last one is {}",
            state.events
        ));
    }
    let event = events::find(view, number).map_err(|e| message(&e))?;
    if event.is_none_or(|event| event.has_lost_its_sale()) {
        return Err(format!(
            "event {number} is long past and was forgotten; it cannot be posted again"
        ));
    }
    if state.again >= REDELIVERIES_MAX {
        return Err(format!(
            "{REDELIVERIES_MAX} events wait to be posted again already; try again later"
        ));
    }
    Ok(())
}

fn set_stock(store: &Store, item: &str, left: Option<u64>) -> Result<GoodsStock, String> {
    let view = store.view();
    let (item_id, found) = find(&ITEMS, &view, item, "item")?;
    catalog::check_no_stream(&view, &item_id, "any number of customers can watch it")?;
    let stock = store
        .transact_blocking(stock::set_stock_reads(&item_id), move |tx| {
            stock::set_stock(tx, &item_id, left)
        })
        .map_err(|e| message(&e))?
        .ok_or_else(|| format!("the item {item_id} is no longer for sale; nothing was changed"))?;
    Ok(GoodsStock {
        item_id,
        title: found.title,
        stock,
    })
}

fn change_item(store: &Store, item: &str, change: &ItemChange) -> Result<GoodsChanged, String> {
    let view = store.view();
    let (item_id, found) = find(&ITEMS, &view, item, "item")?;
    if change.price.is_some() {
        catalog::check_no_stream(
            &view,
            &item_id,
            "its price is that of its ticks; add a stream at the new price",
        )?;
    }
    let changed = change.clone().of(found);
    changed.check()?;
    let unpayable = check_payable(&view, &changed)?;
    let change = change.clone();
    let item = store
        .transact_blocking(transactions::change_item_reads(&item_id), move |tx| {
            transactions::change_item(tx, &item_id, change.clone())
        })
        .map_err(|e| message(&e))?
        .ok_or_else(|| format!("the item {item_id} is no longer for sale; nothing was changed"))?;
    Ok(GoodsChanged {
        item_id,
        item,
        unpayable,
    })
}

fn refund(store: &Store, sale: &str, total: Option<Amount>) -> Result<RefundLine, String> {
    let view = store.view();
    let (purchase, sale) = find_sale(&view, sale)?;
    let before = REFUNDS.peek(&view, &purchase).map_err(|e| message(&e))?;
    let total = refunds::check(&sale, before.as_ref(), total)?;
    let refund = write(store, refunds::begin_reads(&purchase), move |tx| {
        refunds::begin(tx, &purchase, total)
    })?;
    Ok(RefundLine::new(purchase, &sale, &refund))
}

pub(crate) fn parse_id<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an id of 64 hex characters"))
}

fn message(error: &StoreError) -> String {
    error.to_string()
}
