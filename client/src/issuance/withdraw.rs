//! Withdrawals: planned, then driven until the coins are in the wallet.

use super::{row::At, run::drive, step::has_sent_finish};
use crate::{
    counters::{number_reads, take_numbers},
    error::WalletError,
    keys::{current_keys, issuing},
    observer::WalletEvent,
    rows::{Counter, WITHDRAWAL_TIMES, WITHDRAWALS, WITHDRAWN_AMOUNTS, all, is_under_way},
    scan_record::{GAP_MAX, bridge_gap, bridge_gaps_early},
    wallet::Wallet,
};
use farthing_coin::{KeyId, PublicKey};
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{
    issue::IssueState,
    limits::COINS_PER_REQUEST_MAX,
    money::{Amount, assortment},
    withdraw::Withdrawal,
};
use farthing_store::RowKey;
use std::collections::BTreeMap;

/// Upper bound of the coins of one withdrawal. The whole plan is written at once.
const COINS_PER_WITHDRAWAL_MAX: usize = 16_384;

/// The withdrawals of one amount from one bank that are under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WithdrawalUnderWay {
    /// The amount that was asked for.
    pub asked: Amount,
    /// The part that is not in the wallet yet.
    pub missing: Amount,
    numbers: Vec<At>,
}

impl Wallet {
    /// The withdrawals from the bank with this identity that are under way, by amount.
    ///
    /// # Errors
    /// When the store fails.
    pub fn withdrawals_under_way(&self, bank: &PublicKey) -> Result<Vec<WithdrawalUnderWay>, WalletError> {
        let mut by_amount: BTreeMap<Option<Amount>, WithdrawalUnderWay> = BTreeMap::new();
        for (at, row) in all(&self.rows(), &WITHDRAWALS)? {
            if row.bank != *bank || !is_under_way(&row.state) {
                continue;
            }
            let asked = WITHDRAWN_AMOUNTS.peek(&self.rows(), &at)?;
            let found = by_amount.entry(asked).or_default();
            let worth = self.worth(bank, &row.outputs)?;
            found.missing = Amount(found.missing.0.saturating_add(worth.0));
            found.asked = asked.unwrap_or(found.missing);
            found.numbers.push(at);
        }
        Ok(by_amount.into_values().collect())
    }

    /// The amount in withdrawals from the bank with this identity that are under way.
    ///
    /// # Errors
    /// When the store fails.
    pub fn in_withdrawals(&self, bank: &PublicKey) -> Result<Amount, WalletError> {
        let under_way = self.withdrawals_under_way(bank)?;
        let missing = under_way.iter().map(|withdrawal| withdrawal.missing.0);
        Ok(Amount(missing.fold(0, u64::saturating_add)))
    }

    /// Carries a withdrawal on.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer; `resume` then carries on.
    pub async fn carry_on_withdrawal(
        &self,
        bank: &Card,
        under_way: &WithdrawalUnderWay,
    ) -> Result<(), WalletError> {
        drive_all(self, bank, &under_way.numbers).await
    }

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
        let numbers = plan_withdrawals(self, bank, amount, outputs).await?;
        drive_all(self, bank, &numbers).await
    }
}

/// Drives the requests of a withdrawal until their coins are in the wallet.
async fn drive_all(wallet: &Wallet, bank: &Card, numbers: &[At]) -> Result<(), WalletError> {
    let mut sizes = Vec::with_capacity(numbers.len());
    for number in numbers {
        let row = WITHDRAWALS.peek(&wallet.rows(), number)?;
        sizes.push(row.map_or(0, |row| row.outputs.len() as u64));
    }
    let total = sizes.iter().sum();
    let mut done = 0;
    let mut peer = wallet.peer_client(bank, Lane::Identified);
    for number in numbers {
        let outcome = drive::<Withdrawal>(wallet, *number, &mut peer).await;
        if matches!(outcome, Err(WalletError::Refused { .. })) {
            // A refused withdrawal must not be debited in part by a later `resume`.
            give_up_planned(wallet, numbers).await?;
        }
        done += outcome?.outputs.len() as u64;
        wallet.observer().on_event(&WalletEvent::Coins { done, total });
    }
    Ok(())
}

/// Stores all requests of a withdrawal before the first is sent.
async fn plan_withdrawals(
    wallet: &Wallet,
    bank: &Card,
    amount: Amount,
    outputs: Vec<KeyId>,
) -> Result<Vec<At>, WalletError> {
    let requests: Vec<Vec<KeyId>> = outputs
        .chunks(COINS_PER_REQUEST_MAX)
        .map(<[KeyId]>::to_vec)
        .collect();
    let (bank, account) = (bank.identity, wallet.account(&bank.identity)?);
    let (seed, now_ms) = (wallet.seed_for(&bank), wallet.now_ms());
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
                WITHDRAWN_AMOUNTS.put(tx, &(bank, number), &amount)?;
                WITHDRAWAL_TIMES.put(tx, &(bank, number), &now_ms)?;
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
