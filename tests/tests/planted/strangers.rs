//! Requests of a stranger who makes every message by hand. Each is refused, or answered as it must be.

use farthing_coin::{EncodedPoint, SecretKey, Seed, Signed};
use farthing_kit::by_hand::{Bought, ByHand, Purse};
use farthing_merchant::secret::MerchantSecret;
use farthing_node::card::RoleName;
use farthing_protocol::limits::{CANCELS_PER_COIN_MAX, COINS_PER_REQUEST_MAX, MEMOS_AT_ONCE_MAX};
use farthing_protocol::{
    api::SettleOne,
    decide::OverdueRequest,
    decision::{Outcome, SignedDecision},
    documents::{Abort, AbortReason, Hold, Overdue, PurchaseKeyUse},
    goods::GoodsKey,
    history::WithHead,
    money::Amount,
    offered_key::OfferedKey,
    refusal::{Later, PurchaseFault, Refusal, RequestFault},
    restore::{Memo, MemoRequest},
    seal::SEALED_RECORD_BYTES,
};
use farthing_simulation::{machine::Death, party::Party, world::World};
use farthing_store::entropy::{Entropy, SeededEntropy};
use std::sync::Arc;

/// What the account has at first.
const FUNDS: Amount = Amount(1500);

/// Coins worth the price.
pub(crate) const EXACT: [u64; 6] = [512, 128, 64, 16, 4, 1];

fn seed(number: u64) -> Seed {
    let entropy: &dyn Entropy = &SeededEntropy::new(number);
    Seed::generate(&mut entropy.rng())
}

pub(crate) fn key() -> SecretKey {
    seed(66).account_key()
}

pub(crate) async fn stranger(number: u64) -> (Arc<World>, ByHand) {
    stranger_in(World::new(number).await, number).await
}

/// The same, with sealed offers.
async fn stranger_to_sealed_offers(number: u64) -> (Arc<World>, ByHand) {
    stranger_in(World::sealed(number).await, number).await
}

pub(crate) async fn stranger_in(world: Arc<World>, number: u64) -> (Arc<World>, ByHand) {
    let parties = world.parties();
    let cards = [parties.bank, parties.escrow, parties.merchant];
    let hand = ByHand::new(world.wire(), world.clock.clone(), cards, seed(number));
    world.open_account(hand.account(), "alice").await;
    world.pay_in(hand.account(), FUNDS, "alice").await;
    (world, hand)
}

async fn held(number: u64) -> (Arc<World>, ByHand, Bought, Signed<Hold>) {
    let (world, hand) = stranger(number).await;
    let purse = hand.withdraw(&EXACT).await;
    let bought = hand.order(&purse).await;
    let hold = hand.held(&bought).await;
    (world, hand, bought, hold)
}

/// A customer withdraws more than the account has.
pub async fn more_than_the_account_has() {
    let (_world, hand) = stranger(31).await;
    // Either is covered, but not both.
    let first = hand.withdrawal_begun(&hand.withdrawal(&[1024]).await).await;
    let second = hand.withdrawal_begun(&hand.withdrawal(&[512]).await).await;
    hand.ask(hand.withdraw_finish(&first)).await.expect("coins");
    let finish = hand.ask(hand.withdraw_finish(&second)).await;
    assert!(
        matches!(finish, Err(Refusal::Denied(_))),
        "money: more is issued than the account holds"
    );
}

/// A customer opens a session for more than the account can pay.
pub async fn a_session_that_the_account_cannot_pay() {
    let (_world, hand) = stranger(43).await;
    let begin = hand.withdraw_begin(&hand.withdrawal(&[1024, 512]).await);
    assert!(
        matches!(hand.ask(begin).await, Err(Refusal::Denied(_))),
        "bad input: the bank works for an account that cannot pay"
    );
}

