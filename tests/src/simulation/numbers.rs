//! Stories of the numbers that a wallet's secrets are derived from, and of restores that have to find all of them: each
//! panics where a promise is broken, and says which.

use super::{
    customer::Customer,
    foundation::ITEM,
    shopping::{is_delivery, picture},
    world::World,
};
use farthing_client::{error::WalletError, rows::CoinStatus, wallet::Wallet};
use farthing_protocol::{limits::RESTORE_GAP, money::Amount};
use std::sync::Arc;

/// What the customer has in the account at first.
const FUNDS: Amount = Amount(5000);

/// What the customer withdraws.
const WITHDRAWN: Amount = Amount(2000);

async fn withdrawn(seed: u64) -> (Arc<World>, Customer, Wallet) {
    let world = World::new(seed).await;
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    let withdrawn = wallet.withdraw(&world.parties().bank, WITHDRAWN).await;
    withdrawn.expect("a withdrawal");
    (world, customer, wallet)
}

/// A wallet from the words, which finds what there is.
async fn restored(world: &Arc<World>, customer: &Customer, name: &str) -> Wallet {
    let wallet = Customer::with_phrase_of(world, customer, name).wallet();
    let restored = wallet.restore(&world.parties().bank, world.dir()).await;
    restored.expect("the restore");
    wallet
}

fn available(wallet: &Wallet) -> u64 {
    wallet.balance().expect("a balance").available.0
}

/// A copy of the wallet holds a coin for a purchase, so that each `resume` asks for it again and is refused. Then the
/// wallet exchanges its other coins, and its machine is lost.
pub async fn a_coin_that_is_held_elsewhere_keeps_its_number() {
    let (world, customer, wallet) = withdrawn(71).await;
    let copy = customer.copy(&world, "copy").wallet();
    world.network.block(is_delivery);
    let held = copy.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
    assert!(held.as_ref().is_err_and(WalletError::is_silence), "{held:?}");
    world.network.unblock();
    for row in wallet.present_coins().expect("the coins") {
        // The copy's are refused, and are held elsewhere from now on.
        drop(wallet.refresh(vec![row]).await);
    }
    for _ in 0..=RESTORE_GAP {
        let resumed = wallet.resume().await.expect("the wallet resumes");
        assert!(!resumed.open.is_empty(), "a coin is held elsewhere");
    }
    let mut rows = wallet.present_coins().expect("the coins");
    rows.retain(|row| row.status == CoinStatus::Available);
    wallet.refresh(rows).await.expect("an exchange");
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
