//! Stories with more than one fault. Each panics when a promise is broken, and says which.

use super::{
    customer::CustomerMachine,
    foundation::ITEM,
    foundation::STORE,
    machine::Death,
    network::Sent,
    party::Party,
    shopping::{WITHDRAWN, is_delivery, is_hold_at_bank, picture, stuck_purchase, withdrawn_in},
    world::World,
};
use crate::money::spendable;
use farthing_client::{
    error::WalletError,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest},
    limits::RESTORE_GAP,
    money::Amount,
};
use farthing_store::{Store, StoreError, StoreOptions};
use std::{path::Path, sync::Arc, time::Duration};

/// Timeout for one reply.
const WAIT: Duration = Duration::from_secs(60);

async fn withdrawn(seed: u64) -> (Arc<World>, CustomerMachine, Wallet) {
    withdrawn_in(World::new(seed).await).await
}

/// Begins a purchase whose coins are held, and of which the merchant does not hear. Returns its number.
async fn held_purchase(world: &World, wallet: &Wallet) -> u64 {
    let number = stuck_purchase(world, wallet, is_delivery).await;
    assert_eq!(
        wallet.purchase(number).expect("the purchase").purchase.status(),
        "held"
    );
    number
}

/// Repeats the first request of this kind.
pub(super) async fn arrives_again(world: &World, is_it: impl Fn(&Card, &[u8]) -> bool) {
    let is_sent =
        |message: &Sent| card_of(world, message.to).is_some_and(|card| is_it(&card, &message.request));
    let first: Vec<Sent> = world.network.sent().into_iter().filter(is_sent).take(1).collect();
    assert_eq!(first.len(), 1, "it was asked");
    arrive_again(world, first).await;
}

/// The customer cancels, and learns that it is too late.
async fn cancels_too_late(wallet: &Wallet, number: u64) {
    wallet
        .cancel(number)
        .await
        .expect("the customer learns how it ended");
    let status = wallet.purchase(number).expect("the purchase").purchase.status();
    assert_eq!(status, "committed", "finality: a cancel has won over a commit");
}

async fn finish(world: &World, wallet: &Wallet) {
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    world.check(&[wallet]).await;
}

/// Repeats these messages, as a network may do.
async fn arrive_again(world: &World, sent: Vec<Sent>) {
    let wire = world.wire();
    for message in sent {
        let Some(card) = card_of(world, message.to) else {
            continue;
        };
        let channel = wire.connect(&card, message.lane).await.expect("a connection");
        // Nobody reads the reply.
        drop(channel.call(message.request, WAIT).await);
    }
}

fn card_of(world: &World, party: Party) -> Option<Card> {
    let parties = world.parties();
    match party {
        Party::Bank => Some(parties.bank),
        Party::Escrow(0) => Some(parties.escrow),
        Party::Merchant(0) => Some(parties.merchant),
        _ => None,
    }
}

/// A customer with held coins never comes back. Nobody does anything, and no coin stays held.
pub async fn the_customer_never_comes_back() {
    let (world, customer, wallet) = withdrawn(11).await;
    held_purchase(&world, &wallet).await;
    drop(wallet);
    world.settle().await;
    assert_eq!(world.held().await, 0, "progress: coins are still held");
    let wallet = customer.wallet_after(Death::PowerLost);
    finish(&world, &wallet).await;
}

/// The customer cancels after the merchant has released, without knowing that.
pub async fn a_cancel_after_the_commit() {
    let (world, _, wallet) = withdrawn(12).await;
    let number = held_purchase(&world, &wallet).await;
    arrives_again(&world, is_delivery).await;
    cancels_too_late(&wallet, number).await;
    finish(&world, &wallet).await;
}

