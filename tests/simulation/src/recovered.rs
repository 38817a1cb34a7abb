//! Stories about escrows that give no decision. The bank returns the coins only if it holds none of them. Each story
//! panics when a promise is broken, and says which.

use super::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    front::{Cheat, Honest, refuse},
    network::Sent,
    party::Party,
    shopping::{
        WITHDRAWN, is_customers_at_escrow, is_delivery, is_hold_at_bank, picture, restored, stuck_purchase,
        withdrawn_in,
    },
    world::World,
};
use crate::money::spendable;
use async_trait::async_trait;
use farthing_client::{error::WalletError, rows::CoinStatus, wallet::Wallet};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest},
    money::Amount,
    refusal::Later,
};
use std::{sync::Arc, time::Duration};

/// The escrow of the purchase.
const ESCROW: Party = Party::Escrow(0);

/// Timeout for one reply.
const WAIT: Duration = Duration::from_secs(60);

/// A bank whose replies to the last request of an exchange are lost.
struct LosesReplies;

#[async_trait]
impl Cheat for LosesReplies {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        let is_finish = is_exchange_finish(&request);
        let answer = honest.answer(lane, request).await;
        match is_finish {
            true => refuse(Later::Busy { retry_after_ms: 1 }),
            false => answer,
        }
    }
}

fn is_exchange_finish(request: &[u8]) -> bool {
    matches!(BankRequest::decode(request), Ok(BankRequest::ExchangeFinish(_)))
}

fn is_finish_at_bank(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && is_exchange_finish(request)
}

fn is_order(sent: &Sent) -> bool {
    sent.to == ESCROW
        && matches!(
            EscrowRequest::decode(&sent.request),
            Ok(EscrowRequest::Hold(_) | EscrowRequest::Pay(_))
        )
}

async fn withdrawn(seed: u64, population: Population) -> (Arc<World>, CustomerMachine, Wallet) {
    withdrawn_in(World::of(seed, population).await).await
}

/// Begins a purchase that goes as far as it can while `blocked` requests are lost. Then the escrow stops. Returns the
/// purchase's number.
async fn left_alone(
    world: &World,
    wallet: &Wallet,
    blocked: impl Fn(&Card, &[u8]) -> bool + Send + 'static,
) -> u64 {
    let number = stuck_purchase(world, wallet, blocked).await;
    world.network.block(is_customers_at_escrow);
    number
}

/// The customer cancels, and gets no reply.
async fn cancels_unheard(wallet: &Wallet, number: u64) {
    let cancelled = wallet.cancel(number).await;
    assert!(
        cancelled.as_ref().is_err_and(WalletError::is_silence),
        "{cancelled:?}"
    );
}

fn status(wallet: &Wallet, number: u64) -> &'static str {
    wallet.purchase(number).expect("the purchase").purchase.status()
}

fn available(wallet: &Wallet) -> Amount {
    spendable(wallet)
}

/// Checks that the purchase has ended and the customer has the price again.
fn is_recovered(wallet: &Wallet, number: u64) {
    assert_eq!(
        status(wallet, number),
        "recovered",
        "progress: a purchase whose escrow is gone does not end"
    );
    assert_eq!(
        available(wallet),
        WITHDRAWN,
        "money: coins are not back: {:?}",
        wallet.coins()
    );
}

/// The escrow is silent, and the bank holds the coins: the purchase waits.
async fn waits(wallet: &Wallet, number: u64) {
    let cancelled = wallet.cancel(number).await;
    assert_eq!(
        status(wallet, number),
        "cancelling",
        "finality: the wallet ends a purchase whose coins the bank holds: {cancelled:?}"
    );
    assert!(
        cancelled.as_ref().is_err_and(WalletError::is_silence),
        "{cancelled:?}"
    );
    let coins = wallet.present_coins().expect("the coins");
    let is_put = |status| status == CoinStatus::InPurchase(number);
    assert!(coins.iter().any(|row| is_put(row.status)), "{coins:?}");
}

async fn finish(world: &World, wallet: &Wallet) {
    world.network.unblock();
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    world.check(&[wallet]).await;
}

/// The first request to the escrow arrives now.
async fn the_order_arrives(world: &World) {
    let order = world.network.sent().into_iter().find(is_order);
    let order = order.expect("it was asked");
    let channel = world.wire().connect(&world.parties().escrow, order.lane).await;
    let channel = channel.expect("a connection");
    // Nobody reads the reply.
    drop(channel.call(order.request, WAIT).await);
}

/// The escrow disappears before it has heard of the purchase. The coins come back and pay at another escrow. Then the
/// machine is lost too.
pub async fn the_escrow_is_gone_before_the_hold() {
    let population = Population {
        escrows: 2,
        ..Population::default()
    };
    let (world, customer, wallet) = withdrawn(81, population).await;
    let number = left_alone(&world, &wallet, is_customers_at_escrow).await;
    world.network.unblock();
    world.stop(ESCROW);
    wallet.cancel(number).await.expect("the coins come back");
    is_recovered(&wallet, number);
    wallet.cancel(number).await.expect("it has ended");
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);

    let again = restored(&world, &customer, "again").await;
    assert_eq!(available(&again), WITHDRAWN, "money: a restore has lost coins");
    drop(again);
    let bought = wallet
        .buy(&world.parties_of(0, 1), ITEM, &picture(&world, 2))
        .await;
    bought.expect("what came back can be spent");
    world.start(ESCROW).await;
    finish(&world, &wallet).await;
}

