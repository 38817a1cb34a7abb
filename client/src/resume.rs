//! Carrying on after a crash, and renewing coins before their keys end.

use crate::{
    error::WalletError,
    rows::{CoinRow, CoinStatus, Delivery, EXCHANGES, PurchaseRow, WITHDRAWALS},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::{card::RoleName, network::Lane};
use farthing_protocol::{
    exchange::ExchangeState, money::Amount, purchase::Purchase, restore::CoinUsed, withdraw::WithdrawalState,
};
use std::collections::BTreeMap;

/// What carrying on came to.
#[derive(Debug, Default)]
pub struct Resumed {
    /// What was under way and has ended now.
    pub ended: Vec<String>,
    /// What is still under way, and why.
    pub open: Vec<(String, WalletError)>,
}

impl Wallet {
    /// Carries on everything that is under way. One matter that does not get on does not keep the others from it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self) -> Result<Resumed, WalletError> {
        let mut resumed = Resumed::default();
        for (number, withdrawal) in self.all(&WITHDRAWALS)? {
            if matches!(
                withdrawal.state,
                WithdrawalState::Beginning | WithdrawalState::Finishing { .. }
            ) {
                let outcome = self.resume_withdrawal(number, &withdrawal.bank).await;
                resumed.note(format!("withdrawal {number}"), outcome);
            }
        }
        for (number, row) in self.all(&EXCHANGES)? {
            if matches!(
                row.exchange.state,
                ExchangeState::Beginning | ExchangeState::Finishing { .. }
            ) {
                let outcome = self.resume_exchange(number, &row.exchange.bank).await;
                resumed.note(format!("exchange {number}"), outcome);
            }
        }
        for (number, row) in self.purchases()? {
            if self.needs_driving(number, &row)? {
                let outcome = self.drive_purchase(number).await;
                resumed.note(format!("purchase {number}"), outcome);
            }
        }
        let renewed = self.renew().await;
        if !matches!(renewed, Ok(Amount(0))) {
            resumed.note("coins whose keys end soon".into(), renewed.map(drop));
        }
        Ok(resumed)
    }

    /// Exchanges coins whose keys end soon, and coins that a restore found released by a purchase that it did
    /// not find. Returns their worth.
    ///
    /// # Errors
    /// When the bank refuses, or does not answer.
    pub async fn renew(&self) -> Result<Amount, WalletError> {
        let mut ending: BTreeMap<PublicKey, Vec<CoinRow>> = BTreeMap::new();
        let mut total = Amount(0);
        for row in self.coins()? {
            if row.status == CoinStatus::FoundUsed(CoinUsed::Released) {
                // Each for itself: nobody knows whether they belong together.
                total = Amount(total.0.saturating_add(self.refresh(vec![row]).await?.0));
            } else if row.status == CoinStatus::Available && self.ends_soon(&row)? {
                ending.entry(row.bank).or_default().push(row);
            }
        }
        for (_, rows) in ending {
            total = Amount(total.0.saturating_add(self.refresh(rows).await?.0));
        }
        Ok(total)
    }

    /// Whether a coin's key ends within a quarter of its epoch, or has ended and can still be exchanged.
    fn ends_soon(&self, row: &CoinRow) -> Result<bool, WalletError> {
        let now_ms = self.now_ms();
        Ok(self.denomination(&row.bank, &row.coin.key_id)?.is_some_and(|d| {
            let epoch_ms = d.issue_until_ms.saturating_sub(d.issue_from_ms);
            now_ms.saturating_add(epoch_ms / 4) >= d.spend_until_ms && now_ms < d.redeem_until_ms
        }))
    }

    async fn resume_withdrawal(&self, number: u64, bank: &PublicKey) -> Result<(), WalletError> {
        let bank = self.party_by_key(RoleName::Bank, bank)?;
        self.drive_withdrawal(number, &mut self.talk(&bank, Lane::Identified))
            .await
            .map(drop)
    }

    async fn resume_exchange(&self, number: u64, bank: &PublicKey) -> Result<(), WalletError> {
        let bank = self.party_by_key(RoleName::Bank, bank)?;
        self.drive_exchange(number, &mut self.talk(&bank, Lane::Anonymous))
            .await
    }

    fn needs_driving(&self, number: u64, row: &PurchaseRow) -> Result<bool, WalletError> {
        Ok(match &row.purchase {
            Purchase::Dropped(_) => false,
            Purchase::Committed(..) => row.delivery == Delivery::Pending,
            Purchase::Aborted(..) => self
                .coins()?
                .iter()
                .any(|coin| coin.status == CoinStatus::Released(number)),
            _ => row.delivery != Delivery::OnDemand,
        })
    }
}

impl Resumed {
    fn note(&mut self, matter: String, outcome: Result<(), WalletError>) {
        match outcome {
            Ok(()) => self.ended.push(matter),
            Err(error) => self.open.push((matter, error)),
        }
    }
}
