//! Where a purchase stands while it is driven.

use super::record::Written;
use crate::rows::{CoinRow, PurchaseRow, SmallGoods};

/// How a purchase stands, and what the wallet has at hand for it.
///
/// A reply that can be fetched again is not written on its own. It is written with the next step that cannot be repeated:
/// the hold with the receipt, and the receipt with the goods. When nobody answers, what is known is written first.
#[derive(Clone)]
pub(crate) struct State {
    /// Its number; where it is not written down yet, the one that is free.
    pub(crate) number: u64,
    /// As the store has it; `None` before it is written down.
    pub(crate) stored: Option<PurchaseRow>,
    /// As far as it has come.
    pub(crate) row: PurchaseRow,
    /// Its encrypted goods, if they are small and here.
    pub(crate) goods: Option<SmallGoods>,
    /// The coins to choose from, as they were a moment ago.
    pub(crate) purse: Option<Vec<CoinRow>>,
    /// Whether the bank said, when it was asked last, that it knows of no decision.
    pub(crate) is_open_at_bank: bool,
    /// The status that whoever watches was told last.
    pub(crate) observed: &'static str,
}

impl State {
    /// A purchase that the store has.
    pub(crate) fn stored(number: u64, row: PurchaseRow) -> State {
        State {
            number,
            observed: row.purchase.status(),
            stored: Some(row.clone()),
            row,
            goods: None,
            purse: None,
            is_open_at_bank: false,
        }
    }

    /// Takes what the store has.
    pub(crate) fn reload(&mut self, row: PurchaseRow) {
        self.observed = row.purchase.status();
        self.stored = Some(row.clone());
        self.row = row;
    }

    /// What it stands as is written down, if it was not before.
    pub(crate) fn on_written(&mut self, written: &Written) {
        if let Written::Begun(number) = written {
            self.number = *number;
        }
        self.stored = Some(self.row.clone());
    }
}
