//! The requests of the escrow's operator.
//!
//! The running node answers them over its socket. If no node runs, the command line opens the store and answers them.

use crate::escrow::Escrow;
use crate::rows::{ACKNOWLEDGED, DECISIONS, OUTBOX};
use async_trait::async_trait;
use farthing_coin::SecretKey;
use farthing_node::admin::{AdminHandler, reply};
use farthing_protocol::{
    decision::Decision,
    documents::PurchaseId,
    evidence::Papers,
    money::{Amount, amount_text},
};
use farthing_store::View;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Bound;

/// The most purchases in one reply. The command line asks for the next page after the last one.
pub const PURCHASES_PAGE_MAX: usize = 1_000;

/// A request of the operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AdminRequest {
    /// Lists a page of the decided purchases, in the order of their ids. The reply is [`PurchasesPage`].
    Purchases {
        /// The last purchase of the previous page.
        after: Option<PurchaseId>,
    },
    /// The escrow's decision on a purchase, signed again, and what the customer has signed for it. The reply is a
    /// [`Papers`].
    Evidence {
        /// The purchase.
        purchase: PurchaseId,
    },
}

/// A decided purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseLine {
    /// The purchase id.
    pub purchase: PurchaseId,
    /// The decision.
    pub outcome: DecidedAs,
    /// The price.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The currency.
    pub currency: String,
    /// Whether the bank has acknowledged it.
    pub settled: bool,
    /// Whether the decision waits to be pushed to the bank. If it is neither settled nor waiting, the escrow has no card
    /// of the bank. The customer who cancelled then brings the abort to the bank.
    pub waiting: bool,
}

/// The decision of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecidedAs {
    /// The purchase is paid.
    Committed,
    /// The purchase is not paid.
    Aborted,
}

impl DecidedAs {
    /// The word in JSON and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            DecidedAs::Committed => "committed",
            DecidedAs::Aborted => "aborted",
        }
    }
}

/// A page of purchases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchasesPage {
    /// At most [`PURCHASES_PAGE_MAX`].
    pub purchases: Vec<PurchaseLine>,
    /// Whether there are more.
    pub more: bool,
}

#[async_trait]
impl AdminHandler for Escrow {
    async fn admin(&self, request: Value) -> Result<Value, String> {
        let request: AdminRequest =
            serde_json::from_value(request).map_err(|e| format!("the command is not understood: {e}"))?;
        match request {
            AdminRequest::Purchases { after } => purchases_page(&self.store.view(), after.as_ref()),
            AdminRequest::Evidence { purchase } => papers(&self.store.view(), &purchase, &self.key),
        }
    }
}

/// The papers of a decided purchase, as JSON. `key` is the escrow's own, which signs the decision again.
pub(crate) fn papers(view: &View, purchase: &PurchaseId, key: &SecretKey) -> Result<Value, String> {
    let decision = DECISIONS.peek(view, purchase).map_err(|e| e.to_string())?;
    let decision = decision.ok_or_else(|| {
        format!("purchase {purchase} is not decided; `farthing-escrow purchases` lists those that are")
    })?;
    let terms = Some(decision.terms().clone());
    reply(&Papers::decided(key.public(), terms, decision.for_bank(key)))
}

/// The decided purchases after `after`, as JSON.
pub(crate) fn purchases_page(view: &View, after: Option<&PurchaseId>) -> Result<Value, String> {
    reply(&purchases(view, after)?)
}

/// The decided purchases after `after`, in the order of their ids.
///
/// # Errors
/// A message for the operator.
pub fn purchases(view: &View, after: Option<&PurchaseId>) -> Result<PurchasesPage, String> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = DECISIONS
        .scan(view, from, PURCHASES_PAGE_MAX + 1)
        .map_err(|e| e.to_string())?;
    let more = rows.len() > PURCHASES_PAGE_MAX;
    let purchases = rows
        .into_iter()
        .take(PURCHASES_PAGE_MAX)
        .map(|(purchase, decision)| line(view, purchase, &decision))
        .collect::<Result<_, _>>()?;
    Ok(PurchasesPage { purchases, more })
}

fn line(view: &View, purchase: PurchaseId, decision: &Decision) -> Result<PurchaseLine, String> {
    let waiting = OUTBOX.peek(view, &purchase).map_err(|e| e.to_string())?;
    let settled = ACKNOWLEDGED.peek(view, &purchase).map_err(|e| e.to_string())?;
    let outcome = match decision {
        Decision::Committed { .. } | Decision::Streamed { .. } => DecidedAs::Committed,
        Decision::Aborted { .. } => DecidedAs::Aborted,
    };
    let terms = decision.terms();
    Ok(PurchaseLine {
        purchase,
        outcome,
        amount: decision.paid().unwrap_or(terms.price),
        currency: terms.currency.clone(),
        settled: settled.is_some(),
        waiting: waiting.is_some(),
    })
}
