//! Carries on after a crash, and exchanges coins before their keys end.

use crate::{
    error::WalletError,
    issuance::resume,
    keys::{ends_soon, is_past_redeem},
    receive::Destination,
    restore::rescan::{rescan_all, rescan_until_ms},
    rows::{
        COINS, COUNTERS, CoinRow, CoinStatus, DepositState, EXCHANGES, ExchangeRow, NO_BANK, PurchaseRow,
        RESERVE_WITHDRAWALS, ReserveWithdrawalRow, WITHDRAWALS, all, is_under_way,
    },
    scan_record::bridge_gaps_early,
    wallet::Wallet,
};
use farthing_coin::{KeyBook, PublicKey};
use farthing_node::card::RoleName;
use farthing_protocol::{money::Amount, purchase::Purchase, restore::CoinUsed, withdraw::Withdrawal};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The result of [`Wallet::resume`].
#[derive(Debug, Default)]
pub struct Resumed {
    /// Tasks that were under way and have ended now.
    pub ended: Vec<String>,
    /// Tasks that are still under way, each with its error.
    pub open: Vec<(String, WalletError)>,
    /// In a restored wallet: until when (ms since 1970) requests from before its loss may still come through. A
    /// `resume` after that time scans for them a last time.
    pub late_until_ms: Option<u64>,
}

