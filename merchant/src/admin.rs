//! What a merchant's operator can ask.
//!
//! [`answer`] needs the store and the shelf alone, so it serves the running node's socket and, when no node runs,
//! the command line itself.

use crate::merchant::Merchant;
use crate::rows::{ITEMS, Item, SALES, Sale, SaleState};
use crate::shelf::Shelf;
use crate::transactions;
use async_trait::async_trait;
use farthing_node::admin::AdminHandler;
use farthing_node::operator::network::take_up;
use farthing_protocol::{documents::PurchaseId, evidence::Papers};
use farthing_store::{Key, Store, StoreError, Table, View};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{ops::Bound, str::FromStr};

/// The most lines in one reply; the command line asks again behind the last.
pub const LINES_PAGE_MAX: usize = 1_000;

/// The fewest characters by which a purchase or an item can be named.
pub const PREFIX_MIN_CHARS: usize = 4;

/// The most rows that are looked at to tell whether a prefix names one alone.
const PREFIX_ROWS_MAX: usize = 1_000;

/// A question of the operator's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum AdminRequest {
    /// Put goods into the catalogue that are on the shelf already.
    GoodsAdd {
        /// The item's id (hex).
        item_id: String,
        /// The item.
        item: Box<Item>,
    },
    /// What is for sale.
    GoodsList {
        /// The last item of the page before (hex).
        after: Option<String>,
    },
    /// Take an item out of the catalogue.
    GoodsRemove {
        /// Its id, or the beginning of it (hex).
        item: String,
        /// Until when its goods are served (ms since 1970).
        served_until_ms: u64,
    },
    /// What was sold.
    Sales {
        /// The last purchase of the page before (hex).
        after: Option<String>,
    },
    /// Everything that proves a sale.
    Evidence {
        /// The purchase's id, or the beginning of it (hex).
        sale: String,
    },
}

/// A sale, as its merchant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// The purchase id (hex).
    pub purchase: String,
    /// What was sold.
    pub title: String,
    /// The item's id (hex).
    pub item_id: String,
    /// The price, as people write it.
    pub amount: String,
    /// The currency.
    pub currency: String,
    /// `releasing`, `committed`, `credited`, `unpaid`, `ended` or `aborted`.
    pub state: String,
    /// Why it ended without a sale.
    pub why: Option<String>,
}

#[async_trait]
impl AdminHandler for Merchant {
    async fn admin(&self, request: Value) -> Result<Value, String> {
        if let Some(done) = take_up(&request, self.dir.as_deref(), &self.peers) {
            return done;
        }
        let request: AdminRequest =
            serde_json::from_value(request).map_err(|e| format!("the command is not understood: {e}"))?;
        let (store, shelf) = (self.store.clone(), self.shelf.clone());
        tokio::task::spawn_blocking(move || answer(&store, &shelf, request))
            .await
            .map_err(|e| e.to_string())?
    }
}

/// Does what `request` asks. Blocks.
///
/// # Errors
/// A message for the operator.
pub fn answer(store: &Store, shelf: &Shelf, request: AdminRequest) -> Result<Value, String> {
    let view = store.view();
    match request {
        AdminRequest::GoodsAdd { item_id, item } => add(store, shelf, &item_id, *item),
        AdminRequest::GoodsList { after } => page(
            &ITEMS,
            &view,
            after.as_deref(),
            |item_id, item: &Item| json!({ "item_id": hex::encode(item_id), "item": item }),
        ),
        AdminRequest::GoodsRemove {
            item,
            served_until_ms,
        } => {
            let (item_id, found) = find(&ITEMS, &view, &item, "item")?;
            store
                .transact_blocking(transactions::withdraw_item_reads(&item_id), move |tx| {
                    transactions::withdraw_item(tx, &item_id, served_until_ms)
                })
                .map_err(|e| message(&e))?;
            Ok(
                json!({ "item_id": hex::encode(item_id), "title": found.title, "served_until_ms": served_until_ms }),
            )
        }
        AdminRequest::Sales { after } => page(&SALES, &view, after.as_deref(), sale_line),
        AdminRequest::Evidence { sale } => {
            let (purchase, sale) = find(&SALES, &view, &sale, "sale")?;
            let file = evidence(sale)?;
            let file = serde_json::to_value(file).map_err(|e| e.to_string())?;
            Ok(json!({ "purchase": hex::encode(purchase), "evidence": file }))
        }
    }
}

