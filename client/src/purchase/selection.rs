//! Selection of the coins that pay exactly the price, after exchanges for change if needed.

use crate::{
    coins::Validity,
    error::WalletError,
    issuance::{consolidate, make_change, unchanged},
    keys::current_keys,
    rows::{COINS, CoinRow, CoinStatus, all},
    wallet::Wallet,
};
use farthing_coin::{Denomination, KeyBook, PublicKey};
use farthing_node::card::Card;
use farthing_protocol::{
    limits::{COINS_PER_REQUEST_MAX, DEADLINE_HORIZON_MS, SETTLEMENT_MARGIN_MS},
    money::{Amount, Selection, select},
    purchase::Plan,
};
use farthing_store::{StoreError, View};

/// How often coins are exchanged for one purchase before the wallet gives up. Two are enough: one for change, and one
/// if the change has too many coins.
const EXCHANGES_MAX: usize = 4;

/// How far ahead a deadline is at most, by this machine's clock (ms). It decides nothing: if the clock is wrong, the
/// escrow refuses the hold, and the wallet cancels.
const DEADLINE_AHEAD_MS: u64 = DEADLINE_HORIZON_MS / 2;

/// The result of a selection.
#[derive(Debug, PartialEq, Eq)]
enum Selected {
    /// These coins pay the exact price.
    Exact(Vec<CoinRow>),
    /// The coins would pay, but are too many. These small ones are exchanged for a few large ones.
    TooMany(Vec<CoinRow>),
    /// Each of these coins is exchanged for change.
    ChangeNeeded(Vec<CoinRow>),
    /// This amount is missing.
    Short(Amount),
}

/// The deadline of a plan's contract.
pub(crate) fn deadline_ms(plan: &Plan, now_ms: u64) -> u64 {
    plan.offer
        .body
        .expires_ms
        .min(now_ms.saturating_add(DEADLINE_AHEAD_MS))
}

/// The coins of `bank` that are available and that the bank still takes. Some may have to be exchanged first.
///
/// # Errors
/// When the store fails.
pub(crate) fn purse(
    rows: &View,
    bank: &PublicKey,
    keys: &KeyBook,
    now_ms: u64,
) -> Result<Vec<CoinRow>, StoreError> {
    let is_lost = |row: &CoinRow| Validity::of(keys.get(&row.coin.key_id), now_ms) == Validity::Lost;
    let coins = all(rows, &COINS)?.into_iter().map(|(_, row)| row);
    Ok(coins
        .filter(|row| row.status == CoinStatus::Available && row.bank == *bank && !is_lost(row))
        .collect())
}

/// Chooses coins worth exactly the plan's price. Exchanges coins for change if needed, and coins whose keys end before
/// settlement if the others are too few. Without a purse, the coins are read from the store.
///
/// # Errors
/// When the wallet has too little money, or an exchange fails.
pub(crate) async fn choose(
    wallet: &Wallet,
    plan: &Plan,
    bank: &Card,
    mut purse_at_hand: Option<Vec<CoinRow>>,
) -> Result<Vec<CoinRow>, WalletError> {
    let price = plan.offer.body.price;
    for _ in 0..EXCHANGES_MAX {
        let keys = current_keys(wallet, bank).await?;
        let rows = match purse_at_hand.take() {
            Some(rows) => rows,
            None => purse(&wallet.rows(), &plan.bank, &keys, wallet.now_ms())?,
        };
        let available = Amount(rows.iter().fold(0, |sum, row| sum.saturating_add(row.value)));
        let ending = ending(&rows, &keys, plan, wallet.now_ms());
        match selected(spendable(rows, &keys, plan, wallet.now_ms()), price) {
            Selected::Exact(chosen) => return Ok(chosen),
            Selected::TooMany(small) => {
                let outcome = consolidate(wallet, small.clone()).await;
                must_choose_again(wallet, &small, outcome)?;
            }
            Selected::ChangeNeeded(coins) => {
                for row in coins {
                    let outcome = make_change(wallet, row.clone()).await;
                    if must_choose_again(wallet, &[row], outcome)? {
                        break;
                    }
                }
            }
            Selected::Short(_) if available >= price && !ending.is_empty() => {
                let outcome = wallet.exchange(ending.clone()).await;
                must_choose_again(wallet, &ending, outcome.map(|_| ()))?;
            }
            Selected::Short(short) => {
                return Err(match available >= price {
                    true => WalletError::NewKeys(short),
                    false => WalletError::Short {
                        short,
                        available,
                        price,
                    },
                });
            }
        }
    }
    Err(WalletError::NoCoins(price))
}

/// Whether an exchange was refused because a coin is used elsewhere. Coins are then chosen again without it.
fn must_choose_again(
    wallet: &Wallet,
    coins: &[CoinRow],
    outcome: Result<(), WalletError>,
) -> Result<bool, WalletError> {
    match outcome {
        Err(WalletError::Refused { .. }) if unchanged(&wallet.rows(), coins)?.len() < coins.len() => Ok(true),
        outcome => outcome.map(|()| false),
    }
}

/// Selects coins for a price.
fn selected(rows: Vec<CoinRow>, price: Amount) -> Selected {
    let values: Vec<(usize, u64)> = rows.iter().map(|row| row.value).enumerate().collect();
    let take = |chosen: &[usize]| -> Vec<CoinRow> {
        let rows = chosen.iter().filter_map(|index| rows.get(*index));
        rows.cloned().collect()
    };
    match select(&values, price) {
        Selection::Exact(chosen) => match chosen.len().checked_sub(COINS_PER_REQUEST_MAX) {
            None | Some(0) => Selected::Exact(take(&chosen)),
            // The largest come first, so the last ones are the small coins beyond the limit.
            Some(most) => Selected::TooMany(take(chosen.get(most..).unwrap_or_default())),
        },
        Selection::ChangeNeeded(coins) => Selected::ChangeNeeded(take(&coins)),
        Selection::Short(short) => Selected::Short(short),
    }
}

/// The coins whose keys end before the plan is settled, and that fresh ones can replace.
fn ending(purse: &[CoinRow], keys: &KeyBook, plan: &Plan, now_ms: u64) -> Vec<CoinRow> {
    let settled_ms = settled_ms(plan, now_ms);
    let ends = |d: &Denomination| d.spend_until_ms <= settled_ms && d.issue_until_ms <= now_ms;
    let ends = |row: &&CoinRow| keys.get(&row.coin.key_id).is_some_and(ends);
    purse.iter().filter(ends).cloned().collect()
}

/// When a plan's purchase is settled at the latest.
fn settled_ms(plan: &Plan, now_ms: u64) -> u64 {
    deadline_ms(plan, now_ms).saturating_add(SETTLEMENT_MARGIN_MS)
}

/// The coins that can pay for a plan. They last until settlement, and the merchant knows their keys too: a key that
/// only this wallet was shown would mark its coins.
fn spendable(purse: Vec<CoinRow>, keys: &KeyBook, plan: &Plan, now_ms: u64) -> Vec<CoinRow> {
    let mut accepted = plan.offer.body.banks.iter();
    let accepted = accepted.find(|accepted| accepted.bank == plan.bank);
    let seen = accepted.and_then(|accepted| keys.last_epoch_of(&accepted.key_list_digest));
    let settled_ms = settled_ms(plan, now_ms);
    let fits = |d: &Denomination| Some(d.epoch) <= seen && d.spend_until_ms > settled_ms;
    let fits = |row: &CoinRow| keys.get(&row.coin.key_id).is_some_and(fits);
    purse.into_iter().filter(fits).collect()
}
