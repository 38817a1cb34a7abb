//! The invariants, checked once the network has healed and everyone has retried.

use super::world::World;
use farthing_bank::admin::Command;
use farthing_client::{
    rows::{CoinStatus, Delivery},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_protocol::{money::Amount, purchase::Purchase};
use std::time::Duration;

/// How many rounds of settlement a healed world may take: each is a minute of its time.
const ROUNDS_MAX: usize = 200;

impl World {
    /// Lets everything that is retried in the background come to its end.
    pub async fn settle(&self) {
        for _ in 0..ROUNDS_MAX {
            let mut open = self.bank().chase_overdue().await.expect("the bank's round");
            for number in 0..self.foundation.population.escrows {
                open += self
                    .escrow(number)
                    .settle_round()
                    .await
                    .expect("the escrow's round");
            }
            for number in 0..self.foundation.population.prices.len() {
                open += self
                    .merchant(number)
                    .sales_round()
                    .await
                    .expect("the merchant's round");
            }
            if open == 0 && self.held().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        panic!("progress: the world does not come to rest");
    }

    /// How many coins are held.
    pub async fn held(&self) -> u64 {
        self.bank()
            .audit()
            .await
            .expect("the audit")
            .coins
            .iter()
            .map(|line| line.held)
            .sum()
    }

    /// What an account holds.
    pub async fn account(&self, key: PublicKey) -> Amount {
        let list = self
            .bank()
            .administer(Command::AccountList { after: None })
            .await
            .expect("the list");
        let rows = list["accounts"].as_array().expect("accounts");
        let row = rows
            .iter()
            .find(|row| row["key"] == key.to_string())
            .expect("the account");
        row["balance"]
            .as_str()
            .expect("a balance")
            .parse()
            .expect("an amount")
    }

    /// Checks invariants 1 to 4 for these wallets, which are all that there are.
    pub async fn check(&self, wallets: &[&Wallet]) {
        self.settle().await;
        let report = self.bank().audit().await.expect("the audit");
        assert_eq!(
            report.problems,
            Vec::<String>::new(),
            "money: the books do not balance"
        );
        assert_eq!(self.held().await, 0, "progress: coins are still held");
        let outstanding: Amount = report.outstanding.parse().expect("an amount");
        let mut wallets_have = 0;
        let mut paid = 0;
        for wallet in wallets {
            let balance = wallet.balance().expect("a balance");
            assert_eq!(
                balance.in_purchases,
                Amount(0),
                "progress: coins are still in purchases"
            );
            assert_eq!(
                balance.in_exchanges,
                Amount(0),
                "progress: coins are still in exchanges"
            );
            wallets_have += balance.total().0;
            paid += self.check_purchases(wallet);
        }
        assert_eq!(
            wallets_have, outstanding.0,
            "money: a wallet's coins are not what the bank's books say"
        );
        let mut earned = 0;
        for number in 0..self.foundation.population.prices.len() {
            earned += self.account(self.merchant(number).account()).await.0;
        }
        assert_eq!(earned, paid, "goods: paid for and delivered differ");
    }

    /// Every purchase has ended, with the goods or with the coins; returns what was paid.
    fn check_purchases(&self, wallet: &Wallet) -> u64 {
        let mut paid = 0;
        for (number, row) in wallet.purchases().expect("the purchases") {
            match &row.purchase {
                Purchase::Committed(order, _) => {
                    assert_eq!(row.delivery, Delivery::Delivered, "goods: paid and not delivered");
                    let goods = std::fs::read(&row.output).expect("the goods are there");
                    assert!(
                        goods == self.foundation.goods(0),
                        "goods: other bytes were delivered"
                    );
                    paid += order.contract.terms.price.0;
                }
                Purchase::Aborted(..) | Purchase::Dropped(_) => {
                    assert!(!row.output.exists(), "goods: delivered and not paid");
                    let coins = wallet.coins().expect("the coins");
                    let stuck = coins
                        .iter()
                        .any(|coin| coin.status == CoinStatus::Released(number));
                    assert!(!stuck, "progress: coins of an aborted purchase are not exchanged");
                }
                open => panic!("progress: purchase {number} is {}", open.status()),
            }
        }
        paid
    }
}
