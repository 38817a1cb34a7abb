//! Carrying on after a crash, and renewing coins before their keys end.

use crate::{
    error::WalletError,
    issuance::{is_under_way, resume},
    keys::is_past_redeem,
    restore::rescan::{rescan_all, rescan_until_ms},
    rows::{
        COINS, COUNTERS, CoinRow, CoinStatus, Delivery, EXCHANGES, ExchangeRow, NO_BANK, PurchaseRow,
        WITHDRAWALS, all,
    },
    scan_record::bridge_gaps_early,
    wallet::Wallet,
};
use farthing_coin::{Denomination, KeyBook, PublicKey};
use farthing_node::card::RoleName;
use farthing_protocol::{money::Amount, purchase::Purchase, restore::CoinUsed, withdraw::Withdrawal};
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
        for error in rescan_all(self).await? {
            let matter = "what may have come through since the restore";
            resumed.open.push((matter.into(), error));
        }
        bridge_all_gaps(self, &mut resumed).await?;
        for (at, withdrawal) in all(&self.rows(), &WITHDRAWALS)? {
            if is_under_way(&withdrawal.state) {
                let outcome = resume::<Withdrawal>(self, at).await;
                resumed.add(format!("withdrawal {}", at.1), outcome);
            }
        }
        for (at, row) in all(&self.rows(), &EXCHANGES)? {
            if is_under_way(&row.exchange.state) {
                let outcome = resume::<ExchangeRow>(self, at).await;
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
                resumed.add(format!("exchange {}", at.1), outcome);
            }
        }
        let mut driven = BTreeSet::new();
        drive_purchases(self, &mut resumed, &mut driven).await?;
        let (_, failed) = self.exchange_expiring().await?;
        // A coin may have turned out to be one of these purchases'.
        drive_purchases(self, &mut resumed, &mut driven).await?;
        let matter = "coins to be renewed";
        resumed
            .open
            .extend(failed.into_iter().map(|error| (matter.to_string(), error)));
        resumed.late_until_ms = rescan_until_ms(self)?;
        Ok(resumed)
    }

    /// Exchanges what aborted purchases have released, one purchase after the other, since one request joins
    /// its coins. One that cannot be exchanged keeps no other from it. Returns what was exchanged, and what went wrong.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exchange_released(&self) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let mut by_purchase: BTreeMap<u64, u64> = BTreeMap::new();
        for row in self.present_coins()? {
            if let CoinStatus::Released(purchase) = row.status {
                let worth = by_purchase.entry(purchase).or_default();
                *worth = worth.saturating_add(row.value);
            }
        }
        let (mut total, mut failed) = (Amount(0), Vec::new());
        for (purchase, worth) in by_purchase {
            // The purchase knows its abort, which the bank may not have heard of yet.
            match self.drive_purchase(purchase).await {
                Ok(()) => total = Amount(total.0.saturating_add(worth)),
                Err(error) => failed.push(error),
            }
        }
        Ok((total, failed))
    }

    /// Exchanges coins whose keys end soon, and coins that a copy of this wallet, or a purchase that a restore did not
    /// find, has held and may have released by now. One that cannot be exchanged keeps no other from it. Returns what
    /// was exchanged, and what went wrong.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exchange_expiring(&self) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let mut total = Amount(0);
        let mut failed = Vec::new();
        let mut add = |(worth, errors): (Amount, Vec<WalletError>)| {
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
                if is_past(self, &row) {
                    continue;
                }
                // Each for itself: nobody knows whether they belong together.
                let (worth, errors) = self.exchange_despite_refusals(vec![row.clone()]).await?;
                // That the coin is used up, and for what, is what was to be found out.
                let is_used_up = is_used_up(self, &row)?;
                add((worth, if is_used_up { Vec::new() } else { errors }));
            } else if row.status == CoinStatus::Available {
                let book = books.entry(row.bank).or_insert_with(|| {
                    let known = self.party_by_key(RoleName::Bank, &row.bank);
                    known.and_then(|bank| self.stored_keys(&bank)).ok().flatten()
                });
                let key = book.as_ref().and_then(|book| book.get(&row.coin.key_id));
                if key.is_some_and(|key| ends_soon(self, key)) {
                    ending.entry(row.bank).or_default().push(row);
                }
            }
        }
        for (_, rows) in ending {
            add(self.exchange_despite_refusals(rows).await?);
        }
        Ok((total, failed))
    }
}

/// Reserves the numbers of matters that came to nothing, before a restore could take them for the end.
async fn bridge_all_gaps(wallet: &Wallet, resumed: &mut Resumed) -> Result<(), WalletError> {
    let banks: BTreeSet<PublicKey> = all(&wallet.rows(), &COUNTERS)?
        .into_iter()
        .map(|((bank, _), _)| bank)
        .collect();
    for identity in banks.into_iter().filter(|bank| *bank != NO_BANK) {
        let Ok(bank) = wallet.party_by_key(RoleName::Bank, &identity) else {
            continue;
        };
        if wallet.check_restored(&identity).is_err() {
            continue;
        }
        if let Err(error) = bridge_gaps_early(wallet, &bank).await {
            resumed.open.push(("the scan record".into(), error));
        }
    }
    Ok(())
}

async fn drive_purchases(
    wallet: &Wallet,
    resumed: &mut Resumed,
    driven: &mut BTreeSet<u64>,
) -> Result<(), WalletError> {
    let mut released = purchases_with_released_coins(wallet)?;
    for (number, row) in wallet.purchases()? {
        if !driven.contains(&number) && needs_driving(&row, released.contains(&number)) {
            driven.insert(number);
            let outcome = wallet.drive_purchase(number).await;
            resumed.add(format!("purchase {number}"), outcome);
            // One purchase may have shown that another's coins were released.
            released = purchases_with_released_coins(wallet)?;
        }
    }
    Ok(())
}

/// The purchases whose coins are released and still have to be exchanged.
fn purchases_with_released_coins(wallet: &Wallet) -> Result<BTreeSet<u64>, WalletError> {
    let rows = wallet.present_coins()?.into_iter();
    Ok(rows
        .filter_map(|coin| match coin.status {
            CoinStatus::Released(number) if !is_past(wallet, &coin) => Some(number),
            _ => None,
        })
        .collect())
}

/// Whether a key ends within a quarter of its epoch, or has ended and its coins can still be exchanged.
fn ends_soon(wallet: &Wallet, key: &Denomination) -> bool {
    let now_ms = wallet.now_ms();
    let epoch_ms = key.issue_until_ms.saturating_sub(key.issue_from_ms);
    now_ms.saturating_add(epoch_ms / 4) >= key.spend_until_ms && now_ms < key.redeem_until_ms
}

/// Whether no bank takes a coin back any more, as far as the wallet knows its bank's keys.
fn is_past(wallet: &Wallet, row: &CoinRow) -> bool {
    let bank = wallet.party_by_key(RoleName::Bank, &row.bank);
    let keys = bank.and_then(|bank| wallet.stored_keys(&bank)).ok().flatten();
    is_past_redeem(keys.as_deref(), row, wallet.now_ms())
}

/// Whether a coin has turned out to be used up.
fn is_used_up(wallet: &Wallet, row: &CoinRow) -> Result<bool, WalletError> {
    let key = (row.coin.key_id, row.coin.public);
    Ok(COINS.peek(&wallet.rows(), &key)?.is_none())
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
    fn add(&mut self, matter: String, outcome: Result<(), WalletError>) {
        match outcome {
            Ok(()) => self.ended.push(matter),
            Err(error) => self.open.push((matter, error)),
        }
    }
}
