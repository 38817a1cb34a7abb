//! The status of the coins of a purchase or a payment after an exchange, and whether the exchange ends it.

use crate::{
    coins::{coin_reads, coin_row, set_status},
    rows::{CoinRow, CoinStatus, DEPOSITS, DepositRow, DepositState, PURCHASES, PurchaseRow},
};
use farthing_coin::{Coin, StatementDigest};
use farthing_protocol::purchase::Purchase;
use farthing_store::{FirstStage, RowKey, StoreError, Transaction};

/// The status of a coin in purchase `number`.
pub(crate) fn status_in(purchase: &Purchase, number: u64) -> CoinStatus {
    match purchase {
        Purchase::Committed(..) => CoinStatus::Spent(number),
        Purchase::Aborted(..) => CoinStatus::Released(number),
        _ => CoinStatus::InPurchase(number),
    }
}

/// The status of a coin in payment `number`.
fn status_in_deposit(state: &DepositState, number: u64) -> CoinStatus {
    match state {
        DepositState::Sending => CoinStatus::InDeposit(number),
        DepositState::Done(_) => CoinStatus::Deposited(number),
        DepositState::Refused(_) | DepositState::GivenUp => CoinStatus::Available,
    }
}

/// The row that [`status_again`] reads.
pub(crate) fn again_reads(before: CoinStatus) -> Option<RowKey> {
    match before {
        CoinStatus::InPurchase(number) => Some(PURCHASES.key(&number)),
        CoinStatus::InDeposit(number) => Some(DEPOSITS.key(&number)),
        _ => None,
    }
}

/// The status of coins after their exchange was denied: the status `before`, unless their purchase or payment has ended
/// in the meantime.
pub(crate) fn status_again(tx: &mut Transaction<'_>, before: CoinStatus) -> Result<CoinStatus, StoreError> {
    let now = match before {
        CoinStatus::InPurchase(number) => {
            let row = PURCHASES.get(tx, &number)?;
            row.map(|row| status_in(&row.purchase, number))
        }
        CoinStatus::InDeposit(number) => {
            let row = DEPOSITS.get(tx, &number)?;
            row.map(|row| status_in_deposit(&row.state, number))
        }
        _ => None,
    };
    Ok(now.unwrap_or(before))
}

/// The rows that [`end_recovered`] reads besides the purchase: its coins.
pub(crate) fn recovered_reads(
    first: &mut FirstStage<'_, '_>,
    number: u64,
) -> Result<Vec<RowKey>, StoreError> {
    let row = first.get(&PURCHASES, &number)?;
    let order = row.as_ref().and_then(|row| row.purchase.order());
    Ok(order.map_or_else(Vec::new, |order| coin_reads(&order.payment.coins)))
}

/// Ends a purchase that is being cancelled, if no coin is left in it and the bank has shown that one coin was used
/// for something else, or that its time is over. A hold takes all coins of a purchase or none, so no hold is possible any more.
/// Returns whether the purchase ended.
pub(crate) fn end_recovered(tx: &mut Transaction<'_>, number: u64) -> Result<bool, StoreError> {
    let Some(row) = PURCHASES.get(tx, &number)? else {
        return Ok(false);
    };
    let Purchase::Cancelling(order) = &row.purchase else {
        return Ok(false);
    };
    let purchase = order.purchase().0;
    let mut is_used = false;
    for coin in &order.payment.coins {
        let Some(coin) = coin_row(tx, &(coin.key_id, coin.public))? else {
            continue;
        };
        match coin.status {
            CoinStatus::InPurchase(other) if other == number => return Ok(false),
            CoinStatus::InExchange(_) => return Ok(false),
            CoinStatus::Exchanged(_) => is_used = true,
            CoinStatus::UsedElsewhere(used) => is_used |= used.digest != StatementDigest(purchase),
            // Its time is over. An abort would have ended the purchase.
            CoinStatus::Released(other) => is_used |= other == number,
            _ => {}
        }
    }
    if is_used {
        let purchase = row.purchase.on_recovered();
        PURCHASES.put(tx, &number, &PurchaseRow { purchase, ..row })?;
    }
    Ok(is_used)
}

/// The rows that [`end_given_up`] reads besides the payment: its coins.
pub(crate) fn given_up_reads(first: &mut FirstStage<'_, '_>, number: u64) -> Result<Vec<RowKey>, StoreError> {
    let row = first.get(&DEPOSITS, &number)?;
    Ok(row.map_or_else(Vec::new, |row| coin_reads(row.deposit.coins())))
}

/// Ends a payment that was sent, if none of its coins is in an exchange and the bank has shown that one coin was used for
/// something else. A deposit takes all its coins or none, so it cannot be carried out any more. The other coins return.
pub(crate) fn end_given_up(tx: &mut Transaction<'_>, number: u64) -> Result<(), StoreError> {
    let Some(row) = DEPOSITS.get(tx, &number)? else {
        return Ok(());
    };
    if row.state != DepositState::Sending {
        return Ok(());
    }
    let id = StatementDigest::from(row.deposit.id());
    let coins = row.deposit.coins();
    let mut is_used = false;
    for coin in coins {
        let Some(coin) = coin_row(tx, &(coin.key_id, coin.public))? else {
            continue;
        };
        match coin.status {
            CoinStatus::InExchange(_) => return Ok(()),
            CoinStatus::Exchanged(_) => is_used = true,
            CoinStatus::UsedElsewhere(used) => is_used |= used.digest != id,
            _ => {}
        }
    }
    if !is_used {
        return Ok(());
    }
    return_coins(tx, coins, number)?;
    let state = DepositState::GivenUp;
    DEPOSITS.put(tx, &number, &DepositRow { state, ..row.clone() })
}

/// Lets the coins that are still in payment `number` be available again. Another task that has one finds out by itself.
pub(crate) fn return_coins(tx: &mut Transaction<'_>, coins: &[Coin], number: u64) -> Result<(), StoreError> {
    let returned = |coin: &CoinRow| match coin.status {
        CoinStatus::InDeposit(of) if of == number => CoinStatus::Available,
        status => status,
    };
    set_status(tx, coins, returned)
}
