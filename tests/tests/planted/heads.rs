//! Whom a node tells the head of its journal, and what that covers.

use crate::strangers::stranger;
use farthing_node::store::Table;
use farthing_tests::{by_hand::ByHand, simulation::world::World};
use std::sync::Arc;

/// Rows that nobody else reads.
const SCRATCH: Table<u64, u64> = Table::new(200, "scratch");

/// Coins worth the price.
const EXACT: [u64; 6] = [512, 128, 64, 16, 4, 1];

/// The bank answers something while the next record is being gathered.
pub async fn a_head_while_more_is_written() {
    let world = World::new(66).await;
    let bank = world.bank();
    let history = bank.history();
    let decided = history.decide(|tx| Ok(SCRATCH.put(tx, &1, &1)?));
    decided.await.expect("a decision");
    let record = bank.store().head().sequence;
    let meanwhile = Arc::clone(history);
    let gathering = history.decide(move |tx| {
        SCRATCH.put(tx, &2, &2)?;
        meanwhile.note();
        Ok(meanwhile.head())
    });
    let head = gathering.await.expect("a decision");
    assert!(
        head.body.records >= record,
        "finality: a head does not cover the answer that it comes with"
    );
}

/// A stranger brings the bank a hold, and names an escrow whose card it has.
pub async fn a_hold_in_an_escrows_name() {
    let (_world, hand): (_, ByHand) = stranger(44).await;
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    let answer = hand.ask(bought.bank_hold()).await.expect("a hold");
    assert!(
        answer.head.is_none(),
        "anonymity: a stranger is told how much the bank writes"
    );
}
