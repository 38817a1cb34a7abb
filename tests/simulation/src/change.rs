//! Change and refunds of purchases: how the wallet receives them, and what a copy, a restore and a silent bank do to that.

use super::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    front::{Cheat, Honest},
    machine::Death,
    money::{owed, spendable},
    party::Party,
    shopping::{NEEDS_CHANGE, WITHDRAWN, finishes_a_reserve_withdrawal, picture, restored, withdrawn_in},
    world::World,
};
use async_trait::async_trait;
use farthing_client::{
    error::WalletError,
    receive::{Destination, Taken},
    wallet::Wallet,
};
use farthing_node::{
    admin::AdminHandler,
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    api::{BankRequest, encode_reply},
    money::Amount,
    refusal::{Later, Refusal},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// What the customer has after one purchase.
const LEFT: Amount = Amount(WITHDRAWN.0 - NEEDS_CHANGE.0);

/// The change of the purchase: one coin of 1024 pays.
const CHANGE: Amount = Amount(24);

/// The time in which all parties finish their work.
const WORK: Duration = Duration::from_secs(10);

async fn withdrawn(seed: u64) -> (Arc<World>, CustomerMachine, Wallet) {
    withdrawn_in(World::of(seed, Population::with_price(NEEDS_CHANGE)).await).await
}

async fn bought(world: &World, wallet: &Wallet) -> u64 {
    let output = picture(world, "bought");
    let number = wallet.buy(&world.parties(), ITEM, &output).await;
    let number = number.expect("a purchase");
    let received = wallet.receive_change(number).await;
    assert!(
        received.as_ref().err().is_none_or(WalletError::is_silence),
        "{received:?}"
    );
    number
}

fn asks_a_reserve(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::Reserve(_)))
}

/// A bank that does not apply what the escrow and the merchant bring.
struct AppliesNothing;

#[async_trait]
impl Cheat for AppliesNothing {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::Push(_) | BankRequest::Settle(_)) => {
                let later = Later::Busy { retry_after_ms: 1000 };
                encode_reply::<()>(&Err(Refusal::Later(later)))
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A purchase that no set of coins is worth is made without an exchange, and the change is received after the goods.
pub async fn a_purchase_gives_change() {
    let (world, _, wallet) = withdrawn(91).await;
    bought(&world, &wallet).await;
    assert_eq!((spendable(&wallet), owed(&wallet)), (LEFT, Amount(0)));
    let exchanged = world.network.sent().into_iter().filter(|sent| {
        matches!(
            BankRequest::decode(&sent.request),
            Ok(BankRequest::ExchangeBegin(_) | BankRequest::ExchangeFinish(_))
        )
    });
    assert_eq!(exchanged.count(), 0, "an exchange was made before the purchase");
    world.check(&[&wallet]).await;
}

/// The bank does not answer for the reserve. The goods are there, the change is owed, and `resume` receives it.
pub async fn the_change_is_received_later() {
    let (world, customer, wallet) = withdrawn(92).await;
    world.network.block(asks_a_reserve);
    bought(&world, &wallet).await;
    assert_eq!((spendable(&wallet).0, owed(&wallet)), (LEFT.0 - CHANGE.0, CHANGE));
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.iter().any(|(_, error)| error.is_silence()));
    world.network.unblock();
    drop(wallet);
    let wallet = customer.wallet_after(Death::PowerLost);
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    assert_eq!((spendable(&wallet), owed(&wallet)), (LEFT, Amount(0)));
    world.check(&[&wallet]).await;
}

/// The bank does not have the commit yet, so it owes nothing yet. The wallet does not take that for the end.
pub async fn the_bank_learns_of_the_commit_later() {
    let (world, _, wallet) = withdrawn(93).await;
    world.cheat(Party::Bank, AppliesNothing);
    bought(&world, &wallet).await;
    assert_eq!(owed(&wallet), CHANGE, "money: the wallet forgets its change");
    world.honest(Party::Bank);
    sleep(WORK).await;
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    assert_eq!((spendable(&wallet), owed(&wallet)), (LEFT, Amount(0)));
    world.check(&[&wallet]).await;
}

