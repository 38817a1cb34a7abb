//! Stories about the numbers from which a wallet's secrets derive, and about restores that must find all of them.
//! Each panics when a promise is broken, and says which.

use super::{
    customer::CustomerMachine,
    foundation::ITEM,
    front::{Cheat, Honest},
    network::Sent,
    party::Party,
    shopping::{FUNDS, WITHDRAWN, is_delivery, picture, restored},
    world::World,
};
use crate::money::spendable;
use async_trait::async_trait;
use farthing_client::{
    error::WalletError,
    rows::{CoinRow, CoinStatus},
    wallet::{OWN_ACCOUNTS_FILE, Wallet},
};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    api::{BankRequest, encode_reply},
    limits::RESTORE_GAP,
    refusal::{Refusal, RequestFault},
    restore::{KeptMemo, ScanRecord},
};
use std::{sync::Arc, time::Duration};

async fn withdrawn(seed: u64) -> (Arc<World>, CustomerMachine, Wallet) {
    let world = World::new(seed).await;
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    let withdrawn = wallet.withdraw(&world.parties().bank, WITHDRAWN).await;
    withdrawn.expect("a withdrawal");
    (world, customer, wallet)
}

/// A bank that refuses to begin any exchange, without a reason.
pub(super) struct RefusesExchanges;

#[async_trait]
impl Cheat for RefusesExchanges {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::ExchangeBegin(_)) => {
                let refusal = Refusal::Request(RequestFault::Malformed("not today".into()));
                encode_reply::<()>(&Err(refusal))
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

/// A bank that keeps scan records, and shows none.
struct ShowsNoScanRecord;

#[async_trait]
impl Cheat for ShowsNoScanRecord {
    async fn answer(&self, honest: &Honest, lane: Lane, request: Vec<u8>) -> Vec<u8> {
        match BankRequest::decode(&request) {
            Ok(BankRequest::Memo(asked)) if asked.body.memo.is_none() => {
                encode_reply(&Ok(KeptMemo::default()))
            }
            _ => honest.answer(lane, request).await,
        }
    }
}

/// The bank refuses more exchanges than a restore bridges and reserves ahead. Each exchange has new coins.
async fn exchanges_come_to_nothing(world: &World, wallet: &Wallet) {
    world.cheat(Party::Bank, RefusesExchanges);
    let rows = wallet.present_coins().expect("the coins");
    for subset in 1..=2 * RESTORE_GAP {
        let chosen = rows
            .iter()
            .enumerate()
            .filter(|(place, _)| (subset >> place) & 1 == 1);
        let refused = wallet
            .exchange(chosen.map(|(_, row)| row.clone()).collect())
            .await;
        assert!(matches!(refused, Err(WalletError::Refused { .. })), "{refused:?}");
    }
    world.honest(Party::Bank);
}

fn is_exchange(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::ExchangeFinish(_)))
}

/// The wallet exchanges all its coins, and the reply is lost.
async fn sends_an_exchange(world: &World, wallet: &Wallet) {
    world.network.block(is_exchange);
    let sent = wallet.exchange(wallet.present_coins().expect("the coins")).await;
    assert!(sent.as_ref().is_err_and(WalletError::is_silence), "{sent:?}");
}

/// The lost wallet's request arrives, and the restored wallet scans for it.
async fn it_arrives(world: &World, lost: Wallet, wallet: &Wallet) {
    world.network.unblock();
    drop(lost.resume().await.expect("the exchange"));
    drop(lost);
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
    // The bank has the coins that the wallet counts.
    let coins = wallet.present_coins().expect("the coins");
    drop(wallet.exchange_despite_refusals(coins).await.expect("the store"));
    assert_eq!(
        available(wallet),
        WITHDRAWN.0,
        "money: coins of an exchange behind a gap are lost"
    );
}

fn available(wallet: &Wallet) -> u64 {
    spendable(wallet).0
}

