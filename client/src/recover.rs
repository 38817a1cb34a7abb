//! Recovery: a cancelled purchase whose escrow gives no decision.
//!
//! The wallet puts the purchase's coins to one exchange, and so the bank decides, in one write:
//!
//! - It holds none of them and exchanges them. A hold that arrives later is refused, as its coins are used. The purchase
//!   is [`Recovered`](Purchase::Recovered).
//! - It holds them for this very purchase and signs that it denies the exchange. Nothing changes: the escrow has to decide.
//!
//! The exchange is one like any other: it is planned before it is sent, asked again until it is answered, and carried on
//! by [`resume`](Wallet::resume). The purchase ends in the write that ends the exchange.

use crate::{
    coins::coin_row,
    error::WalletError,
    rows::{COINS, CoinRow, CoinStatus, EXCHANGES, PURCHASES, PurchaseRow},
    wallet::Wallet,
    watch::Event,
};
use farthing_coin::PublicKey;
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{
    issue::IssueState,
    purchase::{Order, Purchase},
};
use farthing_store::{StoreError, Transaction};

impl Wallet {
    /// Puts the coins of a purchase that is being cancelled to an exchange, or carries on the one that they are in.
    ///
    /// # Errors
    /// When the bank denies the exchange, for one because it holds the coins for this purchase, or does not answer.
    pub(crate) async fn recover(&self, number: u64) -> Result<(), WalletError> {
        self.carry_on_recovery(number).await?;
        let mut coins = self.coins_put_to(number)?;
        while !coins.is_empty() {
            let before = coins.len();
            let outcome = self.refresh(coins).await;
            coins = self.coins_put_to(number)?;
            let is_answered = matches!(outcome, Ok(_) | Err(WalletError::Refused { .. }));
            // A coin that turned out to be used elsewhere is out; the others are tried again without it.
            if !is_answered || coins.len() >= before {
                outcome?;
                break;
            }
        }
        // Its coins may have come out of it one by one.
        self.transact_for(CoinStatus::InPurchase(number), |_| Ok(()))
            .await
    }

    /// Carries on the exchange that the coins of a purchase are in, if there is one. One that is denied leaves the coins as
    /// they are in the purchase.
    ///
    /// # Errors
    /// When the bank does not answer.
    pub(crate) async fn carry_on_recovery(&self, number: u64) -> Result<(), WalletError> {
        let purchase = self.purchase(number)?.purchase;
        let Some(at) = purchase
            .order()
            .map(|order| self.open_recovery(number, order))
            .transpose()?
            .flatten()
        else {
            return Ok(());
        };
        match self.resume_exchange(at).await {
            Err(WalletError::Refused { .. }) => Ok(()),
            other => other,
        }
    }

    /// The exchange under way that the coins of purchase `number` were put to for a recovery.
    fn open_recovery(&self, number: u64, order: &Order) -> Result<Option<(PublicKey, u64)>, WalletError> {
        let view = self.store.view();
        for coin in &order.payment.coins {
            let row = COINS.peek(&view, &(coin.key_id, coin.public))?;
            let Some(CoinStatus::InExchange(exchange)) = row.map(|row| row.status) else {
                continue;
            };
            let at = (order.contract.terms.bank, exchange);
            let row = EXCHANGES.peek(&view, &at)?;
            if row.is_some_and(|row| {
                row.before == CoinStatus::InPurchase(number)
                    && matches!(
                        row.exchange.state,
                        IssueState::Beginning | IssueState::Finishing { .. }
                    )
            }) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn coins_put_to(&self, number: u64) -> Result<Vec<CoinRow>, WalletError> {
        let mut rows = self.present_coins()?;
        rows.retain(|row| row.status == CoinStatus::InPurchase(number));
        Ok(rows)
    }

    /// Writes what an exchange has come to. Where its coins were put to a purchase `before`, that may end with it.
    pub(crate) async fn transact_for(
        &self,
        before: CoinStatus,
        write: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), WalletError> {
        let recovered = self.transact(move |tx| {
            write(tx)?;
            match before {
                CoinStatus::InPurchase(number) => Ok(end_recovered(tx, number)?.then_some(number)),
                _ => Ok(None),
            }
        });
        if let Some(number) = recovered.await? {
            let status = "recovered";
            self.watch().see(&Event::Purchase { number, status });
        }
        Ok(())
    }
}

/// What a coin is that was put to a purchase.
pub(crate) fn status_in(purchase: &Purchase, number: u64) -> CoinStatus {
    match purchase {
        Purchase::Committed(..) => CoinStatus::Spent(number),
        Purchase::Aborted(..) => CoinStatus::Released(number),
        _ => CoinStatus::InPurchase(number),
    }
}

/// What coins are again whose exchange was denied: what they were `before`, unless the purchase that they were put to has
/// ended meanwhile.
pub(crate) fn status_again(tx: &mut Transaction<'_>, before: CoinStatus) -> Result<CoinStatus, StoreError> {
    let CoinStatus::InPurchase(number) = before else {
        return Ok(before);
    };
    let row = PURCHASES.get(tx, &number)?;
    Ok(row.map_or(before, |row| status_in(&row.purchase, number)))
}

/// Ends a purchase that is being cancelled, if the bank has shown that it used one of the coins for something else, and
/// none is left in it. A hold takes all of its coins or none, so there can be none any more.
fn end_recovered(tx: &mut Transaction<'_>, number: u64) -> Result<bool, StoreError> {
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
            CoinStatus::InPurchase(other) if other == number => {
                if !is_planted(Defect::DenialTakenForRecovery) {
                    return Ok(false);
                }
                is_used = true;
            }
            CoinStatus::InExchange(_) => return Ok(false),
            CoinStatus::Exchanged(_) => is_used = true,
            CoinStatus::UsedElsewhere(used) => is_used |= used.digest != purchase,
            _ => {}
        }
    }
    if is_used {
        let purchase = row.purchase.on_recovered();
        PURCHASES.put(tx, &number, &PurchaseRow { purchase, ..row })?;
    }
    Ok(is_used)
}
