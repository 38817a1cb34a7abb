//! Purchases that are long past: what a hostile escrow, a customer and a clock make of what was forgotten.

use crate::strangers::{EXACT, stranger};
use farthing_bank::{evidence::About, rows::ACCOUNTS};
use farthing_coin::Signed;
use farthing_kit::by_hand::{Bought, ByHand};
use farthing_node::card::RoleName;
use farthing_protocol::{
    api::{BankRequest, EscrowRequest, SettleOne},
    decision::SignedDecision,
    documents::{Abort, AbortReason},
    evidence::{Charge, Papers, judge},
    limits::CANCEL_HORIZON_MS,
    money::Amount,
    refusal::{ContractFault, PurchaseFault, Refusal},
};
use farthing_simulation::{
    long_past::{A_WHILE, LONG_PAST, NOT_YET, epochs_pass, keeps_decision},
    machine::Death,
    party::Party,
    server::bank_settings,
    world::World,
};
use farthing_store::clock::Clock;
use std::sync::Arc;

/// A purchase that was paid, and what the bank said of it.
async fn paid(number: u64) -> (Arc<World>, ByHand, Bought, Vec<Papers>) {
    let (world, hand) = stranger(number).await;
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    let hold = hand.held(&bought).await;
    hand.ask(bought.deliver(&hold)).await.expect("a receipt");
    world.settle().await;
    let about = About::Purchase {
        id: bought.order.purchase(),
    };
    let said = world.bank().evidence(&about).expect("the papers");
    (world, hand, bought, said)
}

/// The escrow's abort of a purchase, although it has committed it.
fn hostile_abort(world: &World, hand: &ByHand, bought: &Bought) -> SettleOne {
    let abort = Abort {
        purchase: bought.order.purchase(),
        bank: hand.key(RoleName::Bank),
        reason: AbortReason::CancelledBy(bought.cancel().signature),
    };
    let escrow = world.foundation.key(Party::Escrow(0));
    SettleOne {
        escrow: escrow.public(),
        decision: SignedDecision::Abort(Signed::sign(abort, &escrow)),
    }
}

/// The balance of the merchant's account.
fn balance(world: &World, bought: &Bought) -> Amount {
    let account = ACCOUNTS.peek(&world.bank().store().view(), &bought.order.contract.terms.account);
    account.expect("the accounts").expect("the account").balance
}

/// The bank has forgotten a purchase that was paid. Its escrow brings an abort, and then shows that alone.
pub async fn an_abort_of_a_forgotten_purchase() {
    let (world, hand, bought, said) = paid(111).await;
    epochs_pass(&world, LONG_PAST, None).await;
    let now_ms = world.clock.now_ms();
    let abort = hostile_abort(&world, &hand, &bought);
    let settled = hand.ask(abort.clone()).await.expect("an answer");
    let later = Papers {
        settled: Some(settled),
        ..Papers::decided(abort.escrow, None, abort.decision.clone())
    };
    let all = judge(&[said.clone(), vec![later]].concat(), now_ms);
    let of_bank = |charge: Charge| charge != Charge::DecidedTwice;
    assert!(
        !all.iter().any(|it| of_bank(it.charge)),
        "evidence: an honest bank is convicted by what it says years later: {all:?}"
    );
    let hidden = |papers: &Papers| Papers {
        commit: None,
        abort: None,
        ..papers.clone()
    };
    let mut shown: Vec<Papers> = said.iter().map(hidden).collect();
    shown.push(Papers::decided(abort.escrow, None, abort.decision));
    assert!(
        judge(&shown, now_ms).is_empty(),
        "evidence: an honest bank is convicted for what it may have forgotten"
    );
}

/// The escrow has forgotten a purchase that was paid. Its customer cancels it with a young coin.
pub async fn a_cancel_of_a_forgotten_purchase() {
    let (world, hand, bought, _) = paid(112).await;
    epochs_pass(&world, LONG_PAST, None).await;
    assert!(
        !keeps_decision(&world, &bought.order.purchase()),
        "progress: a decision that is long past stays"
    );
    let refused = hand.ask(bought.cancel_with(&hand.withdraw(&[1]).await)).await;
    assert!(
        matches!(refused, Err(Refusal::Purchase(PurchaseFault::Closed(_)))),
        "finality: a purchase is decided twice: {refused:?}"
    );
}

/// The bank hears of a commit only after years. Until then its escrow has to remember it.
pub async fn a_commit_that_its_bank_has_not_heard_of() {
    let (world, hand) = stranger(113).await;
    world.network.block(|to, request| match to.role {
        RoleName::Bank => matches!(
            BankRequest::decode(request),
            Ok(BankRequest::Settle(_) | BankRequest::Push(_))
        ),
        _ => matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Overdue(_))),
    });
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    let hold = hand.held(&bought).await;
    hand.ask(bought.deliver(&hold)).await.expect("a receipt");
    epochs_pass(&world, LONG_PAST, None).await;
    assert!(
        keeps_decision(&world, &bought.order.purchase()),
        "goods: the escrow has forgotten a commit that its bank does not know"
    );
    world.network.unblock();
    world.settle().await;
    assert!(
        balance(&world, &bought) == bought.order.contract.terms.price,
        "goods: the customer has the goods, and the merchant is not paid"
    );
}

/// The escrow's clock is so far ahead that a purchase of this year would be long past.
pub async fn an_escrow_whose_clock_is_years_ahead() {
    let (world, _, bought, _) = paid(114).await;
    epochs_pass(&world, NOT_YET, None).await;
    let escrow = Party::Escrow(0);
    let ahead_ms = (LONG_PAST - NOT_YET) * bank_settings().calendar.epoch_ms;
    world.machine(escrow).clock.set_wrong_by_ms(ahead_ms as i64);
    world.restart(escrow, Death::Killed).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(
        keeps_decision(&world, &bought.order.purchase()),
        "finality: a wrong clock makes the escrow forget what is young"
    );
}

/// A customer cancels a purchase whose deadline is in a thousand years.
pub async fn a_cancel_for_a_thousand_years() {
    let (world, hand) = stranger(115).await;
    let purse = hand.withdraw(&EXACT).await;
    let deadline_ms = world.clock.now_ms() + CANCEL_HORIZON_MS + 1000 * 365 * 24 * 60 * 60 * 1000;
    let bought = hand.order_until(hand.offer().await, &purse, deadline_ms);
    let refused = hand.ask(bought.cancel()).await;
    assert!(
        matches!(refused, Err(Refusal::Contract(ContractFault::DeadlineTooFar))),
        "bad input: a customer makes a row that is never long past: {refused:?}"
    );
}
