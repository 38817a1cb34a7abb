//! A wallet that dies at any message and comes back: as it was, without unsynced writes, or from its phrase.

use farthing_client::rows::Delivery;
use farthing_simulation::money::spendable;
use farthing_simulation::{
    customer::CustomerMachine,
    fault::Fault,
    local,
    machine::Death,
    schedule::{FUNDS, WITHDRAWN},
    shopping::{Mode, day, picture},
    streams::{held_ticks, watch_once},
    world::World,
};
use std::{sync::Arc, time::Duration};

async fn setting(seed: u64, mode: Mode) -> (Arc<World>, CustomerMachine) {
    let world = World::of(seed, mode.population()).await;
    let customer = world.customer("alice", FUNDS).await;
    (world, customer)
}

/// How a dead customer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// The process was killed.
    Killed,
    /// The machine lost power, and the unsynced writes.
    PowerLost,
    /// The machine is lost. The customer has the phrase.
    Phrase,
}

/// The customer dies at a message, and comes back.
async fn die_and_return(mode: Mode, number: u64, fault: Fault, back: Return) {
    let (world, customer) = setting(2, mode).await;
    let wallet = customer.wallet();
    world.network.schedule([(number, fault)]);
    tokio::select! {
        () = day(&world, &wallet, mode, WITHDRAWN) => {}
        () = customer.died() => {}
    }
    let held = held_ticks(&wallet);
    drop(wallet);
    world.network.schedule([]);
    // The servers finish their work for the customer, and the connections end.
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.network.unblock();
    let wallet = match back {
        Return::Killed => customer.wallet_after(Death::Killed),
        Return::PowerLost => customer.wallet_after(Death::PowerLost),
        Return::Phrase => {
            let wallet = CustomerMachine::with_phrase_of(&world, &customer, "alice-again").wallet();
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
    let resumed = wallet.resume().await.expect("the wallet resumes");
    assert!(resumed.open.is_empty(), "{:?}", resumed.open);
    world.check(&[&wallet]).await;
    // The process may have died later, and left a file of held ticks.
    if !held.is_empty() {
        for left in held.iter().filter(|held| !held.exists()) {
            std::fs::write(left, "").expect("the file is left");
        }
        wallet.resume().await.expect("the wallet resumes");
        world.check(&[&wallet]).await;
    }
    // The customer's money can be spent.
    if spendable(&wallet) >= world.foundation.population.prices[0] {
        let again = match mode {
            Mode::Stream => watch_once(&world, &wallet).await.map(|seen| seen.number),
            _ => {
                wallet
                    .buy(&world.parties(), "a picture", &picture(&world, 9))
                    .await
            }
        };
        again.expect("another purchase");
        world.check(&[&wallet]).await;
    }
}

async fn every_death(mode: Mode) {
    let messages = {
        let (world, customer) = setting(2, mode).await;
        world.network.schedule([]);
        day(&world, &customer.wallet(), mode, WITHDRAWN).await;
        world.network.messages()
    };
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
fn the_wallet_dies_at_every_message_of_a_purchase_whose_escrow_is_silent_and_comes_back() {
    local(every_death(Mode::EscrowSilent));
}

#[test]
fn the_wallet_dies_at_every_message_of_a_sealed_purchase_and_comes_back() {
    local(every_death(Mode::Sealed));
}

#[test]
fn the_wallet_dies_at_every_message_of_a_purchase_with_change_and_comes_back() {
    local(every_death(Mode::Change));
}

#[test]
fn the_wallet_dies_at_every_message_of_a_sealed_purchase_with_change_and_comes_back() {
    local(every_death(Mode::SealedChange));
}

#[test]
fn the_wallet_dies_at_every_message_of_a_stream_and_comes_back() {
    local(every_death(Mode::Stream));
}
