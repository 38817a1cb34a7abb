//! The step function of a purchase: from an event to the next writes and the next request. It does no I/O and reads
//! no clock; its randomness comes from the seed. A request leaves the wallet only after the writes are durable.

use super::{
    fallback, finish, order,
    record::Write,
    state::State,
    step::{Event, Known, Renewed, Reply, Silence, Step, StepResult, Then, advance, give_up, has_goods},
};
use crate::{
    error::{Unanswered, WalletError},
    rows::{CoinRow, SmallGoods},
};
use farthing_coin::Signed;
use farthing_protocol::{
    api::Question,
    decision::Outcome,
    documents::{FreeReceipt, Hold},
    limits::DEADLINE_LEAST_MS,
    purchase::{Ask, Plan, Purchase},
};

/// How many expired offers are replaced in one run.
const RENEWALS_MAX: u32 = 4;

/// An offer with less time than this is replaced before coins are put to it (ms). A request with the most coins takes
/// about half of it on the slowest line.
const OFFER_LEFT_MS: u64 = 30_000;

/// The step after an event.
///
/// # Errors
/// When the store fails.
pub(crate) fn step(known: &Known<'_>, state: &mut State, event: Event) -> StepResult {
    let turn = match event {
        Event::Resumed => ask(known, state),
        Event::Overtaken(row, then) => fallback::on_overtaken(known, state, row, *then),
        Event::Renewed(offer) => on_renewed(known, state, offer),
        Event::Goods(goods) => on_goods(known, state, goods),
        Event::Chosen(coins) => on_chosen(known, state, coins),
        Event::Hold(reply) => on_hold(known, state, reply),
        Event::Pay(reply) => on_pay(known, state, reply),
        Event::Deliver(reply) => fallback::on_deliver(known, state, reply),
        Event::Take(reply) => on_take(known, state, reply),
        Event::Cancel(reply) => on_cancel(known, state, reply),
        Event::StreamOpened(reply) => on_stream_opened(known, state, reply),
        Event::Stop(reply) => fallback::on_stop(known, state, reply),
        Event::Outcome(why, reply) => fallback::on_outcome(known, state, why, reply),
        Event::Collect(open_question, reply) => fallback::on_collect(known, state, open_question, reply),
        Event::Settle(settled) => finish::on_settle(known, state, settled),
        Event::CarriedOn(aim, outcome) => finish::on_carried_on(known, state, aim, outcome),
        Event::Exchanged(aim, outcome) => finish::on_exchanged(known, state, aim, outcome),
        Event::Silent(Silence { party, question, why }) => Err(WalletError::Silent { party, question, why }),
        Event::Undecided(undecided) => return finish::recover(known, state, undecided),
        Event::Recovered(undecided, outcome) => {
            return finish::on_recovered(known, state, undecided, outcome);
        }
        Event::Opened(opened) => finish::on_opened(state, opened),
    };
    match turn {
        Ok(Step {
            writes,
            then: Then::End(outcome),
        }) => Ok(finish::end(state, writes, outcome)),
        Ok(step) => Ok(step),
        Err(error) => Ok(finish::end(state, Vec::new(), Err(error))),
    }
}

/// The request of the purchase's state.
pub(crate) fn ask(known: &Known<'_>, state: &mut State) -> StepResult {
    let then = match state.row.purchase.ask(known.seed) {
        Ask::Goods(plan) => return begin(known, state, *plan),
        Ask::Hold(request) => Then::Hold(request),
        Ask::Pay(request) => Then::Pay(request),
        Ask::Deliver(request) => Then::Deliver(request),
        Ask::Take(request) => Then::Take(request),
        Ask::Cancel(request) => Then::Cancel(request),
        Ask::Open(request) => Then::OpenStream(request),
        Ask::Stop(request) => Then::Stop(request),
        Ask::Nothing => return finish::finish(known, state),
    };
    Ok(Step::sends(then))
}

/// Fetches the goods, if they are missing, and chooses coins.
fn begin(known: &Known<'_>, state: &mut State, plan: Plan) -> StepResult {
    if is_dead(known, state, &plan) {
        return renew(state, plan);
    }
    // The goods of a stream come after the hold.
    let has_goods = plan.offer.body.ticks().is_some() || has_goods(known, state)?;
    Ok(Step::sends(match has_goods {
        true => Then::Choose(Box::new(plan)),
        false => Then::Goods(Box::new(plan.offer.body)),
    }))
}

/// Whether a plan's offer has expired by this machine's clock, or ends so soon that a hold on a slow line may come too
/// late. After one renewal all of an offer's time is used, because a merchant's offers may be short.
fn is_dead(known: &Known<'_>, state: &State, plan: &Plan) -> bool {
    let least_ms = match state.renewals {
        0 => OFFER_LEFT_MS,
        _ => DEADLINE_LEAST_MS,
    };
    known.now_ms.saturating_add(least_ms) >= plan.offer.body.expires_ms
}

/// Replaces an offer that has expired. No coin is at stake yet, and none is shown for such an offer.
fn renew(state: &mut State, plan: Plan) -> StepResult {
    if state.renewals == RENEWALS_MAX {
        let why = "the merchant's offers expire before they can be paid".into();
        return give_up(state, why);
    }
    state.renewals += 1;
    Ok(Step::sends(Then::Renew(Box::new(plan))))
}

