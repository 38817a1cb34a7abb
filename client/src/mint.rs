//! What withdrawals and exchanges share: the bank's keys, its first messages, and the new coins' rows.

use crate::{
    coins::{coin_row, put_coin},
    error::WalletError,
    rows::{CoinRow, CoinStatus, FIRST_MESSAGES},
    talk::Talk,
    wallet::Wallet,
};
use farthing_coin::{Coin, KeyBook, KeyId};
use farthing_node::{
    card::Card,
    store::{StoreError, Transaction},
};
use farthing_protocol::{
    issue::{Begun, MintFault, session_digest},
    money::Amount,
    refusal::{IssueFault, Refusal},
    restore::Origin,
};
use std::sync::Arc;

impl Wallet {
    /// The keys that issue coins of `values` now.
    pub(crate) fn issuing(&self, keys: &KeyBook, values: &[u64]) -> Result<Vec<KeyId>, WalletError> {
        let now_ms = self.now_ms();
        let issuing = |value: &u64| keys.issuing(*value, now_ms).map(|d| d.id());
        let ids = values
            .iter()
            .map(|value| issuing(value).ok_or(WalletError::NotIssued(Amount(*value))));
        ids.collect()
    }

    /// The same values under the keys that issue now. A wallet whose clock disagrees with the bank's finds no
    /// others, and says so.
    pub(crate) async fn renewed(&self, bank: &Card, outputs: &[KeyId]) -> Result<Vec<KeyId>, WalletError> {
        let keys = self.fetch_keys(bank).await?;
        let values: Option<Vec<u64>> = outputs.iter().map(|id| keys.get(id).map(|d| d.value)).collect();
        let values = values.ok_or(WalletError::Inconsistent(
            "a planned coin's key is not in the list of keys",
        ))?;
        let renewed = self.issuing(&keys, &values)?;
        if renewed == outputs {
            return Err(WalletError::NotIssued(Amount(
                values.iter().fold(0, |sum, v| sum.saturating_add(*v)),
            )));
        }
        Ok(renewed)
    }

    /// The list of keys that holds these, fetched again if the wallet's is older.
    pub(crate) async fn keys_of(&self, bank: &Card, ids: &[KeyId]) -> Result<Arc<KeyBook>, WalletError> {
        match self.stored_keys(bank)? {
            Some(keys) if ids.iter().all(|id| keys.get(id).is_some()) => Ok(keys),
            _ => self.fetch_keys(bank).await,
        }
    }

    /// Writes down the bank's first messages, with what goes with them. One that was met before under another
    /// request, slot or key is refused.
    pub(crate) async fn met(
        &self,
        request_id: [u8; 32],
        outputs: &[KeyId],
        begun: Begun,
        then: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), WalletError> {
        let outputs = outputs.to_vec();
        let fresh = self
            .transact(move |tx| {
                for (slot, (commitment, key_id)) in (0u32..).zip(begun.commitments.iter().zip(outputs)) {
                    let digest = session_digest(std::slice::from_ref(commitment));
                    let here = (request_id, slot, key_id);
                    match FIRST_MESSAGES.get(tx, &digest)? {
                        Some(met) if met != here => return Ok(false),
                        Some(_) => {}
                        None => FIRST_MESSAGES.put(tx, &digest, &here)?,
                    }
                }
                then(tx)?;
                Ok(true)
            })
            .await?;
        if fresh {
            Ok(())
        } else {
            Err(MintFault::RepeatedCommitment.into())
        }
    }
}

/// Whether a refusal asks for another try of the same matter.
pub(crate) fn is_retry(refusal: &Refusal) -> bool {
    use IssueFault::{NotIssuing, OtherContent, SessionGone};
    matches!(
        refusal,
        Refusal::Issue(SessionGone | OtherContent(_) | NotIssuing(_))
    )
}

pub(crate) fn refused(talk: &Talk<'_>, question: &'static str, refusal: Refusal) -> WalletError {
    WalletError::Refused {
        party: talk.party(),
        question,
        refusal: Box::new(refusal),
    }
}

pub(crate) fn silent(talk: &Talk<'_>, question: &'static str, refusal: &Refusal) -> WalletError {
    WalletError::Silent {
        party: talk.party(),
        question,
        why: refusal.to_string(),
    }
}

/// Rows for new coins.
pub(crate) fn new_rows(
    coins: &[Coin],
    keys: &KeyBook,
    origin: impl Fn(u8) -> Origin,
) -> Result<Vec<CoinRow>, WalletError> {
    let rows = (0u8..).zip(coins).map(|(slot, coin)| {
        let denomination = keys
            .get(&coin.key_id)
            .ok_or(WalletError::Inconsistent("a new coin's key is unknown"))?;
        Ok(CoinRow {
            coin: *coin,
            bank: denomination.bank,
            value: denomination.value,
            origin: origin(slot),
            status: CoinStatus::Available,
        })
    });
    rows.collect()
}

/// Adds coins that are not in the wallet yet; one that is keeps its status.
pub(crate) fn add_coins(tx: &mut Transaction<'_>, rows: &[CoinRow]) -> Result<(), StoreError> {
    for row in rows {
        let key = (row.coin.key_id, row.coin.public);
        if coin_row(tx, &key)?.is_none() {
            put_coin(tx, row)?;
        }
    }
    Ok(())
}
