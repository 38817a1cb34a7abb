//! A customer of a campaign. The customer shops by the dice under faults, and retries after the repair.

use super::{customer::CustomerMachine, dice::Dice, foundation::ITEM, shopping::picture, world::World};
use crate::money::spendable;
use farthing_client::{error::WalletError, rows::Delivery, wallet::Wallet};
use farthing_protocol::{money::Amount, purchase::PurchaseError};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// What every shopper's account has at first.
pub const FUNDS: Amount = Amount(20_000);

/// What a shopper withdraws at a time.
const WITHDRAWN: Amount = Amount(2_500);

/// What happens to a shopper's wallet during the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ordinary,
    /// It is copied, and both copies shop.
    Copied,
    /// It is lost in the middle of a purchase, and restored from its phrase.
    Lost,
}

/// A shopper.
pub struct Shopper {
    /// The shopper's name in the trace.
    pub name: String,
    /// The wallet and its copies.
    pub customers: Vec<CustomerMachine>,
    dice: Dice,
    fate: Fate,
    purchases: usize,
    lost: bool,
    restored: bool,
    surprises: Mutex<Vec<String>>,
}

impl Shopper {
    /// A shopper of this wallet.
    pub fn new(name: String, customer: CustomerMachine, seed: u64) -> Self {
        let dice = Dice::new(seed);
        let fate = dice.weighed(&[(Fate::Ordinary, 70), (Fate::Copied, 15), (Fate::Lost, 15)]);
        Self {
            purchases: 2 + dice.below(4) as usize,
            name,
            customers: vec![customer],
            dice,
            fate,
            lost: false,
            restored: true,
            surprises: Mutex::default(),
        }
    }

