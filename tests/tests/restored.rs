//! A bank or an escrow that is restored from an older backup. It is caught before it decides or pays anything, and
//! works again once the newest disk is back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use farthing_client::{error::WalletError, wallet::Wallet};
use farthing_node::{admin::AdminHandler, history::History};
use farthing_protocol::{money::Amount, refusal::Later};
use farthing_simulation::money::spendable;
use farthing_simulation::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    local,
    machine::Death,
    party::Party,
    shopping::{is_delivery, picture},
    world::World,
};
use farthing_store::disk::MemoryDisk;
use std::{sync::Arc, time::Duration};

/// The one escrow.
const ESCROW: Party = Party::Escrow(0);

fn disk(world: &World, party: Party) -> MemoryDisk {
    world.machine(party).disk.clone()
}

fn history(world: &World, party: Party) -> Arc<History> {
    match party {
        Party::Bank => Arc::clone(world.bank().history()),
        _ => Arc::clone(world.escrow(0).history()),
    }
}

/// Restores the machine from `backup` and starts it.
async fn start_from(world: &World, party: Party, backup: &MemoryDisk) {
    disk(world, party).restore(backup);
    world.restart(party, Death::Killed).await;
}

/// Waits until running nodes have found each other.
async fn a_moment() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

fn is_silence<T: std::fmt::Debug>(outcome: Result<T, WalletError>) {
    let error = outcome.expect_err("nothing may come of it");
    assert!(error.is_silence(), "{error}");
}

async fn resume(wallet: &Wallet) {
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "{:?}", resumed.open);
}

async fn setting(seed: u64) -> (Arc<World>, CustomerMachine) {
    let world = World::new(seed).await;
    let customer = world.customer("alice", Amount(5000)).await;
    customer
        .wallet()
        .withdraw(&world.parties().bank, Amount(2000))
        .await
        .unwrap();
    (world, customer)
}

/// Blocks the merchant's delivery, so that a purchase waits with its coins held.
async fn held(world: &World, wallet: &Wallet, name: &str) -> u64 {
    world.network.block(is_delivery);
    let parties = world.parties();
    let output = picture(world, name);
    let begun = wallet.begin_purchase(&parties, ITEM, &output);
    let number = begun.await.unwrap();
    is_silence(wallet.drive_purchase(number).await);
    world.network.unblock();
    number
}

/// Number of purchases that the escrow has decided.
async fn decisions(world: &World) -> usize {
    let asked = serde_json::json!({ "do": "purchases", "after": null });
    let page = world.escrow(0).admin(asked).await.expect("a page");
    page["purchases"].as_array().expect("a list").len()
}

/// An action of a bank after its backup.
#[derive(Debug, Clone, Copy)]
enum Forgotten {
    Withdrawal,
    Hold,
    Payment,
}

