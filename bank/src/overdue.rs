//! The background work of the bank: it compares journals with its escrows, makes the keys of the next epoch, asks about
//! overdue holds, and forgets what is long past.
//!
//! For an overdue hold the bank signs that it is overdue, asks its escrow for the decision, and applies the decision.
//! Silence decides nothing: the coins stay held until the escrow answers.

use crate::bank::Bank;
use crate::rows::{HOLDS, PURCHASES};
use farthing_coin::{PublicKey, Signed};
use farthing_node::{
    call::{CallError, ask},
    card::RoleName,
    process::StopToken,
    purge::keep,
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

/// The time after its deadline at which the bank asks about a hold (ms). The escrow's push usually comes earlier.
pub const PATIENCE_MS: u64 = 5_000;

/// How often the bank checks whether the calendar asks for keys.
const KEYS_PAUSE: Duration = Duration::from_secs(30);

/// How often the bank looks for overdue holds.
const OVERDUE_PAUSE: Duration = Duration::from_secs(2);

/// The topics of the bank's complaints.
const TOPIC_KEYS: &str = "keys";
const TOPIC_UNREADABLE: &str = "unreadable";
const TOPIC_UNPINNED: &str = "unpinned";
const TOPIC_SILENT: &str = "silent";
const TOPIC_ANSWER: &str = "answer";
const TOPIC_REFUSED: &str = "refused";
const TOPIC_APPLY: &str = "apply";

impl Bank {
    /// Does the background work until the bank is stopped.
    pub async fn background(&self, stop: StopToken) {
        let keys = async {
            loop {
                tokio::time::sleep(KEYS_PAUSE).await;
                if let Err(error) = self.extend_keys().await {
                    self.complaints.tell(TOPIC_KEYS, &"", |times| {
                        tracing::error!(%error, times, "cannot make the keys of the next epoch; it is tried again");
                    });
                }
            }
        };
        let overdue = async {
            loop {
                tokio::time::sleep(OVERDUE_PAUSE).await;
                match self.chase_overdue().await {
                    Ok(0) => {}
                    Ok(settled) => tracing::info!(settled, "settled overdue holds"),
                    Err(error) => {
                        self.complaints.tell(TOPIC_UNREADABLE, &"", |times| {
                            tracing::error!(%error, times, "cannot read the overdue holds; it is tried again");
                        });
                    }
                }
            }
        };
        let purge = keep(&stop, &self.complaints, || self.purge_round());
        // Each loop can be dropped at any point. It has begun a transaction, or a question that is asked again.
        tokio::select! {
            biased;
            () = Arc::clone(&self.history).watch(stop.clone()) => {}
            () = keys => {}
            () = overdue => {}
            () = purge => {}
        }
    }

    /// Asks the escrows about the next [`ROUND_MAX`] overdue holds, and settles the decided ones.
    ///
    /// Returns how many holds it settled.
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
        // A round continues after the last one. An escrow that is down then does not delay the others.
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
            self.complaints.tell(TOPIC_UNPINNED, &escrow, |times| tracing::warn!(%escrow, times, "holds are overdue at an escrow whose card is not pinned; their coins stay held; add its card with `network add`"));
            return Ok(Chased::Silent);
        };
        self.complaints.clear(TOPIC_UNPINNED, &escrow);
        let overdue = Overdue {
            purchase: terms.purchase_id(),
            escrow,
            deadline_ms: terms.deadline_ms,
            at_ms: self.clock.now_ms(),
        };
        let overdue = Signed::sign(overdue, &self.identity);
        let asked = self.history.with_head(&escrow, OverdueRequest { terms, overdue });
        let answer = ask(&*link, asked, REPLY_TIMEOUT).await;
        if matches!(&answer, Ok(_) | Err(CallError::Refused(_)))
            && let Some(times) = self.complaints.clear(TOPIC_SILENT, &escrow)
        {
            tracing::info!(%escrow, times, "the escrow answers about overdue holds again");
        }
        let decision = match answer {
            Ok(answer) => match self.history.hear(&escrow, answer.head.as_ref()) {
                Ok(_) => answer.body,
                Err(refusal) => {
                    self.complaints.tell(TOPIC_ANSWER, &escrow, |times| tracing::warn!(%escrow, %refusal, times, "the escrow's answer about an overdue hold is refused; its coins stay held; it is asked again"));
                    return Ok(Chased::Open);
                }
            },
            Err(CallError::Refused(Refusal::Later(Later::NotYet))) => return Ok(Chased::Open),
            Err(CallError::Refused(refusal)) => {
                self.complaints.tell(TOPIC_REFUSED, &escrow, |times| tracing::warn!(%escrow, %refusal, times, "the escrow refuses to say how an overdue hold ended; its coins stay held; it is asked again"));
                return Ok(Chased::Open);
            }
            Err(error) => {
                self.complaints.tell(TOPIC_SILENT, &escrow, |times| tracing::warn!(%escrow, %error, times, "the escrow does not answer about overdue holds; their coins stay held; it is asked again"));
                return Ok(Chased::Silent);
            }
        };
        let settle = SettleOne { escrow, decision };
        match self.settle(settle.into()).await.and_then(only) {
            Ok(_) => Ok(Chased::Settled),
            Err(refusal) => {
                self.complaints.tell(TOPIC_APPLY, &escrow, |times| tracing::warn!(%escrow, %refusal, times, "the bank cannot apply the escrow's decision; the coins stay held"));
                Ok(Chased::Open)
            }
        }
    }
}

/// The result of a question about a hold.
enum Chased {
    /// The hold is settled.
    Settled,
    /// The escrow answered, and the hold stays.
    Open,
    /// The escrow did not answer. Its other holds are skipped in this round.
    Silent,
}
