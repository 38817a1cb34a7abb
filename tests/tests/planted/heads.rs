//! Who may learn the head of a node's journal, and which records it covers.

use crate::strangers::stranger;
use farthing_coin::Signed;
use farthing_kit::by_hand::ByHand;
use farthing_protocol::{decide::OverdueRequest, documents::Overdue, history::WithHead};
use farthing_simulation::{party::Party, world::World};
use farthing_store::{Reads, Table};
use std::sync::Arc;

/// Rows that only this test reads.
const SCRATCH: Table<u64, u64> = Table::new(200, "scratch");

/// Coins worth the price.
const EXACT: [u64; 6] = [512, 128, 64, 16, 4, 1];

/// The bank answers something while the next record is being gathered.
pub async fn a_head_while_more_is_written() {
    let world = World::new(66).await;
    let bank = world.bank();
    let history = bank.history();
    let decided = history.decide(Reads::none(), |tx| Ok(SCRATCH.put(tx, &1, &1)?));
    decided.await.expect("a decision");
    let record = bank.store().head().sequence;
    let meanwhile = Arc::clone(history);
    let gathering = history.decide(Reads::none(), move |tx| {
        SCRATCH.put(tx, &2, &2)?;
        meanwhile.mark_decision();
        Ok(meanwhile.head())
    });
    let head = gathering.await.expect("a decision");
    assert!(
        head.body.records >= record,
        "finality: a head does not cover the answer that it comes with"
    );
}

/// A stranger sends the bank a hold that names an escrow whose card the bank has.
pub async fn a_hold_in_an_escrows_name() {
    let (_world, hand): (_, ByHand) = stranger(44).await;
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    let answer = hand.ask(bought.bank_hold()).await.expect("a hold");
    assert!(
        answer.head.is_none(),
        "anonymity: a stranger is told how much the bank writes"
    );
}

/// A stranger shows an escrow the bank's overdue statement, which every abort for it contains.
pub async fn an_overdue_purchase_in_the_banks_name() {
    let (world, hand): (_, ByHand) = stranger(45).await;
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    hand.held(&bought).await;
    hand.ask(bought.cancel()).await.expect("an abort");
    let terms = bought.order.contract.terms.clone();
    let overdue = Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms,
    };
    let overdue = Signed::sign(overdue, &world.foundation.key(Party::Bank));
    let request = OverdueRequest { terms, overdue };
    let answer = hand.ask(WithHead::without(request)).await.expect("a decision");
    assert!(
        answer.head.is_none(),
        "anonymity: a stranger is told how much the escrow writes"
    );
}
