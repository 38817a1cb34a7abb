//! The end of a purchase: opens the goods, or exchanges the coins for fresh ones.
//!
//! A cancelled purchase whose escrow gives no decision is recovered: the wallet puts its coins to one exchange. So
//! the bank decides, in one write:
//!
//! - The bank holds none of them and exchanges them. A hold that arrives later is refused, because its coins are
//!   used. The purchase is [`Recovered`](Purchase::Recovered).
//! - The bank holds them for this purchase, and signs a denial of the exchange. Nothing changes: the escrow must
//!   decide.
//!
//! The exchange is an ordinary one: it is planned before it is sent, repeated until it is answered, and carried on by
//! [`resume`](crate::wallet::Wallet::resume). The purchase ends in the write that ends the exchange.

use super::{
    exhibits::{add_collected, add_exhibit, convicts},
    output::are_small,
    record::Write,
    state::State,
    step::{Aim, Event, Known, Opened, Step, StepResult, Then, has_goods, save},
};
use crate::{
    error::WalletError,
    issuance::At,
    keys::is_past_redeem,
    rows::{COINS, CoinRow, CoinStatus, Delivery, EXCHANGES, Exhibit, PURCHASES, all, is_under_way},
};
use farthing_coin::Signed;
use farthing_protocol::{
    api::{Call, SettleOne},
    decision::SignedDecision,
    documents::Settled,
    purchase::{Proof, Purchase},
    refusal::{ContractFault, PurchaseFault, Refusal},
    settle::Collected,
};
use farthing_store::{StoreError, View};

/// The purchase has ended. Opens the goods, or exchanges the coins for fresh ones.
pub(crate) fn finish(known: &Known<'_>, state: &mut State) -> StepResult {
    match &state.row.purchase {
        // The write of the abort releases the coins.
        Purchase::Aborted(..) if state.stored.as_ref() != Some(&state.row) => {
            Ok(Step::resumed().saved_first(state))
        }
        Purchase::Aborted(..) => match open_recovery(known.rows, state)? {
            Some(at) => {
                let aim = Aim::Release { coins: usize::MAX };
                Ok(Step::sends(Then::CarryOn(at, aim)))
            }
            None => show_abort(known, state),
        },
        _ => open(known, state),
    }
}

/// The purchase has ended, or cannot continue now. The next attempt starts from what is stored here. A purchase that
/// was never stored is stored only if a party was silent.
pub(crate) fn end(state: &State, writes: Vec<Write>, outcome: Result<(), WalletError>) -> Step {
    let is_silence = outcome.as_ref().is_err_and(WalletError::is_silence);
    let then = match outcome {
        Err(undecided) if state.is_open_at_bank => Then::Happened(Box::new(Event::Undecided(undecided))),
        outcome => Then::End(outcome),
    };
    let step = Step { writes, then };
    match state.stored.is_some() || is_silence {
        true => step.saved_first(state),
        false => step,
    }
}

// ---- goods ------------------------------------------------------------------------------------------------

/// Decrypts the goods, unless that was done before.
fn open(known: &Known<'_>, state: &mut State) -> StepResult {
    let Purchase::Committed(order, proof) = &state.row.purchase else {
        return Ok(Step::sends(Then::End(Ok(()))));
    };
    if !matches!(state.row.delivery, Delivery::Pending | Delivery::OnDemand) {
        return Ok(Step::sends(Then::End(Ok(()))));
    }
    // The ticks were opened while they came.
    if let Proof::Stream(..) = proof {
        state.row.delivery = Delivery::Delivered;
        return Ok(Step::sends(Then::End(Ok(()))));
    }
    let (offer, key) = (order.contract.offer.body.clone(), proof.goods_key().clone());
    // Large goods may take long, so the state is stored first.
    let writes = if are_small(&offer) {
        Vec::new()
    } else {
        save(state)
    };
    let offer = Box::new(offer);
    let then = match has_goods(known, state)? {
        true => Then::Open(offer, key),
        false => Then::Goods(offer),
    };
    Ok(Step { writes, then })
}

/// The goods were decrypted.
pub(crate) fn on_opened(state: &mut State, opened: Result<Opened, WalletError>) -> StepResult {
    let outcome = match opened? {
        Opened::At(place) => {
            state.row.delivery = Delivery::Delivered;
            state.row.output = place;
            Ok(())
        }
        Opened::NotAsDescribed => {
            state.row.delivery = Delivery::NotAsDescribed;
            Err(WalletError::NotAsDescribed(state.number))
        }
        Opened::Damaged => Err(WalletError::WrongGoods),
    };
    Ok(Step::sends(Then::End(outcome)))
}