/// The merchant was asked for a new offer. Goods that were fetched stay, as the new offer is for the same ones.
fn on_renewed(
    known: &Known<'_>,
    state: &mut State,
    renewed: Result<Box<Renewed>, WalletError>,
) -> StepResult {
    let Purchase::Fetching(plan) = &state.row.purchase else {
        return ask(known, state);
    };
    let Renewed { offer, goods } = match renewed {
        Ok(renewed) => *renewed,
        Err(
            why @ (WalletError::Refused { .. }
            | WalletError::Offer(_)
            | WalletError::WrongGoods
            | WalletError::Garbled { .. }),
        ) => return give_up(state, format!("the offer had expired, and {why}")),
        Err(error) => return Err(error),
    };
    let plan = Plan {
        offer,
        ..plan.clone()
    };
    if is_dead(known, state, &plan) {
        let why = "by this machine's clock the merchant's offers have always expired; is the clock right?";
        return give_up(state, why.into());
    }
    state.goods = state.goods.take().or(goods);
    state.row.purchase = Purchase::Fetching(plan);
    Ok(Step::resumed())
}

fn on_goods(
    known: &Known<'_>,
    state: &mut State,
    goods: Result<Option<SmallGoods>, WalletError>,
) -> StepResult {
    state.goods = goods?;
    let writes = state.goods.iter().map(|goods| Write::Goods {
        number: state.number,
        goods: goods.clone(),
    });
    let writes = writes.collect();
    let then = match &state.row.purchase {
        Purchase::Fetching(plan) => Then::Choose(Box::new(plan.clone())),
        Purchase::Committed(order, proof) => Then::Open(
            Box::new(order.contract.offer.body.clone()),
            proof.goods_key().clone(),
        ),
        _ => return ask(known, state),
    };
    Ok(Step { writes, then })
}

/// Puts the chosen coins to the purchase. The escrow is asked after that write. If the offer has expired while the
/// goods were fetched or the coins were exchanged, it is replaced first.
fn on_chosen(known: &Known<'_>, state: &mut State, chosen: Result<Vec<CoinRow>, WalletError>) -> StepResult {
    let Purchase::Fetching(plan) = state.row.purchase.clone() else {
        return ask(known, state);
    };
    let chosen = match chosen {
        // The expired offer has waited for money as long as it could. A new one does not wait.
        Err(why @ (WalletError::Short { .. } | WalletError::NotPayable { .. })) if state.renewals > 0 => {
            return give_up(state, why.to_string());
        }
        chosen => chosen?,
    };
    if is_dead(known, state, &plan) {
        return renew(state, plan);
    }
    let (row, write) = order::place(known.rows, known.seed, known.now_ms, state, &plan, &chosen)?;
    state.row = row;
    let mut step = ask(known, state)?;
    step.writes.insert(0, write);
    Ok(step)
}

/// The escrow answered with a hold. A hold that does not fit the contract counts as a refusal.
fn on_hold(known: &Known<'_>, state: &mut State, reply: Reply<Signed<Hold>>) -> StepResult {
    match reply {
        Ok(hold) => match state.row.purchase.clone().on_hold(hold) {
            Ok(purchase) => advance(state, purchase),
            Err(why) => give_up(state, why.to_string()),
        },
        Err(unanswered) => not_held(known, state, Question::Hold, unanswered),
    }
}

fn on_pay(known: &Known<'_>, state: &mut State, reply: Reply<Outcome>) -> StepResult {
    match reply {
        Ok(outcome) => fallback::on_decision(known, state, Question::Pay, outcome),
        Err(unanswered) => not_held(known, state, Question::Pay, unanswered),
    }
}

fn on_stream_opened(known: &Known<'_>, state: &mut State, reply: Reply<Outcome>) -> StepResult {
    match reply {
        Ok(outcome) => fallback::on_decision(known, state, Question::Open, outcome),
        Err(unanswered) => not_held(known, state, Question::Open, unanswered),
    }
}

/// The merchant was asked for the key of a free item. Nothing is at stake, so a refusal ends the purchase.
fn on_take(known: &Known<'_>, state: &mut State, reply: Reply<Signed<FreeReceipt>>) -> StepResult {
    match reply {
        Ok(receipt) => match state.row.purchase.clone().on_free_receipt(receipt) {
            Ok(purchase) => advance(state, purchase),
            Err(why) => give_up(state, why.to_string()),
        },
        Err(Unanswered::Refused(refusal)) => give_up(state, refusal.to_string()),
        Err(Unanswered::Again(why)) => Ok(fallback::pause(state, known.merchant, Question::Take, why)),
        Err(Unanswered::Final(WalletError::Garbled { why, .. })) => give_up(state, why),
        Err(Unanswered::Final(error)) => Err(error),
    }
}

fn on_cancel(known: &Known<'_>, state: &mut State, reply: Reply<Outcome>) -> StepResult {
    match reply {
        Ok(outcome) => fallback::on_decision(known, state, Question::Cancel, outcome),
        Err(unanswered) => fallback::ask_bank(known, state, Question::Cancel, unanswered),
    }
}

/// The escrow gave no good reply to a request to hold the coins.
fn not_held(known: &Known<'_>, state: &mut State, question: Question, unanswered: Unanswered) -> StepResult {
    match unanswered {
        Unanswered::Refused(refusal) => fallback::on_refused(known, state, &refusal),
        Unanswered::Final(WalletError::Garbled { why, .. }) => give_up(state, why),
        unanswered => fallback::ask_bank(known, state, question, unanswered),
    }
}