/// The customer cancels. Then all messages arrive again, before the coins are exchanged.
pub async fn everything_arrives_again_after_the_abort() {
    let (world, _, wallet) = withdrawn(13).await;
    let number = held_purchase(&world, &wallet).await;
    let is_exchange = |card: &Card, request: &[u8]| {
        card.role == RoleName::Bank
            && matches!(BankRequest::decode(request), Ok(BankRequest::ExchangeBegin(_)))
    };
    world.network.block(is_exchange);
    let cancelled = wallet.cancel(number).await;
    assert!(
        cancelled.as_ref().is_err_and(WalletError::is_silence),
        "{cancelled:?}"
    );
    let status = wallet.purchase(number).expect("the purchase").purchase.status();
    assert_eq!(status, "aborted");
    world.network.unblock();
    arrive_again(&world, world.network.sent()).await;
    assert_eq!(
        world.held().await,
        0,
        "finality: a late hold holds coins of an aborted purchase"
    );
    finish(&world, &wallet).await;
}

/// All messages arrive again after a purchase.
pub async fn everything_arrives_again_after_the_commit() {
    let (world, _, wallet) = withdrawn(14).await;
    wallet
        .buy(&world.parties(), ITEM, &picture(&world, 1))
        .await
        .expect("a purchase");
    world.settle().await;
    arrive_again(&world, world.network.sent()).await;
    finish(&world, &wallet).await;
}

/// The merchant stops as soon as it has made a sealed offer and served its goods. The customer gets them all the
/// same, and the merchant learns of it when it is back.
pub async fn the_merchant_of_a_sealed_offer_is_gone() {
    let (world, _, wallet) = withdrawn_in(World::sealed(19).await).await;
    // The first attempt only fetches the goods.
    let number = stuck_purchase(&world, &wallet, |card, _| card.role == RoleName::Escrow).await;
    world.stop(Party::Merchant(0));
    wallet.drive_purchase(number).await.expect("it takes no merchant");
    let status = wallet.purchase(number).expect("the purchase").purchase.status();
    assert_eq!(status, "committed");
    world.start(Party::Merchant(0)).await;
    finish(&world, &wallet).await;
}

/// The customer cancels a sealed purchase after the escrow has committed, without knowing that.
pub async fn a_cancel_after_a_sealed_commit() {
    let (world, _, wallet) = withdrawn_in(World::sealed(20).await).await;
    let is_payment = |card: &Card, request: &[u8]| {
        card.role == RoleName::Escrow && matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Pay(_)))
    };
    let number = stuck_purchase(&world, &wallet, is_payment).await;
    arrives_again(&world, is_payment).await;
    cancels_too_late(&wallet, number).await;
    finish(&world, &wallet).await;
}

/// One wallet buys two things at once.
pub async fn one_wallet_buys_two_things_at_once() {
    let (world, _, wallet) = withdrawn(15).await;
    let parties = world.parties();
    let (one, two) = (picture(&world, 1), picture(&world, 2));
    let (first, second) = tokio::join!(wallet.buy(&parties, ITEM, &one), wallet.buy(&parties, ITEM, &two));
    first.expect("a purchase");
    second.expect("a purchase");
    finish(&world, &wallet).await;
}

/// A copy of the wallet, made before the purchase, buys with the same coins.
pub async fn a_copy_of_the_wallet_buys_later() {
    let (world, customer, wallet) = withdrawn(16).await;
    drop(wallet);
    let copy = customer.copy(&world, "copy");
    let wallet = customer.wallet_after(Death::Killed);
    wallet
        .buy(&world.parties(), ITEM, &picture(&world, 1))
        .await
        .expect("a purchase");
    let copy = copy.wallet();
    // It finds its coins used, and uses the others.
    drop(copy.buy(&world.parties(), ITEM, &picture(&world, 2)).await);
    world.settle().await;
    let report = world.bank().audit().await.expect("the audit");
    assert_eq!(
        report.problems,
        Vec::<String>::new(),
        "money: the books do not balance"
    );
    let paid = [&wallet, &copy].map(|wallet| {
        let purchases = wallet.purchases().expect("the purchases");
        let committed = purchases
            .iter()
            .filter(|(_, row)| row.purchase.status() == "committed");
        committed.count() as u64
    });
    let price = world.foundation.population.prices[0].0;
    let earned = world.account(world.merchant(0).account()).await.0;
    assert_eq!(
        earned,
        paid.iter().sum::<u64>() * price,
        "goods: paid for and delivered differ"
    );
    let outstanding: Amount = report.outstanding.parse().expect("an amount");
    assert_eq!(
        earned + outstanding.0,
        WITHDRAWN.0,
        "money: a coin was spent twice"
    );
}

