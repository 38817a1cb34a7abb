//! The step function of a payment: from an event to the next write and the next request. It does no I/O and reads no clock.
//! A request leaves the wallet only after the write is durable.

use super::record::Write;
use crate::{
    coin_finding::{CoinFinding, claimed_use, finding_of_exchange, keys_needed},
    coins::coin_keys,
    error::WalletError,
    rows::{CoinStatus, DepositRow, DepositState},
};
use farthing_coin::{KeyBook, Seed, Signed};
use farthing_node::card::Card;
use farthing_protocol::{
    api::Question,
    denial::{Denial, RequestKind, is_denied},
    deposit::Deposit,
    deposited::Deposited,
    exchange::Authorized,
    refusal::Refusal,
};
use farthing_store::View;

/// An event of a payment.
#[derive(Debug)]
pub(crate) enum Event {
    /// The payment continues from its row.
    Resumed,
    /// The bank says that it has carried the payment out.
    Answered(Signed<Deposited>),
    /// The bank refused.
    Refused(Refusal),
}

/// The input of a step, besides the event.
pub(crate) struct Known<'k> {
    /// Number of the payment.
    pub(crate) number: u64,
    /// The payment.
    pub(crate) row: &'k DepositRow,
    /// The wallet's other rows.
    pub(crate) rows: &'k View,
    /// The bank's keys as the wallet last saw them.
    pub(crate) keys: Option<&'k KeyBook>,
    /// Whether they were fetched since the event.
    pub(crate) are_keys_fresh: bool,
    /// The seed for the bank.
    pub(crate) seed: &'k Seed,
    /// The bank.
    pub(crate) bank: &'k Card,
    /// The time (ms since 1970).
    pub(crate) now_ms: u64,
}

/// The output of a step.
#[derive(Debug)]
pub(crate) struct Step {
    /// The write. It is one transaction, and durable before anything is sent.
    pub(crate) write: Option<Write>,
    /// What is done after the write.
    pub(crate) then: Then,
}

/// What is done after the write.
#[derive(Debug)]
pub(crate) enum Then {
    /// Send the deposit.
    Send(Box<Authorized<Deposit>>),
    /// Fetch the bank's keys, and take the same event again.
    FetchKeys,
    /// The payment has ended, or cannot continue now.
    End(Result<(), WalletError>),
}

/// The step after an event.
///
/// # Errors
/// When the bank's answer is not acceptable. Nothing is written then.
pub(crate) fn step(known: &Known<'_>, event: &Event) -> Result<Step, WalletError> {
    match event {
        Event::Resumed => Ok(Step {
            write: None,
            then: ask(known),
        }),
        Event::Answered(deposited) => on_answer(known, deposited),
        Event::Refused(Refusal::Denied(denial)) if is_of(known, denial) => on_denied(known, denial),
        Event::Refused(refusal) => Err(WalletError::Silent {
            party: known.bank.title(),
            question: Question::Deposit,
            why: format!("it refused without a signature, so the wallet asks again: {refusal}"),
        }),
    }
}

/// The request of the payment's state.
fn ask(known: &Known<'_>) -> Then {
    match known.row.state {
        DepositState::Sending => {
            let keys = coin_keys(known.seed, &known.row.origins);
            Then::Send(Box::new(known.row.deposit.clone().authorized(&keys)))
        }
        _ => Then::End(Ok(())),
    }
}

fn is_of(known: &Known<'_>, denial: &Signed<Denial>) -> bool {
    let id = known.row.deposit.id().into();
    is_denied(denial, &known.bank.identity, RequestKind::Deposit, &id)
}

fn on_answer(known: &Known<'_>, deposited: &Signed<Deposited>) -> Result<Step, WalletError> {
    if !known.row.deposit.is_answered_by(deposited) {
        return Err(WalletError::Garbled {
            party: known.bank.title(),
            why: "its answer to the payment is not for this payment, or not signed; the payment stays under way"
                .into(),
        });
    }
    let state = DepositState::Done(Box::new(deposited.clone()));
    Ok(Step {
        write: Some(Write::Done(DepositRow {
            state,
            ..known.row.clone()
        })),
        then: Then::End(Ok(())),
    })
}

/// The bank has signed that it does not carry the payment out. The coins return, except a coin of which it has shown more.
fn on_denied(known: &Known<'_>, denial: &Signed<Denial>) -> Result<Step, WalletError> {
    let coins = known.row.deposit.coins();
    let finding = match keys_needed(coins, denial) {
        None => None,
        Some(ids) => {
            let has_all = |keys: &&KeyBook| ids.iter().all(|id| keys.get(id).is_some());
            let known_keys = known.keys.filter(|keys| known.are_keys_fresh || has_all(keys));
            let Some(keys) = known_keys else {
                return Ok(Step {
                    write: None,
                    then: Then::FetchKeys,
                });
            };
            finding_of_exchange(known.rows, keys, &known.bank.identity, coins, denial, None)?
        }
    };
    let error = refused(known, denial, finding.as_ref());
    let finding = match finding {
        // The bank has carried out what it denies.
        Some(CoinFinding::Paid(number, row)) if number == known.number => {
            return Ok(Step {
                write: Some(Write::Done(*row)),
                then: Then::End(Ok(())),
            });
        }
        // The next exchange of the coin shows what was issued for it.
        Some(CoinFinding::Exchanged(coin, ..)) => {
            claimed_use(denial).map(|used| CoinFinding::Used(coin.public, CoinStatus::HeldElsewhere(used)))
        }
        finding => finding,
    };
    Ok(Step {
        write: Some(Write::Refused {
            row: DepositRow {
                state: DepositState::Refused(Box::new(denial.clone())),
                ..known.row.clone()
            },
            finding,
            now_ms: known.now_ms,
        }),
        then: Then::End(Err(error)),
    })
}

fn refused(known: &Known<'_>, denial: &Signed<Denial>, finding: Option<&CoinFinding>) -> WalletError {
    let refusal = Box::new(Refusal::Denied(Box::new(denial.clone())));
    match finding {
        Some(CoinFinding::Denied(coin, _)) => WalletError::CoinDenied {
            bank: known.bank.title(),
            coin: coin.public,
            refusal,
        },
        _ => WalletError::Refused {
            party: known.bank.title(),
            question: Question::Deposit,
            refusal,
        },
    }
}

#[cfg(test)]
mod tests;
