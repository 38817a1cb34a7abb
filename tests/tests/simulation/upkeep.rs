//! Upkeep of a wallet that nobody uses: its coins are renewed before they expire, and small coins become fewer.

use farthing_client::{
    upkeep::{Task, Upkeep},
    wallet::Wallet,
};
use farthing_protocol::{limits::COINS_PER_REQUEST_MAX, money::Amount};
use farthing_simulation::{
    local,
    machine::Death,
    money::spendable,
    schedule::{FUNDS, WITHDRAWN},
    server::bank_settings,
    world::World,
};
use farthing_store::clock::Clock;
use std::time::Duration;
use tokio::time::sleep;

/// Longer than a consolidation is put off after the need for it is seen.
const SEVEN_HOURS: Duration = Duration::from_secs(7 * 60 * 60);

async fn look(wallet: &Wallet) -> Upkeep {
    wallet.look_after().await.expect("a look")
}

#[test]
fn coins_are_renewed_at_a_random_time_before_they_expire() {
    local(async {
        let world = World::new(61).await;
        let customer = world.customer("alice", FUNDS).await;
        let wallet = customer.wallet();
        let bank = world.parties().bank;
        wallet.withdraw(&bank, WITHDRAWN).await.expect("coins");
        let fresh = look(&wallet).await;
        assert!(fresh.due.is_empty() && fresh.next_ms.is_none(), "{fresh:?}");

        // The coins can be spent until the end of the second epoch after their own.
        let calendar = bank_settings().calendar;
        let servers = world.servers();
        servers.iter().for_each(|party| world.stop(*party));
        let epochs = u64::from(calendar.spend_epochs) + 1;
        let end_ms = (world.clock.now_ms() / calendar.epoch_ms + epochs) * calendar.epoch_ms;
        world.clock.jump_to(end_ms - calendar.epoch_ms / 8);
        for party in servers {
            world.start(party).await;
        }
        let balance = |wallet: &Wallet| wallet.balances().expect("the balances").remove(0);
        assert_eq!(balance(&wallet).ending, WITHDRAWN);

        // The first look draws the time, and a restart does not draw another one.
        let seen = look(&wallet).await;
        let due_ms = seen.next_ms.expect("a time");
        assert!(seen.due.is_empty() && due_ms > world.clock.now_ms());
        drop(wallet);
        let wallet = customer.wallet_after(Death::Killed);
        assert_eq!(look(&wallet).await.next_ms, Some(due_ms));
        sleep(Duration::from_millis(due_ms - world.clock.now_ms())).await;
        let due = look(&wallet).await.due.remove(0);
        assert_eq!(due.task, Task::Renew);
        let (worth, failed) = wallet.keep_up(&due).await.expect("the exchange");
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!((worth, spendable(&wallet)), (WITHDRAWN, WITHDRAWN));
        assert_eq!(balance(&wallet).ending, Amount(0));
        assert!(look(&wallet).await.due.is_empty());
        world.check(&[&wallet]).await;
    });
}

#[test]
fn small_coins_become_fewer_and_coins_that_were_used_in_the_meantime_stay_as_they_are() {
    const COINS: u64 = 80;
    local(async {
        let world = World::new(62).await;
        let wallet = world.customer("alice", FUNDS).await.wallet();
        let bank = world.parties().bank;
        for _ in 0..COINS {
            wallet.withdraw(&bank, Amount(1)).await.expect("a coin");
        }
        assert!(look(&wallet).await.due.is_empty());
        sleep(SEVEN_HOURS).await;
        let due = look(&wallet).await.due.remove(0);
        assert_eq!(due.task, Task::Consolidate);

        // A coin is used elsewhere after the look, so nothing is done.
        let coin = wallet.present_coins().expect("the coins").remove(0);
        wallet.exchange(vec![coin]).await.expect("an exchange");
        let (worth, _) = wallet.keep_up(&due).await.expect("upkeep");
        let count = || wallet.present_coins().expect("the coins").len() as u64;
        assert_eq!((worth, count()), (Amount(0), COINS));
        let again = look(&wallet).await;
        assert!(again.due.is_empty(), "the next time is drawn anew");
        sleep(SEVEN_HOURS).await;
        let due = look(&wallet).await.due.remove(0);
        let (worth, failed) = wallet.keep_up(&due).await.expect("the exchange");
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(worth, Amount(COINS_PER_REQUEST_MAX as u64));
        assert!(count() < COINS - COINS_PER_REQUEST_MAX as u64 / 2, "{}", count());
        assert_eq!(spendable(&wallet), Amount(COINS));
        world.check(&[&wallet]).await;
    });
}
