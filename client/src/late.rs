//! What was under way when a wallet was lost, and comes through after it was restored.
//!
//! A request that was still in the network, or waited at a party, while the restore looked is acted on afterwards: a
//! payment takes coins that the restore found unspent, an exchange or a withdrawal makes coins that it did not find. All
//! of it comes to light under numbers that the restore has asked for in vain, and that are never used again. So whoever
//! carries on later looks under these once more, until every deadline of that time has passed; and again whenever a
//! coin turns out to be used by something that the wallet does not know, so that no clock decides about it.

use crate::{
    buckets::Fetched,
    error::WalletError,
    resume::Resumed,
    rows::{RESTORED, RestoredRow},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::card::{Card, RoleName};
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{limits::DEADLINE_HORIZON_MS, restore::Origin};
use farthing_store::{StoreError, Transaction};
use std::collections::BTreeSet;

impl Wallet {
    /// Looks at each bank that the wallet was restored from, as long as something may come through there.
    pub(crate) async fn look_for_late(&self, resumed: &mut Resumed) -> Result<(), WalletError> {
        if is_planted(Defect::LateNotLookedFor) {
            return Ok(());
        }
        for (identity, row) in self.all(&RESTORED)? {
            if row.late_until_ms.is_none() && !row.has_come {
                continue;
            }
            let looked = match self.party_by_key(RoleName::Bank, &identity) {
                Ok(bank) => self.look_at(&bank, &row).await,
                Err(unknown) => Err(unknown),
            };
            if let Err(error) = looked {
                let matter = "what may have come through since the restore";
                resumed.open.push((matter.into(), error));
            }
        }
        Ok(())
    }

    /// Until when something may come through: the latest of all banks.
    pub(crate) fn late_until_ms(&self) -> Result<Option<u64>, WalletError> {
        let rows = self.all(&RESTORED)?;
        Ok(rows.into_iter().filter_map(|(_, row)| row.late_until_ms).max())
    }

    /// Looks for what has come through, and writes down that it has looked.
    pub(crate) async fn look_at(&self, bank: &Card, row: &RestoredRow) -> Result<(), WalletError> {
        let began_ms = self.now_ms();
        self.find_late(bank, row).await?;
        // A clock that was ahead when the wallet was restored is none to wait for.
        let until_ms = row.late_until_ms.map(|until_ms| {
            let most_ms = began_ms.saturating_add(DEADLINE_HORIZON_MS);
            until_ms.min(most_ms)
        });
        let (bank, before) = (bank.identity, row.late_until_ms);
        self.transact(move |tx| {
            change(tx, &bank, |now| {
                // What was noted meanwhile is for the next look.
                let late_until_ms = if now.late_until_ms == before {
                    until_ms.filter(|until_ms| began_ms < *until_ms)
                } else {
                    now.late_until_ms
                };
                RestoredRow {
                    late_until_ms,
                    has_come: false,
                    ..now
                }
            })
        })
        .await
    }

    async fn find_late(&self, bank: &Card, row: &RestoredRow) -> Result<(), WalletError> {
        let identity = bank.identity;
        let keys = self.fetch_keys(bank).await?;
        let seed = self.seed_for(&identity);
        let records = self.withdrawal_records(bank).await?;
        let (withdrawals, exchanges) = self.issued_numbers(&identity)?;
        for number in missing(row.withdrawals, &withdrawals) {
            if let Some(record) = records.get(&seed.withdraw_id(number)) {
                self.restore_withdrawal(bank, &keys, number, record).await?;
            }
        }
        let mut fetched = Fetched::default();
        for number in missing(row.exchanges, &exchanges) {
            self.restore_exchange(bank, &keys, &mut fetched, number).await?;
        }
        let orders = self.order_numbers(&identity)?;
        let mut notes = Vec::new();
        for counter in missing(row.orders, &orders) {
            notes.extend(self.notes(bank, &mut fetched, counter).await?);
        }
        let mut index = self.record_index(&identity)?;
        notes.retain(|note| index.has_coins_of(note));
        let has_come = RESTORED
            .peek(&self.store.view(), &identity)?
            .is_some_and(|now| now.has_come);
        if notes.is_empty() && !has_come {
            return Ok(());
        }
        // Coins are asked for only if something has come, and only those that the lost machine can have had: all others
        // are spent afterwards.
        let is_old = |origin: &Origin| {
            origin.withdrawal().is_some_and(|number| number < row.withdrawals)
                || origin.exchange().is_some_and(|number| number < row.exchanges)
        };
        self.find_used_coins(bank, &mut fetched, is_old).await?;
        for note in notes {
            self.restore_purchase(&mut index, note, &row.goods_dir, Some(row.began_ms))
                .await?;
        }
        Ok(())
    }
}

/// The numbers below `end` that are not among `known`.
fn missing(end: u64, known: &BTreeSet<u64>) -> impl Iterator<Item = u64> + '_ {
    (0..end).filter(|number| !known.contains(number))
}

/// Notes that coins have come through that the restore did not find, until what they were made of is looked for.
pub(crate) fn has_come(tx: &mut Transaction<'_>, bank: &PublicKey) -> Result<(), StoreError> {
    change(tx, bank, |row| RestoredRow {
        has_come: true,
        ..row
    })
}

/// Notes that a coin of this bank's was used by something that the wallet does not know. In a restored one that may be
/// what came through late, whenever that was.
pub(crate) fn look_again(tx: &mut Transaction<'_>, bank: &PublicKey, now_ms: u64) -> Result<(), StoreError> {
    change(tx, bank, |row| RestoredRow {
        late_until_ms: row.late_until_ms.max(Some(now_ms)),
        ..row
    })
}

/// Changes what is written down of a restore, if there has been one.
fn change(
    tx: &mut Transaction<'_>,
    bank: &PublicKey,
    how: impl FnOnce(RestoredRow) -> RestoredRow,
) -> Result<(), StoreError> {
    match RESTORED.get(tx, bank)? {
        Some(row) => RESTORED.put(tx, bank, &how(row)),
        None => Ok(()),
    }
}
