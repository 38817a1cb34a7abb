//! What the wallet concludes about one of its coins from a bank's signed denial.

use crate::{
    coins::{coin_reads, set_status},
    error::WalletError,
    recovery::status_in,
    rescan_schedule::schedule_rescan,
    rows::{
        CoinStatus, DENIALS, DEPOSITS, Delivery, DepositRow, DepositState, EXCHANGES, ExchangeRow, PURCHASES,
        PurchaseRow, RESTORED, SENT_FINISHES, all,
    },
};
use farthing_coin::{Coin, KeyBook, KeyId, PublicKey, Signed, StatementDigest};
use farthing_protocol::{
    denial::{CoinDenial, Denial, DenialCause},
    deposited::Deposited,
    documents::{EarlierUse, Issued, PurchaseId},
    purchase::Purchase,
};
use farthing_store::{RowKey, StoreError, Transaction, View};

/// What a bank's signed denial says of one of the wallet's coins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CoinFinding {
    /// The coin was used by something that this wallet does not know: a copy of the wallet, or a request sent before
    /// the wallet was lost. The status is the coin's new status.
    Used(PublicKey, CoinStatus),
    /// The coin is in this purchase of the wallet itself. The wallet learned of the purchase after it had put the
    /// coin to something else.
    Mine(PublicKey, u64),
    /// The coin went into the wallet's own exchange with this number. The bank issued this for it.
    Exchanged(Coin, u64, Box<Signed<Issued>>),
    /// The bank denies the coin, and nothing proves that it may.
    Denied(Coin, Box<Signed<Denial>>),
    /// The coin has paid for the wallet's own payment with this number. The bank has carried it out.
    Paid(u64, Box<DepositRow>),
    /// The time of the coin is over, and the bank knows of no use of it. So it cannot be held for this purchase of the wallet.
    Past(PublicKey, u64),
}

impl CoinFinding {
    /// The rows that [`take_effect`](CoinFinding::take_effect) reads.
    pub(crate) fn reads(&self, bank: &PublicKey) -> Vec<RowKey> {
        match self {
            CoinFinding::Used(..) => vec![RESTORED.key(bank)],
            CoinFinding::Mine(_, number) => vec![PURCHASES.key(number)],
            CoinFinding::Paid(_, row) => coin_reads(row.deposit.coins()),
            CoinFinding::Exchanged(..) | CoinFinding::Denied(..) | CoinFinding::Past(..) => Vec::new(),
        }
    }

    /// Writes what follows from the finding. Returns the coin that has another status now, and the status. Another use is
    /// scanned for, or carried on.
    pub(crate) fn take_effect(
        &self,
        tx: &mut Transaction<'_>,
        bank: &PublicKey,
        now_ms: u64,
    ) -> Result<Option<(PublicKey, CoinStatus)>, StoreError> {
        Ok(match self {
            CoinFinding::Used(coin, status) => {
                schedule_rescan(tx, bank, now_ms)?;
                Some((*coin, *status))
            }
            CoinFinding::Mine(coin, number) => {
                let Some(row) = PURCHASES.get(tx, number)? else {
                    return Ok(None);
                };
                let status = status_in(&row.purchase, *number);
                if row.delivery == Delivery::OnDemand {
                    let delivery = Delivery::Pending;
                    PURCHASES.put(tx, number, &PurchaseRow { delivery, ..row })?;
                }
                Some((*coin, status))
            }
            CoinFinding::Exchanged(..) => None,
            CoinFinding::Past(coin, number) => Some((*coin, CoinStatus::Released(*number))),
            CoinFinding::Denied(coin, denial) => {
                DENIALS.put(tx, &(coin.key_id, coin.public), denial)?;
                None
            }
            CoinFinding::Paid(number, row) => {
                end_paid(tx, *number, row)?;
                None
            }
        })
    }
}

/// Stores that a payment is done, and that its coins have paid for it. Another task that has one of its coins in a request
/// finds out by itself.
pub(crate) fn end_paid(tx: &mut Transaction<'_>, number: u64, row: &DepositRow) -> Result<(), StoreError> {
    set_status(tx, row.deposit.coins(), |coin| match coin.status {
        status @ (CoinStatus::InExchange(_)
        | CoinStatus::InPurchase(_)
        | CoinStatus::Exchanged(_)
        | CoinStatus::Spent(_)) => status,
        _ => CoinStatus::Deposited(number),
    })?;
    DEPOSITS.put(tx, &number, row)
}

/// The keys that [`finding_of_exchange`] needs; `None` if the denial names none of the coins.
pub(crate) fn keys_needed(coins: &[Coin], denial: &Signed<Denial>) -> Option<Vec<KeyId>> {
    let coin = named(coins, denial)?;
    Some(match coin_denial(denial)? {
        CoinDenial::Exchanged {
            issued: Some(issued), ..
        } => issued.body.outputs.clone(),
        _ => vec![coin.key_id],
    })
}

