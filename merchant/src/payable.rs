//! Prices that no payment can have: a payment has a limited number of coins, of the values that its bank issues.

use crate::rows::{ITEMS, Item, KEY_LIST_ROOTS};
use farthing_coin::PublicKey;
use farthing_protocol::{
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, amount_text, most_payable},
};
use farthing_store::{StoreError, View};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// The most banks whose lists of keys are read.
pub(crate) const BANKS_MAX: usize = 1_000;

/// The most items that are read at once.
const ITEMS_PAGE_MAX: usize = 256;

/// A bank whose coins cannot pay a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpayableAt {
    /// The bank's key.
    pub bank: PublicKey,
    /// The highest price up to it that its coins can pay.
    #[serde(with = "amount_text")]
    pub highest: Amount,
}

/// The banks with known keys in the item's currency whose coins cannot pay its price.
///
/// # Errors
/// A message for the operator when there are such banks, and no other bank is known in this currency. When the store
/// fails.
pub fn check_payable(view: &View, item: &Item) -> Result<Vec<UnpayableAt>, String> {
    let banks = banks_of(view, &item.currency).map_err(|error| error.to_string())?;
    let unpayable: Vec<UnpayableAt> = banks
        .iter()
        .filter_map(|(bank, values)| unpayable_at(*bank, values, item.price))
        .collect();
    let highest = unpayable.iter().map(|at| at.highest).max();
    match highest {
        Some(highest) if unpayable.len() == banks.len() => Err(format!(
            "no payment can be worth {}: it has at most {COINS_PER_REQUEST_MAX} coins, and the bank's coins are too small. \
             The highest price up to it that can be paid is {highest}; give it with --price, or sell in parts",
            item.price
        )),
        _ => Ok(unpayable),
    }
}

/// Warns of each item whose price the coins of `bank` cannot pay.
///
/// # Errors
/// When the store fails.
pub(crate) fn warn_of_unpayable(
    view: &View,
    bank: &PublicKey,
    currency: &str,
    values: &[u64],
) -> Result<(), StoreError> {
    let mut last = None;
    loop {
        let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let items = ITEMS.scan(view, from, ITEMS_PAGE_MAX)?;
        for (item_id, item) in &items {
            if item.currency == currency
                && let Some(at) = unpayable_at(*bank, values, item.price)
            {
                tracing::warn!(
                    item = %item_id,
                    price = %item.price,
                    %bank,
                    highest = %at.highest,
                    "no payment with this bank's coins can be worth the price of this item; nobody can buy it with them. \
                     Add the goods again at the highest price that can be paid, or a lower one"
                );
            }
        }
        match items.last() {
            Some((item_id, _)) => last = Some(*item_id),
            None => return Ok(()),
        }
    }
}

fn unpayable_at(bank: PublicKey, values: &[u64], price: Amount) -> Option<UnpayableAt> {
    let highest = most_payable(price, values, COINS_PER_REQUEST_MAX);
    (highest != price).then_some(UnpayableAt { bank, highest })
}

/// The banks with known keys in this currency, with the values of their coins.
fn banks_of(view: &View, currency: &str) -> Result<Vec<(PublicKey, Vec<u64>)>, StoreError> {
    let banks = KEY_LIST_ROOTS.scan(view, Bound::Unbounded, BANKS_MAX)?;
    let banks = banks.into_iter().filter(|(_, root)| root.currency == currency);
    Ok(banks.map(|(bank, root)| (bank, root.values)).collect())
}
