//! One purchase, and every fault at every message of it.

use farthing_client::{error::WalletError, wallet::Wallet};
use farthing_protocol::money::Amount;
use farthing_tests::simulation::{network::Fault, world::World};
use std::sync::Arc;

/// Withdraws and buys; whatever was not answered is carried on until nothing is under way.
async fn withdraw_and_buy(world: &World, wallet: &Wallet) {
    let parties = world.parties();
    let first = wallet.withdraw(&parties.bank, Amount(2000)).await;
    carry_on(wallet, first).await;
    let bought = wallet
        .buy(&parties, "a picture", &world.dir().join("bought.png"))
        .await;
    carry_on(wallet, bought.map(drop)).await;
}

async fn carry_on(wallet: &Wallet, outcome: Result<(), WalletError>) {
    if let Err(error) = outcome {
        assert!(error.is_silence(), "{error}");
        let resumed = wallet.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
    }
}

async fn run(seed: u64, faults: Vec<(u64, Fault)>) -> (usize, Arc<World>) {
    let world = World::new(seed).await;
    let customer = world.customer("alice", Amount(5000)).await;
    let wallet = customer.wallet();
    world.network.schedule(faults);
    withdraw_and_buy(&world, &wallet).await;
    let messages = world.network.sent().len();
    world.network.schedule([]);
    world.check(&[&wallet]).await;
    (messages, world)
}

#[tokio::test(start_paused = true)]
async fn a_purchase_without_faults() {
    let (messages, world) = run(1, vec![]).await;
    assert!(messages > 8, "{messages}");
    assert_eq!(world.account(world.merchant().account()).await, world.price);
}

#[tokio::test(start_paused = true)]
async fn every_single_fault_at_every_message() {
    let (messages, _) = run(1, vec![]).await;
    let mut schedules = 0;
    for number in 0..messages as u64 {
        for fault in Fault::ALL {
            run(1, vec![(number, fault)]).await;
            schedules += 1;
        }
    }
    println!("{schedules} schedules of one fault each over {messages} messages");
}