// ---- coins of an aborted purchase -------------------------------------------------------------------------

/// Shows the abort to the bank before the released coins are exchanged. The escrow may not have shown it yet.
fn show_abort(known: &Known<'_>, state: &mut State) -> StepResult {
    if released(known, state)?.is_empty() {
        return open(known, state);
    }
    let Purchase::Aborted(order, abort) = &state.row.purchase else {
        return open(known, state);
    };
    let settle = SettleOne {
        escrow: order.contract.terms.escrow,
        decision: SignedDecision::Abort(abort.clone()),
    };
    Ok(Step::sends(Then::Settle(Box::new(settle))))
}

/// The bank has seen the abort. Exchanges the released coins, so that nothing links them to the next purchase.
pub(crate) fn on_settle(
    known: &Known<'_>,
    state: &mut State,
    settled: Result<Result<Signed<Settled>, Refusal>, WalletError>,
) -> StepResult {
    match settled? {
        Ok(settled) => {
            let verified = settled.verify(&known.bank.identity);
            verified.map_err(|why| garbled(known, format!("its acknowledgement of the abort: {why}")))?;
        }
        // A bank that does not know the escrow has never held anything for it.
        Err(Refusal::Contract(ContractFault::UnknownParty { .. })) => {}
        Err(Refusal::Purchase(PurchaseFault::DecidedOtherwise(decision))) => {
            return paid_after_all(known, state, *decision);
        }
        Err(refusal) => {
            return Err(WalletError::Refused {
                party: known.bank.title(),
                question: SettleOne::QUESTION,
                refusal: Box::new(refusal),
            });
        }
    }
    let coins = released(known, state)?;
    let aim = Aim::Release { coins: coins.len() };
    Ok(Step::sends(Then::Exchange(coins, aim)))
}

/// The escrow signed an abort, and before it a commit that the bank obeys. The goods are paid for, and the key is in
/// the commit. The abort is kept, because both together convict the escrow.
fn paid_after_all(known: &Known<'_>, state: &mut State, decision: SignedDecision) -> StepResult {
    let collected = match decision {
        SignedDecision::Commit(commit) => Some(Collected::Committed(commit)),
        SignedDecision::Stream(stream) => Some(Collected::Streamed(stream)),
        SignedDecision::Abort(_) => None,
    };
    let (Purchase::Aborted(order, abort), Some(collected)) = (&state.row.purchase, collected) else {
        return Err(garbled(
            known,
            "it shows an abort as the decision that contradicts an abort".into(),
        ));
    };
    let key = known.seed.purchase_key(order.counter);
    let abort = Exhibit::Abort(abort.clone());
    match state.row.purchase.clone().on_collected(collected.clone(), &key) {
        Ok(purchase) => {
            state.row.purchase = purchase;
            add_exhibit(&mut state.row, abort);
            Ok(Step::saves(state, Then::Happened(Box::new(Event::Resumed))))
        }
        Err(why) => {
            if convicts(&why) {
                add_collected(&mut state.row, collected);
            }
            Err(why.into())
        }
    }
}

fn garbled(known: &Known<'_>, why: String) -> WalletError {
    WalletError::Garbled {
        party: known.bank.title(),
        why,
    }
}

fn released(known: &Known<'_>, state: &State) -> Result<Vec<CoinRow>, StoreError> {
    let mut coins = coins_with(known.rows, CoinStatus::Released(state.number))?;
    coins.retain(|row| {
        let keys = known.keys.filter(|_| row.bank == known.bank.identity);
        !is_past_redeem(keys, row, known.now_ms)
    });
    Ok(coins)
}

// ---- coins of a purchase that nobody decides --------------------------------------------------------------

/// The escrow gave no decision within the wallet's patience, and the bank knows of none. If the customer wants the coins
/// back, they are put to an exchange.
pub(crate) fn recover(known: &Known<'_>, state: &State, undecided: WalletError) -> StepResult {
    if !matches!(state.row.purchase, Purchase::Cancelling(_)) {
        return Ok(Step::sends(Then::End(Err(undecided))));
    }
    match open_recovery(known.rows, state)? {
        Some(at) => {
            let coins = usize::MAX;
            Ok(Step::sends(Then::CarryOn(at, Aim::Recover { undecided, coins })))
        }
        None => exchange_held(known, state, undecided),
    }
}

