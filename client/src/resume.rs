//! Carrying on after a crash, and renewing coins before their keys end.

use crate::{
    error::WalletError,
    rows::{COINS, COUNTERS, CoinRow, CoinStatus, Delivery, EXCHANGES, NO_BANK, PurchaseRow, WITHDRAWALS},
    wallet::Wallet,
};
use farthing_coin::{Denomination, KeyBook, PublicKey};
use farthing_node::{card::RoleName, network::Lane};
use farthing_protocol::{
    issue::IssueState, limits::RELEASED_GRACE_MS, money::Amount, purchase::Purchase, restore::CoinUsed,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What carrying on came to.
#[derive(Debug, Default)]
pub struct Resumed {
    /// What was under way and has ended now.
    pub ended: Vec<String>,
    /// What is still under way, and why.
    pub open: Vec<(String, WalletError)>,
    /// In a restored wallet: until when (ms since 1970) what was under way when it was lost may come through. Carrying
    /// on after that looks for it once more.
    pub late_until_ms: Option<u64>,
}

impl Wallet {
    /// Carries on everything that is under way. One matter that does not get on does not keep the others from it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self) -> Result<Resumed, WalletError> {
        let mut resumed = Resumed::default();
        self.look_for_late(&mut resumed).await?;
        self.bridge_all_gaps(&mut resumed).await?;
        for (at, withdrawal) in self.all(&WITHDRAWALS)? {
            if matches!(
                withdrawal.state,
                IssueState::Beginning | IssueState::Finishing { .. }
            ) {
                let outcome = self.resume_withdrawal(at).await;
                resumed.note(format!("withdrawal {}", at.1), outcome);
            }
        }
        for (at, row) in self.all(&EXCHANGES)? {
            if matches!(
                row.exchange.state,
                IssueState::Beginning | IssueState::Finishing { .. }
            ) {
                let outcome = self.resume_exchange(at).await;
                if let CoinStatus::InPurchase(number) = row.before {
                    if matches!(outcome, Err(WalletError::Refused { .. })) {
                        // The coins are in the purchase as before, which is driven below.
                        continue;
                    }
                    if matches!(self.purchase(number)?.purchase, Purchase::Recovered(_)) {
                        // It is driven no more, and the customer is to learn how it has ended.
                        resumed.ended.push(format!("purchase {number}"));
                    }
                }
                resumed.note(format!("exchange {}", at.1), outcome);
            }
        }
        let mut driven = BTreeSet::new();
        self.drive_purchases(&mut resumed, &mut driven).await?;
        let (_, failed) = self.renew().await?;
        // A coin may have turned out to be one of these purchases'.
        self.drive_purchases(&mut resumed, &mut driven).await?;
        let matter = "coins to be renewed";
        resumed
            .open
            .extend(failed.into_iter().map(|error| (matter.to_string(), error)));
        resumed.late_until_ms = self.late_until_ms()?;
        Ok(resumed)
    }

    /// Reserves the numbers of matters that came to nothing, before a restore could take them for the end.
    async fn bridge_all_gaps(&self, resumed: &mut Resumed) -> Result<(), WalletError> {
        let banks: BTreeSet<PublicKey> = self
            .all(&COUNTERS)?
            .into_iter()
            .map(|((bank, _), _)| bank)
            .collect();
        for identity in banks.into_iter().filter(|bank| *bank != NO_BANK) {
            let Ok(bank) = self.party_by_key(RoleName::Bank, &identity) else {
                continue;
            };
            if self.check_restored(&identity).is_err() {
                continue;
            }
            if let Err(error) = self.bridge_gaps_early(&bank).await {
                resumed.open.push(("the scan record".into(), error));
            }
        }
        Ok(())
    }

    async fn drive_purchases(
        &self,
        resumed: &mut Resumed,
        driven: &mut BTreeSet<u64>,
    ) -> Result<(), WalletError> {
        let mut released = self.purchases_with_released_coins()?;
        for (number, row) in self.purchases()? {
            if !driven.contains(&number) && needs_driving(&row, released.contains(&number)) {
                driven.insert(number);
                let outcome = self.drive_purchase(number).await;
                resumed.note(format!("purchase {number}"), outcome);
                // One purchase may have shown that another's coins were released.
                released = self.purchases_with_released_coins()?;
            }
        }
        Ok(())
    }

    /// The purchases whose coins are released and still have to be exchanged.
    fn purchases_with_released_coins(&self) -> Result<BTreeSet<u64>, WalletError> {
        let rows = self.present_coins()?.into_iter();
        Ok(rows
            .filter_map(|coin| match coin.status {
                CoinStatus::Released(number) if !self.is_past_redeem(&coin) => Some(number),
                _ => None,
            })
            .collect())
    }

    /// Exchanges coins whose keys end soon, and coins that a copy of this wallet, or a purchase that a restore did not
    /// find, has held and may have released by now. One that cannot be exchanged keeps no other from it. Returns what
    /// was exchanged, and what went wrong.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew(&self) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let mut total = Amount(0);
        let mut failed = Vec::new();
        let mut note = |(worth, errors): (Amount, Vec<WalletError>)| {
            total = Amount(total.0.saturating_add(worth.0));
            failed.extend(errors);
        };
        let mut books: BTreeMap<PublicKey, Option<Arc<KeyBook>>> = BTreeMap::new();
        let mut ending: BTreeMap<PublicKey, Vec<CoinRow>> = BTreeMap::new();
        for row in self.present_coins()? {
            let may_be_free = matches!(
                row.status,
                CoinStatus::FoundUsed(CoinUsed::Released | CoinUsed::Held) | CoinStatus::HeldElsewhere(_)
            );
            if may_be_free {
                if self.is_past_redeem(&row) {
                    continue;
                }
                // Each for itself: nobody knows whether they belong together.
                let (worth, errors) = self.refresh_others(vec![row.clone()]).await?;
                // That the coin is used up, and for what, is what was to be found out.
                let is_used_up = self.is_used_up(&row)?;
                note((worth, if is_used_up { Vec::new() } else { errors }));
            } else if row.status == CoinStatus::Available {
                let book = books.entry(row.bank).or_insert_with(|| {
                    let known = self.party_by_key(RoleName::Bank, &row.bank);
                    known.and_then(|bank| self.stored_keys(&bank)).ok().flatten()
                });
                let key = book.as_ref().and_then(|book| book.get(&row.coin.key_id));
                if key.is_some_and(|key| self.ends_soon(key)) {
                    ending.entry(row.bank).or_default().push(row);
                }
            }
        }
        for (_, rows) in ending {
            note(self.refresh_others(rows).await?);
        }
        Ok((total, failed))
    }

    /// Whether a key ends within a quarter of its epoch, or has ended and its coins can still be exchanged.
    fn ends_soon(&self, key: &Denomination) -> bool {
        let now_ms = self.now_ms();
        let epoch_ms = key.issue_until_ms.saturating_sub(key.issue_from_ms);
        now_ms.saturating_add(epoch_ms / 4) >= key.spend_until_ms && now_ms < key.redeem_until_ms
    }

    /// Whether no bank takes a coin back any more that was held, whatever becomes of what it was held for.
    pub(crate) fn is_past_redeem(&self, row: &CoinRow) -> bool {
        let bank = self.party_by_key(RoleName::Bank, &row.bank);
        let book = bank.and_then(|bank| self.stored_keys(&bank)).ok().flatten();
        let key = book.as_ref().and_then(|book| book.get(&row.coin.key_id));
        key.is_some_and(|key| self.now_ms() >= key.redeem_until_ms.saturating_add(RELEASED_GRACE_MS))
    }

    async fn resume_withdrawal(&self, at: (PublicKey, u64)) -> Result<(), WalletError> {
        let bank = self.party_by_key(RoleName::Bank, &at.0)?;
        self.drive_withdrawal(at, &mut self.talk(&bank, Lane::Identified))
            .await
            .map(drop)
    }

    pub(crate) async fn resume_exchange(&self, at: (PublicKey, u64)) -> Result<(), WalletError> {
        let bank = self.party_by_key(RoleName::Bank, &at.0)?;
        self.drive_exchange(at, &mut self.talk(&bank, Lane::Anonymous))
            .await
    }

    /// Whether a coin has turned out to be used up.
    fn is_used_up(&self, row: &CoinRow) -> Result<bool, WalletError> {
        let key = (row.coin.key_id, row.coin.public);
        Ok(COINS.peek(&self.store.view(), &key)?.is_none())
    }
}

fn needs_driving(row: &PurchaseRow, has_released_coins: bool) -> bool {
    match &row.purchase {
        Purchase::Dropped(_) | Purchase::Recovered(_) => false,
        Purchase::Committed(..) => row.delivery == Delivery::Pending,
        Purchase::Aborted(..) => has_released_coins,
        _ => row.delivery != Delivery::OnDemand,
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
