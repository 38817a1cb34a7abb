//! An issuance that the bank refuses finally. The coins of an exchange then return to their earlier status, except a
//! coin of which the bank has shown more.

use super::{
    record::{Denied, Write, new_rows},
    row::IssuanceRow,
    step::{Known, Refused, Step, Then, refused},
};
use crate::{
    coin_finding::{CoinFinding, finding_of_exchange, finding_of_past, keys_needed},
    error::WalletError,
    rows::{CoinStatus, EXCHANGES, ExchangeRow, ReserveWithdrawalRow},
};
use farthing_coin::{Coin, Signed};
use farthing_protocol::{
    denial::Denial, documents::Issued, issuance::Issuance, refusal::Refusal, withdraw::Withdrawal,
};

impl Refused for Withdrawal {}

impl Refused for ReserveWithdrawalRow {}

impl Refused for ExchangeRow {
    fn on_refused(
        known: &Known<'_, Self>,
        refusal: &Refusal,
        denial: Option<&Signed<Denial>>,
    ) -> Result<Step<Self>, WalletError> {
        exchange_refused(known, refusal, denial)
    }
}

/// The step after a final refusal of an exchange. A coin that went into another exchange of this wallet is not lost:
/// the denial shows what was issued for it.
fn exchange_refused(
    known: &Known<'_, ExchangeRow>,
    refusal: &Refusal,
    denial: Option<&Signed<Denial>>,
) -> Result<Step<ExchangeRow>, WalletError> {
    let row = known.row;
    let coins = &row.exchange.inputs;
    let finding = match denial {
        Some(denial) => {
            let Some(keys) = keys_needed(coins, denial).map(|ids| known.keys_of(&ids)) else {
                return kept(known, refusal, None);
            };
            let Some(keys) = keys else {
                return Ok(Step::fetch_keys());
            };
            let released = match row.before {
                CoinStatus::Released(number) => Some(number),
                _ => None,
            };
            match (
                finding_of_exchange(known.rows, keys, known.bank_key(), coins, denial, released)?,
                row.before,
            ) {
                (None, CoinStatus::InPurchase(number)) => finding_of_past(coins, denial, number),
                (finding, _) => finding,
            }
        }
        None => None,
    };
    match finding {
        Some(CoinFinding::Exchanged(coin, number, issued)) => {
            exchanged_before(known, refusal, (coin, number), &issued)
        }
        finding => kept(known, refusal, finding),
    }
}

fn kept(
    known: &Known<'_, ExchangeRow>,
    refusal: &Refusal,
    finding: Option<CoinFinding>,
) -> Result<Step<ExchangeRow>, WalletError> {
    let error = match &finding {
        Some(CoinFinding::Denied(coin, _)) => WalletError::CoinDenied {
            bank: known.bank.title(),
            coin: coin.public,
            refusal: Box::new(refusal.clone()),
        },
        _ => refused(known, refusal),
    };
    let denied = Denied::Kept {
        inputs: known.row.exchange.inputs.clone(),
        finding,
        now_ms: known.now_ms,
    };
    Ok(Step {
        write: Some(Write::Denied(Box::new(denied), given_up(known.row, refusal))),
        then: Then::End(Err(error)),
    })
}

/// A coin of this exchange went into exchange `number` of this wallet, no matter what the bank said then. What was
/// issued for it is taken, and that exchange is done.
fn exchanged_before(
    known: &Known<'_, ExchangeRow>,
    refusal: &Refusal,
    (coin, number): (Coin, u64),
    issued: &Signed<Issued>,
) -> Result<Step<ExchangeRow>, WalletError> {
    let Some(keys) = known.keys_of(&issued.body.outputs) else {
        return Ok(Step::fetch_keys());
    };
    let of = (known.at.0, number);
    let earlier = if of == known.at {
        known.row.clone()
    } else {
        let earlier = EXCHANGES.peek(known.rows, &of)?;
        earlier.ok_or(WalletError::Inconsistent("an exchange is missing"))?
    };
    let (exchange, coins) = earlier.exchange.on_other_content(issued, keys, known.seed)?;
    let denied = Denied::ExchangedBefore {
        coin,
        number,
        earlier: Box::new(earlier.with(exchange)),
        coins: new_rows(&coins, keys, |slot| ExchangeRow::origin(number, slot))?,
    };
    Ok(Step {
        write: Some(Write::Denied(Box::new(denied), given_up(known.row, refusal))),
        then: Then::Pause(refusal.clone()),
    })
}

fn given_up(row: &ExchangeRow, refusal: &Refusal) -> ExchangeRow {
    row.with(Issuance::on_refused(&row.exchange, refusal))
}
