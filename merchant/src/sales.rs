//! The list of sales: one line for each, filtered, in pages, and the sums of the forgotten ones.

use crate::forgotten::FORGOTTEN_SALES;
use crate::rows::{REFUNDS, Refund, SALE_DATES, SALES, Sale, SaleDates, SaleState};
use farthing_protocol::{
    documents::PurchaseId,
    ids::ItemId,
    money::{Amount, amount_text},
};
use farthing_store::{StoreError, View};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// The most sales that are read for one page. A page has fewer lines if some do not pass the filter.
pub const SALES_READ_MAX: usize = 1_000;

/// The most currencies whose forgotten sales are listed.
const CURRENCIES_MAX: usize = 1_000;

/// Which sales are listed. By default all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SaleFilter {
    /// Only sales that began at this time or later (ms since 1970).
    pub since_ms: Option<u64>,
    /// Only sales that began before this time (ms since 1970).
    pub until_ms: Option<u64>,
    /// Only sales of the items whose ids begin so (hex).
    pub item: Option<String>,
    /// Only sales in one of these states. Empty for all states.
    pub states: Vec<String>,
}

impl SaleFilter {
    /// Whether a sale is listed. A sale without a date passes no filter by date.
    pub fn passes(&self, line: &SaleLine) -> bool {
        let after = |from_ms| line.begun_ms.is_some_and(|begun_ms| begun_ms >= from_ms);
        let before = |end_ms| line.begun_ms.is_some_and(|begun_ms| begun_ms < end_ms);
        let of_item = |prefix: &String| {
            let id = line.item_id.to_string();
            id.starts_with(&prefix.to_ascii_lowercase())
        };
        self.since_ms.is_none_or(after)
            && self.until_ms.is_none_or(before)
            && self.item.as_ref().is_none_or(of_item)
            && (self.states.is_empty() || self.states.contains(&line.state))
    }
}

/// A sale, as its merchant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// The purchase id.
    pub purchase: PurchaseId,
    /// When the merchant first knew of the sale (ms since 1970). Absent if an earlier program has stored it.
    pub begun_ms: Option<u64>,
    /// When its state last changed (ms since 1970). Absent as `begun_ms` is.
    pub changed_ms: Option<u64>,
    /// The title of the item.
    pub title: String,
    /// The item id.
    pub item_id: ItemId,
    /// The price. For a stream that the escrow has committed: what was paid of it.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// The currency.
    pub currency: String,
    /// `releasing`, `streaming`, `closing`, `committed`, `credited`, `unpaid`, `ended` or `aborted`.
    pub state: String,
    /// Why it ended without a sale.
    pub why: Option<String>,
    /// What the bank has refunded of it.
    #[serde(with = "amount_text", default)]
    pub refunded: Amount,
}

impl SaleLine {
    pub(crate) fn new(
        purchase: PurchaseId,
        sale: Sale,
        dates: Option<SaleDates>,
        refund: Option<&Refund>,
    ) -> Self {
        let amount = sale.paid().unwrap_or(sale.contract.terms.price);
        let offer = sale.contract.offer.body;
        let state = sale.state.as_str().into();
        let why = match sale.state {
            SaleState::Ended(why) => Some(why),
            SaleState::Aborted(abort) => Some(abort.body.reason.to_string()),
            _ => None,
        };
        Self {
            purchase,
            begun_ms: dates.map(|dates| dates.begun_ms),
            changed_ms: dates.map(|dates| dates.changed_ms),
            title: offer.title,
            item_id: offer.item_id,
            amount,
            currency: offer.currency,
            state,
            why,
            refunded: refund.map(Refund::confirmed).unwrap_or_default(),
        }
    }
}

/// A page of the sales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalesPage {
    /// The lines that pass the filter, of at most [`SALES_READ_MAX`] sales.
    pub lines: Vec<SaleLine>,
    /// Whether more sales follow.
    pub more: bool,
    /// The last sale that was read. The next page begins after it.
    pub last: Option<PurchaseId>,
    /// The sums of all sales that are forgotten, whatever the filter.
    #[serde(default)]
    pub forgotten: Vec<ForgottenLine>,
}

/// The sum of the forgotten sales in one state and currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenLine {
    /// `credited`, `unpaid`, `ended` or `aborted`.
    pub state: String,
    /// The currency.
    pub currency: String,
    /// The number of sales.
    pub sales: u64,
    /// Their prices. For streams that the escrow has committed: what was paid of them.
    #[serde(with = "amount_text")]
    pub amount: Amount,
    /// What the bank has refunded of them.
    #[serde(with = "amount_text")]
    pub refunded: Amount,
}

/// The page of the sales after `after`.
///
/// # Errors
/// When the store fails.
pub fn page(view: &View, after: Option<&PurchaseId>, filter: &SaleFilter) -> Result<SalesPage, StoreError> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rows = SALES.scan(view, from, SALES_READ_MAX + 1)?;
    let more = rows.len() > SALES_READ_MAX;
    rows.truncate(SALES_READ_MAX);
    let mut page = SalesPage {
        lines: Vec::new(),
        more,
        last: rows.last().map(|(purchase, _)| *purchase),
        forgotten: forgotten(view)?,
    };
    for (purchase, sale) in rows {
        let (dates, refund) = (SALE_DATES.peek(view, &purchase)?, REFUNDS.peek(view, &purchase)?);
        let line = SaleLine::new(purchase, sale, dates, refund.as_ref());
        if filter.passes(&line) {
            page.lines.push(line);
        }
    }
    Ok(page)
}

/// The sums of the sales that are forgotten.
fn forgotten(view: &View) -> Result<Vec<ForgottenLine>, StoreError> {
    let rows = FORGOTTEN_SALES.scan(view, Bound::Unbounded, CURRENCIES_MAX)?;
    let lines = rows.into_iter().flat_map(|(currency, sums)| {
        let sums = sums.by_state().into_iter().filter(|(_, sum)| sum.sales > 0);
        sums.map(move |(state, sum)| ForgottenLine {
            state: state.into(),
            currency: currency.clone(),
            sales: sum.sales,
            amount: sum.amount,
            refunded: sum.refunded,
        })
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(begun_ms: Option<u64>, state: &str) -> SaleLine {
        SaleLine {
            purchase: PurchaseId([1; 32]),
            begun_ms,
            changed_ms: begun_ms,
            title: "A song".into(),
            item_id: ItemId([0xab; 32]),
            amount: Amount(450),
            currency: "FTH".into(),
            state: state.into(),
            why: None,
            refunded: Amount(0),
        }
    }

    #[test]
    fn a_filter_passes_what_fits_all_its_parts() {
        let all = SaleFilter::default();
        assert!(all.passes(&line(None, "ended")));
        let span = SaleFilter {
            since_ms: Some(10),
            until_ms: Some(20),
            ..all.clone()
        };
        let passed =
            [None, Some(9), Some(10), Some(19), Some(20)].map(|ms| span.passes(&line(ms, "credited")));
        assert_eq!(passed, [false, false, true, true, false]);
        let states = SaleFilter {
            states: vec!["credited".into(), "committed".into()],
            ..all.clone()
        };
        assert!(states.passes(&line(None, "committed")) && !states.passes(&line(None, "aborted")));
        let item = |prefix: &str| SaleFilter {
            item: Some(prefix.into()),
            ..all.clone()
        };
        assert!(item("ABab").passes(&line(None, "ended")) && !item("ac").passes(&line(None, "ended")));
    }
}
