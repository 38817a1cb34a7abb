//! A wallet whose keys end: at a bank with a full list of keys, where all commands work until the last epoch ends, and
//! with coins that it left lying.

use farthing_client::{error::WalletError, wallet::Wallet};
use farthing_protocol::money::Amount;
use farthing_simulation::{
    customer::CustomerMachine, foundation::ITEM, local, server::bank_settings, shopping::picture,
    world::World,
};
use farthing_store::clock::Clock;
use std::time::Duration;
use tokio::time::sleep;

/// What the customer withdraws in each epoch.
const WITHDRAWN: Amount = Amount(1_000);

/// Upper bound of the time in which merchant and escrow fetch a longer list.
const A_WHILE: Duration = Duration::from_secs(600);

/// Lets epochs pass in which no server runs. An escrow whose clock jumps decides nothing.
async fn wait_for(world: &World, epochs: usize) {
    let servers = world.servers();
    for party in &servers {
        world.stop(*party);
    }
    let epoch_ms = bank_settings().calendar.epoch_ms;
    world
        .clock
        .jump_to(world.clock.now_ms() + epochs as u64 * epoch_ms);
    for party in servers {
        world.start(party).await;
    }
    // As an operator does after a long rest.
    world.bank().accept_clock().await.expect("the keys are appended");
    sleep(A_WHILE).await;
}

/// Waits until the bank's list has `epochs` epochs.
async fn grow_to(world: &World, epochs: usize) {
    wait_for(world, epochs - world.bank().key_list().epochs).await;
    assert_eq!(world.bank().key_list().epochs, epochs);
}

/// The customer withdraws, buys, and exchanges what is left.
async fn goes_shopping(world: &World, wallet: &Wallet, number: u64) {
    let parties = world.parties();
    wallet.withdraw(&parties.bank, WITHDRAWN).await.expect("coins");
    let output = picture(world, number);
    wallet.buy(&parties, ITEM, &output).await.expect("the goods");
    let coin = wallet.present_coins().expect("the coins").pop().expect("a coin");
    wallet.exchange(vec![coin]).await.expect("an exchange");
}

#[test]
fn a_wallet_works_against_a_bank_with_a_full_list_of_keys() {
    local(async {
        let world = World::new(5).await;
        let most = bank_settings().epochs_max();
        grow_to(&world, most - 1).await;
        let customer = world.customer("alice", Amount(3 * WITHDRAWN.0)).await;
        let wallet = customer.wallet();
        goes_shopping(&world, &wallet, 1).await;

        // The list that the wallet has is continued by a longer one.
        grow_to(&world, most).await;
        goes_shopping(&world, &wallet, 2).await;
        wallet
            .exchange_expiring()
            .await
            .expect("the wallet exchanges its expiring coins");
        let restored = CustomerMachine::with_phrase_of(&world, &customer, "restored").wallet();
        let bank = world.parties().bank;
        restored.restore(&bank, world.dir()).await.expect("a restore");
        let carried_on = restored.resume().await.expect("the wallet resumes");
        assert!(carried_on.open.is_empty(), "{:?}", carried_on.open);
        let (had, found) = (wallet.balances(), restored.balances());
        assert_eq!(had.expect("the balances"), found.expect("the balances"));

        // The last epoch has begun.
        wait_for(&world, 1).await;
        assert!(world.bank().key_list().full);
        goes_shopping(&world, &restored, 3).await;
        let report = world.bank().audit().await.expect("an audit");
        assert_eq!(report.problems, Vec::<String>::new());
    });
}

#[test]
fn expired_coins_are_shown_renewed_to_pay_and_lost_at_last() {
    local(async {
        let world = World::new(6).await;
        let wallet = world.customer("alice", WITHDRAWN).await.wallet();
        let parties = world.parties();
        wallet.withdraw(&parties.bank, WITHDRAWN).await.expect("coins");
        let balance = || wallet.balances().expect("the balances").remove(0);
        assert_eq!((balance().available, balance().expired), (WITHDRAWN, Amount(0)));

        let calendar = bank_settings().calendar;
        wait_for(&world, calendar.spend_epochs as usize + 1).await;
        assert_eq!((balance().available, balance().expired), (Amount(0), WITHDRAWN));
        assert!(balance().expired_until_ms > Some(world.clock.now_ms()));
        let number = wallet.buy(&parties, ITEM, &picture(&world, 1)).await;
        let bought = wallet.purchase(number.expect("the goods")).expect("its row");
        let left = Amount(WITHDRAWN.0 - bought.purchase.offer().body.price.0);
        assert_eq!((balance().available, balance().expired), (left, Amount(0)));

        let epochs = calendar.spend_epochs + calendar.redeem_epochs + 1;
        wait_for(&world, epochs as usize).await;
        assert_eq!((balance().total(), balance().lost), (Amount(0), left));
        let late = wallet.buy(&parties, ITEM, &picture(&world, 2)).await;
        assert!(
            matches!(
                late,
                Err(WalletError::Short {
                    available: Amount(0),
                    ..
                })
            ),
            "{late:?}"
        );
    });
}
