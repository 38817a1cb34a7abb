//! Stories. Further stories, with which the planted defects are searched for, are in `simulation::stories`.

use farthing_client::{
    error::WalletError,
    rows::{CoinStatus, Delivery},
    wallet::Wallet,
};
use farthing_simulation::money::spendable;
use farthing_simulation::{
    customer::CustomerMachine,
    foundation::ITEM,
    local,
    machine::Death,
    party::Party,
    schedule::{FUNDS, WITHDRAWN},
    shopping::{is_delivery, picture},
    world::World,
};
use std::sync::Arc;

async fn setting(seed: u64) -> (Arc<World>, CustomerMachine) {
    let world = World::new(seed).await;
    let customer = world.customer("alice", FUNDS).await;
    (world, customer)
}

/// A wallet with coins, and a copy of it.
async fn two_copies(seed: u64) -> (Arc<World>, Wallet, Wallet) {
    let (world, customer) = setting(seed).await;
    let bank = world.parties().bank;
    customer.wallet().withdraw(&bank, WITHDRAWN).await.unwrap();
    let twin = customer.copy(&world, "twin");
    (world, customer.wallet_after(Death::Killed), twin.wallet())
}

story!(stories::the_customer_never_comes_back);
story!(stories::a_cancel_after_the_commit);
story!(stories::everything_arrives_again_after_the_abort);
story!(stories::everything_arrives_again_after_the_commit);
story!(stories::the_merchant_of_a_sealed_offer_is_gone);
story!(stories::a_cancel_after_a_sealed_commit);
story!(stories::one_wallet_buys_two_things_at_once);
story!(stories::a_copy_of_the_wallet_buys_later);
story!(stories::three_restores_of_one_wallet);
story!(stories::a_payment_arrives_after_the_restore);
story!(stories::a_bit_of_a_journal_flips);

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

        // The machine is lost, and the escrow permanently. The bank returns the sealed key.
        world.stop(Party::Escrow(0));
        let wallet = CustomerMachine::with_phrase_of(&world, &customer, "alice-again").wallet();
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
fn goods_that_no_file_can_take_are_not_paid_for() {
    local(async {
        let (world, customer) = setting(6).await;
        let wallet = customer.wallet();
        let parties = world.parties();
        wallet.withdraw(&parties.bank, WITHDRAWN).await.unwrap();
        let vanishes = world.dir().join("vanishes");
        std::fs::create_dir(&vanishes).unwrap();
        let number = wallet
            .begin_purchase(&parties, ITEM, &vanishes.join("goods"))
            .await
            .unwrap();
        std::fs::remove_dir(&vanishes).unwrap();
        let refused = wallet.drive_purchase(number).await;
        assert!(matches!(refused, Err(WalletError::NoPlace(_))), "{refused:?}");
        assert_eq!(wallet.purchase(number).unwrap().purchase.status(), "fetching");
        assert_eq!(spendable(&wallet), WITHDRAWN);
        // The same offer, with another file.
        wallet.deliver_to(number, &picture(&world, 1)).await.unwrap();
        wallet.drive_purchase(number).await.unwrap();
        let row = wallet.purchase(number).unwrap();
        assert_eq!(row.output, picture(&world, 1));
        assert!(std::fs::read(row.output).unwrap() == world.foundation.goods(0));
        world.check(&[&wallet]).await;
    });
}

#[test]
fn a_coin_that_a_copy_holds_and_releases_is_lost_to_neither() {
    local(async {
        let (world, wallet, copy) = two_copies(7).await;
        let parties = world.parties();
        // One copy holds the coins for a purchase that does not end. The other wants the same coins.
        world.network.block(is_delivery);
        let number = wallet
            .begin_purchase(&parties, ITEM, &picture(&world, 1))
            .await
            .unwrap();
        assert!(wallet.drive_purchase(number).await.unwrap_err().is_silence());
        let refused = copy.buy(&parties, ITEM, &picture(&world, 2)).await;
        assert!(copy.purchases().unwrap()[0].1.refusal.is_some(), "{refused:?}");
        world.network.unblock();
        // One copy loses its machine before it knows anything. The hold ends, and its coins are free.
        drop(wallet);
        world.settle().await;
        copy.resume().await.unwrap();
        assert_eq!(spendable(&copy), WITHDRAWN, "{:?}", copy.coins());
    });
}

#[test]
fn one_coin_offered_to_two_purchases_pays_for_one() {
    local(async {
        let (world, wallet, copy) = two_copies(5).await;
        let parties = world.parties();
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
        let coins = loser.coins().unwrap();
        let proven = |status| {
            matches!(
                status,
                CoinStatus::HeldElsewhere(_) | CoinStatus::UsedElsewhere(_)
            )
        };
        assert!(
            coins.iter().any(|row| proven(row.status)),
            "the refusal proves itself"
        );
        world.settle().await;
        // The held coins are spent now, and the other copy learns that finally.
        loser.resume().await.unwrap();
        let coins = loser.coins().unwrap();
        let held = |status| matches!(status, CoinStatus::HeldElsewhere(_));
        assert!(!coins.iter().any(|row| held(row.status)));
        assert_eq!(
            world.account(world.merchant(0).account()).await,
            world.foundation.population.prices[0],
            "paid once"
        );
    });
}