/// The order reaches the escrow after the bank has returned the coins. The bank refuses the hold, and nobody loses
/// money.
async fn arrives_late(seed: u64, population: Population) {
    let (world, _, wallet) = withdrawn(seed, population).await;
    let number = left_alone(&world, &wallet, is_customers_at_escrow).await;
    wallet.cancel(number).await.expect("the coins come back");
    is_recovered(&wallet, number);
    world.network.unblock();
    the_order_arrives(&world).await;
    assert_eq!(
        world.held().await,
        0,
        "finality: coins are held that the bank has given back"
    );
    finish(&world, &wallet).await;
    is_recovered(&wallet, number);
    let earned = world.account(world.merchant(0).account()).await;
    assert_eq!(
        earned,
        Amount(0),
        "money: the merchant is paid with coins that are back"
    );
}

/// The same, for each kind of offer.
pub async fn a_hold_that_arrives_after_the_recovery() {
    arrives_late(82, Population::default()).await;
    arrives_late(83, Population::sealed()).await;
}

/// The escrow holds the coins and disappears. Nothing changes until it is back, no matter what the customer does.
pub async fn an_escrow_that_holds_and_is_silent() {
    let (world, _, wallet) = withdrawn(84, Population::default()).await;
    let number = left_alone(&world, &wallet, is_delivery).await;
    for _ in 0..3 {
        waits(&wallet, number).await;
        drop(wallet.resume().await.expect("the wallet resumes"));
    }
    assert!(
        world.held().await > 0,
        "finality: a wallet ends what its escrow decides"
    );
    let sent = world.network.sent();
    let finishes = sent.iter().filter(|sent| is_exchange_finish(&sent.request));
    assert_eq!(finishes.count(), 0, "the bank says at once that it holds them");
    finish(&world, &wallet).await;
    assert_eq!(status(&wallet, number), "aborted");
    assert_eq!(available(&wallet), WITHDRAWN);
}

/// The escrow holds the coins in the middle of the recovery.
pub async fn a_hold_that_arrives_in_the_middle_of_a_recovery() {
    let (world, _, wallet) = withdrawn(85, Population::default()).await;
    let number = left_alone(&world, &wallet, is_customers_at_escrow).await;
    world
        .network
        .block(|card, request| is_customers_at_escrow(card, request) || is_finish_at_bank(card, request));
    cancels_unheard(&wallet, number).await;
    world.network.unblock();
    the_order_arrives(&world).await;
    assert!(world.held().await > 0);
    world.network.block(is_customers_at_escrow);
    drop(wallet.resume().await.expect("the wallet resumes"));
    waits(&wallet, number).await;
    finish(&world, &wallet).await;
    assert_eq!(status(&wallet, number), "aborted");
    assert_eq!(available(&wallet), WITHDRAWN);
}

/// The bank returns the coins, and its reply is lost. The repeated request gets the same reply. A restore finds the
/// coins too.
pub async fn an_answer_to_a_recovery_that_is_lost() {
    let (world, customer, wallet) = withdrawn(86, Population::default()).await;
    let number = left_alone(&world, &wallet, is_customers_at_escrow).await;
    world.cheat(Party::Bank, LosesReplies);
    cancels_unheard(&wallet, number).await;
    assert_eq!(status(&wallet, number), "cancelling");
    world.honest(Party::Bank);
    let again = restored(&world, &customer, "again").await;
    assert_eq!(available(&again), WITHDRAWN, "money: a restore has lost coins");
    drop(again);

    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    let told = format!("purchase {number}");
    assert!(resumed.ended.contains(&told), "{:?}", resumed.ended);
    is_recovered(&wallet, number);
    let sent = world.network.sent().into_iter().map(|sent| sent.request);
    let mut finishes: Vec<Vec<u8>> = sent.filter(|request| is_exchange_finish(request)).collect();
    assert!(finishes.len() > 1, "it was asked again");
    finishes.dedup();
    assert_eq!(finishes.len(), 1, "another request than the one that was lost");
    finish(&world, &wallet).await;
}

/// The escrow answers with an abort while the coins are in a recovery without a reply.
pub async fn an_abort_in_the_middle_of_a_recovery() {
    let (world, _, wallet) = withdrawn(87, Population::default()).await;
    let number = left_alone(&world, &wallet, is_hold_at_bank).await;
    world
        .network
        .block(|card, request| is_customers_at_escrow(card, request) || is_finish_at_bank(card, request));
    cancels_unheard(&wallet, number).await;
    world.network.block(is_finish_at_bank);
    let cancelled = wallet.cancel(number).await;
    assert_eq!(status(&wallet, number), "aborted", "{cancelled:?}");
    finish(&world, &wallet).await;
    assert_eq!(status(&wallet, number), "aborted");
    assert_eq!(available(&wallet), WITHDRAWN, "money: coins are not back");
}