/// The finding from a denial of an exchange or a deposit of `coins` at `bank`. A use by this wallet itself does not count
/// as a use by others. If `released` is set, the bank has already seen the abort of that purchase.
///
/// # Errors
/// When the coin's key is not among `keys`, or the store fails.
pub(crate) fn finding_of_exchange(
    rows: &View,
    keys: &KeyBook,
    bank: &PublicKey,
    coins: &[Coin],
    denial: &Signed<Denial>,
    released: Option<u64>,
) -> Result<Option<CoinFinding>, WalletError> {
    let (Some(coin), Some(what)) = (named(coins, denial), coin_denial(denial)) else {
        return Ok(None);
    };
    let key = keys.get(&coin.key_id).ok_or(WalletError::Inconsistent(
        "a coin's key is not in the list of keys",
    ))?;
    if !denial.body.is_right(key, keys, std::iter::empty()) {
        return Ok(Some(CoinFinding::Denied(coin, Box::new(denial.clone()))));
    }
    let Some(used) = what.used() else { return Ok(None) };
    if let CoinDenial::Exchanged {
        issued: Some(issued), ..
    } = what
        && let Some(number) = own_exchange(rows, bank, issued, &used.digest)?
    {
        return Ok(Some(CoinFinding::Exchanged(coin, number, issued.clone())));
    }
    if let CoinDenial::Deposited {
        deposited: Some(deposited),
        ..
    } = what
        && let Some((number, row)) = own_payment(rows, deposited)?
    {
        let state = DepositState::Done(deposited.clone());
        return Ok(Some(CoinFinding::Paid(
            number,
            Box::new(DepositRow { state, ..row }),
        )));
    }
    let status = match what {
        // The purchase that holds the coin may still be aborted.
        CoinDenial::Held(_) => CoinStatus::HeldElsewhere(*used),
        _ => CoinStatus::UsedElsewhere(*used),
    };
    Ok(match own_purchase(rows, &used.purchase())? {
        Some((number, _)) if released == Some(number) => None,
        // The purchase was recovered: the bank has shown that it cannot hold the coin for it.
        Some((_, row)) if matches!(row.purchase, Purchase::Recovered(_)) => {
            Some(CoinFinding::Used(coin.public, status))
        }
        Some((number, row)) => is_of(&row, &coin).then_some(CoinFinding::Mine(coin.public, number)),
        None => Some(CoinFinding::Used(coin.public, status)),
    })
}

/// The coin of purchase `number` whose time is over by a denial of its exchange, which is right.
pub(crate) fn finding_of_past(coins: &[Coin], denial: &Signed<Denial>, number: u64) -> Option<CoinFinding> {
    let is_past = matches!(coin_denial(denial)?, CoinDenial::Expired { .. });
    let coin = named(coins, denial).filter(|_| is_past)?;
    Some(CoinFinding::Past(coin.public, number))
}

/// The finding from a denial of the hold of `coins` for `purchase`, which an escrow passes on. It gives up no coin:
/// the coin goes to an exchange next, where the bank must show what was issued for it.
///
/// # Errors
/// When the store fails.
pub(crate) fn finding_of_hold(
    rows: &View,
    coins: &[Coin],
    denial: &Signed<Denial>,
    purchase: &PurchaseId,
) -> Result<Option<CoinFinding>, StoreError> {
    let (Some(coin), Some(what)) = (named(coins, denial), coin_denial(denial)) else {
        return Ok(None);
    };
    if what.used().is_none() {
        return Ok(None);
    }
    let Some(used) = what.authorized_use(&coin.key_id, &coin.public) else {
        return Ok(Some(CoinFinding::Denied(coin, Box::new(denial.clone()))));
    };
    Ok(match own_purchase(rows, &used.purchase())? {
        Some((number, row)) => {
            let is_other = used.purchase() != *purchase && is_of(&row, &coin);
            is_other.then_some(CoinFinding::Mine(coin.public, number))
        }
        None => Some(CoinFinding::Used(coin.public, CoinStatus::HeldElsewhere(used))),
    })
}

/// The number of this wallet's exchange for which `issued` was given, and whose finish has this digest.
fn own_exchange(
    rows: &View,
    bank: &PublicKey,
    issued: &Signed<Issued>,
    finish: &StatementDigest,
) -> Result<Option<u64>, StoreError> {
    let id = issued.body.request_id;
    if let Some(sent) = SENT_FINISHES.peek(rows, &(id, *finish))? {
        return Ok(Some(sent.number));
    }
    // The finish was sent by an older version, or by a copy of this wallet.
    let exchanges = all(rows, &EXCHANGES)?;
    let own = |((of, _), row): &&((PublicKey, u64), ExchangeRow)| of == bank && row.exchange.request_id == id;
    Ok(exchanges.iter().find(own).map(|((_, number), _)| *number))
}

/// This wallet's payment that the bank says to have carried out, and its number.
fn own_payment(rows: &View, deposited: &Signed<Deposited>) -> Result<Option<(u64, DepositRow)>, StoreError> {
    let is_it = |(_, row): &(u64, DepositRow)| row.deposit.is_answered_by(deposited);
    Ok(all(rows, &DEPOSITS)?.into_iter().find(is_it))
}

/// This wallet's purchase with this id, and its number.
///
/// # Errors
/// When the store fails.
pub(crate) fn own_purchase(rows: &View, id: &PurchaseId) -> Result<Option<(u64, PurchaseRow)>, StoreError> {
    let is_it =
        |(_, row): &(u64, PurchaseRow)| row.purchase.order().is_some_and(|order| order.purchase() == *id);
    Ok(all(rows, &PURCHASES)?.into_iter().find(is_it))
}

/// The denial of the coin that it names, if it denies a coin.
fn coin_denial(denial: &Signed<Denial>) -> Option<&CoinDenial> {
    match &denial.body.cause {
        DenialCause::Coin { what, .. } => Some(what),
        _ => None,
    }
}

/// The earlier use that a denial claims.
pub(crate) fn claimed_use(denial: &Signed<Denial>) -> Option<EarlierUse> {
    coin_denial(denial)?.used().copied()
}

/// The coin among `coins` that a denial names.
fn named(coins: &[Coin], denial: &Signed<Denial>) -> Option<Coin> {
    coins.iter().find(|coin| denial.body.names(coin)).copied()
}

/// Whether a coin is part of a purchase's payment.
fn is_of(row: &PurchaseRow, coin: &Coin) -> bool {
    let order = row.purchase.order();
    order.is_some_and(|order| order.payment.coins.contains(coin))
}
