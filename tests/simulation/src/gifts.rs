//! Gifts: who gets them, and what a race, a lost machine and lost messages do to that.

use super::{
    customer::CustomerMachine,
    machine::Death,
    money::{owed, spendable},
    payments::is_deposit,
    shopping::{WITHDRAWN, finishes_a_reserve_withdrawal, restored, withdrawn_in},
    world::World,
};
use farthing_client::{error::WalletError, gift::Given, wallet::Wallet};
use farthing_node::card::RoleName;
use farthing_protocol::{api::BankRequest, money::Amount};
use std::sync::Arc;

/// What is given.
const GIVEN: Amount = Amount(250);

/// What the giver has after that.
const LEFT: Amount = Amount(WITHDRAWN.0 - GIVEN.0);

async fn withdrawn(seed: u64) -> (Arc<World>, CustomerMachine, Wallet) {
    withdrawn_in(World::new(seed).await).await
}

async fn given(world: &World, wallet: &Wallet) -> Given {
    let given = wallet.give(&world.parties().bank, GIVEN, "for you", false).await;
    given.expect("a gift")
}

/// The recipient has the gift once, and the giver cannot take it back after that.
pub async fn a_gift_is_accepted_once() {
    let (world, _, wallet) = withdrawn(101).await;
    let gift = given(&world, &wallet).await;
    let bob = world.customer("bob", Amount(1)).await.wallet();
    let first = bob.accept(&gift.uri).await.expect("the bank answers");
    assert_eq!((first.now, spendable(&bob)), (GIVEN, GIVEN));
    for again in [
        bob.accept(&gift.uri).await,
        wallet.take_back(gift.paid.number).await,
    ] {
        assert_eq!(
            again.expect("the bank answers").now,
            Amount(0),
            "money: a gift is paid twice"
        );
    }
    assert_eq!(spendable(&wallet), LEFT);
    world.check(&[&wallet, &bob]).await;
}

/// The giver takes the gift back, and the recipient is told that it is gone.
pub async fn a_gift_is_taken_back() {
    let (world, _, wallet) = withdrawn(102).await;
    let gift = given(&world, &wallet).await;
    let back = wallet
        .take_back(gift.paid.number)
        .await
        .expect("the bank answers");
    assert_eq!((back.now, spendable(&wallet)), (GIVEN, WITHDRAWN));
    let bob = world.customer("bob", Amount(1)).await.wallet();
    let late = bob.accept(&gift.uri).await.expect("the bank answers");
    assert_eq!((late.now, spendable(&bob)), (Amount(0), Amount(0)));
    let other = wallet.take_back(77).await;
    assert!(matches!(other, Err(WalletError::NoGift(77))), "{other:?}");
    world.check(&[&wallet, &bob]).await;
}

/// Giver and recipient withdraw at once. The bank pays one of them.
pub async fn a_gift_is_accepted_and_taken_back_at_once() {
    let (world, _, wallet) = withdrawn(103).await;
    let gift = given(&world, &wallet).await;
    let bob = world.customer("bob", Amount(1)).await.wallet();
    let (taken, back) = tokio::join!(bob.accept(&gift.uri), wallet.take_back(gift.paid.number));
    let both = [taken, back].map(|one| one.expect("the bank answers").now.0);
    assert_eq!(
        both.iter().sum::<u64>(),
        GIVEN.0,
        "money: {both:?} of one gift were paid"
    );
    assert_eq!(spendable(&bob).0 + spendable(&wallet).0, WITHDRAWN.0);
    world.check(&[&wallet, &bob]).await;
}

/// The recipient's finish is lost, and the machine loses power. The recipient has the gift after `resume`, and no link is
/// needed any more.
pub async fn the_recipient_dies_while_a_gift_is_accepted() {
    let (world, _, wallet) = withdrawn(104).await;
    let gift = given(&world, &wallet).await;
    let customer = world.customer("bob", Amount(1)).await;
    let bob = customer.wallet();
    world.network.block(finishes_a_reserve_withdrawal);
    let silent = bob.accept(&gift.uri).await;
    assert!(silent.as_ref().is_err_and(WalletError::is_silence), "{silent:?}");
    world.network.unblock();
    drop(bob);
    let bob = customer.wallet_after(Death::PowerLost);
    let resumed = bob.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    assert_eq!(spendable(&bob), GIVEN);
    world.check(&[&wallet, &bob]).await;
}