/// A copy of the wallet holds a coin for a purchase, so each `resume` tries to exchange it and is refused. Then the
/// wallet exchanges its other coins, and its machine is lost.
pub async fn a_coin_that_is_held_elsewhere_keeps_its_number() {
    let (world, customer, wallet) = withdrawn(71).await;
    let copy = customer.copy(&world, "copy").wallet();
    world.network.block(is_delivery);
    let held = copy.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
    assert!(held.as_ref().is_err_and(WalletError::is_silence), "{held:?}");
    world.network.unblock();
    for row in wallet.present_coins().expect("the coins") {
        // The copy's coins are refused, and count as held elsewhere from now on.
        drop(wallet.exchange(vec![row]).await);
    }
    for _ in 0..=RESTORE_GAP {
        let resumed = wallet.resume().await.expect("the wallet resumes");
        assert!(!resumed.open.is_empty(), "a coin is held elsewhere");
    }
    let mut rows = wallet.present_coins().expect("the coins");
    rows.retain(|row| row.status == CoinStatus::Available);
    wallet.exchange(rows).await.expect("an exchange");
    let left = available(&wallet);
    assert!(left > 0 && left < WITHDRAWN.0, "{left}");
    let origins = wallet.present_coins().expect("the coins").into_iter();
    let last = origins.filter_map(|row| row.origin.exchange()).max();
    assert!(
        last.is_some_and(|number| number < RESTORE_GAP / 2),
        "money: coins that are refused take a number each time, and the last exchange has {last:?}"
    );
    drop((wallet, copy));
    let wallet = restored(&world, &customer, "again").await;
    assert_eq!(available(&wallet), left, "money: a restore has lost coins");
}

/// More exchanges fail than a restore bridges. Then one is under way while the machine is lost.
pub async fn numbers_that_came_to_nothing_hide_no_coins() {
    let (world, customer, wallet) = withdrawn(72).await;
    exchanges_come_to_nothing(&world, &wallet).await;
    sends_an_exchange(&world, &wallet).await;
    let (lost, wallet) = (wallet, restored(&world, &customer, "again").await);
    it_arrives(&world, lost, &wallet).await;
}

/// The same, and the bank shows no scan record. Coins show that there is more.
pub async fn a_bank_that_shows_no_scan_record_hides_no_coins() {
    let (world, customer, wallet) = withdrawn(73).await;
    exchanges_come_to_nothing(&world, &wallet).await;
    let exchanged = wallet.exchange(wallet.present_coins().expect("the coins")).await;
    exchanged.expect("an exchange");
    drop(wallet);
    world.cheat(Party::Bank, ShowsNoScanRecord);
    let wallet = restored(&world, &customer, "again").await;
    assert_eq!(
        available(&wallet),
        WITHDRAWN.0,
        "money: coins of an exchange behind a gap are lost"
    );
}

/// An old scan record arrives again.
pub async fn an_old_scan_record_that_arrives_again_changes_nothing() {
    let (world, customer, wallet) = withdrawn(74).await;
    world.network.schedule([]);
    exchanges_come_to_nothing(&world, &wallet).await;
    drop(wallet);
    let wallet = restored(&world, &customer, "again").await;
    let is_first = |sent: &Sent| {
        let request = BankRequest::decode(&sent.request);
        sent.to == Party::Bank && matches!(request, Ok(BankRequest::Memo(asked)) if asked.body.version == 1)
    };
    let first = world
        .network
        .sent()
        .into_iter()
        .find(is_first)
        .expect("a scan record");
    let channel = world.wire().connect(world.card(Party::Bank), first.lane).await;
    let channel = channel.expect("a connection");
    let answer = channel.call(first.request, Duration::from_secs(60)).await;
    drop(answer.expect("an answer"));
    sends_an_exchange(&world, &wallet).await;
    let (lost, wallet) = (wallet, restored(&world, &customer, "and-again").await);
    it_arrives(&world, lost, &wallet).await;
}

/// A wallet is restored many times, and uses a few numbers each time.
pub async fn a_scan_record_has_room_for_every_restore() {
    let mut record = ScanRecord::default();
    for restore in 0..500u64 {
        let range = vec![(restore * 165, restore * 165 + 164)];
        record.merge(&ScanRecord {
            withdrawals: range.clone(),
            exchanges: range.clone(),
            orders: range.clone(),
            reserves: range,
        });
    }
    let bytes = record.to_bytes().expect("an encoding");
    assert!(
        bytes.len() <= farthing_protocol::seal::RECORD_TEXT_MAX_BYTES,
        "money: a wallet that was restored often is never restored again"
    );
}

/// A wallet still works after more restores than a scan record of unmerged ranges had room for.
pub async fn a_wallet_that_is_restored_fifty_times_still_works() {
    let (world, customer, wallet) = withdrawn(75).await;
    drop(wallet);
    for round in 0..50 {
        let wallet = restored(&world, &customer, &format!("alice-{round}")).await;
        let coins = wallet.present_coins().expect("the coins");
        wallet.exchange(coins).await.expect("an exchange");
        assert_eq!(available(&wallet), WITHDRAWN.0, "money: a restore has lost coins");
    }
}

