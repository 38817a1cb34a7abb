//! What the bank does besides answering: comparing journals with its escrows, keys for the next epoch, and holds whose
//! deadline has passed. Of these it asks their escrow how they ended, signing that they are overdue, and obeys.
//!
//! Nothing is ever decided by silence: as long as the escrow does not answer, the coins stay held.

use crate::bank::Bank;
use crate::rows::{HOLDS, PURCHASES};
use farthing_coin::{PublicKey, Signed};
use farthing_node::{
    call::{CallError, ask},
    card::RoleName,
    process::StopToken,
};
use farthing_protocol::{
    api::{SettleOne, only},
    decide::OverdueRequest,
    documents::{Overdue, PurchaseId},
    limits::REPLY_TIMEOUT,
    refusal::{Later, Refusal},
};
use farthing_store::StoreError;
use std::{
    collections::BTreeSet,
    ops::Bound,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// The most holds that one round asks about.
pub const ROUND_MAX: usize = 64;

/// How long after its deadline a hold is asked about (ms): the escrow's own push mostly comes before.
pub const PATIENCE_MS: u64 = 5_000;

/// How often the bank looks whether the calendar asks for keys.
const KEYS_PAUSE: Duration = Duration::from_secs(30);

/// How often it looks for overdue holds.
const OVERDUE_PAUSE: Duration = Duration::from_secs(2);

impl Bank {
    /// What the bank does besides answering, until it is stopped.
    pub async fn background(&self, stop: StopToken) {
        let keys = async {
            loop {
                tokio::time::sleep(KEYS_PAUSE).await;
                if let Err(error) = self.extend_keys().await {
                    tracing::error!(%error, "the keys of the next epoch could not be made");
                }
            }
        };
        let overdue = async {
            loop {
                tokio::time::sleep(OVERDUE_PAUSE).await;
                match self.chase_overdue().await {
                    Ok(0) => {}
                    Ok(settled) => tracing::info!(settled, "overdue holds were settled"),
                    Err(error) => tracing::error!(%error, "overdue holds could not be looked for"),
                }
            }
        };
        // Either can be dropped in the middle: what it has begun is a transaction, or a question that is asked again.
        tokio::select! {
            biased;
            () = Arc::clone(&self.history).watch(stop) => {}
            () = keys => {}
            () = overdue => {}
        }
    }

    /// Asks about the next [`ROUND_MAX`] holds that are overdue, and settles those that their escrow has decided.
    /// Returns how many it settled.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn chase_overdue(&self) -> Result<usize, StoreError> {
        if self.history.standing().is_err() {
            return Ok(0);
        }
        let due_ms = self.clock.now_ms().saturating_sub(PATIENCE_MS);
        let after = *self.overdue_after.lock().unwrap_or_else(PoisonError::into_inner);
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let holds: Vec<_> = HOLDS
            .scan(&self.store.view(), from, ROUND_MAX)?
            .into_iter()
            .map(|(key, ())| key)
            .take_while(|(deadline_ms, _, _)| *deadline_ms <= due_ms)
            .collect();
        // A round goes on behind the last one, so that an escrow that is down does not keep the others waiting.
        let next = holds.last().filter(|_| holds.len() == ROUND_MAX).copied();
        *self.overdue_after.lock().unwrap_or_else(PoisonError::into_inner) = next;
        let mut silent = BTreeSet::new();
        let mut settled = 0usize;
        for (_, purchase, escrow) in holds {
            if !silent.contains(&escrow) {
                match self.chase(&(purchase, escrow)).await? {
                    Chased::Settled => settled = settled.saturating_add(1),
                    Chased::Open => {}
                    Chased::Silent => {
                        silent.insert(escrow);
                    }
                }
            }
        }
        Ok(settled)
    }

    async fn chase(&self, row: &(PurchaseId, PublicKey)) -> Result<Chased, StoreError> {
        let Some(purchase) = PURCHASES.peek(&self.store.view(), row)? else {
            return Ok(Chased::Open);
        };
        let (Some(terms), false) = (purchase.terms().cloned(), purchase.held_coins().is_empty()) else {
            return Ok(Chased::Open);
        };
        let escrow = row.1;
        let Ok(link) = self.peers.link(RoleName::Escrow, &escrow) else {
            tracing::warn!(%escrow, "holds are overdue at an escrow that is not known here; add its card");
            return Ok(Chased::Silent);
        };
        let overdue = Overdue {
            purchase: terms.purchase_id(),
            escrow,
            deadline_ms: terms.deadline_ms,
            at_ms: self.clock.now_ms(),
        };
        let overdue = Signed::sign(overdue, &self.identity);
        let asked = self.history.with_head(&escrow, OverdueRequest { terms, overdue });
        let decision = match ask(&*link, asked, REPLY_TIMEOUT).await {
            Ok(answer) => match self.history.hear(&escrow, answer.head.as_ref()) {
                Ok(_) => answer.body,
                Err(refusal) => {
                    tracing::warn!(%escrow, %refusal, "the escrow's answer about an overdue hold is not taken");
                    return Ok(Chased::Open);
                }
            },
            Err(CallError::Refused(Refusal::Later(Later::NotYet))) => return Ok(Chased::Open),
            Err(CallError::Refused(refusal)) => {
                tracing::warn!(%escrow, %refusal, "the escrow does not say how an overdue hold ended");
                return Ok(Chased::Open);
            }
            Err(error) => {
                tracing::warn!(%escrow, %error, "the escrow was asked about overdue holds");
                return Ok(Chased::Silent);
            }
        };
        let settle = SettleOne { escrow, decision };
        match self.settle(settle.into()).await.and_then(only) {
            Ok(_) => Ok(Chased::Settled),
            Err(refusal) => {
                tracing::warn!(%escrow, %refusal, "the escrow's decision cannot be obeyed");
                Ok(Chased::Open)
            }
        }
    }
}

/// What came of asking about a hold.
enum Chased {
    /// It is settled.
    Settled,
    /// Its escrow answered, and it stays.
    Open,
    /// Its escrow did not answer: the others of this round are spared the wait.
    Silent,
}