/// The machine is lost while a payment is under way. The bank gets the payment after the restore.
pub async fn a_payment_arrives_after_the_restore() {
    let (world, customer, lost) = withdrawn(19).await;
    stuck_purchase(&world, &lost, is_hold_at_bank).await;
    let wallet = CustomerMachine::with_phrase_of(&world, &customer, "alice-again").wallet();
    let restored = wallet.restore(&world.parties().bank, world.dir()).await;
    restored.expect("the restore");
    // The message on its way does what the lost wallet would have done next.
    lost.resume().await.expect("the payment");
    drop(lost);
    wallet.resume().await.expect("the wallet resumes");
    assert_eq!(
        wallet.purchases().expect("the purchases").len(),
        1,
        "goods: a payment has brought nothing"
    );
    world.check(&[&wallet]).await;
}

/// The machine is lost three times. Each restore finds everything since the last one.
pub async fn three_restores_of_one_wallet() {
    let (world, customer, wallet) = withdrawn(17).await;
    drop(wallet);
    let parties = world.parties();
    let price = world.foundation.population.prices[0];
    let mut left = WITHDRAWN;
    for round in 1..=3u64 {
        let wallet = CustomerMachine::with_phrase_of(&world, &customer, &format!("alice-{round}")).wallet();
        let too_early = wallet.buy(&parties, ITEM, &picture(&world, round)).await;
        assert!(
            matches!(too_early, Err(WalletError::NotRestored(_))),
            "{too_early:?}"
        );
        wallet
            .restore(&parties.bank, world.dir())
            .await
            .expect("the restore");
        wallet.resume().await.expect("the wallet resumes");
        assert_eq!(spendable(&wallet), left, "money: a restore has lost coins");
        // From here on only exchanges and orders. The restore has just asked for their numbers.
        let available = |row: &CoinRow| row.status == CoinStatus::Available;
        let coins = wallet.coins().expect("the coins").into_iter().filter(available);
        wallet.exchange(coins.collect()).await.expect("an exchange");
        if left >= price {
            let bought = wallet.buy(&parties, ITEM, &picture(&world, round)).await;
            let row = wallet.purchase(bought.expect("a purchase")).expect("its row");
            let order = row.purchase.order().expect("an order");
            assert!(
                order.counter >= round * RESTORE_GAP,
                "anonymity: a number that a restore has asked for is used"
            );
            left = Amount(left.0 - price.0);
        }
        assert_eq!(
            spendable(&wallet),
            left,
            "money: a restored wallet has lost coins"
        );
    }
    world.settle().await;
    let report = world.bank().audit().await.expect("the audit");
    assert_eq!(
        report.problems,
        Vec::<String>::new(),
        "money: the books do not balance"
    );
    assert_eq!(report.outstanding, left.to_string(), "money: coins were lost");
}

/// A bit of each server's journal flips while it is down. The next start finds it, wherever it is.
pub async fn a_bit_of_a_journal_flips() {
    let (world, _, wallet) = withdrawn(18).await;
    wallet
        .buy(&world.parties(), ITEM, &picture(&world, 1))
        .await
        .expect("a purchase");
    world.settle().await;
    let journal = Path::new(STORE).join("journal");
    for party in world.servers() {
        let disk = world.machine(party).disk.copy();
        disk.kill();
        let bytes = disk.bytes(&journal).expect("a journal");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("records") as u64;
        // Everywhere except in the last record, which might be torn.
        for offset in (0..end / 2).step_by(997) {
            let damaged = disk.copy();
            damaged.flip(&journal, offset, 0x10);
            let found = Store::open(Path::new(STORE), StoreOptions::simulated(damaged, 1));
            assert!(
                matches!(found, Err(StoreError::Damaged { .. })),
                "money: {party} uses a damaged journal, at byte {offset}"
            );
        }
    }
}
