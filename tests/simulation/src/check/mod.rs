//! The seven invariants of the protocol, checked once the network has healed and everyone has retried.
//!
//! | invariant | file |
//! |---|---|
//! | 1 money, counted to the unit, wallet by wallet against the bank's books | `money` |
//! | 2 goods if and only if paid, 6 evidence that verifies offline | `goods` |
//! | 3 finality, and that the same request always gets the same reply | `decisions` |
//! | 4 progress | this one |
//! | 5 anonymity, as far as it shows in what was sent | `anonymity`; with a relay, `relay` |
//! | 7 bad input | `bad_input` |

mod anonymity;
mod bad_input;
mod decisions;
mod goods;
mod money;
mod relay;

use super::{network::Sent, party::Party, streams::held_ticks, world::World};
use farthing_bank::{admin::Command, audit::AuditReport};
use farthing_client::{
    rows::{CoinStatus, Delivery},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::network::Lane;
use farthing_protocol::{money::Amount, purchase::Purchase};
use std::time::Duration;

/// Rounds of settlement in a healed world. Each is a minute of its time.
const ROUNDS_MAX: usize = 200;

/// Broken invariants. Empty is good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What must never happen.
    pub safety: Vec<String>,
    /// What has not ended, although everything is repaired.
    pub progress: Vec<String>,
}

impl Findings {
    /// Fails with all findings.
    ///
    /// # Panics
    /// When there are any.
    pub fn expect_none(&self) {
        let progress = self.progress.iter().map(|what| format!("progress: {what}"));
        let all: Vec<String> = self.safety.iter().cloned().chain(progress).collect();
        assert!(all.is_empty(), "{}", all.join("\n"));
    }
}

impl World {
    /// Lets all retries in the background finish. Returns whether they have.
    pub async fn try_settle(&self) -> bool {
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
                    .learn_round()
                    .await
                    .expect("the merchant's questions");
                let streams = self.merchant(number).close_round().await;
                open += streams.expect("the merchant's streams").open;
                open += self
                    .merchant(number)
                    .sales_round()
                    .await
                    .expect("the merchant's round");
            }
            if open == 0 && self.held().await == 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        false
    }

    /// Lets all retries in the background finish.
    ///
    /// # Panics
    /// When they do not.
    pub async fn settle(&self) {
        assert!(
            self.try_settle().await,
            "progress: the world does not come to rest"
        );
    }

    /// The bank's audit.
    pub async fn audit(&self) -> AuditReport {
        let report = self.bank().audit().await.expect("the audit");
        // It counts in another thread. What follows happens a moment later, so that the order does not depend on that
        // thread.
        tokio::time::sleep(Duration::from_millis(1)).await;
        report
    }

    /// How many coins are held.
    pub async fn held(&self) -> u64 {
        let report = self.audit().await;
        report.coins.iter().map(|line| line.held).sum()
    }

    /// The balance of an account.
    pub async fn account(&self, key: PublicKey) -> Amount {
        let list = self.bank().administer(Command::AccountList { after: None }).await;
        let list = list.expect("the list");
        let rows = list["accounts"].as_array().expect("accounts");
        let row = rows.iter().find(|row| row["key"] == key.to_string());
        let balance = row.expect("the account")["balance"].as_str().expect("a balance");
        balance.parse().expect("an amount")
    }

    /// Settles, and checks every invariant. These are all wallets of the world.
    ///
    /// # Panics
    /// When one is broken.
    pub async fn check(&self, wallets: &[&Wallet]) {
        self.findings(wallets).await.expect_none();
    }

    /// Settles, and returns the broken invariants. These are all wallets of the world.
    pub async fn findings(&self, wallets: &[&Wallet]) -> Findings {
        let mut found = Findings::default();
        if !self.try_settle().await {
            found.progress.push("the servers do not come to rest".into());
        }
        for wallet in wallets {
            check_ended(wallet, &mut found.progress);
        }
        let all_ended = found.progress.is_empty();
        self.check_money(wallets, all_ended, &mut found.safety).await;
        self.check_goods(wallets, all_ended, &mut found.safety).await;
        let (sent, opened) = (self.network.sent(), self.network.all_opened());
        // What only its target can read is checked as the target has opened it.
        let is_sealed = |message: &Sent| message.to == Party::Relay || message.lane == Lane::Relayed;
        let (sealed, mut plain): (Vec<Sent>, Vec<Sent>) = sent.into_iter().partition(is_sealed);
        anonymity::check(self, &plain, &opened, wallets, &mut found.safety);
        relay::check(&sealed, &mut found.safety);
        plain.extend(opened);
        decisions::check(&plain, &mut found.safety);
        found
    }
}

/// Every purchase has ended, and every coin of an aborted one can be spent again.
fn check_ended(wallet: &Wallet, progress: &mut Vec<String>) {
    for (number, row) in wallet.purchases().expect("the purchases") {
        let ended = matches!(
            row.purchase,
            Purchase::Committed(..) | Purchase::Aborted(..) | Purchase::Dropped(_) | Purchase::Recovered(_)
        );
        if !ended {
            progress.push(format!("purchase {number} is {}", row.purchase.status()));
        }
        let undelivered = matches!(row.delivery, Delivery::Pending | Delivery::OnDemand);
        if matches!(row.purchase, Purchase::Committed(..)) && undelivered {
            progress.push(format!("purchase {number} is paid, and {:?}", row.delivery));
        }
    }
    let rows = wallet.purchases().expect("the purchases").into_iter();
    let unseen = rows.filter(|(_, row)| wallet.unseen_ticks(row).expect("the held ticks") > 0);
    let (held, unseen) = (held_ticks(wallet).len(), unseen.count());
    if held > unseen {
        progress.push(format!(
            "there are held ticks of {held} streams, and {unseen} have records to see"
        ));
    }
    for (number, row) in wallet.payments().expect("the payments") {
        if row.state.is_open() {
            progress.push(format!("payment {number} is {}", row.state.word()));
        }
    }
    for coin in wallet.present_coins().expect("the coins") {
        let open = coin.status.counts() || matches!(coin.status, CoinStatus::HeldElsewhere(_));
        if open && coin.status != CoinStatus::Available {
            progress.push(format!("a coin worth {} is {}", coin.value, coin.status.word()));
        }
    }
}
