//! Whom a purchase asks if a party gives no good reply: first the escrow for the outcome, then the bank, which may
//! have been told. Documents that convict the escrow are kept.

use super::{
    exhibits::{add_collected, add_exhibit, convicts},
    record::Write,
    state::State,
    step::{Known, Reply, Silence, Step, StepResult, Then, UnansweredQuestion, advance, give_up},
};
use crate::{
    coin_finding::finding_of_hold,
    counters::next_number,
    error::{Unanswered, WalletError},
    rows::{Counter, Exhibit, NO_BANK, PurchaseRow},
};
use farthing_coin::{Signed, StatementDigest};
use farthing_protocol::{
    api::Question,
    decision::Outcome,
    denial::{RequestKind, is_denied},
    documents::{PurchaseId, Receipt},
    forgetting::closed_by_list,
    purchase::{Proof, Purchase, PurchaseError},
    refusal::{PurchaseFault, Refusal},
    settle::Collected,
    stream::Opened,
};

/// The merchant was asked to release the key. If it is silent or gives no good receipt, the escrow is asked for the
/// outcome.
pub(crate) fn on_deliver(known: &Known<'_>, state: &mut State, reply: Reply<Signed<Receipt>>) -> StepResult {
    let receipt = match reply {
        Ok(receipt) => receipt,
        Err(Unanswered::Refused(refusal)) => return on_refused(known, state, &refusal),
        Err(Unanswered::Again(why)) => return ask_outcome(known, state, why),
        Err(Unanswered::Final(WalletError::Garbled { why, .. })) => return give_up(state, why),
        Err(Unanswered::Final(error)) => return ask_outcome(known, state, error.to_string()),
    };
    match state.row.purchase.clone().on_receipt(receipt.clone()) {
        Ok(purchase) => advance(state, purchase),
        Err(why @ PurchaseError::WrongGoodsKey) => {
            add_exhibit(&mut state.row, Exhibit::Receipt(Box::new(receipt)));
            convicted(known, state, Question::Deliver, why)
        }
        Err(why) => ask_outcome(known, state, format!("its receipt is refused: {why}")),
    }
}

/// A refusal ends nothing. The wallet asks for the outcome, or for an abort with the escrow's signature.
pub(crate) fn on_refused(known: &Known<'_>, state: &mut State, refusal: &Refusal) -> StepResult {
    use PurchaseFault::{Aborted, AbortedBy, Closed, Committed};
    if matches!(
        refusal,
        Refusal::Purchase(Committed(_) | Aborted(_) | AbortedBy(_) | Closed(_))
    ) {
        return ask_outcome(known, state, "the purchase has ended".into());
    }
    let used = used_coin(known, state, refusal)?;
    let mut step = give_up(state, refusal.to_string())?;
    step.writes.splice(0..0, used);
    Ok(step)
}

/// The finding about a coin, if the escrow passes on the bank's denial of the hold.
fn used_coin(known: &Known<'_>, state: &State, refusal: &Refusal) -> Result<Option<Write>, WalletError> {
    let (Some(order), Refusal::Denied(denial)) = (state.row.purchase.order(), refusal) else {
        return Ok(None);
    };
    let (coins, purchase) = (&order.payment.coins, order.purchase().0);
    if !is_denied(
        denial,
        &known.bank.identity,
        RequestKind::Hold,
        &StatementDigest(purchase),
    ) {
        return Ok(None);
    }
    let finding = finding_of_hold(known.rows, coins, denial, &PurchaseId(purchase))?;
    Ok(finding.map(|finding| Write::Used {
        bank: known.bank.identity,
        coins: coins.clone(),
        finding,
        now_ms: known.now_ms,
    }))
}

/// Asks the escrow for the outcome. `why` is the reason.
fn ask_outcome(known: &Known<'_>, state: &mut State, why: String) -> StepResult {
    let Some(order) = state.row.purchase.order() else {
        return Ok(Step::resumed());
    };
    let request = order.outcome_request(&known.seed.purchase_key(order.counter));
    Ok(Step::sends(Then::Outcome(request, why)))
}

