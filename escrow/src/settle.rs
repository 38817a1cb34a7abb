//! Settlement: every decision is pushed to its bank until the bank has acknowledged it.
//!
//! The outbox is on disk, so a restart forgets nothing. A bank that is silent or refuses delays only its own
//! decisions: each page of the outbox is pushed bank by bank, all banks at once.

use crate::escrow::Escrow;
use crate::rows::{DECISIONS, OUTBOX};
use crate::transactions;
use async_trait::async_trait;
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::{CallError, ask};
use farthing_node::card::RoleName;
use farthing_node::history::History;
use farthing_node::network::Link;
use farthing_node::process::StopToken;
use farthing_node::serve::Role;
use farthing_node::store::StoreError;
use farthing_protocol::{
    decide::Decision,
    documents::{PurchaseId, Settled},
    history::WithHead,
    limits::REPLY_TIMEOUT,
    refusal::{Later, Refusal},
    settle::SettleRequest,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The most decisions that are pushed between two looks at the outbox.
pub const PAGE_MAX: usize = 256;

/// The most decisions that are on their way to one bank at once.
pub const IN_FLIGHT_MAX: usize = 16;

/// The first pause after a round that left something behind (ms). It doubles with each such round.
pub const RETRY_FIRST_MS: u64 = 200;

/// The longest pause while something is left (ms).
pub const RETRY_MAX_MS: u64 = 10_000;

/// How often the loop looks at clock and outbox when there is nothing to do (ms).
pub const IDLE_MS: u64 = 10_000;

#[async_trait]
impl Role for Escrow {
    const NAME: RoleName = RoleName::Escrow;

    fn history(&self) -> Option<Arc<History>> {
        Some(Arc::clone(&self.history))
    }

    async fn background(self: Arc<Self>, stop: StopToken) {
        tokio::join!(Arc::clone(&self.history).watch(stop.clone()), self.settle(stop));
    }
}

impl Escrow {
    /// Pushes decisions until it is told to stop.
    async fn settle(&self, stop: StopToken) {
        let mut pause_ms = RETRY_FIRST_MS;
        while !stop.is_stopped() {
            // Looked at so that a leap of the clock is seen, and stands in the log.
            let _complained = self.now_ms();
            let left = tokio::select! {
                biased;
                () = stop.stopped() => return,
                left = self.settle_round() => left,
            };
            let wait_ms = match left {
                Ok(0) => {
                    pause_ms = RETRY_FIRST_MS;
                    IDLE_MS
                }
                Ok(left) => {
                    tracing::info!(left, retry_in_ms = pause_ms, "decisions wait for their bank");
                    next_pause(&mut pause_ms)
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read");
                    next_pause(&mut pause_ms)
                }
            };
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = self.outbox_grew.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }
}

/// The pause to make now; the next one is twice as long.
fn next_pause(pause_ms: &mut u64) -> u64 {
    let now_ms = *pause_ms;
    *pause_ms = pause_ms.saturating_mul(2).min(RETRY_MAX_MS);
    now_ms
}

/// A decision on its way to its bank.
struct Push {
    request: WithHead<SettleRequest>,
    /// What the bank will say.
    expected: Settled,
}

/// A purchase, and its bank's word that it has obeyed.
type Acknowledged = (PurchaseId, WithHead<Signed<Settled>>);

/// What became of one push.
enum Pushed {
    Acknowledged(Box<Acknowledged>),
    /// The bank answered, but not with an acknowledgement: others may still go through.
    Refused,
    /// The bank did not answer: the others need not be tried now.
    Silent,
}

impl Escrow {
    /// Pushes everything in the outbox once, and says how many decisions are left in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle_round(&self) -> Result<usize, StoreError> {
        // What is acknowledged is written, and a node that may not decide writes nothing.
        if self.history.standing().is_err() {
            return Ok(usize::from(
                !OUTBOX.scan(&self.store.view(), Bound::Unbounded, 1)?.is_empty(),
            ));
        }
        let mut left = 0;
        let mut silent = BTreeSet::new();
        let mut last: Option<[u8; 32]> = None;
        loop {
            let view = self.store.view();
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = OUTBOX.scan(&view, from, PAGE_MAX)?;
            let Some((end, ())) = page.last() else {
                return Ok(left);
            };
            last = Some(*end);
            let mut by_bank: BTreeMap<PublicKey, Vec<Decision>> = BTreeMap::new();
            for (purchase, ()) in &page {
                // A decision and its place in the outbox are one write, so there is always one.
                if let Some(decision) = DECISIONS.peek(&view, purchase)? {
                    by_bank.entry(decision.terms().bank).or_default().push(decision);
                }
            }
            let mut banks = JoinSet::new();
            for (bank, decisions) in by_bank {
                let count = decisions.len();
                // One that did not answer is not waited for again before the next round.
                if silent.contains(&bank) {
                    left += count;
                    continue;
                }
                match self.peers.link(RoleName::Bank, &bank) {
                    Ok(link) => {
                        let pushes = decisions.iter().map(|decision| self.push_of(decision)).collect();
                        banks.spawn(push_all(link, bank, pushes));
                    }
                    Err(error) => {
                        tracing::error!(%error, waiting = count, "decisions cannot be delivered");
                        left += count;
                    }
                }
            }
            while let Some(pushed) = banks.join_next().await {
                // A push that panicked has acknowledged nothing: its decisions are still in the outbox.
                let Ok(pushed) = pushed else {
                    left += 1;
                    continue;
                };
                left += pushed.left;
                silent.extend(pushed.silent);
                self.keep(pushed.bank, pushed.acknowledged).await?;
            }
        }
    }

    fn push_of(&self, decision: &Decision) -> Push {
        let terms = decision.terms();
        let expected = match decision {
            Decision::Committed { .. } => Settled::committed(terms),
            Decision::Aborted { .. } => Settled::aborted(terms.purchase_id(), terms.escrow),
        };
        let request = SettleRequest {
            escrow: self.here(),
            decision: decision.for_bank(&self.key),
        };
        let request = self.history.with_head(&terms.bank, request);
        Push { request, expected }
    }

    /// Keeps what `bank` has acknowledged, and in the same write how far its journal had come with that.
    async fn keep(&self, bank: PublicKey, acknowledged: Vec<Acknowledged>) -> Result<(), StoreError> {
        if acknowledged.is_empty() {
            return Ok(());
        }
        for (_, answer) in &acknowledged {
            if let Err(refusal) = self.history.hear(&bank, answer.head.as_ref()) {
                tracing::error!(%bank, %refusal, "a bank has acknowledged a decision with a head that is not its own");
            }
        }
        let history = Arc::clone(&self.history);
        self.store
            .transact(move |tx| {
                history.note();
                history.remember(tx, &bank)?;
                acknowledged
                    .iter()
                    .try_for_each(|(purchase, answer)| transactions::acknowledge(tx, purchase, &answer.body))
            })
            .await
    }
}

/// What became of one bank's decisions.
struct PushedAll {
    bank: PublicKey,
    acknowledged: Vec<Acknowledged>,
    /// How many are left.
    left: usize,
    /// The bank, if it did not answer.
    silent: Option<PublicKey>,
}

/// Pushes decisions to their bank, some at once, until all were tried or the bank is silent.
async fn push_all(link: Arc<Link>, bank: PublicKey, pushes: Vec<Push>) -> PushedAll {
    let total = pushes.len();
    let mut pushes = pushes.into_iter();
    let mut under_way = JoinSet::new();
    let mut acknowledged = Vec::new();
    let mut silent = None;
    loop {
        while silent.is_none() && under_way.len() < IN_FLIGHT_MAX {
            let Some(next) = pushes.next() else { break };
            under_way.spawn(push(Arc::clone(&link), bank, next));
        }
        match under_way.join_next().await {
            None => break,
            Some(Ok(Pushed::Acknowledged(answer))) => acknowledged.push(*answer),
            Some(Ok(Pushed::Refused)) => {}
            Some(Ok(Pushed::Silent) | Err(_)) => silent = Some(bank),
        }
    }
    PushedAll {
        bank,
        left: total.saturating_sub(acknowledged.len()),
        acknowledged,
        silent,
    }
}

async fn push(link: Arc<Link>, bank: PublicKey, push: Push) -> Pushed {
    let Push { request, expected } = push;
    let purchase = expected.purchase;
    match ask(&*link, request, REPLY_TIMEOUT).await {
        Ok(answer) => {
            let fits = answer.body.body == expected;
            if fits && answer.body.verify(&bank).is_ok() {
                return Pushed::Acknowledged(Box::new((purchase, answer)));
            }
            tracing::error!(%purchase, "a bank has acknowledged a decision with a document that does not fit it");
            Pushed::Refused
        }
        Err(CallError::Refused(refusal @ Refusal::Later(Later::Unwitnessed | Later::Behind))) => {
            tracing::warn!(%bank, %refusal, "a bank obeys nothing now");
            Pushed::Silent
        }
        Err(CallError::Refused(refusal)) => {
            tracing::error!(%purchase, %refusal, "a bank has refused a decision; it is tried again");
            Pushed::Refused
        }
        Err(error) => {
            tracing::debug!(%error, "a bank is silent");
            Pushed::Silent
        }
    }
}