impl Wallet {
    /// Carries on everything that is under way. A task that fails does not stop the others.
    ///
    /// ```no_run
    /// # use farthing_client::{error::WalletError, wallet::Wallet};
    /// # async fn example(wallet: &Wallet) -> Result<(), WalletError> {
    /// for (task, error) in wallet.resume().await?.open {
    ///     println!("{task} is not finished: {error}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self) -> Result<Resumed, WalletError> {
        let mut driven = BTreeSet::new();
        let mut resumed = self.finish(&mut driven).await?;
        let (_, failed) = self.exchange_expiring().await?;
        // The exchanges may have shown that a coin belongs to one of these purchases.
        drive_purchases(self, &mut resumed, &mut driven).await?;
        let matter = "coins whose keys end soon";
        resumed
            .open
            .extend(failed.into_iter().map(|error| (matter.to_string(), error)));
        Ok(resumed)
    }

    /// Like [`resume`](Wallet::resume), but begins no exchange of coins that expire soon. These have their own times in
    /// [`upkeep`](crate::upkeep).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish_all(&self) -> Result<Resumed, WalletError> {
        self.finish(&mut BTreeSet::new()).await
    }

    /// Carries on everything that is under way. `driven` has the purchases that need not be driven again.
    async fn finish(&self, driven: &mut BTreeSet<u64>) -> Result<Resumed, WalletError> {
        let mut resumed = Resumed::default();
        for error in rescan_all(self).await? {
            let matter = "requests from before the restore";
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
                if matches!(row.before, CoinStatus::InDeposit(_))
                    && matches!(outcome, Err(WalletError::Refused { .. }))
                {
                    // The payment has ended, or is driven below.
                    continue;
                }
                if let CoinStatus::InPurchase(number) = row.before {
                    if matches!(outcome, Err(WalletError::Refused { .. })) {
                        // The coins are in the purchase as before. The purchase is driven below.
                        continue;
                    }
                    if matches!(self.purchase(number)?.purchase, Purchase::Recovered(_)) {
                        // It is driven no more, so the customer learns here how it ended.
                        resumed.ended.push(format!("purchase {number}"));
                    }
                }
                resumed.add(format!("exchange {}", at.1), outcome);
            }
        }
        for (at, row) in all(&self.rows(), &RESERVE_WITHDRAWALS)? {
            if is_under_way(&row.withdrawal.0.state) {
                let outcome = resume::<ReserveWithdrawalRow>(self, at).await;
                // Somebody else with the key was faster. What is still due is received below.
                if !matches!(outcome, Err(WalletError::Refused { .. })) {
                    resumed.add(format!("withdrawal {} from a reserve", at.1), outcome);
                }
            }
        }
        drive_payments(self, &mut resumed).await?;
        drive_purchases(self, &mut resumed, driven).await?;
        for (name, outcome) in self.receive_all_due().await? {
            resumed.add(name, outcome);
        }
        resumed.late_until_ms = rescan_until_ms(self)?;
        Ok(resumed)
    }

    /// Carries on the exchanges that are under way at this bank, or at all banks, except those that return the coins of a
    /// purchase: these end with the purchase. An exchange that fails does not stop the others. Returns the exchanged
    /// amount and the errors.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn carry_on_exchanges(
        &self,
        bank: Option<&PublicKey>,
    ) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let (mut total, mut failed) = (Amount(0), Vec::new());
        for (at, row) in all(&self.rows(), &EXCHANGES)? {
            let is_of_purchase = matches!(row.before, CoinStatus::InPurchase(_) | CoinStatus::Released(_));
            let is_elsewhere = bank.is_some_and(|bank| *bank != at.0);
            if is_of_purchase || is_elsewhere || !is_under_way(&row.exchange.state) {
                continue;
            }
            match resume::<ExchangeRow>(self, at).await {
                Ok(()) => {
                    let worth = self.worth(&at.0, &row.exchange.outputs)?;
                    total = Amount(total.0.saturating_add(worth.0));
                }
                Err(error) => failed.push(error),
            }
        }
        Ok((total, failed))
    }

    /// Exchanges the coins that aborted purchases have released. Each purchase has requests of its own, because one
    /// request links its coins. A purchase that fails does not stop the others. Returns the exchanged amount and the
    /// errors.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exchange_released(&self) -> Result<(Amount, Vec<WalletError>), WalletError> {
        let mut by_purchase: BTreeMap<u64, u64> = BTreeMap::new();
        for row in self.present_coins()? {
            if let CoinStatus::Released(purchase) = row.status
                && matches!(self.purchase(purchase)?.purchase, Purchase::Aborted(..))
            {
                let worth = by_purchase.entry(purchase).or_default();
                *worth = worth.saturating_add(row.value);
            }
        }
        let (mut total, mut failed) = (Amount(0), Vec::new());
        for (purchase, worth) in by_purchase {
            // The purchase has the abort. The bank may not have it yet.
            match self.drive_purchase(purchase).await {
                Ok(()) => total = Amount(total.0.saturating_add(worth)),
                Err(error) => failed.push(error),
            }
        }
        Ok((total, failed))
    }

    /// Exchanges coins whose keys end soon. Also tries coins that are held for a purchase that this wallet does not
    /// know, of a copy or from before a restore: they may be free by now. A coin that fails does not stop the others.
    /// Returns the exchanged amount and the errors.
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
                // One request for each coin: a common one could link coins of different purchases.
                let (worth, errors) = self.exchange_despite_refusals(vec![row.clone()]).await?;
                // If the use of the coin is known now, the request has served its purpose, and its error is none to
                // report.
                let is_clear = is_use_known(self, &row)?;
                add((worth, if is_clear { Vec::new() } else { errors }));
            } else if row.status == CoinStatus::Available {
                let book = books.entry(row.bank).or_insert_with(|| {
                    let known = self.party_by_key(RoleName::Bank, &row.bank);
                    known.and_then(|bank| self.stored_keys(&bank)).ok().flatten()
                });
                let key = book.as_ref().and_then(|book| book.get(&row.coin.key_id));
                if key.is_some_and(|key| ends_soon(key, self.now_ms())) {
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

/// Reserves the numbers of tasks that came to nothing, so that a later restore does not take them for the end.
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

/// Sends the payments again that are under way, except a payment whose coins are in an exchange to give it up.
async fn drive_payments(wallet: &Wallet, resumed: &mut Resumed) -> Result<(), WalletError> {
    for (number, row) in wallet.payments()? {
        if row.state != DepositState::Sending {
            continue;
        }
        let coins = wallet.coins_that(|coin| coin.status == CoinStatus::InDeposit(number))?;
        if !coins.is_empty() {
            let outcome = wallet.drive_payment(number).await;
            resumed.add(format!("payment {number}"), outcome);
        }
    }
    Ok(())
}

async fn drive_purchases(
    wallet: &Wallet,
    resumed: &mut Resumed,
    driven: &mut BTreeSet<u64>,
) -> Result<(), WalletError> {
    // In this order: a purchase that is aborted in between has released coins.
    let purchases = wallet.purchases()?;
    let mut released = purchases_with_released_coins(wallet)?;
    for (number, row) in purchases {
        if driven.contains(&number) {
            continue;
        }
        if needs_driving(&row, released.contains(&number)) {
            driven.insert(number);
            let outcome = wallet.drive_purchase(number).await;
            let may_be_paid = outcome.is_ok() && was_forgotten(wallet, number)?;
            resumed.add(format!("purchase {number}"), outcome);
            if may_be_paid {
                let received = wallet.receive_of_purchase(number, Destination::Coins).await;
                resumed.add(format!("change of purchase {number}"), received.map(drop));
            }
            // One purchase may show that the coins of another were released.
            released = purchases_with_released_coins(wallet)?;
        } else if let Err(error) = wallet.tidy_ticks(&row) {
            resumed
                .open
                .push((format!("the held ticks of purchase {number}"), error));
        }
    }
    Ok(())
}

/// Whether a purchase has ended because the time of its coins is over. It may have been paid, and then forgotten. Its change and
/// its refunds are at the bank all the same.
fn was_forgotten(wallet: &Wallet, number: u64) -> Result<bool, WalletError> {
    let row = wallet.purchase(number)?;
    let is_recovered = matches!(row.purchase, Purchase::Recovered(_));
    let is_of_it = |coin: &CoinRow| coin.status == CoinStatus::Released(number);
    Ok(is_recovered && wallet.present_coins()?.iter().any(is_of_it))
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

/// Whether the bank takes a coin back no more, as far as the wallet knows its keys.
fn is_past(wallet: &Wallet, row: &CoinRow) -> bool {
    let bank = wallet.party_by_key(RoleName::Bank, &row.bank);
    let keys = bank.and_then(|bank| wallet.stored_keys(&bank)).ok().flatten();
    is_past_redeem(keys.as_deref(), row, wallet.now_ms())
}

/// Whether a coin is used up by now, or in a purchase of this wallet. A purchase gets such a coin late if its bank
/// carried it out while the wallet was restored, coin after coin.
fn is_use_known(wallet: &Wallet, row: &CoinRow) -> Result<bool, WalletError> {
    let key = (row.coin.key_id, row.coin.public);
    let now = COINS.peek(&wallet.rows(), &key)?;
    Ok(now.is_none_or(|now| matches!(now.status, CoinStatus::InPurchase(_))))
}

fn needs_driving(row: &PurchaseRow, has_released_coins: bool) -> bool {
    match &row.purchase {
        Purchase::Aborted(..) => has_released_coins,
        _ => row.is_under_way(),
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