/// A customer opens a session, the bank is restarted, and the customer opens it again.
pub async fn the_same_session_after_a_restart() {
    let (world, hand) = stranger(32).await;
    let begin = hand.withdraw_begin(&hand.withdrawal(&[1]).await);
    let before = hand.ask(begin.clone()).await.expect("a session");
    world.restart(Party::Bank, Death::Killed).await;
    world.witnessed().await;
    let after = hand.ask(begin).await.expect("a session");
    assert!(
        before.commitments != after.commitments,
        "money: a nonce lives on after a restart"
    );
}

/// A customer pays with coins worth less than the price.
pub async fn coins_worth_less_than_the_price() {
    let (_world, hand) = stranger(33).await;
    let purse = hand.withdraw(&[512, 128]).await;
    let bought = hand.order(&purse).await;
    let refused = hand.ask(bought.hold()).await;
    assert!(
        matches!(refused, Err(Refusal::Contract(_))),
        "money: coins are held for more than they are worth"
    );
}

/// A stranger sends the bank an abort that the escrow did not sign.
pub async fn a_forged_abort() {
    let (world, hand, bought, _) = held(34).await;
    let abort = Abort {
        purchase: bought.order.purchase(),
        bank: hand.key(RoleName::Bank),
        reason: AbortReason::CancelledBy(bought.cancel().signature),
    };
    let settle = SettleOne {
        escrow: hand.key(RoleName::Escrow),
        decision: SignedDecision::Abort(Signed::sign(abort, &key())),
    };
    let refused = hand.ask(settle).await;
    assert!(
        matches!(refused, Err(Refusal::Contract(_))),
        "finality: a stranger ends a purchase"
    );
    assert!(world.held().await > 0, "finality: a stranger ends a purchase");
}

/// The escrow aborts a purchase that the customer did not cancel, long before the deadline.
pub async fn an_abort_without_a_cause() {
    let (world, hand, bought, _) = held(44).await;
    let abort = Abort {
        purchase: bought.order.purchase(),
        bank: hand.key(RoleName::Bank),
        reason: AbortReason::Cancelled,
    };
    let escrow = world.foundation.key(Party::Escrow(0));
    let settle = SettleOne {
        escrow: escrow.public(),
        decision: SignedDecision::Abort(Signed::sign(abort, &escrow)),
    };
    let refused = hand.ask(settle).await;
    assert!(
        matches!(refused, Err(Refusal::Contract(_))) && world.held().await > 0,
        "finality: an escrow ends a purchase by its word alone"
    );
}

/// A merchant releases a goods key that is not the offer's.
pub async fn a_goods_key_that_is_not_the_offers() {
    let (_world, hand, bought, hold) = held(35).await;
    let released = hand
        .ask(bought.release(&hold, &GoodsKey::from_bytes([7; 32])))
        .await;
    assert!(
        matches!(released, Err(Refusal::Contract(_))),
        "goods: paid for a key that opens nothing"
    );
}

/// A merchant seals a goods key in its offer that is not the key of the offer's commitment.
pub async fn a_sealed_key_that_is_not_the_offers() {
    let (world, hand) = stranger_to_sealed_offers(40).await;
    let mut offer = hand.offer().await.body;
    let other = GoodsKey::from_bytes([7; 32]);
    let sealed_key = OfferedKey::seal(
        &key(),
        &hand.key(RoleName::Escrow),
        &offer.sealing_context(),
        &other,
    );
    offer.sealed_key = Some(sealed_key.expect("it seals"));
    let offer = Signed::sign(offer, &world.foundation.key(Party::Merchant(0)));
    let bought = hand.order_of(offer, &hand.withdraw(&EXACT).await);
    let outcome = hand.ask(bought.pay()).await.expect("an outcome");
    is_abort_for_sealed_key(&outcome, "goods: paid for a key that opens nothing");
}