/// A copy of the wallet holds a coin. The wallet exchanges all that it can spend.
pub async fn a_coin_that_is_held_elsewhere_keeps_no_other_from_an_exchange() {
    let (world, customer, wallet) = withdrawn(76).await;
    let copy = customer.copy(&world, "copy").wallet();
    world.network.block(is_delivery);
    let held = copy.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
    assert!(held.as_ref().is_err_and(WalletError::is_silence), "{held:?}");
    world.network.unblock();
    let rows = wallet.present_coins().expect("the coins");
    let (exchanged, failed) = wallet.exchange_despite_refusals(rows).await.expect("the store");
    let price = world.foundation.population.prices[0];
    assert_eq!(
        exchanged.0,
        WITHDRAWN.0 - price.0,
        "money: coins are not exchanged, as others are held elsewhere"
    );
    assert!(
        !failed.is_empty(),
        "coins are held elsewhere, and nothing is said of it"
    );
    let is_old = |row: &CoinRow| row.status == CoinStatus::Available && row.origin.exchange().is_none();
    let rows = wallet.present_coins().expect("the coins");
    assert!(!rows.iter().any(is_old), "{rows:?}");
}

/// Two banks compare their accounts.
pub async fn no_two_banks_know_one_account_key() {
    let world = World::new(77).await;
    let wallet = world.customer("alice", FUNDS).await.wallet();
    let (bank, other) = (world.parties().bank.identity, world.parties().escrow.identity);
    let accounts = [bank, other].map(|bank| wallet.account(&bank).expect("an account"));
    assert_ne!(
        accounts[0], accounts[1],
        "anonymity: two banks know a customer by one key"
    );
}

/// A wallet of protocol version 1 has one account key at every bank. After a restore from its words, it shows that
/// key to no bank unasked.
pub async fn a_shared_account_key_is_shown_only_where_the_customer_says_so() {
    let world = World::new(78).await;
    let bank = world.parties().bank;
    let bob = CustomerMachine::new(&world, "bob", &world.foundation.seed_of("bob"));
    let shared = bob.shared_account();
    world.open_account(shared, "bob").await;
    world.pay_in(shared, FUNDS, "bob").await;
    std::fs::remove_file(bob.dir().join(OWN_ACCOUNTS_FILE)).expect("the mark of a wallet of today");
    let wallet = bob.wallet();
    wallet.withdraw(&bank, WITHDRAWN).await.expect("a withdrawal");
    let coins = wallet.present_coins().expect("the coins");
    wallet.exchange(coins[..3].to_vec()).await.expect("an exchange");
    drop(wallet);
    let again = CustomerMachine::with_phrase_of(&world, &bob, "again");
    let wallet = again.wallet();
    world.network.schedule([]);
    let refused = wallet.restore(&bank, world.dir()).await;
    assert!(
        matches!(refused, Err(WalletError::NoAccount { .. })),
        "money: half a wallet is taken for a whole one: {refused:?}"
    );
    let names_it = |sent: &Sent| sent.request.windows(32).any(|bytes| bytes == shared.0);
    assert!(
        !world.network.sent().iter().any(names_it),
        "anonymity: a bank is shown the key that other banks know"
    );
    wallet
        .use_shared_account(&bank.identity)
        .await
        .expect("the store");
    wallet.restore(&bank, world.dir()).await.expect("the restore");
    assert_eq!(available(&wallet), WITHDRAWN.0, "money: a restore has lost coins");
    wallet.withdraw(&bank, WITHDRAWN).await.expect("a withdrawal");
    drop(wallet);
    let wallet = again.wallet();
    assert_eq!(wallet.account(&bank.identity).expect("an account"), shared);
}

/// A wallet that has had both accounts at one bank.
pub async fn withdrawals_of_both_accounts_are_found() {
    let (world, alice, wallet) = withdrawn(79).await;
    let (bank, shared) = (world.parties().bank, alice.shared_account());
    world.open_account(shared, "alice, shared").await;
    world.pay_in(shared, FUNDS, "shared").await;
    wallet
        .use_shared_account(&bank.identity)
        .await
        .expect("the store");
    wallet.withdraw(&bank, WITHDRAWN).await.expect("a withdrawal");
    drop(wallet);
    let wallet = CustomerMachine::with_phrase_of(&world, &alice, "again").wallet();
    wallet
        .use_shared_account(&bank.identity)
        .await
        .expect("the store");
    wallet.restore(&bank, world.dir()).await.expect("the restore");
    assert_eq!(
        available(&wallet),
        2 * WITHDRAWN.0,
        "money: a restore has lost coins"
    );
}