/// The escrow was asked for the outcome.
pub(crate) fn on_outcome(
    known: &Known<'_>,
    state: &mut State,
    why: String,
    reply: Reply<Outcome>,
) -> StepResult {
    match reply {
        Ok(Outcome::Undecided) if is_long_past(known, state) => {
            state.row.purchase = state.row.purchase.clone().on_long_past()?;
            Ok(Step::resumed().saved_first(state))
        }
        Ok(Outcome::Undecided) => Ok(pause(state, known.merchant, Question::Deliver, why)),
        Ok(outcome) => on_decision(known, state, Question::Outcome, outcome),
        Err(unanswered) => ask_bank(known, state, Question::Outcome, unanswered),
    }
}

/// Whether the escrow may have forgotten its decision. Then nobody ends the purchase by themselves. A cancel does: it shows a
/// decision that is still there, and the bank says whether it holds the coins.
fn is_long_past(known: &Known<'_>, state: &State) -> bool {
    let (Some(order), Some(keys)) = (state.row.purchase.order(), known.keys) else {
        return false;
    };
    order.contract.terms.deadline_ms < closed_by_list(keys, known.now_ms)
}

/// The escrow answered with its decision, or that there is none.
pub(crate) fn on_decision(
    known: &Known<'_>,
    state: &mut State,
    question: Question,
    outcome: Outcome,
) -> StepResult {
    let exhibit = match &outcome {
        Outcome::Undecided => {
            let why = "it has not decided".to_string();
            return ask_bank(known, state, question, Unanswered::Again(why));
        }
        Outcome::Committed(committed) => Exhibit::Receipt(Box::new(committed.receipt.clone())),
        Outcome::Aborted(abort) => Exhibit::Abort(abort.clone()),
        Outcome::Streaming(opened) => return on_streaming(known, state, question, opened.clone()),
        Outcome::Streamed(stream) => Exhibit::Stream(stream.clone()),
    };
    let Some(order) = state.row.purchase.order() else {
        return Ok(Step::resumed());
    };
    let key = known.seed.purchase_key(order.counter);
    match state.row.purchase.clone().on_outcome(outcome, &key) {
        Ok(purchase) => advance(state, purchase),
        // The bank may have another decision, and the one that it obeys counts.
        Err(why) if convicts(&why) => {
            // An abort without a cause convicts only together with the hold, in which the escrow promised to show
            // one.
            if let (PurchaseError::WithoutCause(_), Purchase::Held(_, hold)) = (&why, &state.row.purchase) {
                let hold = Exhibit::Hold(Box::new(hold.clone()));
                add_exhibit(&mut state.row, hold);
            }
            add_exhibit(&mut state.row, exhibit);
            convicted(known, state, question, why)
        }
        Err(why) => ask_bank(known, state, question, Unanswered::Again(why.to_string())),
    }
}

/// The escrow says that the stream is open. Its merchant has to end it, or its dates.
fn on_streaming(
    known: &Known<'_>,
    state: &mut State,
    question: Question,
    opened: Signed<Opened>,
) -> StepResult {
    if let Purchase::Streaming(..) = state.row.purchase {
        let why = "the stream is still open; its merchant has not closed it".into();
        return Ok(pause(state, known.merchant, Question::Stop, why));
    }
    match state.row.purchase.clone().on_opened(opened) {
        Ok(purchase) => Ok(advance(state, purchase)?.saved_first(state)),
        Err(why) => ask_bank(known, state, question, Unanswered::Again(why.to_string())),
    }
}

/// The merchant was asked to end the stream. If it is silent or gives no good answer, the escrow is asked for the outcome.
pub(crate) fn on_stop(known: &Known<'_>, state: &mut State, reply: Reply<Outcome>) -> StepResult {
    match reply {
        Ok(outcome @ (Outcome::Streamed(_) | Outcome::Aborted(_))) => {
            on_decision(known, state, Question::Stop, outcome)
        }
        Ok(_) => ask_outcome(known, state, "it has not ended the stream".into()),
        Err(Unanswered::Refused(refusal)) => ask_outcome(known, state, refusal.to_string()),
        Err(Unanswered::Again(why)) => ask_outcome(known, state, why),
        Err(Unanswered::Final(error)) => ask_outcome(known, state, error.to_string()),
    }
}

