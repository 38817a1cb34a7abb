//! Settlement: every decision is pushed to its bank until the bank has acknowledged it.
//!
//! The outbox is on disk, so a restart forgets nothing. A bank that is silent or refuses delays only its own
//! decisions: each page of the outbox is pushed bank by bank, all banks at once, and to each in one request.

use crate::escrow::Escrow;
use crate::rows::{DECISIONS, OUTBOX};
use crate::transactions;
use async_trait::async_trait;
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::{CallError, ask};
use farthing_node::card::RoleName;
use farthing_node::history::History;
use farthing_node::link::Link;
use farthing_node::process::StopToken;
use farthing_node::serve::Role;
use farthing_protocol::{
    decision::Decision,
    documents::{PurchaseId, Settled},
    history::{JournalHead, WithHead},
    limits::{REPLY_TIMEOUT, SETTLE_MAX},
    refusal::{Later, Refusal},
    settle::{SettleRequest, on_settled},
};
use farthing_store::{Reads, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a commit waits for others before it is pushed (ms): nobody waits for it. An abort is pushed at once, and with
/// it all that waits.
pub const GATHER_MS: u64 = 100;

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
        let watching = Arc::clone(&self.history).watch(stop.clone());
        tokio::join!(watching, self.learn_keys(&stop), self.settle(stop.clone()));
    }
}

impl Escrow {
    /// Fetches the key lists of the banks of which none is kept yet, so that no customer waits for them.
    async fn learn_keys(&self, stop: &StopToken) {
        let cards = self.peers.cards(RoleName::Bank);
        let mut unknown: Vec<PublicKey> = cards.iter().map(|card| card.identity).collect();
        loop {
            let mut left = Vec::new();
            for bank in unknown {
                let learned = tokio::select! {
                    biased;
                    () = stop.stopped() => return,
                    learned = self.keys.book(&bank) => learned,
                };
                if learned.is_err() && self.peers.card(RoleName::Bank, &bank).is_some() {
                    left.push(bank);
                }
            }
            if left.is_empty() {
                return;
            }
            unknown = left;
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = tokio::time::sleep(Duration::from_millis(IDLE_MS)) => {}
            }
        }
    }

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
                () = self.aborted.notified() => {}
                () = self.gathered() => {}
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    /// Waits for a commit, and then for others.
    async fn gathered(&self) {
        self.committed.notified().await;
        tokio::time::sleep(Duration::from_millis(GATHER_MS)).await;
    }
}

/// The pause to make now; the next one is twice as long.
fn next_pause(pause_ms: &mut u64) -> u64 {
    let now_ms = *pause_ms;
    *pause_ms = pause_ms.saturating_mul(2).min(RETRY_MAX_MS);
    now_ms
}

/// Decisions on their way to their bank.
struct Push {
    request: WithHead<SettleRequest>,
    /// What the bank will say.
    expected: Vec<Settled>,
}

/// What became of the decisions that were pushed to one bank.
struct Pushed {
    bank: PublicKey,
    acknowledged: Vec<Signed<Settled>>,
    /// The head of the bank's journal, that the acknowledgements came with.
    head: Option<Signed<JournalHead>>,
    /// How many are left.
    left: usize,
    /// Whether the bank did not answer: it need not be tried again now.
    silent: bool,
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
        let mut last: Option<PurchaseId> = None;
        loop {
            let view = self.store.view();
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = OUTBOX.scan(&view, from, SETTLE_MAX)?;
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
                        banks.spawn(push(link, bank, self.push_of(&bank, &decisions)));
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
                if pushed.silent {
                    silent.insert(pushed.bank);
                }
                self.keep(pushed).await?;
            }
        }
    }

    fn push_of(&self, bank: &PublicKey, decisions: &[Decision]) -> Push {
        let expected = |decision: &Decision| {
            let terms = decision.terms();
            match decision {
                Decision::Committed { .. } => Settled::committed(terms),
                Decision::Aborted { .. } => Settled::aborted(terms.purchase_id(), terms.escrow),
            }
        };
        let request = SettleRequest {
            escrow: self.self_id(),
            decisions: decisions.iter().map(|it| it.for_bank(&self.key)).collect(),
        };
        Push {
            request: self.history.with_head(bank, request),
            expected: decisions.iter().map(expected).collect(),
        }
    }

    /// Keeps what a bank has acknowledged, and in the same write how far its journal had come with that.
    async fn keep(&self, pushed: Pushed) -> Result<(), StoreError> {
        let Pushed {
            bank, acknowledged, ..
        } = pushed;
        if acknowledged.is_empty() {
            return Ok(());
        }
        if let Err(refusal) = self.history.hear(&bank, pushed.head.as_ref()) {
            tracing::error!(%bank, %refusal, "a bank has acknowledged decisions with a head that is not its own");
        }
        let history = Arc::clone(&self.history);
        let reads = Reads::from(acknowledged.iter().map(transactions::acknowledge_reads));
        self.store
            .transact(reads.and([history.remembers(&bank)]), move |tx| {
                history.mark_decision();
                history.remember(tx, &bank)?;
                let mut acknowledged = acknowledged.iter();
                acknowledged.try_for_each(|settled| transactions::acknowledge(tx, settled))
            })
            .await
    }
}

/// Pushes decisions to their bank, and says what became of them.
async fn push(link: Arc<Link>, bank: PublicKey, push: Push) -> Pushed {
    let Push { request, expected } = push;
    let mut pushed = Pushed {
        bank,
        acknowledged: Vec::new(),
        head: None,
        left: expected.len(),
        silent: false,
    };
    let answer = match ask(&*link, request, REPLY_TIMEOUT).await {
        Ok(answer) => answer,
        Err(error) => {
            pushed.silent = is_silent(&bank, &error);
            return pushed;
        }
    };
    pushed.head = answer.head;
    let answers = on_settled(answer.body, &expected, &bank).unwrap_or_else(|error| {
        tracing::error!(%bank, %error, "a bank has not answered each decision");
        Vec::new().into()
    });
    for (expected, answer) in expected.iter().zip(answers) {
        match answer {
            Ok(settled) => pushed.acknowledged.push(settled),
            Err(refusal) => {
                let purchase = expected.purchase;
                tracing::error!(%bank, %purchase, %refusal, "a bank has refused a decision; it is tried again");
            }
        }
    }
    pushed.left = pushed.left.saturating_sub(pushed.acknowledged.len());
    pushed
}

/// Whether a bank that has answered no decision need not be tried again now.
fn is_silent(bank: &PublicKey, error: &CallError) -> bool {
    match error {
        CallError::Refused(refusal @ Refusal::Later(Later::Unwitnessed | Later::Behind)) => {
            tracing::warn!(%bank, %refusal, "a bank obeys nothing now");
            true
        }
        CallError::Refused(refusal) => {
            tracing::error!(%bank, %refusal, "a bank has refused all decisions; they are tried again");
            false
        }
        error => {
            tracing::debug!(%bank, %error, "a bank is silent");
            true
        }
    }
}
