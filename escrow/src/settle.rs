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
use farthing_node::network::Link;
use farthing_node::process::StopToken;
use farthing_node::serve::Role;
use farthing_node::store::StoreError;
use farthing_protocol::{
    decide::Decision,
    documents::{PurchaseId, Settled},
    limits::REPLY_TIMEOUT,
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

    async fn background(self: Arc<Self>, stop: StopToken) {
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
    request: SettleRequest,
    /// What the bank will say.
    expected: Settled,
}

/// What became of one push.
enum Pushed {
    Acknowledged(PurchaseId, Box<Signed<Settled>>),
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
                self.keep(pushed.acknowledged).await?;
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
        Push { request, expected }
    }

    async fn keep(&self, acknowledged: Vec<(PurchaseId, Signed<Settled>)>) -> Result<(), StoreError> {
        if acknowledged.is_empty() {
            return Ok(());
        }
        self.store
            .transact(move |tx| {
                acknowledged
                    .iter()
                    .try_for_each(|(purchase, settled)| transactions::acknowledge(tx, purchase, settled))
            })
            .await
    }
}

/// What became of one bank's decisions.
struct PushedAll {
    acknowledged: Vec<(PurchaseId, Signed<Settled>)>,
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
            Some(Ok(Pushed::Acknowledged(purchase, settled))) => acknowledged.push((purchase, *settled)),
            Some(Ok(Pushed::Refused)) => {}
            Some(Ok(Pushed::Silent) | Err(_)) => silent = Some(bank),
        }
    }
    PushedAll {
        left: total.saturating_sub(acknowledged.len()),
        acknowledged,
        silent,
    }
}

async fn push(link: Arc<Link>, bank: PublicKey, push: Push) -> Pushed {
    let Push { request, expected } = push;
    let purchase = expected.purchase;
    match ask(&*link, request, REPLY_TIMEOUT).await {
        Ok(settled) => {
            let fits = settled.body == expected;
            if fits && settled.verify(&bank).is_ok() {
                return Pushed::Acknowledged(purchase, Box::new(settled));
            }
            tracing::error!(%purchase, "a bank has acknowledged a decision with a document that does not fit it");
            Pushed::Refused
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