    /// Errors that no honest party causes.
    pub fn surprises(&self) -> Vec<String> {
        self.surprises
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The shopper's day. It can be ended at any point.
    pub async fn shop(&mut self, world: &World) {
        self.visits(world, &self.customers[0], self.purchases / 2).await;
        match self.fate {
            Fate::Ordinary => self.visits(world, &self.customers[0], self.purchases).await,
            Fate::Copied => {
                self.note(world, "the wallet is copied");
                let copy = self.customers[0].copy(world, &format!("{}-copy", self.name));
                self.customers.push(copy);
                let visits = |customer| self.visits(world, customer, self.purchases);
                tokio::join!(biased; visits(&self.customers[0]), visits(&self.customers[1]));
            }
            Fate::Lost => {
                self.lose(world).await;
                self.visits(world, &self.customers[0], self.purchases).await;
            }
        }
    }

    /// The machine is lost in the middle of a purchase. Only the phrase is left.
    async fn lose(&mut self, world: &World) {
        let before = self.customers[0]
            .live(async |wallet| {
                let some_time = Duration::from_millis(self.dice.below(8_000));
                let _cut_off = timeout(some_time, self.purchase(world, wallet)).await;
            })
            .await;
        drop(before);
        self.note(world, "the machine is lost");
        let name = format!("{}-again", self.name);
        let again = CustomerMachine::with_phrase_of(world, &self.customers[0], &name);
        self.customers = vec![again];
        (self.lost, self.restored) = (true, false);
        let restored = self.customers[0]
            .live(async |wallet| self.restore(world, wallet).await)
            .await;
        drop(restored);
        self.restored = true;
    }

    async fn restore(&self, world: &World, wallet: &Wallet) {
        while let Err(error) = wallet.restore(&world.parties().bank, wallet.dir()).await {
            self.told(world, "restore", &error);
            sleep(Duration::from_secs(5)).await;
        }
    }

    /// Shops until the number of purchases is reached.
    async fn visits(&self, world: &World, customer: &CustomerMachine, purchases: usize) {
        let visit = async |wallet: &Wallet| {
            while wallet.purchases().expect("the purchases").len() < purchases {
                sleep(Duration::from_millis(self.dice.below(30_000))).await;
                self.withdraw(world, wallet).await;
                self.purchase(world, wallet).await;
            }
        };
        drop(customer.live(visit).await);
    }

    async fn withdraw(&self, world: &World, wallet: &Wallet) {
        if spendable(wallet) >= Amount(1_000) {
            return;
        }
        if let Err(error) = wallet.withdraw(&world.parties().bank, WITHDRAWN).await {
            self.told(world, "withdraw", &error);
            let _resumed = wallet.resume().await;
        }
    }

    async fn purchase(&self, world: &World, wallet: &Wallet) {
        let population = &world.foundation.population;
        let merchant = self.dice.below(population.prices.len() as u64) as usize;
        let escrow = self.dice.below(population.escrows as u64) as usize;
        let parties = world.parties_of(merchant, escrow);
        let number = wallet.purchases().expect("the purchases").len();
        let output = picture(world, format!("{}-{number}-{}", self.name, self.dice.any()));
        let begun = wallet.begin_purchase(&parties, ITEM, &output).await;
        let number = match begun {
            Ok(number) => number,
            Err(error) => return self.told(world, "buy", &error),
        };
        let patience = Duration::from_millis(self.dice.below(20_000));
        let driven = if self.dice.percent(70) {
            wallet.drive_purchase(number).await
        } else {
            // Does not wait: either cancels, or forgets the purchase.
            match timeout(patience, wallet.drive_purchase(number)).await {
                Ok(driven) => driven,
                Err(_) if self.dice.percent(50) => wallet.cancel(number).await,
                Err(_) => return,
            }
        };
        if let Err(error) = driven {
            self.told(world, "buy", &error);
            if self.dice.percent(50) {
                let _resumed = wallet.resume().await;
            }
        }
    }

    /// After the repair: carries on everything. Returns what is still open.
    pub async fn retry(&self, world: &World, wallet: &Wallet, before: usize) -> Vec<String> {
        if !self.restored {
            self.restore(world, wallet).await;
        }
        let resumed = wallet.resume().await.expect("the wallet resumes");
        let mut open = Vec::new();
        if self.lost && before == 0 {
            open.push(format!(
                "{}: requests of the lost machine may be under way",
                self.name
            ));
        }
        for (matter, error) in resumed.open {
            self.told(world, &matter, &error);
            open.push(format!("{}: {matter}: {error}", self.name));
        }
        for (number, row) in wallet.purchases().expect("the purchases") {
            if row.delivery == Delivery::OnDemand
                && let Err(error) = wallet.drive_purchase(number).await
            {
                open.push(format!("{}: purchase {number}: {error}", self.name));
            }
        }
        open
    }

    fn note(&self, world: &World, what: &str) {
        world.network.trace.note(format!("{}: {what}", self.name));
    }

    fn told(&self, world: &World, matter: &str, error: &WalletError) {
        self.note(world, &format!("{matter}: {error}"));
        if is_surprising(error) {
            let mut surprises = self.surprises.lock().unwrap_or_else(PoisonError::into_inner);
            surprises.push(format!("{}: {matter}: {error}", self.name));
        }
    }
}

/// Whether an error accuses a party or the wallet. All parties here are honest.
pub(super) fn is_surprising(error: &WalletError) -> bool {
    match error {
        WalletError::Purchase(error) => matches!(
            error,
            PurchaseError::WrongGoodsKey
                | PurchaseError::BothOutcomes
                | PurchaseError::PaidAfterRecovery
                | PurchaseError::Sealed(_)
        ),
        WalletError::Garbled { .. }
        | WalletError::KeyList { .. }
        | WalletError::KeyListChanged(_)
        | WalletError::Mint(_)
        | WalletError::WrongGoods
        | WalletError::NotAsDescribed(_)
        | WalletError::Network(_)
        | WalletError::CoinDenied { .. }
        | WalletError::Inconsistent(_) => true,
        _ => false,
    }
}
