//! Deposits, withdrawals from reserves, and refunds, each more than once.

use crate::strangers::{EXACT, key, stranger};
use farthing_coin::SecretKey;
use farthing_merchant::secret::MerchantSecret;
use farthing_protocol::{deposited::Payee, money::Amount, refusal::Refusal};
use farthing_simulation::world::World;

/// What a person has in their account.
async fn balance(world: &World, account: &SecretKey) -> Amount {
    world.account(account.public()).await
}

/// A deposit from a reserve arrives twice, and then a deposit of coins does.
pub async fn a_deposit_that_arrives_twice() {
    let (world, hand) = stranger(47).await;
    let (reserve, own) = (key(), hand.seed.account_key());
    hand.fill(&reserve.public(), &[64]).await;
    let purse = hand.withdraw(&[16]).await;
    let before = balance(&world, &own).await;
    let account = Payee::Account(hand.account());
    for (deposit, amount) in [
        (hand.deposit_from(&reserve, &[(account, 24)]), 24),
        (hand.deposit_of(&purse, &[(account, 16)]), 40),
    ] {
        let (first, deposited) = hand.ask_raw(deposit.clone()).await;
        deposited.expect("a deposit");
        let (again, _) = hand.ask_raw(deposit).await;
        assert_eq!(
            balance(&world, &own).await,
            Amount(before.0 + amount),
            "money: a deposit that arrives twice is credited twice"
        );
        assert!(first == again, "finality: a deposit gets two answers");
    }
    let sums = hand.sums(&reserve).await;
    assert_eq!(
        (sums.credited, sums.debited),
        (Amount(64), Amount(24)),
        "money: a deposit that arrives twice is debited twice"
    );
}

/// A customer opens two sessions for a reserve. It covers either of them, but not both.
pub async fn two_withdrawals_from_one_reserve() {
    let (_world, hand) = stranger(48).await;
    let reserve = key();
    hand.fill(&reserve.public(), &[64]).await;
    let mut begun = Vec::new();
    for values in [&[32, 1], &[32, 2]] {
        let withdrawal = hand.reserve_withdrawal(&reserve.public(), values).await;
        begun.push(
            hand.reserve_begun(&withdrawal, &reserve)
                .await
                .expect("a session"),
        );
    }
    hand.ask(hand.reserve_finish(&begun[0], &reserve))
        .await
        .expect("coins");
    let second = hand.ask(hand.reserve_finish(&begun[1], &reserve)).await;
    assert!(
        matches!(second, Err(Refusal::Denied(_))),
        "money: more is issued than the reserve holds"
    );
}

/// The merchant's request for a refund arrives twice, then an older one, then one with a larger total.
pub async fn a_refund_that_arrives_twice() {
    let (world, hand) = stranger(49).await;
    let bought = hand.order(&hand.withdraw(&EXACT).await).await;
    let hold = hand.held(&bought).await;
    hand.ask(bought.deliver(&hold)).await.expect("a receipt");
    world.settle().await;
    let merchant = MerchantSecret::load(&world.merchant_home(0)).expect("a secret");
    let merchant = merchant.account_key();
    let earned = balance(&world, &merchant).await;
    let terms = &bought.order.contract.terms;
    for (total, refunded) in [(100, 100), (100, 100), (60, 100), (130, 130), (100, 130)] {
        let answer = hand.ask(hand.refund(terms, total, &merchant)).await;
        assert_eq!(answer.expect("a refund").body.total, Amount(total));
        assert_eq!(
            balance(&world, &merchant).await,
            Amount(earned.0 - refunded),
            "money: the merchant is debited for a refund that was made before"
        );
        assert_eq!(
            hand.sums(&bought.purchase_key).await.credited,
            Amount(refunded),
            "money: a refund that was made before is credited again"
        );
    }
}
