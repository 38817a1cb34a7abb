//! The step function of an issuance: from an event to the next write and the next request. It does no I/O and reads
//! no clock. A request leaves the wallet only after the write is durable.

use super::{
    record::{Write, new_rows},
    row::{At, IssuanceRow},
};
use crate::{error::WalletError, keys::current_outputs, rows::SENT_FINISHES};
use farthing_coin::{Coin, Document, KeyBook, KeyId, PublicKey, RequestId, Seed, Signed};
use farthing_node::card::Card;
use farthing_protocol::{
    denial::{Denial, is_denied},
    documents::Issued,
    issuance::{Issuance, IssuanceAsk},
    issue::{Begun, IssuanceFault},
    refusal::{IssueFault, Refusal},
};
use farthing_store::{StoreError, View};
use std::{borrow::Borrow, ops::Bound};

/// An event of an issuance.
#[derive(Debug)]
pub(crate) enum Event {
    /// The issuance continues from its row.
    Resumed,
    /// The bank opened a session.
    Begun(Begun),
    /// The bank took the payment and issued.
    Issued(Signed<Issued>),
    /// The bank refused the request.
    Refused(Refusal),
}

/// The input of a step, besides the event.
pub(crate) struct Known<'k, R: IssuanceRow> {
    /// Key of the issuance.
    pub(crate) at: At,
    /// The issuance.
    pub(crate) row: &'k R,
    /// The keys that sign for it.
    pub(crate) signers: &'k R::Signers,
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
pub(crate) struct Step<R: IssuanceRow> {
    /// The write. It is one transaction, and durable before anything is sent.
    pub(crate) write: Option<Write<R>>,
    /// What is done after the write.
    pub(crate) then: Then<R::Issuance>,
}

/// What is done after the write.
pub(crate) enum Then<I: Issuance> {
    /// Ask the bank to open a session.
    Begin(I::Begin),
    /// Ask the bank to take the payment.
    Finish(I::Finish),
    /// Fetch the bank's keys, and take the same event again.
    FetchKeys,
    /// Continue after a pause, because of this refusal.
    Pause(Refusal),
    /// The issuance has ended, or cannot continue now.
    End(Result<(), WalletError>),
}

/// The step after a final refusal, which differs for withdrawals and exchanges.
pub(crate) trait Refused: IssuanceRow {
    /// The bank refused finally: with its signature, or when nothing was at stake. A withdrawal, which this default is for, has
    /// no coins to return.
    fn on_refused(
        known: &Known<'_, Self>,
        refusal: &Refusal,
        _denial: Option<&Signed<Denial>>,
    ) -> Result<Step<Self>, WalletError> {
        let next = known.row.with(known.row.issuance().on_refused(refusal));
        Ok(Step::moved(known, next).fails(refused(known, refusal)))
    }
}

