//! What the merchant keeps of sales that it has forgotten: the dates up to which it has forgotten them, and their sums.

use crate::payable::BANKS_MAX;
use crate::rows::{Refund, Sale, SaleState};
use farthing_coin::PublicKey;
use farthing_protocol::{
    documents::{PurchaseId, Terms},
    money::Amount,
};
use farthing_store::{RowKey, StoreError, Table, Transaction, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;

/// By bank: no sale with an earlier deadline begins (ms since 1970), as it may be forgotten. It never goes back.
pub const CLOSED_BEFORE: Table<PublicKey, u64> = Table::new(20, "closed epochs");

/// Where the pass that forgets goes on. Absent if none is under way.
pub const PURGE: Table<(), Place> = Table::new(21, "the pass that forgets");

/// The sums of forgotten sales, by currency. Each is updated in the same write that deletes a sale.
pub const FORGOTTEN_SALES: Table<String, ForgottenSales> = Table::new(22, "forgotten sales");

/// A place in the pass over the rows: the row after which it goes on, or the begin of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the sales.
    Sales(Option<PurchaseId>),
    /// In the events.
    Events(Option<u64>),
}

/// A pass that is under way, or the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    /// By bank, the begin of its first epoch that is not closed (ms since 1970).
    pub(crate) closed_before: BTreeMap<PublicKey, u64>,
    /// Where it goes on. `None` once it has ended.
    pub(crate) place: Option<Place>,
}

impl Pass {
    /// The last pass that was written down.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn read(view: &View) -> Result<Self, StoreError> {
        let closed_before = CLOSED_BEFORE.scan(view, Bound::Unbounded, BANKS_MAX)?;
        Ok(Self {
            closed_before: closed_before.into_iter().collect(),
            place: PURGE.peek(view, &())?,
        })
    }

    /// Whether the deadline of a purchase with these terms lies in a closed epoch of its bank.
    pub(crate) fn closes(&self, terms: &Terms) -> bool {
        let before_ms = self.closed_before.get(&terms.bank);
        before_ms.is_some_and(|before_ms| terms.deadline_ms < *before_ms)
    }

    /// The time before which all epochs of all banks are closed (ms since 1970). 0 if no bank is known.
    pub(crate) fn all_closed_before_ms(&self) -> u64 {
        self.closed_before.values().copied().min().unwrap_or(0)
    }
}

/// The sums of forgotten sales in one currency, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenSales {
    /// The bank had credited them.
    pub credited: SaleSum,
    /// The bank had applied an abort.
    pub unpaid: SaleSum,
    /// The escrow had refused them.
    pub ended: SaleSum,
    /// The escrow had aborted them.
    pub aborted: SaleSum,
}

/// The sum of some sales.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleSum {
    /// The number of sales.
    pub sales: u64,
    /// Their prices. For streams that were committed: what was paid.
    pub amount: Amount,
    /// What was refunded of them.
    pub refunded: Amount,
}

impl ForgottenSales {
    /// The sums, each with the word for the state.
    pub fn by_state(&self) -> [(&'static str, SaleSum); 4] {
        [
            ("credited", self.credited),
            ("unpaid", self.unpaid),
            ("ended", self.ended),
            ("aborted", self.aborted),
        ]
    }

    /// Adds a sale that has ended. Returns false, and adds nothing, if it is open.
    #[must_use]
    pub fn add(&mut self, sale: &Sale, refund: Option<&Refund>) -> bool {
        let sum = match &sale.state {
            SaleState::Credited(..) | SaleState::StreamCredited(..) => &mut self.credited,
            SaleState::Unpaid(..) | SaleState::StreamUnpaid(..) => &mut self.unpaid,
            SaleState::Ended(_) => &mut self.ended,
            SaleState::Aborted(_) => &mut self.aborted,
            SaleState::Releasing
            | SaleState::Committed(_)
            | SaleState::Streaming
            | SaleState::Streamed(_)
            | SaleState::Closing(_) => return false,
        };
        let amount = sale.paid().unwrap_or(sale.contract.terms.price);
        let refunded = refund.map(Refund::confirmed).unwrap_or_default();
        sum.sales = sum.sales.saturating_add(1);
        sum.amount = Amount(sum.amount.0.saturating_add(amount.0));
        sum.refunded = Amount(sum.refunded.0.saturating_add(refunded.0));
        true
    }
}

/// The row that [`is_forgotten`] reads.
pub fn is_forgotten_reads(terms: &Terms) -> RowKey {
    CLOSED_BEFORE.key(&terms.bank)
}

/// Whether a purchase with these terms that has no row may be one that was forgotten. Nothing of it may begin, whatever the
/// clock says.
///
/// # Errors
/// When the store fails.
pub fn is_forgotten(tx: &mut Transaction<'_>, terms: &Terms) -> Result<bool, StoreError> {
    let closed_before_ms = CLOSED_BEFORE.get(tx, &terms.bank)?.unwrap_or_default();
    Ok(terms.deadline_ms < closed_before_ms)
}