/// A thief copies the sealed key of a merchant's offer into an offer of their own. This costs only a payment between
/// two accounts of the thief.
pub async fn a_sealed_key_of_another_offer() {
    let (_world, hand) = stranger_to_sealed_offers(41).await;
    let mut offer = hand.offer().await.body;
    offer.merchant = key().public();
    offer
        .banks
        .iter_mut()
        .for_each(|bank| bank.account = hand.account());
    let bought = hand.order_of(Signed::sign(offer, &key()), &hand.withdraw(&EXACT).await);
    // An abort would publish the point that opens the merchant's own offer.
    let outcome = hand.ask(bought.pay()).await;
    assert!(
        matches!(outcome, Err(Refusal::Contract(_))),
        "goods: a thief has the key of a merchant's goods"
    );
}

/// A merchant releases the right goods key of an offer in which it unwraps nothing.
pub async fn a_goods_key_that_unwraps_nothing() {
    let (world, hand) = stranger(43).await;
    let mut offer = hand.offer().await.body;
    offer.wrapped_key.tag[0] ^= 1;
    let secret = MerchantSecret::load(&world.merchant_home(0)).expect("a secret");
    let goods_key = secret.goods_key(&offer.sale_id);
    let offer = Signed::sign(offer, &world.foundation.key(Party::Merchant(0)));
    let bought = hand.order_of(offer, &hand.withdraw(&EXACT).await);
    let hold = hand.held(&bought).await;
    let released = hand.ask(bought.release(&hold, &goods_key)).await;
    assert!(
        matches!(released, Err(Refusal::Contract(_))),
        "goods: paid for a key that unwraps nothing"
    );
}

#[track_caller]
pub(crate) fn is_abort_for_sealed_key(outcome: &Outcome, otherwise: &str) {
    let is_abort =
        matches!(outcome, Outcome::Aborted(abort) if matches!(abort.body.reason, AbortReason::WrongKey(_)));
    assert!(is_abort, "{otherwise}");
}

/// A customer pays for a sealed offer with coins that another purchase holds.
pub async fn a_sealed_offer_and_coins_that_are_held() {
    let (_world, hand) = stranger_to_sealed_offers(42).await;
    let purse = hand.withdraw(&EXACT).await;
    hand.held(&hand.order(&purse).await).await;
    let outcome = hand.ask(hand.order(&purse).await.pay()).await;
    assert!(
        matches!(outcome, Err(Refusal::Denied(_))),
        "goods: they are had for coins that are not held"
    );
}

/// A bank whose clock is wrong says that a hold is overdue.
pub async fn a_hold_that_is_not_overdue() {
    let (world, hand, bought, _) = held(36).await;
    let terms = bought.order.contract.terms.clone();
    let overdue = Overdue {
        purchase: terms.purchase_id(),
        escrow: terms.escrow,
        deadline_ms: terms.deadline_ms,
        at_ms: terms.deadline_ms,
    };
    let overdue = Signed::sign(overdue, &world.foundation.key(Party::Bank));
    let refused = hand
        .ask(WithHead::without(OverdueRequest { terms, overdue }))
        .await;
    let not_yet = matches!(refused, Err(Refusal::Later(Later::NotYet)));
    assert!(not_yet, "finality: the bank's clock has decided a purchase");
}

/// A customer cancels and does not return. The escrow has the bank release the coins, long before they are overdue.
pub async fn a_cancel_that_nobody_else_brings_to_the_bank() {
    let (world, hand, bought, _) = held(37).await;
    hand.ask(bought.cancel()).await.expect("an abort");
    let left = world.escrow(0).settle_round().await.expect("the escrow's round");
    assert_eq!(
        (left, world.held().await),
        (0, 0),
        "progress: the escrow does not tell the bank"
    );
}