/// The escrow signed a document that convicts it. Stores it, and asks the bank.
fn convicted(known: &Known<'_>, state: &mut State, question: Question, why: PurchaseError) -> StepResult {
    Ok(ask_bank(known, state, question, Unanswered::Final(why.into()))?.saved_first(state))
}

/// The escrow gave no decision. Asks the bank, which may have been told the outcome.
pub(crate) fn ask_bank(
    known: &Known<'_>,
    state: &mut State,
    question: Question,
    unanswered: Unanswered,
) -> StepResult {
    let Some(order) = state.row.purchase.order() else {
        return Ok(Step::resumed());
    };
    let request = order.collect_request(&known.seed.purchase_key(order.counter));
    let open_question = UnansweredQuestion { question, unanswered };
    Ok(Step::sends(Then::Collect(request, open_question)))
}

/// The bank was asked for the outcome.
pub(crate) fn on_collect(
    known: &Known<'_>,
    state: &mut State,
    open_question: UnansweredQuestion,
    reply: Reply<Collected>,
) -> StepResult {
    let Some(order) = state.row.purchase.order() else {
        return Ok(Step::resumed());
    };
    let key = known.seed.purchase_key(order.counter);
    state.is_open_at_bank = matches!(reply, Ok(Collected::Open));
    if let Ok(collected) = reply {
        match state.row.purchase.clone().on_collected(collected.clone(), &key) {
            Ok(purchase) if purchase != state.row.purchase => return advance(state, purchase),
            Err(why) if convicts(&why) => {
                add_collected(&mut state.row, collected);
                return Ok(Step::saves(state, Then::End(Err(why.into()))));
            }
            _ => {}
        }
    }
    match open_question.unanswered {
        Unanswered::Again(why) => Ok(pause(state, known.escrow, open_question.question, why)),
        Unanswered::Refused(refusal) => Err(WalletError::Refused {
            party: known.escrow.into(),
            question: open_question.question,
            refusal: Box::new(refusal),
        }),
        Unanswered::Final(error) => Err(error),
    }
}

/// No party has changed the state. Stores what is known, and continues after a pause.
pub(super) fn pause(state: &State, party: &str, question: Question, why: String) -> Step {
    let party = party.to_owned();
    Step::saves(state, Then::Pause(Silence { party, question, why }))
}

/// Another task of this program has changed the purchase first, and its state stands. One exception: if the escrow
/// says that the purchase was paid with coins that the bank has exchanged, that document is kept, because it
/// convicts.
pub(crate) fn on_overtaken(
    known: &Known<'_>,
    state: &mut State,
    row: Option<Box<PurchaseRow>>,
    then: Then,
) -> StepResult {
    let unsaved = state.row.purchase.clone();
    match row {
        Some(row) => state.reload(*row),
        // A coin or a number was taken: choose again.
        None => return begin_again(known, state),
    }
    if let (Purchase::Recovered(_), Purchase::Committed(_, proof)) = (&state.row.purchase, unsaved) {
        let paid = match proof {
            Proof::Receipt(receipt) => Exhibit::Receipt(receipt),
            Proof::Commit(commit, _) => Exhibit::Commit(commit),
            Proof::Stream(stream, _) => Exhibit::Stream(stream),
            // A free item has no coins to recover.
            Proof::Free(_) => return Ok(Step::resumed()),
        };
        add_exhibit(&mut state.row, paid);
        let error = PurchaseError::PaidAfterRecovery.into();
        return Ok(Step::saves(state, Then::End(Err(error))));
    }
    match then {
        end @ Then::End(_) => Ok(Step::sends(end)),
        _ => Ok(Step::resumed()),
    }
}

/// A purchase that is not stored yet begins again, with other coins and under the number that is free now.
fn begin_again(known: &Known<'_>, state: &mut State) -> StepResult {
    if let Some(order) = state.row.purchase.order() {
        state.row.purchase = Purchase::Fetching(order.plan());
    }
    state.row.origins = Vec::new();
    state.number = next_number(known.rows, &NO_BANK, Counter::Purchases)?;
    Ok(Step::resumed())
}
