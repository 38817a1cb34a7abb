//! Requests of a lost machine that were not carried out yet when its wallet was restored from the phrase.

use farthing_client::{rows::CoinStatus, wallet::Wallet};
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{api::BankRequest, limits::DEADLINE_HORIZON_MS, restore::Shelf};
use farthing_simulation::money::spendable;
use farthing_simulation::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    local,
    schedule::{FUNDS, WITHDRAWN},
    shopping::{is_delivery, is_hold_at_bank, picture},
    world::World,
};
use std::sync::Arc;

fn is_exchange(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::ExchangeFinish(_)))
}

fn is_withdrawal(card: &Card, request: &[u8]) -> bool {
    card.role == RoleName::Bank && matches!(BankRequest::decode(request), Ok(BankRequest::WithdrawFinish(_)))
}

fn is_bucket_of_coins(card: &Card, request: &[u8]) -> bool {
    let asked = BankRequest::decode(request);
    card.role == RoleName::Bank
        && matches!(asked, Ok(BankRequest::Bucket(bucket)) if matches!(bucket.shelf, Shelf::Coins(_)))
}

/// A customer whose wallet is restored while a request is under way.
struct Lost {
    world: Arc<World>,
    customer: CustomerMachine,
    /// The wallet of the lost machine. Carrying on with it stands for the arrival of its requests.
    before: Wallet,
}

impl Lost {
    async fn with(population: Population) -> Lost {
        let world = World::of(31, population).await;
        let customer = world.customer("alice", FUNDS).await;
        let before = customer.wallet();
        before.withdraw(&world.parties().bank, WITHDRAWN).await.unwrap();
        Lost {
            world,
            customer,
            before,
        }
    }

    async fn restored(&self, name: &str) -> Wallet {
        let wallet = CustomerMachine::with_phrase_of(&self.world, &self.customer, name).wallet();
        let bank = self.world.parties().bank;
        wallet.restore(&bank, self.world.dir()).await.unwrap();
        resumed(&wallet).await;
        wallet
    }

    async fn sends_a_payment(&self) {
        self.world.network.block(is_hold_at_bank);
        let output = picture(&self.world, "lost");
        let bought = self.before.buy(&self.world.parties(), ITEM, &output).await;
        assert!(bought.unwrap_err().is_silence());
    }

    async fn sends_an_exchange(&self) {
        self.world.network.block(is_exchange);
        let coins = self.before.present_coins().unwrap();
        assert!(self.before.exchange(coins).await.unwrap_err().is_silence());
    }

    /// The requests arrive.
    async fn it_arrives(&self) {
        self.world.network.unblock();
        let _far = self.before.resume().await.unwrap();
    }
}

async fn resumed(wallet: &Wallet) {
    let resumed = wallet.resume().await.unwrap();
    assert!(resumed.open.is_empty(), "{:?}", resumed.open);
}

fn available(wallet: &Wallet) -> u64 {
    spendable(wallet).0
}

async fn the_customer_has_the_goods(lost: &Lost, wallet: &Wallet) {
    let price = lost.world.foundation.population.prices[0].0;
    let purchases = wallet.purchases().unwrap();
    assert_eq!(purchases.len(), 1, "goods: a payment is unknown to the wallet");
    assert_eq!(purchases[0].1.purchase.status(), "committed");
    assert!(std::fs::read(&purchases[0].1.output).unwrap() == lost.world.foundation.goods(0));
    assert_eq!(available(wallet), WITHDRAWN.0 - price);
    lost.world.check(&[wallet]).await;
}

#[test]
fn a_sealed_payment_that_arrives_after_the_restore_brings_the_goods() {
    local(async {
        let lost = Lost::with(Population::sealed()).await;
        lost.sends_a_payment().await;
        let wallet = lost.restored("again").await;
        assert_eq!(available(&wallet), WITHDRAWN.0, "nothing is taken yet");
        lost.it_arrives().await;
        resumed(&wallet).await;
        the_customer_has_the_goods(&lost, &wallet).await;
    });
}

#[test]
fn a_hold_that_arrives_after_the_restore_is_carried_on() {
    local(async {
        let lost = Lost::with(Population::default()).await;
        lost.sends_a_payment().await;
        let wallet = lost.restored("again").await;
        lost.world.network.block(is_delivery);
        let _silent = lost.before.resume().await.unwrap();
        lost.world.network.unblock();
        resumed(&wallet).await;
        the_customer_has_the_goods(&lost, &wallet).await;
    });
}

#[test]
fn a_machine_that_is_lost_once_more_forgets_no_late_payment() {
    local(async {
        let lost = Lost::with(Population::default()).await;
        lost.sends_a_payment().await;
        drop(lost.restored("again").await);
        lost.it_arrives().await;
        let wallet = lost.restored("and-again").await;
        let (number, _) = wallet.purchases().unwrap()[0];
        wallet.drive_purchase(number).await.unwrap();
        the_customer_has_the_goods(&lost, &wallet).await;
    });
}

