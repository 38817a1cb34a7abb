//! The banks' lists of keys.

use crate::{
    error::WalletError,
    rows::{CoinRow, KEY_LISTS, KEYS},
    wallet::Wallet,
};
use farthing_coin::{Denomination, KeyBook, KeyId, KeyList, PublicKey, Signed};
use farthing_node::{card::Card, network::Lane};
use farthing_protocol::{api::KeysRequest, limits::RELEASED_GRACE_MS, money::Amount};
use farthing_store::StoreError;
use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard, PoisonError},
};

/// The bank's keys as the wallet last saw them. They are fetched if some value has no key that issues now.
pub(crate) async fn current_keys(wallet: &Wallet, bank: &Card) -> Result<Arc<KeyBook>, WalletError> {
    if let Some(book) = wallet.stored_keys(bank)?
        && book
            .values()
            .iter()
            .all(|value| book.issuing(*value, wallet.now_ms()).is_some())
    {
        return Ok(book);
    }
    fetch_keys(wallet, bank).await
}

/// Fetches the bank's keys. They must continue the list that the wallet saw before. The request always uses an
/// anonymous connection of its own: a bank that knew who asks could show this customer a list of its own.
pub(crate) async fn fetch_keys(wallet: &Wallet, bank: &Card) -> Result<Arc<KeyBook>, WalletError> {
    let signed = wallet
        .peer_client(bank, Lane::Anonymous)
        .must(&KeysRequest)
        .await?;
    let book = Arc::new(verified_keys(bank, signed.clone())?);
    if let Some(older) = wallet.stored_keys(bank)?
        && !book.extends(&older)
    {
        return Err(WalletError::KeyListChanged(bank.title()));
    }
    let reads = [KEYS.save_reads(&bank.identity)];
    wallet.transact(reads, move |tx| KEYS.save(tx, &signed)).await?;
    wallet.books().insert(bank.identity, Arc::clone(&book));
    Ok(book)
}

impl Wallet {
    /// The bank's keys as the wallet last saw them, verified; `None` if it never fetched them.
    pub(crate) fn stored_keys(&self, bank: &Card) -> Result<Option<Arc<KeyBook>>, WalletError> {
        if let Some(book) = self.books().get(&bank.identity) {
            return Ok(Some(Arc::clone(book)));
        }
        let Some(signed) = self.kept_keys(&bank.identity)? else {
            return Ok(None);
        };
        let book = Arc::new(verified_keys(bank, signed)?);
        // A list that was fetched in the meantime is newer.
        Ok(Some(Arc::clone(
            self.books().entry(bank.identity).or_insert(book),
        )))
    }

    /// A bank's list of keys as the store has it: one row for each epoch. A wallet that has fetched no list since its
    /// update to version 2 still has the whole list in one row.
    fn kept_keys(&self, bank: &PublicKey) -> Result<Option<Signed<KeyList>>, StoreError> {
        let view = self.store.view();
        match KEYS.load(&view, bank)? {
            Some(signed) => Ok(Some(signed)),
            None => KEY_LISTS.peek(&view, bank),
        }
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<PublicKey, Arc<KeyBook>>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A denomination that the wallet has seen, by its key id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn denomination(
        &self,
        bank: &PublicKey,
        key_id: &KeyId,
    ) -> Result<Option<Denomination>, WalletError> {
        Ok(self.known_keys(bank)?.and_then(|book| book.get(key_id).cloned()))
    }

    /// What coins of these keys are worth together. A key that the wallet has never seen counts as nothing.
    pub(crate) fn worth(&self, bank: &PublicKey, key_ids: &[KeyId]) -> Result<Amount, WalletError> {
        let keys = self.known_keys(bank)?;
        let value = |key_id| {
            keys.as_ref()
                .and_then(|keys| keys.get(key_id))
                .map(|key| key.value)
        };
        Ok(Amount(
            key_ids.iter().filter_map(value).fold(0, u64::saturating_add),
        ))
    }

    /// The keys of a bank whose card may have been removed, as [`stored_keys`](Wallet::stored_keys).
    pub(crate) fn known_keys(&self, bank: &PublicKey) -> Result<Option<Arc<KeyBook>>, WalletError> {
        if let Some(book) = self.books().get(bank) {
            return Ok(Some(Arc::clone(book)));
        }
        let Some(signed) = self.kept_keys(bank)? else {
            return Ok(None);
        };
        let book = KeyBook::new(signed, bank).map_err(|why| WalletError::KeyList {
            bank: bank.to_string(),
            why,
        })?;
        Ok(Some(Arc::clone(
            self.books().entry(*bank).or_insert(Arc::new(book)),
        )))
    }
}

fn verified_keys(bank: &Card, signed: Signed<KeyList>) -> Result<KeyBook, WalletError> {
    KeyBook::new(signed, &bank.identity).map_err(|why| WalletError::KeyList {
        bank: bank.title(),
        why,
    })
}

/// The ids of the keys that issue coins of `values` now.
///
/// # Errors
/// When the bank issues no coins of one of the values.
pub(crate) fn issuing(keys: &KeyBook, values: &[u64], now_ms: u64) -> Result<Vec<KeyId>, WalletError> {
    let issuing = |value: &u64| keys.issuing(*value, now_ms).map(|d| d.id());
    let ids = values
        .iter()
        .map(|value| issuing(value).ok_or(WalletError::NotIssued(Amount(*value))));
    ids.collect()
}

/// Whether a key ends within a quarter of its epoch, or has ended and its coins can still be exchanged.
pub(crate) fn ends_soon(key: &Denomination, now_ms: u64) -> bool {
    let epoch_ms = key.issue_until_ms.saturating_sub(key.issue_from_ms);
    now_ms.saturating_add(epoch_ms / 4) >= key.spend_until_ms && now_ms < key.redeem_until_ms
}

/// Whether the bank takes a coin back no more, even one that was held and then released. `keys` are the keys of its
/// bank.
pub(crate) fn is_past_redeem(keys: Option<&KeyBook>, row: &CoinRow, now_ms: u64) -> bool {
    let key = keys.and_then(|keys| keys.get(&row.coin.key_id));
    key.is_some_and(|key| now_ms >= key.redeem_until_ms.saturating_add(RELEASED_GRACE_MS))
}

/// The same values under the keys that issue now. If the wallet's clock disagrees with the bank's, these are the same
/// keys, and that is an error.
///
/// # Errors
/// When the bank issues no coins of one of the values, or when `outputs` still issue by this machine's clock.
pub(crate) fn current_outputs(
    keys: &KeyBook,
    outputs: &[KeyId],
    now_ms: u64,
) -> Result<Vec<KeyId>, WalletError> {
    let values: Option<Vec<u64>> = outputs.iter().map(|id| keys.get(id).map(|d| d.value)).collect();
    let values = values.ok_or(WalletError::Inconsistent(
        "a planned coin's key is not in the list of keys",
    ))?;
    let current = issuing(keys, &values, now_ms)?;
    if current == outputs {
        return Err(WalletError::NotIssued(Amount(
            values.iter().fold(0, |sum, v| sum.saturating_add(*v)),
        )));
    }
    Ok(current)
}
