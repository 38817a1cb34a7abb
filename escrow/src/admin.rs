//! What an escrow's operator can ask.
//!
//! The same functions answer over the running node's socket and, when no node runs, on the opened store.

use crate::escrow::Escrow;
use crate::rows::{ACKNOWLEDGED, DECISIONS, OUTBOX};
use async_trait::async_trait;
use farthing_node::admin::AdminHandler;
use farthing_node::operator::network::take_up;
use farthing_protocol::{decision::Decision, documents::PurchaseId};
use farthing_store::View;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Bound;

/// The most purchases in one reply; the command line asks again behind the last.
pub const PURCHASES_PAGE_MAX: usize = 1_000;

/// A question of the operator's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum AdminRequest {
    /// The decided purchases, in the order of their ids.
    Purchases {
        /// The last one of the page before (hex).
        after: Option<String>,
    },
}

/// A decided purchase, as its escrow's operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseLine {
    /// The purchase id (hex).
    pub purchase: String,
    /// `committed` or `aborted`.
    pub outcome: String,
    /// The price, as people write it.
    pub amount: String,
    /// The currency.
    pub currency: String,
    /// Whether the bank has acknowledged it.
    pub settled: bool,
    /// Whether it is still to be pushed to the bank. If it is neither, its customer cancelled it at a bank whose card
    /// was not here, and brings the abort there herself.
    pub waiting: bool,
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
        if let Some(done) = take_up(&request, self.dir.as_deref(), &self.peers) {
            return done;
        }
        let request: AdminRequest =
            serde_json::from_value(request).map_err(|e| format!("the command is not understood: {e}"))?;
        match request {
            AdminRequest::Purchases { after } => purchases_page(&self.store.view(), after.as_deref()),
        }
    }
}

/// The decided purchases behind `after` (hex), as the operator gets them.
pub(crate) fn purchases_page(view: &View, after: Option<&str>) -> Result<Value, String> {
    serde_json::to_value(purchases(view, after)?).map_err(|e| e.to_string())
}

/// The decided purchases behind `after` (hex).
///
/// # Errors
/// A message for the operator.
pub fn purchases(view: &View, after: Option<&str>) -> Result<PurchasesPage, String> {
    let after = after.map(parse_purchase).transpose()?;
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
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
        Decision::Committed { .. } => "committed",
        Decision::Aborted { .. } => "aborted",
    };
    let terms = decision.terms();
    Ok(PurchaseLine {
        purchase: purchase.to_string(),
        outcome: outcome.into(),
        amount: terms.price.to_string(),
        currency: terms.currency.clone(),
        settled: settled.is_some(),
        waiting: waiting.is_some(),
    })
}

fn parse_purchase(text: &str) -> Result<PurchaseId, String> {
    text.parse().map_err(|_| format!("`{text}` is not a purchase id"))
}