/// A stranger cancels a made-up purchase in an invalid currency, which the escrow's operator would see.
pub async fn a_cancel_in_a_currency_that_is_none() {
    let (_world, hand) = stranger(43).await;
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    let mut cancel = bought.cancel();
    let purchase_key = key();
    cancel.terms.purchase_key = purchase_key.public();
    cancel.terms.currency = "\u{1b}[2J".into();
    let statement = PurchaseKeyUse::Cancel.statement(&cancel.terms.purchase_key, &cancel.terms.purchase_id());
    cancel.signature = purchase_key.sign(&statement);
    let refused = hand.ask(cancel).await;
    assert!(
        matches!(refused, Err(Refusal::Request(RequestFault::Malformed(_)))),
        "bad input: the escrow keeps a currency that steers a terminal"
    );
}

/// Somebody cancels a made-up purchase with a coin that no bank has signed.
pub async fn a_cancel_that_nobody_has_paid_for() {
    let (_world, hand) = stranger(45).await;
    let mut purse = hand.withdraw(&EXACT).await;
    for coin in &mut purse.coins {
        coin.r = EncodedPoint(coin.public.0);
    }
    let refused = hand.ask(hand.order(&purse).await.cancel()).await;
    assert!(
        matches!(refused, Err(Refusal::Coins(_))),
        "bad input: a stranger makes rows at the escrow for nothing"
    );
}

/// Somebody cancels made-up purchases without end, and shows one coin for all of them.
pub async fn a_coin_that_cancels_again_and_again() {
    let (_world, hand) = stranger(46).await;
    let purse = hand.withdraw(&EXACT).await;
    for _ in 0..CANCELS_PER_COIN_MAX {
        let cancelled = hand.ask(hand.order(&purse).await.cancel()).await;
        cancelled.expect("an abort");
    }
    let refused = hand.ask(hand.order(&purse).await.cancel()).await;
    assert!(
        matches!(refused, Err(Refusal::Coins(_))),
        "bad input: one coin makes rows at the escrow without end"
    );
}

/// A customer cancels before the bank has heard of the hold, which arrives after the bank has obeyed the abort.
pub async fn a_hold_that_arrives_after_its_abort() {
    let (world, hand) = stranger(39).await;
    let purse = hand.withdraw(&EXACT).await;
    let bought = hand.order(&purse).await;
    hand.ask(bought.cancel()).await.expect("an abort");
    world.settle().await;
    let refused = hand.ask(bought.bank_hold()).await;
    let ended = matches!(refused, Err(Refusal::Purchase(PurchaseFault::Aborted(_))));
    assert!(ended, "finality: coins are held for a purchase that has ended");
}

/// A customer sends a longer list of coins than any request may have.
pub async fn a_list_that_is_too_long() {
    let (_world, hand) = stranger(38).await;
    let one = hand.withdraw(&[1]).await;
    let mut purse = Purse {
        coins: Vec::new(),
        keys: Vec::new(),
    };
    for _ in 0..=COINS_PER_REQUEST_MAX {
        purse = purse.and(&one);
    }
    let exchange = hand.exchange(&purse, &[1]).await;
    let refused = hand.ask(hand.exchange_begin(&exchange, &purse)).await;
    let too_long = matches!(refused, Err(Refusal::Request(RequestFault::Malformed(_))));
    assert!(too_long, "bad input: a list of any length is looked at");
}

/// A customer replaces the scan record many times.
pub async fn scan_records_without_end() {
    let (_world, hand) = stranger(46).await;
    let replaced = |number: u64| {
        let memo = MemoRequest {
            bank: hand.key(RoleName::Bank),
            account: hand.account(),
            version: number + 1,
            memo: Some(Memo(vec![number as u8; SEALED_RECORD_BYTES])),
        };
        Signed::sign(memo, &seed(46).account_key())
    };
    for number in 0..MEMOS_AT_ONCE_MAX {
        hand.ask(replaced(number)).await.expect("a memo");
    }
    let busy = hand.ask(replaced(MEMOS_AT_ONCE_MAX)).await;
    assert!(
        matches!(busy, Err(Refusal::Later(Later::Busy { .. }))),
        "bad input: an account fills the bank's journal for nothing"
    );
}
