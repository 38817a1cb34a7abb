//! Settlement: the escrow pushes every decision to its bank until the bank acknowledges it.
//!
//! The outbox is on disk, so a restart forgets nothing. Each page of the outbox is pushed to all banks at once, in one
//! request for each bank. A bank that is silent or refuses delays only its own decisions.

use crate::escrow::Escrow;
use crate::rows::{CLOSED_BEFORE, DECISIONS, OUTBOX};
use crate::transactions;
use async_trait::async_trait;
use farthing_coin::{PublicKey, Signed};
use farthing_node::books::Books;
use farthing_node::call::{CallError, ask};
use farthing_node::card::RoleName;
use farthing_node::complaints::Complaints;
use farthing_node::drain::{Drain, UnderWay};
use farthing_node::history::History;
use farthing_node::link::Link;
use farthing_node::peers::Peers;
use farthing_node::process::StopToken;
use farthing_node::purge::keep;
use farthing_node::serve::Role;
use farthing_protocol::{
    decision::Decision,
    documents::{PurchaseId, Settled},
    history::{JournalHead, WithHead},
    limits::{REPLY_TIMEOUT, SETTLE_MAX},
    refusal::{Later, PurchaseFault, Refusal},
    settle::{SettleRequest, on_settled},
};
use farthing_store::{Reads, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a commit waits for further commits before it is pushed (ms). No one waits for this push. An abort is pushed
/// at once, together with all waiting commits.
pub const GATHER_MS: u64 = 100;

/// The first pause after a round that leaves decisions in the outbox (ms). It doubles with each further one.
pub const RETRY_FIRST_MS: u64 = 200;

/// The longest pause while decisions are in the outbox (ms).
pub const RETRY_MAX_MS: u64 = 10_000;

/// How often the loop reads the clock and an empty outbox (ms).
pub const IDLE_MS: u64 = 10_000;

/// The topics of the escrow's complaints.
const TOPIC_WAITING: &str = "waiting";
const TOPIC_UNREADABLE: &str = "unreadable";
const TOPIC_UNPINNED: &str = "unpinned";
const TOPIC_HEAD: &str = "head";
const TOPIC_ANSWER: &str = "answer";
const TOPIC_REFUSED: &str = "refused";
const TOPIC_NOT_NOW: &str = "not now";

#[async_trait]
impl Role for Escrow {
    const NAME: RoleName = RoleName::Escrow;

    fn peers(&self) -> &Peers {
        &self.peers
    }

    fn history(&self) -> Option<Arc<History>> {
        Some(Arc::clone(&self.history))
    }

    fn complaints(&self) -> usize {
        self.complaints.open().saturating_add(self.keys.complaints())
    }

    async fn books(&self) -> Result<Option<Books>, String> {
        self.sums().await.map(Some)
    }

    fn lacks(&self) -> Vec<&'static str> {
        let has_bank = !self.peers.cards(RoleName::Bank).is_empty();
        let lacks = [
            (!has_bank).then_some("no bank's card is pinned"),
            (!self.keys.has_any()).then_some("it knows no bank's list of keys"),
        ];
        lacks.into_iter().flatten().collect()
    }

    fn drain(&self) -> Option<&Drain> {
        Some(Escrow::drain(self))
    }

    fn under_way(&self) -> Result<UnderWay, StoreError> {
        Escrow::under_way(self)
    }

    async fn background(self: Arc<Self>, stop: StopToken) {
        let watching = Arc::clone(&self.history).watch(stop.clone());
        // In a fixed order, so that a simulation can be repeated.
        tokio::join!(
            biased;
            watching,
            self.learn_keys(&stop),
            self.settle(stop.clone()),
            keep(&stop, &self.complaints, || self.purge_round())
        );
    }
}

impl Escrow {
    /// Fetches the missing key lists of the banks, so that no customer waits for them.
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