/// What a refusal means for an issuance.
enum Meaning<'r> {
    /// The session is gone: begin again.
    BeginAgain,
    /// The epoch has changed: begin again under other keys.
    NotIssuing,
    /// It was finished before, with this answer.
    Finished(&'r Signed<Issued>),
    /// The refusal is final: the bank signed it, or nothing was at stake.
    Refused(Option<&'r Signed<Denial>>),
    /// The refusal ends nothing, because a finish may have been carried out.
    Nothing,
}

/// The step after an event.
///
/// # Errors
/// When the bank's answer is not acceptable. Nothing is written then.
pub(crate) fn step<R: Refused>(known: &Known<'_, R>, event: &Event) -> Result<Step<R>, WalletError> {
    match event {
        Event::Resumed => Ok(Step {
            write: None,
            then: ask(known, known.row),
        }),
        Event::Begun(begun) => on_begun(known, begun),
        Event::Issued(issued) => on_answer(known, issued, |keys| {
            known.row.issuance().on_issued(issued, keys, known.seed)
        }),
        Event::Refused(refusal) => on_refused(known, refusal),
    }
}

/// The request of the issuance's state.
fn ask<R: IssuanceRow>(known: &Known<'_, R>, row: &R) -> Then<R::Issuance> {
    match row.issuance().ask(known.signers.borrow(), known.seed) {
        IssuanceAsk::Begin(begin) => Then::Begin(begin),
        IssuanceAsk::Finish(finish) => Then::Finish(finish),
        IssuanceAsk::Nothing => Then::End(Ok(())),
    }
}

fn on_begun<R: IssuanceRow>(known: &Known<'_, R>, begun: &Begun) -> Result<Step<R>, WalletError> {
    let issuance = known.row.issuance();
    let Some(keys) = known.keys_of(issuance.outputs()) else {
        return Ok(Step::fetch_keys());
    };
    let next = known.row.with(issuance.on_begun(begun, keys, known.seed)?);
    let then = ask(known, &next);
    Ok(Step {
        write: Some(Write::Begun {
            commitments: begun.commitments.clone(),
            next,
        }),
        then,
    })
}

/// The bank answered with new coins. `accept` makes them from the answer.
fn on_answer<R: IssuanceRow>(
    known: &Known<'_, R>,
    issued: &Signed<Issued>,
    accept: impl Fn(&KeyBook) -> Result<(R::Issuance, Vec<Coin>), IssuanceFault>,
) -> Result<Step<R>, WalletError> {
    let Some(keys) = known.keys_of(&issued.body.outputs) else {
        return Ok(Step::fetch_keys());
    };
    let (ended, coins) = accept(keys)?;
    let next = known.row.with(ended);
    let coins = new_rows(&coins, keys, |slot| R::origin(known.at.1, slot))?;
    let then = ask(known, &next);
    Ok(Step {
        write: Some(Write::Issued { coins, next }),
        then,
    })
}

fn on_refused<R: Refused>(known: &Known<'_, R>, refusal: &Refusal) -> Result<Step<R>, WalletError> {
    let issuance = known.row.issuance();
    let next = match meaning(known, refusal)? {
        Meaning::BeginAgain => issuance.on_session_gone(),
        Meaning::NotIssuing => {
            let Some(keys) = known.keys.filter(|_| known.are_keys_fresh) else {
                return Ok(Step::fetch_keys());
            };
            issuance.on_not_issuing(current_outputs(keys, issuance.outputs(), known.now_ms)?)
        }
        Meaning::Finished(issued) => {
            return on_answer(known, issued, |keys| {
                issuance.on_other_content(issued, keys, known.seed)
            });
        }
        Meaning::Refused(denial) => return R::on_refused(known, refusal, denial),
        Meaning::Nothing => {
            let why = format!("it refused without a signature, so the wallet asks again: {refusal}");
            return Ok(Step {
                write: None,
                then: Then::End(Err(known.silent(why))),
            });
        }
    };
    Ok(Step {
        then: Then::Pause(refusal.clone()),
        ..Step::moved(known, known.row.with(next))
    })
}

/// The meaning of a refusal for the request that was sent.
fn meaning<'r, R: IssuanceRow>(
    known: &Known<'_, R>,
    refusal: &'r Refusal,
) -> Result<Meaning<'r>, WalletError> {
    use IssueFault::{NotIssuing, OtherContent, SessionGone};
    let issuance = known.row.issuance();
    let (kind, digest, is_at_stake) = match issuance.finish_digest() {
        Some(digest) => (R::FINISH, digest, true),
        None => {
            let is_at_stake = has_sent_finish(known.rows, &issuance.request_id())?;
            (R::BEGIN, issuance.begin_body(known.seed).digest(), is_at_stake)
        }
    };
    Ok(match refusal {
        Refusal::Issue(SessionGone) => Meaning::BeginAgain,
        Refusal::Issue(NotIssuing(_)) => Meaning::NotIssuing,
        Refusal::Issue(OtherContent(issued)) => Meaning::Finished(issued),
        Refusal::Denied(denial) if is_denied(denial, &known.bank.identity, kind, &digest) => {
            Meaning::Refused(Some(denial))
        }
        _ if !is_at_stake => Meaning::Refused(None),
        _ => Meaning::Nothing,
    })
}

/// Whether a finish under this request id may have been sent.
pub(crate) fn has_sent_finish(rows: &View, request_id: &RequestId) -> Result<bool, StoreError> {
    let sent = SENT_FINISHES.scan_under(rows, request_id, Bound::Unbounded, 1)?;
    Ok(!sent.is_empty())
}

/// The refusal as a wallet error.
pub(crate) fn refused<R: IssuanceRow>(known: &Known<'_, R>, refusal: &Refusal) -> WalletError {
    WalletError::Refused {
        party: known.bank.title(),
        question: R::QUESTION,
        refusal: Box::new(refusal.clone()),
    }
}

impl<R: IssuanceRow> Known<'_, R> {
    /// The bank's keys, if they contain `ids` or were just fetched.
    pub(crate) fn keys_of(&self, ids: &[KeyId]) -> Option<&KeyBook> {
        let has_all = |keys: &&KeyBook| ids.iter().all(|id| keys.get(id).is_some());
        self.keys.filter(|keys| self.are_keys_fresh || has_all(keys))
    }

    /// The bank's key.
    pub(crate) fn bank_key(&self) -> &PublicKey {
        &self.at.0
    }

    fn silent(&self, why: String) -> WalletError {
        WalletError::Silent {
            party: self.bank.title(),
            question: R::QUESTION,
            why,
        }
    }
}

impl<R: IssuanceRow> Step<R> {
    /// A step that fetches the bank's keys first.
    pub(crate) fn fetch_keys() -> Self {
        Step {
            write: None,
            then: Then::FetchKeys,
        }
    }

    /// A step that changes the state, without new coins.
    pub(crate) fn moved(known: &Known<'_, R>, next: R) -> Self {
        Step {
            write: Some(Write::Moved {
                asked: known.row.issuance().finish_digest(),
                next,
            }),
            then: Then::End(Ok(())),
        }
    }

    /// The same step, ending with an error.
    pub(crate) fn fails(self, error: WalletError) -> Self {
        Step {
            then: Then::End(Err(error)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