/// A copy of the wallet receives the change first. The wallet learns it from the bank, and gets none of it.
pub async fn a_copy_of_the_wallet_receives_the_change() {
    let (world, customer, wallet) = withdrawn(94).await;
    world.network.block(asks_a_reserve);
    bought(&world, &wallet).await;
    world.network.unblock();
    drop(wallet);
    let copy = customer.copy(&world, "copy");
    let (wallet, copy) = (customer.wallet_after(Death::Killed), copy.wallet());
    for other in [&copy, &wallet] {
        let resumed = other.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
        assert_eq!(owed(other), Amount(0));
    }
    assert_eq!(spendable(&copy), LEFT);
    assert_eq!(
        spendable(&wallet).0,
        LEFT.0 - CHANGE.0,
        "money: the change is paid twice"
    );
    world.check(&[&wallet, &copy]).await;
}

/// The machine is lost after the change was received, while it is received, or before. A restore finds it each time, and asks
/// for no reserve that is empty.
pub async fn a_restore_after_change() {
    for (seed, blocked) in [
        (95, None),
        (96, Some(asks_a_reserve as fn(&Card, &[u8]) -> bool)),
        (
            97,
            Some(finishes_a_reserve_withdrawal as fn(&Card, &[u8]) -> bool),
        ),
    ] {
        let (world, customer, wallet) = withdrawn(seed).await;
        if let Some(blocked) = blocked {
            world.network.block(blocked);
        }
        bought(&world, &wallet).await;
        sleep(WORK).await;
        world.network.unblock();
        drop(wallet);
        let wallet = restored(&world, &customer, "alice-again").await;
        let due = if blocked.is_some() { CHANGE } else { Amount(0) };
        assert_eq!(owed(&wallet), due, "money: a restore is wrong about what is owed");
        let before = asked_reserves(&world);
        let resumed = wallet.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
        assert_eq!((spendable(&wallet), owed(&wallet)), (LEFT, Amount(0)));
        let has_asked = asked_reserves(&world) > before;
        assert_eq!(
            has_asked,
            blocked.is_some(),
            "anonymity: an empty reserve is asked for"
        );
        fetched_again(&wallet).await;
        assert_eq!((spendable(&wallet), owed(&wallet)), (LEFT, Amount(0)));
        world.check(&[&wallet]).await;
    }
}

/// The customer fetches the goods of the purchase again, which ends it in the restored wallet.
async fn fetched_again(wallet: &Wallet) {
    wallet
        .drive_purchase(0)
        .await
        .expect("the purchase ends as it had ended");
}

fn asked_reserves(world: &World) -> usize {
    let sent = world.network.sent().into_iter();
    let asked = |request: &[u8]| matches!(BankRequest::decode(request), Ok(BankRequest::Reserve(_)));
    sent.filter(|sent| asked(&sent.request)).count()
}

/// The merchant refunds a part of the price, and then a further one. The customer receives each once, besides the change.
pub async fn a_refund_is_received() {
    let (world, customer, wallet) = withdrawn(98).await;
    let number = bought(&world, &wallet).await;
    sleep(WORK).await;
    let nothing = wallet.receive_of_purchase(number, Destination::Coins).await;
    assert_eq!(nothing.expect("the bank answers").now, Amount(0));
    let purchase = wallet.purchase(number).expect("the purchase");
    let purchase = purchase
        .purchase
        .order()
        .map(|order| order.purchase().to_string());
    for (total, more) in [(Amount(100), Amount(100)), (Amount(350), Amount(250))] {
        let request = json!({ "do": "refund", "sale": purchase, "total": total });
        let merchant = world.merchant(0);
        merchant.admin(request).await.expect("the refund is set");
        merchant.refunds_round().await.expect("the bank answers");
        let taken = wallet.receive_of_purchase(number, Destination::Coins).await;
        assert_eq!(taken.expect("the refund").now, more);
        let again = wallet.receive_of_purchase(number, Destination::Coins).await;
        let Taken { credited, now } = again.expect("the bank answers");
        assert_eq!(now, Amount(0), "money: a refund is paid twice");
        assert!(credited >= more);
    }
    let with_refunds = Amount(LEFT.0 + 350);
    assert_eq!(spendable(&wallet), with_refunds);
    drop(wallet);
    let wallet = restored(&world, &customer, "alice-again").await;
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    assert_eq!(
        spendable(&wallet),
        with_refunds,
        "money: a restore loses a refund"
    );
    fetched_again(&wallet).await;
    assert_eq!(owed(&wallet), Amount(0));
    let unpaid = wallet.receive_of_purchase(77, Destination::Coins).await;
    assert!(matches!(unpaid, Err(WalletError::NoPurchase(_))), "{unpaid:?}");
    world.check(&[&wallet]).await;
}