/// The recipient's wallet has no keys of the bank yet, and cannot get them. Without the link, `resume` accepts the gift later.
pub async fn a_gift_is_accepted_later() {
    let (world, _, wallet) = withdrawn(107).await;
    let gift = given(&world, &wallet).await;
    let bob = world.customer("bob", Amount(1)).await.wallet();
    world.network.block(|card, request| {
        card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::Keys(_)))
    });
    let silent = bob.accept(&gift.uri).await;
    assert!(silent.as_ref().is_err_and(WalletError::is_silence), "{silent:?}");
    world.network.unblock();
    let resumed = bob.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    assert_eq!((spendable(&bob), owed(&bob)), (GIVEN, Amount(0)));
    world.check(&[&wallet, &bob]).await;
}

/// The recipient dies before the bank has debited the gift, and the giver takes it back. The recipient expects nothing any
/// more.
pub async fn a_gift_is_taken_back_while_it_is_accepted() {
    let (world, _, wallet) = withdrawn(108).await;
    let gift = given(&world, &wallet).await;
    let bob = world.customer("bob", Amount(1)).await.wallet();
    world.network.block(finishes_a_reserve_withdrawal);
    let silent = bob.accept(&gift.uri).await;
    assert!(silent.as_ref().is_err_and(WalletError::is_silence), "{silent:?}");
    world.network.unblock();
    let back = wallet
        .take_back(gift.paid.number)
        .await
        .expect("the bank answers");
    assert_eq!(back.now, GIVEN);
    let resumed = bob.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    assert_eq!((spendable(&bob), owed(&bob)), (Amount(0), Amount(0)));
    world.check(&[&wallet, &bob]).await;
}

/// The payment into the gift is lost twice. The same command carries the same gift on.
pub async fn a_gift_whose_payment_is_lost() {
    let (world, _, wallet) = withdrawn(105).await;
    let bank = world.parties().bank;
    world.network.block(is_deposit);
    for _ in 0..2 {
        let lost = wallet.give(&bank, GIVEN, "for you", false).await;
        assert!(lost.as_ref().is_err_and(WalletError::is_silence), "{lost:?}");
    }
    world.network.unblock();
    let gift = given(&world, &wallet).await;
    assert!(gift.paid.is_carried_on);
    let gifts = wallet.gifts().expect("the gifts");
    assert_eq!(
        (gifts.len(), spendable(&wallet)),
        (1, LEFT),
        "money: a gift is paid twice"
    );
    let next = given(&world, &wallet).await;
    assert_ne!(next.uri, gift.uri, "money: two gifts have one key");
    world.check(&[&wallet]).await;
}

/// The giver's machine is lost. A restored wallet takes back what nobody has accepted.
pub async fn a_restore_takes_a_gift_back() {
    let (world, customer, wallet) = withdrawn(106).await;
    let gift = given(&world, &wallet).await;
    drop(wallet);
    let wallet = restored(&world, &customer, "alice-again").await;
    assert_eq!(spendable(&wallet), LEFT);
    let received = wallet
        .receive(farthing_client::receive::Destination::Coins, false)
        .await;
    let received = received.expect("the requests").into_iter();
    let now: u64 = received
        .map(|one| one.outcome.expect("the bank answers").now.0)
        .sum();
    assert_eq!((now, spendable(&wallet)), (GIVEN.0, WITHDRAWN));
    let next = given(&world, &wallet).await;
    assert_ne!(
        next.uri, gift.uri,
        "anonymity: a restored wallet gives under a key that was used"
    );
    world.check(&[&wallet]).await;
}