    /// Pushes decisions until `stop`.
    async fn settle(&self, stop: StopToken) {
        let mut pause_ms = RETRY_FIRST_MS;
        while !stop.is_stopped() {
            // Reading the time detects a leap of the clock and reports it in the log.
            let _complained = self.now_ms();
            let left = tokio::select! {
                biased;
                () = stop.stopped() => return,
                left = self.settle_round() => left,
            };
            let wait_ms = match left {
                Ok(0) => {
                    if self.complaints.clear(TOPIC_WAITING, &"").is_some() {
                        tracing::info!("no decision waits for its bank any more");
                    }
                    pause_ms = RETRY_FIRST_MS;
                    IDLE_MS
                }
                Ok(left) => {
                    self.complaints.tell(TOPIC_WAITING, &"", |times| {
                        tracing::info!(
                            left,
                            times,
                            "decisions wait for their bank to acknowledge them; they are pushed again"
                        );
                    });
                    next_pause(&mut pause_ms)
                }
                Err(error) => {
                    self.complaints.tell(TOPIC_UNREADABLE, &"", |times| {
                        tracing::error!(%error, times, "cannot read the outbox; it is tried again");
                    });
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

    /// Waits for a commit, then [`GATHER_MS`] for others.
    async fn gathered(&self) {
        self.committed.notified().await;
        tokio::time::sleep(Duration::from_millis(GATHER_MS)).await;
    }
}

/// Returns the present pause, and doubles the next one.
fn next_pause(pause_ms: &mut u64) -> u64 {
    let now_ms = *pause_ms;
    *pause_ms = pause_ms.saturating_mul(2).min(RETRY_MAX_MS);
    now_ms
}

/// Decisions to push to their bank.
struct Push {
    request: WithHead<SettleRequest>,
    /// The acknowledgements that the bank is expected to sign.
    expected: Vec<Settled>,
}

/// The result of a push to one bank.
struct Pushed {
    bank: PublicKey,
    acknowledged: Vec<Signed<Settled>>,
    /// The purchases that the bank does not know.
    unknown: Vec<PurchaseId>,
    /// The head of the bank's journal that came with the acknowledgements.
    head: Option<Signed<JournalHead>>,
    /// How many decisions are not acknowledged.
    left: usize,
    /// Whether the bank did not answer. It is not tried again in this round.
    silent: bool,
}

impl Escrow {
    /// Pushes everything in the outbox once. Returns how many decisions stay in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle_round(&self) -> Result<usize, StoreError> {
        // Acknowledgements are written, and a node that may not decide writes nothing.
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
                // A decision and its row in the outbox are one write, so the decision exists.
                if let Some(decision) = DECISIONS.peek(&view, purchase)? {
                    by_bank.entry(decision.terms().bank).or_default().push(decision);
                }
            }
            let mut banks = JoinSet::new();
            for (bank, decisions) in by_bank {
                let count = decisions.len();
                // A bank that did not answer is skipped until the next round.
                if silent.contains(&bank) {
                    left += count;
                    continue;
                }
                match self.peers.link(RoleName::Bank, &bank) {
                    Ok(link) => {
                        self.complaints.clear(TOPIC_UNPINNED, &bank);
                        let complaints = Arc::clone(&self.complaints);
                        banks.spawn(push(link, bank, self.push_of(&bank, &decisions), complaints));
                    }
                    Err(error) => {
                        self.complaints.tell(TOPIC_UNPINNED, &bank, |times| {
                            tracing::error!(%error, waiting = count, times, "decisions cannot be delivered");
                        });
                        left += count;
                    }
                }
            }
            while let Some(pushed) = banks.join_next().await {
                // A push that panicked has acknowledged nothing. Its decisions are still in the outbox.
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
            match decision.paid() {
                Some(amount) => Settled::committed(terms, amount),
                None => Settled::aborted(terms.purchase_id(), terms.escrow),
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

    /// Forgets a decision that its bank does not know, if it is long past.
    async fn give_up(&self, bank: &PublicKey, purchase: &PurchaseId) -> Result<(), StoreError> {
        let view = self.store.view();
        let closed_before_ms = CLOSED_BEFORE.peek(&view, bank)?.unwrap_or_default();
        let decision = DECISIONS.peek(&view, purchase)?;
        if decision.is_none_or(|it| it.terms().deadline_ms >= closed_before_ms) {
            return Ok(());
        }
        self.complaints.clear(TOPIC_REFUSED, purchase);
        let purchase = *purchase;
        let reads = transactions::forget_reads(&purchase);
        let forgetting = self
            .store
            .transact(reads, move |tx| transactions::forget(tx, &purchase).map(drop));
        forgetting.await
    }

    /// Stores the acknowledgements of a bank, and in the same write its journal head.
    async fn keep(&self, pushed: Pushed) -> Result<(), StoreError> {
        let Pushed {
            bank,
            acknowledged,
            unknown,
            ..
        } = pushed;
        for purchase in unknown {
            self.give_up(&bank, &purchase).await?;
        }
        if acknowledged.is_empty() {
            return Ok(());
        }
        if let Err(refusal) = self.history.hear(&bank, pushed.head.as_ref()) {
            self.complaints.tell(TOPIC_HEAD, &bank, |times| tracing::error!(%bank, %refusal, times, "a bank has acknowledged decisions with a journal head that it did not sign; the head is ignored"));
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

/// Pushes decisions to their bank.
async fn push(link: Arc<Link>, bank: PublicKey, push: Push, complaints: Arc<Complaints>) -> Pushed {
    let Push { request, expected } = push;
    let mut pushed = Pushed {
        bank,
        acknowledged: Vec::new(),
        unknown: Vec::new(),
        head: None,
        left: expected.len(),
        silent: false,
    };
    let answer = match ask(&*link, request, REPLY_TIMEOUT).await {
        Ok(answer) => answer,
        Err(error) => {
            pushed.silent = is_silent(&bank, &error, &complaints);
            return pushed;
        }
    };
    pushed.head = answer.head;
    complaints.clear(TOPIC_NOT_NOW, &bank);
    complaints.clear(TOPIC_REFUSED, &bank);
    let answers = on_settled(answer.body, &expected, &bank).unwrap_or_else(|error| {
        complaints.tell(TOPIC_ANSWER, &bank, |times| {
            tracing::error!(%bank, %error, times, "a bank's reply does not answer each decision; they are pushed again");
        });
        Vec::new().into()
    });
    for (expected, answer) in expected.iter().zip(answers) {
        match answer {
            Ok(settled) => {
                complaints.clear(TOPIC_REFUSED, &settled.body.purchase);
                pushed.acknowledged.push(settled);
            }
            Err(refusal) => {
                let purchase = expected.purchase;
                if matches!(refusal, Refusal::Purchase(PurchaseFault::Unknown(_))) {
                    pushed.unknown.push(purchase);
                }
                complaints.tell(TOPIC_REFUSED, &purchase, |times| {
                    tracing::error!(%bank, %purchase, %refusal, times, "a bank has refused a decision; its coins are not settled; it is pushed again");
                });
            }
        }
    }
    pushed.left = pushed.left.saturating_sub(pushed.acknowledged.len());
    pushed
}

/// Whether a bank that has answered no decision is skipped for the rest of the round.
fn is_silent(bank: &PublicKey, error: &CallError, complaints: &Complaints) -> bool {
    match error {
        CallError::Refused(refusal @ Refusal::Later(Later::Unwitnessed | Later::Behind)) => {
            complaints.tell(TOPIC_NOT_NOW, bank, |times| {
                tracing::warn!(%bank, %refusal, times, "a bank applies no decisions now; they are pushed again");
            });
            true
        }
        CallError::Refused(refusal) => {
            complaints.tell(TOPIC_REFUSED, bank, |times| {
                tracing::error!(%bank, %refusal, times, "a bank has refused all decisions; they are pushed again");
            });
            false
        }
        error => {
            tracing::debug!(%bank, %error, "a bank does not answer; its decisions are pushed again");
            true
        }
    }
}
