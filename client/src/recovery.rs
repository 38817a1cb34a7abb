//! The status of a purchase's coins after an exchange, and whether the exchange ends the purchase.

use crate::{
    coins::{coin_reads, coin_row},
    rows::{CoinStatus, PURCHASES, PurchaseRow},
};
use farthing_coin::StatementDigest;
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

/// The row that [`status_again`] reads.
pub(crate) fn again_reads(before: CoinStatus) -> Option<RowKey> {
    match before {
        CoinStatus::InPurchase(number) => Some(PURCHASES.key(&number)),
        _ => None,
    }
}

/// The status of coins after their exchange was denied: the status `before`, unless their purchase has ended in the
/// meantime.
pub(crate) fn status_again(tx: &mut Transaction<'_>, before: CoinStatus) -> Result<CoinStatus, StoreError> {
    let CoinStatus::InPurchase(number) = before else {
        return Ok(before);
    };
    let row = PURCHASES.get(tx, &number)?;
    Ok(row.map_or(before, |row| status_in(&row.purchase, number)))
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
/// for something else. A hold takes all coins of a purchase or none, so no hold is possible any more. Returns whether
/// the purchase ended.
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
            _ => {}
        }
    }
    if is_used {
        let purchase = row.purchase.on_recovered();
        PURCHASES.put(tx, &number, &PurchaseRow { purchase, ..row })?;
    }
    Ok(is_used)
}