async fn bank_forgets(seed: u64, what: Forgotten) {
    let (world, customer) = setting(seed).await;
    let wallet = customer.wallet();
    let parties = world.parties();
    a_moment().await;
    let old = disk(&world, Party::Bank).copy();
    let twin = customer.copy(&world, "twin");
    let mut waiting = None;
    match what {
        // Only a peer that asks hears of it.
        Forgotten::Withdrawal => {
            wallet.withdraw(&parties.bank, Amount(1000)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        Forgotten::Hold => waiting = Some(held(&world, &wallet, "waiting").await),
        Forgotten::Payment => {
            wallet
                .buy(&parties, ITEM, &picture(&world, "first"))
                .await
                .unwrap();
            world.settle().await;
        }
    }
    let newest = disk(&world, Party::Bank).copy();
    let decided = decisions(&world).await;

    start_from(&world, Party::Bank, &old).await;
    // From the start it takes no coin twice and pays nothing out.
    let twins = twin.wallet();
    is_silence(twins.buy(&parties, ITEM, &picture(&world, "twice")).await);
    assert_eq!(
        history(&world, Party::Bank).standing(),
        Err(Later::Behind),
        "{what:?}"
    );
    is_silence(wallet.withdraw(&parties.bank, Amount(500)).await);
    assert_eq!(
        world.held().await,
        0,
        "it has forgotten what was held, and holds nothing new"
    );
    assert_eq!(decisions(&world).await, decided);
    // It stays stopped at its next start, although no peer is there to tell it again.
    world.stop(ESCROW);
    world.restart(Party::Bank, Death::Killed).await;
    assert_eq!(history(&world, Party::Bank).standing(), Err(Later::Behind));

    disk(&world, Party::Bank).restore(&newest);
    world.restart(Party::Bank, Death::Killed).await;
    world.restart(ESCROW, Death::Killed).await;
    a_moment().await;
    assert_eq!(history(&world, Party::Bank).standing(), Ok(()));
    resume(&wallet).await;
    if let Some(number) = waiting {
        assert_eq!(wallet.purchase(number).unwrap().purchase.status(), "committed");
    }
    wallet
        .buy(&parties, ITEM, &picture(&world, "last"))
        .await
        .unwrap();
    world.check(&[&wallet]).await;
}

#[test]
fn a_bank_that_forgets_a_withdrawal_is_caught() {
    local(bank_forgets(1, Forgotten::Withdrawal));
}

#[test]
fn a_bank_that_forgets_a_hold_is_caught() {
    local(bank_forgets(2, Forgotten::Hold));
}

#[test]
fn a_bank_that_forgets_a_payment_is_caught() {
    local(bank_forgets(3, Forgotten::Payment));
}

#[test]
fn an_escrow_that_forgets_a_commit_is_caught_before_it_signs_an_abort() {
    local(async {
        let (world, customer) = setting(4).await;
        let wallet = customer.wallet();
        let number = held(&world, &wallet, "wanted").await;
        a_moment().await;
        let old = disk(&world, ESCROW).copy();
        let twin = customer.copy(&world, "twin");
        resume(&wallet).await;
        world.settle().await;
        let newest = disk(&world, ESCROW).copy();

        start_from(&world, ESCROW, &old).await;
        // A copy of the wallet from before the commit wants the coins back.
        let twins = twin.wallet();
        let cancelled = twins.cancel(number).await;
        assert_eq!(history(&world, ESCROW).standing(), Err(Later::Behind));
        assert_eq!(
            decisions(&world).await,
            0,
            "it has forgotten, and decided nothing"
        );
        let status = twins.purchase(number).unwrap().purchase.status();
        assert_ne!(status, "aborted", "{cancelled:?}");

        disk(&world, ESCROW).restore(&newest);
        world.restart(ESCROW, Death::Killed).await;
        a_moment().await;
        assert_eq!(history(&world, ESCROW).standing(), Ok(()));
        assert_eq!(wallet.purchase(number).unwrap().purchase.status(), "committed");
        world.check(&[&wallet]).await;
    });
}

#[test]
fn an_escrow_that_forgets_an_abort_is_caught_before_it_commits() {
    local(async {
        let (world, customer) = setting(5).await;
        let wallet = customer.wallet();
        let number = held(&world, &wallet, "unwanted").await;
        a_moment().await;
        let old = disk(&world, ESCROW).copy();
        let twin = customer.copy(&world, "twin");
        wallet.cancel(number).await.unwrap();
        world.settle().await;
        let newest = disk(&world, ESCROW).copy();

        start_from(&world, ESCROW, &old).await;
        // A copy of the wallet from before the abort hands the hold to the merchant.
        let twins = twin.wallet();
        let _undone = twins.drive_purchase(number).await;
        assert_eq!(history(&world, ESCROW).standing(), Err(Later::Behind));
        assert_eq!(
            decisions(&world).await,
            0,
            "it has forgotten, and decided nothing"
        );

        disk(&world, ESCROW).restore(&newest);
        world.restart(ESCROW, Death::Killed).await;
        a_moment().await;
        resume(&wallet).await;
        world.check(&[&wallet]).await;
    });
}

#[test]
fn a_bank_waits_for_its_escrow_and_both_may_start_in_any_order() {
    local(async {
        let (world, customer) = setting(6).await;
        let wallet = customer.wallet();
        let parties = world.parties();
        world.stop(ESCROW);
        world.restart(Party::Bank, Death::PowerLost).await;
        assert_eq!(history(&world, Party::Bank).standing(), Err(Later::Unwitnessed));
        is_silence(wallet.withdraw(&parties.bank, Amount(100)).await);
        world.restart(ESCROW, Death::PowerLost).await;
        a_moment().await;
        assert_eq!(history(&world, Party::Bank).standing(), Ok(()));
        assert_eq!(history(&world, ESCROW).standing(), Ok(()));
        resume(&wallet).await;
        // Both start at once: each answers before it is up itself.
        world.stop(Party::Bank);
        world.restart(ESCROW, Death::PowerLost).await;
        assert_eq!(history(&world, ESCROW).standing(), Err(Later::Unwitnessed));
        world.restart(Party::Bank, Death::PowerLost).await;
        a_moment().await;
        assert_eq!(history(&world, Party::Bank).standing(), Ok(()));
        assert_eq!(history(&world, ESCROW).standing(), Ok(()));
        wallet
            .buy(&parties, ITEM, &picture(&world, "bought"))
            .await
            .unwrap();
        world.check(&[&wallet]).await;
    });
}

#[test]
fn a_witness_that_remembers_more_stops_a_bank_that_is_up_by_the_word_of_another() {
    local(async {
        let population = Population {
            escrows: 2,
            ..Population::default()
        };
        let world = World::of(8, population).await;
        let customer = world.customer("alice", Amount(5000)).await;
        let wallet = customer.wallet();
        let parties = world.parties();
        wallet.withdraw(&parties.bank, Amount(2000)).await.unwrap();
        a_moment().await;
        let old = disk(&world, Party::Bank).copy();
        wallet
            .buy(&parties, ITEM, &picture(&world, "bought"))
            .await
            .unwrap();
        let newest = disk(&world, Party::Bank).copy();
        world.stop(ESCROW);
        start_from(&world, Party::Bank, &old).await;
        a_moment().await;
        let standing = history(&world, Party::Bank).standing();
        assert_eq!(standing, Ok(()), "the other escrow had not heard of it");

        world.start(ESCROW).await;
        a_moment().await;
        assert_eq!(history(&world, Party::Bank).standing(), Err(Later::Behind));
        start_from(&world, Party::Bank, &newest).await;
        a_moment().await;
        assert_eq!(history(&world, Party::Bank).standing(), Ok(()));
        world.check(&[&wallet]).await;
    });
}

/// A node that keeps all synced writes is never taken for an older copy, no matter which write it dies in.
#[test]
fn no_crash_is_taken_for_an_older_copy() {
    local(async {
        let (world, customer) = setting(7).await;
        let wallet = customer.wallet();
        for round in 0..5 {
            let party = [Party::Bank, ESCROW][usize::from(round % 2 == 1)];
            disk(&world, party).fail_sync_after(round / 2);
            let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, round)).await;
            for party in [Party::Bank, ESCROW] {
                world.restart(party, Death::PowerLost).await;
            }
            a_moment().await;
            for party in [Party::Bank, ESCROW] {
                assert_eq!(history(&world, party).standing(), Ok(()), "round {round}");
            }
            if bought.is_err() {
                resume(&wallet).await;
            }
            if spendable(&wallet).0 < 800 {
                wallet
                    .withdraw(&world.parties().bank, Amount(1000))
                    .await
                    .unwrap();
            }
            world.settle().await;
        }
        world.check(&[&wallet]).await;
    });
}
