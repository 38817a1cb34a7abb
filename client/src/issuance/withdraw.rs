//! Withdrawals: planned, then driven until the coins are in the wallet.

use super::{row::At, run::drive, step::has_sent_finish};
use crate::{
    counters::{number_reads, take_numbers},
    error::WalletError,
    keys::{current_keys, issuing},
    observer::WalletEvent,
    rows::{Counter, WITHDRAWALS},
    scan_record::{GAP_MAX, bridge_gap, bridge_gaps_early},
    wallet::Wallet,
};
use farthing_coin::KeyId;
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{
    issue::IssueState,
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, assortment},
    withdraw::Withdrawal,
};
use farthing_store::RowKey;

/// Upper bound of the coins of one withdrawal. The whole plan is written at once.
const COINS_PER_WITHDRAWAL_MAX: usize = 16_384;

impl Wallet {
    /// Withdraws `amount` from the wallet's account as an assortment of coins, in as many requests as needed.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; `resume` then carries on.
    pub async fn withdraw(&self, bank: &Card, amount: Amount) -> Result<(), WalletError> {
        self.check_restored(&bank.identity)?;
        let keys = current_keys(self, bank).await?;
        let values = assortment(amount, keys.values()).ok_or(WalletError::NoCoins(amount))?;
        if values.len() > COINS_PER_WITHDRAWAL_MAX {
            return Err(WalletError::TooManyCoins {
                coins: values.len(),
                most: COINS_PER_WITHDRAWAL_MAX,
            });
        }
        let outputs = issuing(&keys, &values, self.now_ms())?;
        // The bank learns the account here anyway, so the wallet also reserves numbers for its anonymous requests
        // now.
        let requests = values.len().div_ceil(COINS_PER_REQUEST_MAX) as u64;
        bridge_gap(self, bank, Counter::Withdrawals, requests, GAP_MAX).await?;
        bridge_gaps_early(self, bank).await?;
        let numbers = plan_withdrawals(self, bank, outputs).await?;
        let total = values.len() as u64;
        let mut done = 0;
        let mut peer = self.peer_client(bank, Lane::Identified);
        for number in &numbers {
            let outcome = drive::<Withdrawal>(self, *number, &mut peer).await;
            if matches!(outcome, Err(WalletError::Refused { .. })) {
                // A refused withdrawal must not be debited in part by a later `resume`.
                give_up_planned(self, &numbers).await?;
            }
            done += outcome?.outputs.len() as u64;
            self.observer().on_event(&WalletEvent::Coins { done, total });
        }
        Ok(())
    }
}

/// Stores all requests of a withdrawal before the first is sent.
async fn plan_withdrawals(wallet: &Wallet, bank: &Card, outputs: Vec<KeyId>) -> Result<Vec<At>, WalletError> {
    let requests: Vec<Vec<KeyId>> = outputs
        .chunks(COINS_PER_REQUEST_MAX)
        .map(<[KeyId]>::to_vec)
        .collect();
    let (bank, account) = (bank.identity, wallet.account(&bank.identity)?);
    let seed = wallet.seed_for(&bank);
    wallet
        .transact([number_reads(&bank, Counter::Withdrawals)], move |tx| {
            let first = take_numbers(tx, &bank, Counter::Withdrawals, requests.len() as u64)?;
            let mut numbers = Vec::with_capacity(requests.len());
            for (number, outputs) in (first..).zip(&requests) {
                let request_id = seed.withdraw_id(number);
                let state = IssueState::Beginning;
                WITHDRAWALS.put(
                    tx,
                    &(bank, number),
                    &Withdrawal {
                        bank,
                        account,
                        request_id,
                        outputs: outputs.clone(),
                        state,
                    },
                )?;
                numbers.push((bank, number));
            }
            Ok(numbers)
        })
        .await
}

async fn give_up_planned(wallet: &Wallet, numbers: &[At]) -> Result<(), WalletError> {
    let mut planned = Vec::with_capacity(numbers.len());
    for number in numbers {
        // A request that may have been debited is carried on.
        let row = WITHDRAWALS.peek(&wallet.rows(), number)?;
        let is_at_stake = match &row {
            Some(row) => has_sent_finish(&wallet.rows(), &row.request_id)?,
            None => false,
        };
        if !is_at_stake {
            planned.push(*number);
        }
    }
    let reads: Vec<RowKey> = planned.iter().map(|number| WITHDRAWALS.key(number)).collect();
    wallet
        .transact(reads, move |tx| {
            for number in &planned {
                if let Some(mut planned) = WITHDRAWALS.get(tx, number)?
                    && planned.state == IssueState::Beginning
                {
                    planned.state = IssueState::Refused {
                        why: "another part of the withdrawal was refused".into(),
                    };
                    WITHDRAWALS.put(tx, number, &planned)?;
                }
            }
            Ok(())
        })
        .await
}