fn add(store: &Store, shelf: &Shelf, item_id: &str, item: Item) -> Result<Value, String> {
    item.check()?;
    let id = parse_id(item_id)?;
    let on_shelf = shelf
        .encrypted_bytes(&id)
        .map_err(|e| format!("the goods are not on the shelf: {e}"))?;
    if on_shelf != item.summary.encrypted_bytes {
        let expected = item.summary.encrypted_bytes;
        return Err(format!(
            "the goods on the shelf have {on_shelf} bytes, expected {expected}; add them again"
        ));
    }
    let reply = json!({
        "item_id": item_id,
        "title": item.title,
        "price": item.price.to_string(),
        "currency": item.currency,
        "size_bytes": item.summary.size_bytes,
    });
    store
        .transact_blocking(transactions::add_item_reads(&id), move |tx| {
            transactions::add_item(tx, &id, &item)
        })
        .map_err(|e| message(&e))?;
    Ok(reply)
}

fn sale_line(purchase: &PurchaseId, sale: &Sale) -> Value {
    let offer = &sale.contract.offer.body;
    let why = match &sale.state {
        SaleState::Ended(why) => Some(why.clone()),
        SaleState::Aborted(abort) => Some(abort.body.reason.to_string()),
        _ => None,
    };
    json!(SaleLine {
        purchase: hex::encode(purchase),
        title: offer.title.clone(),
        item_id: hex::encode(offer.item_id),
        amount: offer.price.to_string(),
        currency: offer.currency.clone(),
        state: sale.state.as_str().into(),
        why,
    })
}

/// A merchant's side of a sale: with the encrypted goods, all that a judge needs.
fn evidence(sale: Sale) -> Result<Papers, String> {
    let papers = Papers {
        contract: Some(sale.contract),
        bank_hold: Some(sale.hold.body.bank_hold.clone()),
        hold: Some(sale.hold),
        ..Papers::default()
    };
    let (committed, settled, abort) = match sale.state {
        SaleState::Committed(committed) => (*committed, None, None),
        SaleState::Credited(committed, settled) => (*committed, Some(settled), None),
        SaleState::Unpaid(committed, abort) => (*committed, None, Some(abort)),
        SaleState::Releasing => {
            return Err("the escrow has not committed this sale yet; ask again later".into());
        }
        SaleState::Aborted(abort) => {
            return Ok(Papers {
                abort: Some(*abort),
                ..papers
            });
        }
        SaleState::Ended(why) => {
            return Err(format!(
                "this sale came to nothing, so there is nothing to prove: {why}"
            ));
        }
    };
    Ok(Papers {
        receipt: Some(committed.receipt),
        commit: Some(committed.commit),
        settled,
        abort,
        ..papers
    })
}

/// A page of a table, each row as `line` shows it.
fn page<K: Key + FromStr, V: Serialize + DeserializeOwned>(
    table: &Table<K, V>,
    view: &View,
    after: Option<&str>,
    line: impl Fn(&K, &V) -> Value,
) -> Result<Value, String> {
    let after = after.map(parse_id::<K>).transpose()?;
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let rows = table
        .scan(view, from, LINES_PAGE_MAX + 1)
        .map_err(|e| message(&e))?;
    let more = rows.len() > LINES_PAGE_MAX;
    let lines: Vec<Value> = rows
        .iter()
        .take(LINES_PAGE_MAX)
        .map(|(key, value)| line(key, value))
        .collect();
    Ok(json!({ "lines": lines, "more": more }))
}

/// The one row whose key begins with `prefix` (hex).
fn find<K: Key + AsRef<[u8]>, V: Serialize + DeserializeOwned>(
    table: &Table<K, V>,
    view: &View,
    prefix: &str,
    what: &str,
) -> Result<(K, V), String> {
    let prefix = prefix.to_ascii_lowercase();
    if prefix.len() < PREFIX_MIN_CHARS || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(format!(
            "`{prefix}` does not name a {what}: give {PREFIX_MIN_CHARS} to 64 characters of its id"
        ));
    }
    // An odd last digit is half a byte, which is compared after the scan.
    let whole = prefix.get(..prefix.len() & !1).unwrap_or_default();
    let bytes = hex::decode(whole).map_err(|e| e.to_string())?;
    let rows = table
        .scan_bytes(view, &bytes, Bound::Unbounded, PREFIX_ROWS_MAX)
        .map_err(|e| message(&e))?;
    let mut fitting = rows
        .into_iter()
        .filter(|(key, _)| hex::encode(key).starts_with(&prefix));
    let found = fitting
        .next()
        .ok_or_else(|| format!("there is no {what} `{prefix}` here"))?;
    match fitting.next() {
        None => Ok(found),
        Some(_) => Err(format!(
            "several {what}s begin with `{prefix}`; give more of the id"
        )),
    }
}

pub(crate) fn parse_id<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an id of 64 hex characters"))
}

fn message(error: &StoreError) -> String {
    error.to_string()
}
