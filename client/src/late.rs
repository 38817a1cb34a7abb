//! What was under way when a wallet was lost, and comes through after it was restored.
//!
//! A request that was still in the network, or waited at a party, while the restore looked is acted on afterwards: a
//! payment takes coins that the restore found unspent, an exchange or a withdrawal makes coins that it did not find. All
//! of it comes to light under numbers that the restore has asked for in vain, and that are never used again. So whoever
//! carries on later looks under these once more, until every deadline of that time has passed; and again whenever a
//! coin turns out to be used by nobody that the wallet knows, so that no clock decides about it.

use crate::{
    buckets::Fetched,
    error::WalletError,
    restore::Seen,
    resume::Resumed,
    rows::{RESTORED, RestoredRow},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::{
    card::{Card, RoleName},
    store::{StoreError, Transaction},
};
use farthing_planted::{Defect, is_planted};
use std::collections::BTreeSet;

impl Wallet {
    /// Looks at each bank that the wallet was restored from, as long as something may come through there.
    pub(crate) async fn look_for_late(&self, resumed: &mut Resumed) -> Result<(), WalletError> {
        if is_planted(Defect::LateNotLookedFor) {
            return Ok(());
        }
        for (bank, row) in self.all(&RESTORED)? {
            let Some(until_ms) = row.late_until_ms else {
                continue;
            };
            let began_ms = self.now_ms();
            let had = (self.coins()?.len(), self.purchases()?.len());
            let looked = self.look_at(&bank, &row).await;
            let has = (self.coins()?.len(), self.purchases()?.len());
            let is_last = looked.is_ok() && began_ms >= until_ms;
            if looked.is_err() || has != had {
                resumed.note("what came through after the restore".into(), looked);
            }
            if !is_last {
                resumed.late_until_ms = resumed.late_until_ms.max(Some(until_ms));
                continue;
            }
            let last = RestoredRow {
                late_until_ms: None,
                ..row.clone()
            };
            self.transact(move |tx| {
                let same = RESTORED.get(tx, &bank)?.is_some_and(|now| now == row);
                if same {
                    RESTORED.put(tx, &bank, &last)
                } else {
                    Ok(())
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn look_at(&self, bank: &PublicKey, row: &RestoredRow) -> Result<(), WalletError> {
        let bank: &Card = &self.party_by_key(RoleName::Bank, bank)?;
        let keys = self.fetch_keys(bank).await?;
        let coins = self.coins()?;
        self.restore_withdrawals(bank, &keys).await?;
        let mut fetched = Fetched::default();
        let mine = coins.iter().filter(|row| row.bank == bank.identity);
        let known: BTreeSet<u64> = mine.filter_map(|row| row.origin.exchange()).collect();
        for number in (0..row.exchanges).filter(|number| !known.contains(number)) {
            self.restore_exchange(bank, &keys, &mut fetched, number).await?;
        }
        let purchases = self.purchases()?;
        let orders = purchases.iter().filter_map(|(_, row)| row.purchase.order());
        let mine = orders.filter(|order| order.contract.terms.bank == bank.identity);
        let known: BTreeSet<u64> = mine.map(|order| order.counter).collect();
        let mut notes = Vec::new();
        for counter in (0..row.orders).filter(|counter| !known.contains(counter)) {
            notes.extend(self.notes(bank, &mut fetched, counter).await?);
        }
        // Coins are not asked for again and again while nothing has come: they are spent afterwards.
        if notes.is_empty() && self.coins()?.len() == coins.len() {
            return Ok(());
        }
        self.find_used_coins(bank, &mut fetched).await?;
        for note in notes {
            self.restore_purchase(&bank.identity, note, &row.goods_dir, Seen::Late)
                .await?;
        }
        Ok(())
    }
}

/// Notes that a coin of this bank's was used by something that the wallet does not know. In a restored one that may be
/// what came through late, whenever that was.
pub(crate) fn look_again(tx: &mut Transaction<'_>, bank: &PublicKey, now_ms: u64) -> Result<(), StoreError> {
    let Some(row) = RESTORED.get(tx, bank)? else {
        return Ok(());
    };
    let again = RestoredRow {
        late_until_ms: row.late_until_ms.max(Some(now_ms)),
        ..row
    };
    RESTORED.put(tx, bank, &again)
}
