//! Money: the bank's books balance, and the bank and the wallets agree on every coin.

use super::World;
use farthing_bank::rows::{COINS, DEPOSITS, RESERVES};
use farthing_client::{
    rows::{CoinRow, CoinStatus, DepositState},
    wallet::Wallet,
};
use farthing_coin::{KeyId, PublicKey};
use farthing_protocol::{coins::CoinState, money::Amount, purchase::Purchase};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// The coins of one customer, with their rows in each of the customer's wallets. Copies of a wallet belong to one
/// customer.
type Coins = BTreeMap<(KeyId, PublicKey), Vec<CoinRow>>;

impl World {
    /// `all_ended` says that nothing is under way, so that every coin is known to both sides.
    pub(super) async fn check_money(&self, wallets: &[&Wallet], all_ended: bool, safety: &mut Vec<String>) {
        let report = self.audit().await;
        safety.extend(
            report
                .problems
                .iter()
                .map(|problem| format!("money: the books do not balance: {problem}")),
        );
        let mut coins = Coins::new();
        for wallet in wallets {
            for row in wallet.coins().expect("the coins") {
                coins
                    .entry((row.coin.key_id, row.coin.public))
                    .or_default()
                    .push(row);
            }
        }
        let mut there = 0;
        let bank = self.bank();
        for (key, rows) in coins {
            let state = COINS.peek(&bank.store().view(), &key).expect("the bank's row");
            let state = state.unwrap_or(CoinState::Unseen);
            if !is_used_up(&state) {
                there += rows[0].value;
            }
            for problem in disagreements(&state, &rows, all_ended) {
                safety.push(format!("money: {} is worth {}: {problem}", key.1, rows[0].value));
            }
        }
        self.check_payments(wallets, all_ended, safety);
        if all_ended {
            self.check_change(wallets, safety);
        }
        let outstanding: Amount = report.outstanding.parse().expect("an amount");
        if all_ended && there != outstanding.0 {
            safety.push(format!(
                "money: coins worth {outstanding} are out, the wallets know of {}",
                Amount(there)
            ));
        }
    }
}

impl World {
    /// The wallets know of all money that the bank has for their purchases: change that was not received yet.
    fn check_change(&self, wallets: &[&Wallet], safety: &mut Vec<String>) {
        let view = self.bank().store().view();
        let mut owed: BTreeMap<PublicKey, (Amount, Amount)> = BTreeMap::new();
        for wallet in wallets {
            for (number, row) in wallet.purchases().expect("the purchases") {
                let Purchase::Committed(order, _) = &row.purchase else {
                    continue;
                };
                let reserve = order.contract.terms.purchase_key;
                let sums = RESERVES.peek(&view, &reserve).expect("the bank's row");
                let left = sums.unwrap_or_default().balance();
                let due = wallet.change_of_purchase(number).expect("the reserve").due;
                let known = owed.entry(reserve).or_insert((left, due));
                known.1 = known.1.max(due);
            }
        }
        // A copy of a wallet does not know what another one has received.
        let is_copied = self.everyone().iter().any(|party| self.machine(*party).is_twin());
        for (reserve, (left, due)) in owed {
            if left > due || (due > left && !is_copied) {
                safety.push(format!(
                    "money: the bank has {left} in the reserve {reserve} of a purchase, and the wallet expects {due}"
                ));
            }
        }
    }

    /// The bank and the wallets agree on every payment by deposit.
    fn check_payments(&self, wallets: &[&Wallet], all_ended: bool, safety: &mut Vec<String>) {
        let view = self.bank().store().view();
        let mut ids = BTreeSet::new();
        for wallet in wallets {
            for (number, row) in wallet.payments().expect("the payments") {
                let id = row.deposit.id();
                let there = DEPOSITS.peek(&view, &id).expect("the bank's row");
                let fits = match &row.state {
                    DepositState::Done(deposited) => there.as_ref() == Some(&deposited.body),
                    DepositState::Sending => true,
                    DepositState::Refused(_) | DepositState::GivenUp => there.is_none(),
                };
                if !fits {
                    let word = row.state.word();
                    safety.push(format!(
                        "money: payment {number} is {word}, and the bank has {there:?}"
                    ));
                }
                ids.insert(id);
            }
        }
        let all = DEPOSITS
            .scan(&view, Bound::Unbounded, usize::MAX)
            .expect("the deposits");
        let unknown = all.iter().filter(|(id, _)| !ids.contains(id)).count();
        // A wallet that was restored from its words does not know the payments of before.
        let is_restored = self.everyone().iter().any(|party| self.machine(*party).is_twin());
        if all_ended && !is_restored && unknown > 0 {
            safety.push(format!(
                "money: the bank has {unknown} payments that no wallet knows"
            ));
        }
    }
}

fn is_used_up(state: &CoinState) -> bool {
    matches!(
        state,
        CoinState::Spent(_) | CoinState::Exchanged(_) | CoinState::Deposited(_)
    )
}

/// A disagreement between the bank and the wallets about a coin.
fn disagreements(state: &CoinState, rows: &[CoinRow], all_ended: bool) -> Vec<String> {
    let mut found = Vec::new();
    if !is_used_up(state) && !rows.iter().any(|row| row.status.counts()) {
        found.push(format!(
            "it is {state:?}, and lost to its owner, who has it as {}",
            rows[0].status.word()
        ));
    }
    for row in rows {
        let fits = match row.status {
            // A copy learns what another copy did when it uses the coin.
            CoinStatus::Available => rows.len() > 1 || *state == CoinState::Unseen,
            CoinStatus::InPurchase(_) | CoinStatus::InExchange(_) | CoinStatus::InDeposit(_) => true,
            CoinStatus::Deposited(_) => matches!(state, CoinState::Deposited(_)),
            CoinStatus::Released(_) => !matches!(state, CoinState::Spent(_)),
            CoinStatus::Spent(_) => match state {
                CoinState::Spent(_) => true,
                CoinState::Held(_) => !all_ended,
                _ => false,
            },
            CoinStatus::Exchanged(_) => matches!(state, CoinState::Exchanged(_)),
            CoinStatus::UsedElsewhere(_) => is_used_up(state) || !all_ended,
            CoinStatus::HeldElsewhere(_) | CoinStatus::FoundUsed(_) => *state != CoinState::Unseen,
        };
        if !fits {
            found.push(format!(
                "the wallet has it as {}, the bank as {state:?}",
                row.status.word()
            ));
        }
    }
    found
}