#[test]
fn coins_of_an_exchange_or_a_withdrawal_that_arrives_after_the_restore_are_found() {
    local(async {
        let lost = Lost::with(Population::default()).await;
        lost.sends_an_exchange().await;
        let wallet = lost.restored("again").await;
        lost.it_arrives().await;
        resumed(&wallet).await;
        assert_eq!(available(&wallet), WITHDRAWN.0);

        // The restored wallet is lost too, before its own first withdrawal arrives.
        lost.world.network.block(is_withdrawal);
        let bank = lost.world.parties().bank;
        let withdrawn = wallet.withdraw(&bank, WITHDRAWN).await;
        assert!(withdrawn.unwrap_err().is_silence());
        let (before, wallet) = (wallet, lost.restored("and-again").await);
        lost.world.network.unblock();
        resumed(&before).await;
        resumed(&wallet).await;
        assert_eq!(available(&wallet), 2 * WITHDRAWN.0);
        lost.world.check(&[&wallet]).await;
    });
}

#[test]
fn a_rescan_that_is_cut_off_is_finished_by_the_next() {
    local(async {
        let lost = Lost::with(Population::default()).await;
        lost.sends_an_exchange().await;
        let wallet = lost.restored("again").await;
        lost.it_arrives().await;
        lost.world.network.block(is_bucket_of_coins);
        assert!(!wallet.resume().await.unwrap().open.is_empty());
        lost.world.network.unblock();
        resumed(&wallet).await;
        assert_eq!(available(&wallet), WITHDRAWN.0);
        lost.world.check(&[&wallet]).await;
    });
}

/// Puts the coins to another purchase. Then carries on, or repeats the restore before that.
async fn put_to_another_purchase(repeats: bool) {
    let lost = Lost::with(Population::default()).await;
    lost.sends_a_payment().await;
    let wallet = lost.restored("again").await;
    let output = picture(&lost.world, "other");
    let bought = wallet.buy(&lost.world.parties(), ITEM, &output).await;
    assert!(bought.unwrap_err().is_silence());
    lost.it_arrives().await;
    if repeats {
        let bank = lost.world.parties().bank;
        wallet.restore(&bank, lost.world.dir()).await.unwrap();
    }
    resumed(&wallet).await;
    let purchases = wallet.purchases().unwrap();
    let statuses: Vec<_> = purchases.iter().map(|(_, row)| row.purchase.status()).collect();
    assert_eq!(statuses, ["aborted", "committed"]);
    let price = lost.world.foundation.population.prices[0].0;
    assert_eq!(available(&wallet), WITHDRAWN.0 - price, "{:?}", wallet.coins());
    lost.world.check(&[&wallet]).await;
}

#[test]
fn coins_in_another_purchase_go_back_to_the_late_one() {
    local(put_to_another_purchase(false));
    local(put_to_another_purchase(true));
}

/// The coin itself tells, no matter how late it is or what the clock says.
#[test]
fn a_coin_with_an_unknown_use_causes_a_rescan() {
    local(async {
        let lost = Lost::with(Population::default()).await;
        lost.sends_an_exchange().await;
        let customer = CustomerMachine::with_phrase_of(&lost.world, &lost.customer, "again");
        let (wallet, bank) = (customer.wallet(), lost.world.parties().bank);
        let clock = &customer.machine.clock;
        clock.set_wrong_by_ms(-(DEADLINE_HORIZON_MS as i64));
        wallet.restore(&bank, lost.world.dir()).await.unwrap();
        assert!(wallet.resume().await.unwrap().late_until_ms.is_some());
        clock.set_wrong_by_ms(0);
        lost.world.network.block(|card, _| card.role == RoleName::Bank);
        let unanswered = wallet.resume().await.unwrap();
        assert!(!unanswered.open.is_empty() && unanswered.late_until_ms.is_some());
        lost.world.network.unblock();
        assert_eq!(wallet.resume().await.unwrap().late_until_ms, None);
        lost.it_arrives().await;
        resumed(&wallet).await;
        let stale = |wallet: &Wallet| {
            let coins = wallet.present_coins().unwrap();
            coins.iter().all(|row| row.status == CoinStatus::Available) && available(wallet) == WITHDRAWN.0
        };
        assert!(stale(&wallet), "the wallet still scans after the last scan");

        let output = picture(&lost.world, "late");
        let refused = wallet.buy(&lost.world.parties(), ITEM, &output).await;
        assert!(!output.exists(), "its coins are used: {refused:?}");
        // The coin goes to an exchange, where the bank shows what was issued for it. Then the wallet scans for that.
        wallet.resume().await.unwrap();
        resumed(&wallet).await;
        assert_eq!(available(&wallet), WITHDRAWN.0, "{:?}", wallet.coins());
        let output = picture(&lost.world, "later");
        wallet.buy(&lost.world.parties(), ITEM, &output).await.unwrap();
        assert!(std::fs::read(output).unwrap() == lost.world.foundation.goods(0));
    });
}
