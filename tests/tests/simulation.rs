//! One purchase in each mode, and every fault at every message of it.

use farthing_client::{
    error::WalletError,
    rows::{CoinStatus, Delivery},
    wallet::Wallet,
};
use farthing_protocol::{money::Amount, purchase::Purchase};
use farthing_tests::simulation::{
    customer::Customer,
    fault::Fault,
    machine::Death,
    party::Party,
    shopping::{Mode, day, is_delivery, picture},
    world::World,
};
use std::{sync::Arc, time::Duration};

/// What she has in her account at first.
const FUNDS: Amount = Amount(5000);

/// What she withdraws.
const WITHDRAWN: Amount = Amount(2000);

async fn setting(seed: u64) -> (Arc<World>, Customer) {
    let world = World::new(seed).await;
    let customer = world.customer("alice", FUNDS).await;
    (world, customer)
}

/// Runs a day with faults; returns how many messages it had.
async fn run(seed: u64, mode: Mode, faults: Vec<(u64, Fault)>) -> u64 {
    let (world, customer) = setting(seed).await;
    let wallet = customer.wallet();
    let _told = world.network.trace.told_on_panic();
    world.network.schedule(faults);
    day(&world, &wallet, mode, WITHDRAWN).await;
    let messages = world.network.sent().len() as u64;
    world.network.schedule([]);
    world.check(&[&wallet]).await;
    messages
}

/// Runs a day with faults, and says which they were if an invariant breaks.
async fn run_named(seed: u64, mode: Mode, faults: Vec<(u64, Fault)>) {
    let named = faults.clone();
    let outcome = tokio::task::spawn_local(async move { run(seed, mode, faults).await }).await;
    if let Err(error) = outcome {
        panic!("seed {seed}, {mode:?}, faults {named:?}: {error}");
    }
}

fn local<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

async fn every_single_fault(mode: Mode) {
    let messages = run(1, mode, vec![]).await;
    for number in 0..messages {
        for fault in Fault::LEAVING_THE_SENDER {
            run_named(1, mode, vec![(number, fault)]).await;
        }
    }
    println!(
        "{mode:?}: {} schedules of one fault over {messages} messages",
        messages * Fault::LEAVING_THE_SENDER.len() as u64
    );
}

#[test]
fn every_single_fault_at_every_message_of_a_purchase() {
    local(every_single_fault(Mode::Buy));
}

#[test]
fn every_single_fault_at_every_message_of_a_cancelled_purchase() {
    local(every_single_fault(Mode::Cancel));
}

/// One in so many pairs is run, unless all are asked for with `FARTHING_SCHEDULES=all`.
const PAIRS_SKIPPED: u64 = 6;

#[test]
fn pairs_of_faults_at_messages_of_a_purchase() {
    local(async {
        let all = std::env::var("FARTHING_SCHEDULES").is_ok_and(|which| which == "all");
        let messages = run(1, Mode::Buy, vec![]).await;
        let (mut schedules, mut ran) = (0, 0);
        for first in 0..messages {
            // A fault adds messages behind it, so the second one is looked for a little further.
            for second in first + 1..messages + 4 {
                for one in Fault::LEAVING_THE_SENDER {
                    for other in Fault::LEAVING_THE_SENDER {
                        schedules += 1;
                        if all || schedules % PAIRS_SKIPPED == 0 {
                            run_named(1, Mode::Buy, vec![(first, one), (second, other)]).await;
                            ran += 1;
                        }
                    }
                }
            }
        }
        println!("{ran} of {schedules} schedules of two faults over {messages} messages");
    });
}

/// How a dead customer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// Her process was killed.
    Killed,
    /// Her machine lost power, and what was not synced.
    PowerLost,
    /// Her machine is gone; she has her phrase.
    Phrase,
}

