//! Puts coins to a purchase: a signed contract, authorized coins, and a recovery record.

use super::{record::Write, selection::deadline_ms, state::State};
use crate::{
    coins::coin_keys,
    counters::next_number,
    error::WalletError,
    rows::{CoinRow, Counter, PurchaseRow},
};
use farthing_coin::{Coin, Seed};
use farthing_protocol::{
    purchase::{Order, OrderParts, Plan, Purchase},
    restore::{Origin, RecoveryRecord},
    seal::seal_record,
    wire,
};
use farthing_store::View;

/// Puts the chosen coins to a plan, and stores small goods in the same write.
///
/// # Errors
/// When the offer does not accept the plan's bank.
pub(crate) fn place(
    rows: &View,
    seed: &Seed,
    now_ms: u64,
    state: &State,
    plan: &Plan,
    chosen: &[CoinRow],
) -> Result<(PurchaseRow, Write), WalletError> {
    let origins: Vec<Origin> = chosen.iter().map(|row| row.origin).collect();
    let record = RecoveryRecord {
        bank: plan.bank,
        escrow: plan.escrow,
        offer: plan.offer.clone(),
        deadline_ms: deadline_ms(plan, now_ms),
        coins: origins.clone(),
        merchant_card: state.row.merchant.to_string(),
    };
    let counter = next_number(rows, &plan.bank, Counter::Orders)?;
    let coins = chosen.iter().map(|row| row.coin).collect();
    let order = build(seed, counter, plan, &record, coins, None)?;
    let row = PurchaseRow {
        purchase: Purchase::Holding(order),
        origins,
        ..state.row.clone()
    };
    let write = Write::Place {
        number: state.number,
        before: state.stored.as_ref().map(|row| row.purchase.clone()),
        row: row.clone(),
        goods: state.goods.clone(),
        replaceable: state.replaceable,
    };
    Ok((row, write))
}

/// The order of a plan and its recovery record. `seed` is the seed for the bank. A restore passes the sealed record
/// as the bank has it.
///
/// # Errors
/// When the offer does not accept the plan's bank, or the recovery record is too long.
pub(crate) fn build(
    seed: &Seed,
    counter: u64,
    plan: &Plan,
    record: &RecoveryRecord,
    coins: Vec<Coin>,
    sealed_note: Option<Vec<u8>>,
) -> Result<Order, WalletError> {
    let note_id = seed.recovery_record_id(counter);
    let sealed = match sealed_note {
        Some(sealed) => sealed,
        None => {
            let text = wire::encode(record)
                .map_err(|_| WalletError::Inconsistent("a recovery record does not encode"))?;
            seal_record(&seed.recovery_record_key(counter), &note_id, &text)
                .map_err(|_| WalletError::Inconsistent("a recovery record is too long"))?
        }
    };
    Ok(Order::new(OrderParts {
        counter,
        plan,
        coins,
        coin_keys: &coin_keys(seed, &record.coins),
        purchase_key: &seed.purchase_key(counter),
        note_id,
        note: sealed,
        deadline_ms: record.deadline_ms,
    })?)
}