fn exchange_held(known: &Known<'_>, state: &State, undecided: WalletError) -> StepResult {
    let held = coins_with(known.rows, CoinStatus::InPurchase(state.number))?;
    if held.is_empty() {
        return Ok(end_recovered(state, undecided));
    }
    let coins = held.len();
    Ok(Step::sends(Then::Exchange(
        held,
        Aim::Recover { undecided, coins },
    )))
}

/// Ends the purchase, as its coins may have left it one by one.
fn end_recovered(state: &State, undecided: WalletError) -> Step {
    let number = state.number;
    Step {
        writes: vec![Write::EndRecovered { number }],
        ..recovered(undecided, Ok(()))
    }
}

fn recovered(undecided: WalletError, outcome: Result<(), WalletError>) -> Step {
    Step::sends(Then::Happened(Box::new(Event::Recovered(undecided, outcome))))
}

/// The result of the recovery is stored.
pub(crate) fn on_recovered(
    known: &Known<'_>,
    state: &mut State,
    undecided: WalletError,
    outcome: Result<(), WalletError>,
) -> StepResult {
    if let Some(row) = PURCHASES.peek(known.rows, &state.number)? {
        state.reload(row);
    }
    let is_conviction = matches!(&undecided, WalletError::Purchase(why) if convicts(why));
    let is_recovered = matches!(state.row.purchase, Purchase::Recovered(_));
    Ok(Step::sends(Then::End(match outcome {
        _ if is_conviction => Err(undecided),
        Ok(()) if is_recovered => Ok(()),
        // The bank is silent too, or holds the coins for this purchase: the escrow must decide.
        Ok(()) | Err(WalletError::Silent { .. } | WalletError::Refused { .. }) => Err(undecided),
        Err(error) => Err(error),
    })))
}

// ---- both kinds of exchange -------------------------------------------------------------------------------------------------

/// The exchange of the coins was carried on. If it was denied, the coins are in the purchase as before.
pub(crate) fn on_carried_on(
    known: &Known<'_>,
    state: &mut State,
    aim: Aim,
    outcome: Result<(), WalletError>,
) -> StepResult {
    let failed = outcome
        .err()
        .filter(|error| !matches!(error, WalletError::Refused { .. }));
    match (aim, failed) {
        (Aim::Recover { undecided, .. }, Some(error)) => Ok(recovered(undecided, Err(error))),
        (Aim::Recover { undecided, .. }, None) => exchange_held(known, state, undecided),
        (Aim::Release { .. }, Some(error)) => Err(error),
        (Aim::Release { .. }, None) => show_abort(known, state),
    }
}

/// Coins were put to an exchange. If a coin turned out to be used elsewhere, the others are tried again without it.
/// Otherwise the exchange may still be under way, and `resume` carries it on.
pub(crate) fn on_exchanged(
    known: &Known<'_>,
    state: &mut State,
    aim: Aim,
    outcome: Result<(), WalletError>,
) -> StepResult {
    let is_answered = matches!(outcome, Ok(()) | Err(WalletError::Refused { .. }));
    match aim {
        Aim::Recover { undecided, coins } => {
            let left = coins_with(known.rows, CoinStatus::InPurchase(state.number))?.len();
            match outcome {
                _ if is_answered && left < coins => exchange_held(known, state, undecided),
                Ok(()) => Ok(end_recovered(state, undecided)),
                Err(error) => Ok(recovered(undecided, Err(error))),
            }
        }
        Aim::Release { coins } => {
            let left = released(known, state)?.len();
            match outcome {
                _ if is_answered && left < coins => show_abort(known, state),
                Ok(()) => open(known, state),
                Err(error) => Err(error),
            }
        }
    }
}

/// The exchange under way in which the coins of the purchase are recovered.
fn open_recovery(rows: &View, state: &State) -> Result<Option<At>, StoreError> {
    let Some(order) = state.row.purchase.order() else {
        return Ok(None);
    };
    for coin in &order.payment.coins {
        let row = COINS.peek(rows, &(coin.key_id, coin.public))?;
        let Some(CoinStatus::InExchange(exchange)) = row.map(|row| row.status) else {
            continue;
        };
        let at = (order.contract.terms.bank, exchange);
        let row = EXCHANGES.peek(rows, &at)?;
        if row.is_some_and(|row| {
            row.before == CoinStatus::InPurchase(state.number) && is_under_way(&row.exchange.state)
        }) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn coins_with(rows: &View, status: CoinStatus) -> Result<Vec<CoinRow>, StoreError> {
    let coins = all(rows, &COINS)?.into_iter().map(|(_, row)| row);
    Ok(coins.filter(|row| row.status == status).collect())
}