/// The customer dies at a message, and comes back.
async fn die_and_return(mode: Mode, number: u64, fault: Fault, back: Return) {
    let (world, customer) = setting(2).await;
    let wallet = customer.wallet();
    world.network.schedule([(number, fault)]);
    tokio::select! {
        () = day(&world, &wallet, mode, WITHDRAWN) => {}
        () = customer.died() => {}
    }
    drop(wallet);
    world.network.schedule([]);
    // Whatever a server was doing for her comes to its end, and so do connections of hers.
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.network.unblock();
    let wallet = match back {
        Return::Killed => customer.wallet_after(Death::Killed),
        Return::PowerLost => customer.wallet_after(Death::PowerLost),
        Return::Phrase => {
            let wallet = Customer::with_phrase_of(&world, &customer, "alice-again").wallet();
            wallet
                .restore(&world.parties().bank, world.dir())
                .await
                .expect("the restore");
            wallet
        }
    };
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "{:?}", resumed.open);
    for (number, row) in wallet.purchases().expect("the purchases") {
        if row.delivery == Delivery::OnDemand {
            wallet
                .drive_purchase(number)
                .await
                .expect("a purchase of the past ends as it had ended");
        }
    }
    world.check(&[&wallet]).await;
    // And what she has can be spent.
    if wallet.balance().expect("a balance").available >= world.foundation.population.prices[0] {
        wallet
            .buy(&world.parties(), "a picture", &picture(&world, 9))
            .await
            .expect("another purchase");
        world.check(&[&wallet]).await;
    }
}

async fn every_death(mode: Mode) {
    let messages = run(2, mode, vec![]).await;
    for number in 0..messages {
        for fault in [Fault::SenderDiesBefore, Fault::SenderDiesAfter] {
            for back in [Return::Killed, Return::PowerLost, Return::Phrase] {
                let task = tokio::task::spawn_local(die_and_return(mode, number, fault, back));
                if let Err(error) = task.await {
                    panic!("{mode:?}, message {number}, {fault:?}, {back:?}: {error}");
                }
            }
        }
    }
    println!("{mode:?}: {} deaths over {messages} messages", messages * 6);
}

#[test]
fn the_wallet_dies_at_every_message_of_a_purchase_and_comes_back() {
    local(every_death(Mode::Buy));
}

#[test]
fn the_wallet_dies_at_every_message_of_a_cancelled_purchase_and_comes_back() {
    local(every_death(Mode::Cancel));
}

#[test]
fn a_customer_who_never_comes_back_leaves_no_coin_held() {
    local(async {
        let (world, customer) = setting(3).await;
        let wallet = customer.wallet();
        let parties = world.parties();
        wallet.withdraw(&parties.bank, WITHDRAWN).await.unwrap();
        let number = wallet
            .begin_purchase(&parties, "a picture", &picture(&world, 1))
            .await
            .unwrap();
        world.network.block(is_delivery);
        assert!(wallet.drive_purchase(number).await.unwrap_err().is_silence());
        drop(wallet);
        assert!(world.held().await > 0);
        world.network.unblock();
        // Nobody does anything: the bank asks the escrow about the overdue hold, the escrow aborts it.
        world.settle().await;
        assert_eq!(world.held().await, 0);
        // Much later she does come back, and is told so.
        let wallet = customer.wallet_after(Death::PowerLost);
        wallet.resume().await.unwrap();
        assert!(matches!(
            wallet.purchase(number).unwrap().purchase,
            Purchase::Aborted(..)
        ));
        world.check(&[&wallet]).await;
    });
}

