//! The state of a purchase while it is driven.

use super::record::Written;
use crate::rows::{CoinRow, FileId, PurchaseRow, SmallGoods};

/// The state of a purchase, and what the wallet has in memory for it.
///
/// A reply that can be fetched again is not written on its own. It is written with the next step that cannot be repeated:
/// the hold with the receipt, and the receipt with the goods. When nobody answers, what is known is written first.
#[derive(Clone)]
pub(crate) struct State {
    /// Its number. Before it is stored: the next free number.
    pub(crate) number: u64,
    /// The row in the store; `None` before it is stored.
    pub(crate) stored: Option<PurchaseRow>,
    /// The current row.
    pub(crate) row: PurchaseRow,
    /// Its encrypted goods, if they are small and were fetched.
    pub(crate) goods: Option<SmallGoods>,
    /// The file that the goods may replace, before the purchase is stored.
    pub(crate) replaceable: Option<FileId>,
    /// The coins to choose from, read shortly before.
    pub(crate) purse: Option<Vec<CoinRow>>,
    /// How many expired offers were replaced by new ones in this run.
    pub(crate) renewals: u32,
    /// Whether the bank's last reply said that it knows of no decision.
    pub(crate) is_open_at_bank: bool,
    /// The status that was last reported to the observer.
    pub(crate) observed: &'static str,
}

impl State {
    /// The state of a stored purchase.
    pub(crate) fn stored(number: u64, row: PurchaseRow) -> State {
        State {
            number,
            observed: row.purchase.status(),
            stored: Some(row.clone()),
            row,
            goods: None,
            replaceable: None,
            purse: None,
            renewals: 0,
            is_open_at_bank: false,
        }
    }

    /// Replaces the row by the row in the store.
    pub(crate) fn reload(&mut self, row: PurchaseRow) {
        self.observed = row.purchase.status();
        self.stored = Some(row.clone());
        self.row = row;
    }

    /// The current row was stored.
    pub(crate) fn on_written(&mut self, written: &Written) {
        if let Written::Begun(number) = written {
            self.number = *number;
        }
        self.stored = Some(self.row.clone());
    }
}
