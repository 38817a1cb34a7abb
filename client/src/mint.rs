//! What withdrawals and exchanges share: the bank's keys, its first messages, and the new coins' rows.

use crate::{
    coins::{coin_row, put_coin},
    error::WalletError,
    rows::{CoinRow, CoinStatus, FIRST_MESSAGES, SENT_FINISHES, SentFinish},
    talk::Talk,
    wallet::Wallet,
};
use farthing_coin::{Coin, KeyBook, KeyId, PublicKey, Signed};
use farthing_node::card::Card;
use farthing_planted::{Defect, is_planted};
use farthing_protocol::{
    denial::{Denial, RequestKind, is_denied},
    documents::Issued,
    issue::{Begun, MintFault, session_digest},
    money::Amount,
    refusal::{IssueFault, Refusal},
    restore::Origin,
};
use farthing_store::{StoreError, Transaction};
use std::{ops::Bound, sync::Arc};

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

    /// Whether a finish under this request id may have been sent.
    pub(crate) fn has_sent_finish(&self, request_id: &[u8; 32]) -> Result<bool, WalletError> {
        let sent = SENT_FINISHES.scan_under(&self.store.view(), request_id, Bound::Unbounded, 1)?;
        Ok(!sent.is_empty())
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

/// What a bank's refusal is to a withdrawal or an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word<'r> {
    /// The session is gone: begin again.
    BeginAgain,
    /// The epoch has changed: begin again under other keys.
    NotIssuing,
    /// It was finished before, with this.
    Finished(&'r Signed<Issued>),
    /// It is denied for good, by the bank's signature.
    Denied(&'r Signed<Denial>),
    /// It is refused, and nothing was at stake.
    Refused,
    /// Nothing that ends it: a finish may have been carried out.
    Nothing,
}

/// A request that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Its kind.
    pub(crate) kind: RequestKind,
    /// The digest of all of it.
    pub(crate) digest: [u8; 32],
    /// Whether a finish under its id may have been sent.
    pub(crate) is_at_stake: bool,
}

impl Asked {
    /// What `refusal` is to it.
    pub(crate) fn word<'r>(&self, refusal: &'r Refusal, bank: &PublicKey) -> Word<'r> {
        use IssueFault::{NotIssuing, OtherContent, SessionGone};
        match refusal {
            Refusal::Issue(SessionGone) => Word::BeginAgain,
            Refusal::Issue(NotIssuing(_)) => Word::NotIssuing,
            Refusal::Issue(OtherContent(issued)) => Word::Finished(issued),
            Refusal::Denied(denial) if is_denied(denial, bank, self.kind, &self.digest) => {
                Word::Denied(denial)
            }
            _ if !self.is_at_stake || is_planted(Defect::UnsignedRefusalFinal) => Word::Refused,
            _ => Word::Nothing,
        }
    }
}

/// Writes down that a finish may be sent.
pub(crate) fn note_finish(
    tx: &mut Transaction<'_>,
    (bank, number): (PublicKey, u64),
    request_id: [u8; 32],
    digest: Option<[u8; 32]>,
) -> Result<(), StoreError> {
    match digest {
        Some(digest) => SENT_FINISHES.put(tx, &(request_id, digest), &SentFinish { bank, number }),
        None => Ok(()),
    }
}

pub(crate) fn refused(talk: &Talk<'_>, question: &'static str, refusal: Refusal) -> WalletError {
    WalletError::Refused {
        party: talk.party(),
        question,
        refusal: Box::new(refusal),
    }
}

/// A refusal without the bank's signature ends nothing.
pub(crate) fn no_word(talk: &Talk<'_>, question: &'static str, refusal: &Refusal) -> WalletError {
    WalletError::Silent {
        party: talk.party(),
        question,
        why: format!("it refused without its signature, which ends nothing: {refusal}"),
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