#[test]
fn a_dead_escrow_costs_nobody_the_goods() {
    local(async {
        let (world, customer) = setting(4).await;
        let wallet = customer.wallet();
        let parties = world.parties();
        wallet.withdraw(&parties.bank, WITHDRAWN).await.unwrap();
        let number = wallet
            .begin_purchase(&parties, "a picture", &picture(&world, 1))
            .await
            .unwrap();
        wallet.drive_purchase(number).await.unwrap();
        world.check(&[&wallet]).await;

        // Her machine is lost, and the escrow for ever: the bank hands her the sealed key.
        world.stop(Party::Escrow(0));
        let wallet = Customer::with_phrase_of(&world, &customer, "alice-again").wallet();
        wallet.restore(&parties.bank, world.dir()).await.unwrap();
        let resumed = wallet.resume().await.unwrap();
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        let (number, row) = wallet.purchases().unwrap().pop().unwrap();
        assert_eq!(
            row.delivery,
            Delivery::OnDemand,
            "a purchase of the past is left until it is asked for"
        );
        wallet.drive_purchase(number).await.unwrap();
        let row = wallet.purchase(number).unwrap();
        assert_eq!(row.purchase.status(), "committed");
        assert!(std::fs::read(row.output).unwrap() == world.foundation.goods(0));
    });
}

#[test]
fn every_restore_finds_what_came_after_the_one_before() {
    local(async {
        let (world, customer) = setting(6).await;
        let parties = world.parties();
        let first = customer.wallet();
        first.withdraw(&parties.bank, WITHDRAWN).await.unwrap();
        drop(first);
        let mut left = WITHDRAWN;
        for round in 1..=3u64 {
            let again = Customer::with_phrase_of(&world, &customer, &format!("alice-{round}"));
            let wallet = again.wallet();
            let too_early = wallet.buy(&parties, "a picture", &picture(&world, round)).await;
            assert!(
                matches!(too_early, Err(WalletError::NotRestored(_))),
                "{too_early:?}"
            );
            wallet.restore(&parties.bank, world.dir()).await.unwrap();
            wallet.resume().await.unwrap();
            assert_eq!(wallet.balance().unwrap().available, left, "round {round}");
            // From here on nothing but exchanges and orders, whose numbers the restore has just asked for.
            let coins = wallet.coins().unwrap().into_iter();
            wallet
                .refresh(coins.filter(|row| row.status == CoinStatus::Available).collect())
                .await
                .unwrap();
            if left >= world.foundation.population.prices[0] {
                wallet
                    .buy(&parties, "a picture", &picture(&world, round))
                    .await
                    .unwrap();
                left = Amount(left.0 - world.foundation.population.prices[0].0);
            }
            assert_eq!(wallet.balance().unwrap().available, left);
        }
        world.settle().await;
        let report = world.bank().audit().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!(report.outstanding, left.to_string());
    });
}

#[test]
fn one_coin_offered_to_two_purchases_pays_for_one() {
    local(async {
        let (world, customer) = setting(5).await;
        let parties = world.parties();
        customer
            .wallet()
            .withdraw(&parties.bank, WITHDRAWN)
            .await
            .unwrap();
        let twin = customer.copy(&world, "twin");
        let (wallet, copy) = (customer.wallet_after(Death::Killed), twin.wallet());
        let (one, two) = (picture(&world, 1), picture(&world, 2));
        let both = tokio::join!(
            wallet.buy(&parties, "a picture", &one),
            copy.buy(&parties, "a picture", &two),
        );
        let status = |wallet: &Wallet| wallet.purchases().unwrap()[0].1.purchase.status();
        let mut ends = [status(&wallet), status(&copy)];
        ends.sort_unstable();
        assert_eq!(ends, ["aborted", "committed"], "{both:?}");
        let loser = if status(&wallet) == "aborted" {
            &wallet
        } else {
            &copy
        };
        let refusal = loser.purchases().unwrap()[0].1.refusal.clone().unwrap();
        assert!(refusal.contains("already"), "{refusal}");
        let used = |row: &&farthing_client::rows::CoinRow| matches!(row.status, CoinStatus::UsedElsewhere(_));
        assert!(
            loser.coins().unwrap().iter().filter(used).count() > 0,
            "the refusal proves itself"
        );
        world.settle().await;
        assert_eq!(
            world.account(world.merchant(0).account()).await,
            world.foundation.population.prices[0],
            "paid once"
        );
    });
}
