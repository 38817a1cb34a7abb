//! Ends streams at their escrows, and learns how they have ended.

use crate::background::pause;
use crate::check;
use crate::finish::{IN_FLIGHT_MAX, RETRY_FIRST_MS, RETRY_MAX_MS};
use crate::merchant::Merchant;
use crate::rows::{OPEN_SALES, SALES, Sale, SaleState, StreamPapers};
use crate::transactions;
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::{CallError, ask, unavailable};
use farthing_node::card::RoleName;
use farthing_node::process::StopToken;
use farthing_protocol::{
    decision::Outcome,
    documents::{Abort, Contract, PurchaseId},
    limits::{REPLY_TIMEOUT, SETTLE_MAX},
    purchase::check_abort_cause,
    refusal::{Advice, Later, Refusal},
    stream::{Close, CloseRequest, Raised, StreamCommit},
};
use farthing_store::StoreError;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How long a customer may be silent before the merchant ends their stream (ms): 10 minutes. After a restart it counts from
/// the start.
pub const IDLE_CLOSE_MS: u64 = 10 * 60 * 1000;

/// How long after its deadline a stream of which the escrow knows nothing is forgotten (ms): a day.
pub const FORGET_MS: u64 = 24 * 60 * 60 * 1000;

/// How often open streams are looked at while there are any (ms).
pub const LOOKED_AT_EVERY_MS: u64 = 5_000;

/// How often the list of open sales is looked at while no stream is open (ms).
pub const NONE_OPEN_MS: u64 = 60_000;

/// The topics of the complaints about ends of streams.
const TOPIC_UNREADABLE: &str = "streams unreadable";
const TOPIC_UNWRITTEN: &str = "streams unwritten";
const TOPIC_SILENT: &str = "close silent";
const TOPIC_ANSWER: &str = "close answer";

/// The open streams, as one round finds them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// How many are open.
    pub open: usize,
    /// How many of them wait for their escrow.
    pub waiting: usize,
}

impl Merchant {
    pub(crate) async fn keep_closed(self: &Arc<Self>, stop: &StopToken) {
        let mut pause_ms = RETRY_FIRST_MS;
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.stopped() => return,
                looked = self.close_round() => looked,
            };
            let looked = looked.unwrap_or_else(|error| {
                self.complaints.tell(TOPIC_UNREADABLE, &"", |times| {
                    tracing::error!(%error, times, "cannot read the open streams; it is tried again");
                });
                Looked { open: 1, waiting: 1 }
            });
            let wait_ms = match looked {
                Looked { waiting: 1.., .. } => pause_ms,
                Looked { open: 1.., .. } => LOOKED_AT_EVERY_MS,
                _ => NONE_OPEN_MS,
            };
            pause_ms = match looked.waiting {
                0 => RETRY_FIRST_MS,
                _ => pause_ms.saturating_mul(2).min(RETRY_MAX_MS),
            };
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = self.streams.close_asked.notified(), if looked.waiting == 0 => {}
                running = pause(stop, wait_ms) => if !running { return },
            }
        }
    }

    /// Ends the streams that are due to end. Returns how many are open then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close_round(self: &Arc<Self>) -> Result<Looked, StoreError> {
        let (mut due, mut looked) = (BTreeMap::<PublicKey, Vec<Contract>>::new(), Looked::default());
        let mut last: Option<PurchaseId> = None;
        loop {
            let view = self.store.view();
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = OPEN_SALES.scan(&view, from, SETTLE_MAX)?;
            let Some((end, ())) = page.last() else { break };
            last = Some(*end);
            let mut begun = JoinSet::new();
            for (purchase, ()) in &page {
                let sale = SALES.peek(&view, purchase)?;
                let Some(sale) = sale.filter(|sale| sale.state.is_streaming()) else {
                    continue;
                };
                looked.open = looked.open.saturating_add(1);
                if self.is_due(purchase, &sale).await {
                    let (merchant, contract) = (Arc::clone(self), sale.contract.clone());
                    // All of them, also those whose escrow turns out to be silent.
                    begun.spawn(async move { merchant.begin_close(&contract).await });
                    let escrow = sale.contract.terms.escrow;
                    due.entry(escrow).or_default().push(sale.contract);
                }
            }
            while begun.join_next().await.is_some() {}
        }
        let mut escrows = JoinSet::new();
        for contracts in due.into_values() {
            escrows.spawn(Arc::clone(self).close_all(contracts));
        }
        while let Some(at_escrow) = escrows.join_next().await {
            let (closed, waiting) = at_escrow.unwrap_or((0, 1));
            looked.open = looked.open.saturating_sub(closed);
            looked.waiting = looked.waiting.saturating_add(waiting);
        }
        Ok(looked)
    }

    /// Whether a stream ends now.
    async fn is_due(&self, purchase: &PurchaseId, sale: &Sale) -> bool {
        if matches!(sale.state, SaleState::Closing(_)) {
            return true;
        }
        let now_ms = self.clock.now_ms();
        let is_idle = |since_ms: u64| now_ms >= since_ms.saturating_add(IDLE_CLOSE_MS);
        let Some(session) = self.streams.get(purchase) else {
            // The node has been started since. Its customers come back, and bring their last vouchers.
            return is_idle(self.streams.started_ms);
        };
        let mut session = session.lock().await;
        // The end of live data is seen also while no customer asks.
        session.add_live(0);
        session.is_closing() || session.is_over(now_ms) || is_idle(session.used_ms())
    }

    /// Begins to end a stream: nobody pays for more of it from now on. Stores what the merchant has of it, and returns that.
    async fn begin_close(&self, contract: &Contract) -> StreamPapers {
        let purchase = contract.terms.purchase_id();
        let mut papers = self.frozen(&purchase).await;
        loop {
            let (now_ms, known) = (self.clock.now_ms(), papers.clone());
            let reads = transactions::decided_sale_reads(contract);
            let stored = self
                .store
                .transact(reads, move |tx| {
                    transactions::close_stream(tx, &purchase, &known, now_ms)
                })
                .await;
            // A session may have begun before the write.
            let all = papers.clone().merge(self.frozen(&purchase).await);
            match stored {
                Ok(_) if all != papers => papers = all,
                Ok(stored) => {
                    self.complaints.clear(TOPIC_UNWRITTEN, &"");
                    return stored;
                }
                Err(error) => {
                    self.complaints.tell(TOPIC_UNWRITTEN, &"", |times| {
                        tracing::error!(%error, times, "cannot store that a stream ends; its escrow is asked all the same");
                    });
                    let sale = SALES.peek(&self.store.view(), &purchase).ok().flatten();
                    let stored = sale.and_then(|sale| sale.state.closing().cloned());
                    return all.merge(stored.unwrap_or_default());
                }
            }
        }
    }

    /// Has no further voucher taken for a stream, and no key given. Returns what the merchant has of it.
    async fn frozen(&self, purchase: &PurchaseId) -> StreamPapers {
        match self.streams.get(purchase) {
            Some(session) => {
                let mut session = session.lock().await;
                session.close();
                session.papers().clone()
            }
            None => StreamPapers::default(),
        }
    }

    /// Ends the streams at one escrow, several at once. Returns how many have ended, and how many wait for the escrow.
    async fn close_all(self: Arc<Self>, contracts: Vec<Contract>) -> (usize, usize) {
        let (all, mut closed, mut is_silent) = (contracts.len(), 0_usize, false);
        let mut contracts = contracts.into_iter();
        let mut under_way = JoinSet::new();
        loop {
            while !is_silent && under_way.len() < IN_FLIGHT_MAX {
                let Some(contract) = contracts.next() else { break };
                let merchant = Arc::clone(&self);
                under_way.spawn(async move { merchant.close(&contract).await });
            }
            match under_way.join_next().await {
                None => return (closed, all.saturating_sub(closed)),
                Some(Ok(Ok(_))) => closed = closed.saturating_add(1),
                Some(Ok(Err(Refusal::Later(Later::PeerSilent(_)))) | Err(_)) => is_silent = true,
                Some(Ok(Err(_))) => {}
            }
        }
    }

    /// Ends a stream at its escrow with the highest voucher, and stores how it has ended. Before the escrow is asked, the
    /// voucher is stored. The escrow always gives the same answer.
    pub(crate) async fn close(&self, contract: &Contract) -> Result<Outcome, Refusal> {
        let terms = &contract.terms;
        let purchase = terms.purchase_id();
        // A customer may have brought a higher voucher since the stream began to end.
        let papers = self.begin_close(contract).await;
        let escrow = terms.escrow;
        let close = Signed::sign(Close { purchase, escrow }, &self.key);
        let link = self.peers.link(RoleName::Escrow, &escrow)?;
        let voucher = papers.voucher.clone();
        let answer = ask(&*link, CloseRequest { close, voucher }, REPLY_TIMEOUT).await;
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(CallError::Refused(refusal)) => return Err(self.close_refused(contract, refusal).await),
            Err(error) => {
                self.complaints.tell(TOPIC_SILENT, &escrow, |times| {
                    tracing::warn!(%error, times, "an escrow did not answer the end of a stream; it is asked again");
                });
                return Err(Later::PeerSilent("escrow".into()).into());
            }
        };
        self.complaints.clear(TOPIC_SILENT, &escrow);
        match &outcome {
            Outcome::Streamed(stream) => self.keep_streamed(contract, stream, papers).await?,
            Outcome::Aborted(abort) => self.keep_stream_abort(contract, abort, papers).await?,
            Outcome::Undecided | Outcome::Streaming(_) | Outcome::Committed(_) => {
                return Err(self.close_does_not_fit(contract, "it is no end of a stream"));
            }
        }
        self.streams.forget(&purchase);
        self.sale_opened.notify_one();
        Ok(outcome)
    }

    /// Stores a commit of a stream, and a promise that it does not keep.
    async fn keep_streamed(
        &self,
        contract: &Contract,
        stream: &StreamCommit,
        papers: StreamPapers,
    ) -> Result<(), Refusal> {
        let last = self.secret.goods_key(&contract.offer.body.sale_id);
        let checked = check::streamed(contract, stream.clone(), &last);
        let checked = checked.map_err(|error| self.close_does_not_fit(contract, &error.to_string()))?;
        let broken = broken_promise(contract, papers, stream.voucher.body.ticks);
        let now_ms = self.clock.now_ms();
        let kept = self
            .store
            .transact(transactions::decided_sale_reads(contract), move |tx| {
                if let Some(raised) = &broken {
                    transactions::keep_promise(tx, raised)?;
                }
                transactions::commit_stream(tx, &checked, now_ms)
            });
        kept.await.map_err(|e| unavailable(&e))
    }

    /// Stores an abort of a stream, and a promise that it does not keep.
    async fn keep_stream_abort(
        &self,
        contract: &Contract,
        abort: &Signed<Abort>,
        papers: StreamPapers,
    ) -> Result<(), Refusal> {
        let checked = check::aborted(&contract.terms, abort.clone());
        let checked = checked.map_err(|error| self.close_does_not_fit(contract, &error.to_string()))?;
        if let Err(error) = check_abort_cause(abort, contract) {
            tracing::error!(
                purchase = %checked.purchase, escrow = %contract.terms.escrow, %error,
                "an escrow has aborted a stream without a cause; `farthing-merchant evidence` exports the proof"
            );
        }
        let broken = broken_promise(contract, papers, 0);
        let now_ms = self.clock.now_ms();
        let kept = self
            .store
            .transact(transactions::decided_sale_reads(contract), move |tx| {
                if let Some(raised) = &broken {
                    transactions::keep_promise(tx, raised)?;
                }
                transactions::abort_sale(tx, &checked, now_ms)
            });
        kept.await.map_err(|e| unavailable(&e))
    }

    /// Keeps a stream open whose end the escrow has refused. Long after its deadline it is forgotten.
    async fn close_refused(&self, contract: &Contract, refusal: Refusal) -> Refusal {
        if refusal.advice() != Advice::GiveUp {
            return refusal;
        }
        let (why, now_ms) = (refusal.to_string(), self.clock.now_ms());
        self.complaints
            .tell(TOPIC_ANSWER, &contract.terms.escrow, |times| {
                tracing::error!(
                    why,
                    times,
                    "an escrow has refused to end a stream; it is asked again"
                );
            });
        if now_ms < contract.terms.deadline_ms.saturating_add(FORGET_MS) {
            return refusal;
        }
        let purchase = contract.terms.purchase_id();
        let kept = self
            .store
            .transact(transactions::decided_sale_reads(contract), move |tx| {
                transactions::end_sale(tx, &purchase, &why, now_ms)
            });
        match kept.await {
            Ok(()) => {
                self.streams.forget(&purchase);
                refusal
            }
            Err(error) => unavailable(&error),
        }
    }

    fn close_does_not_fit(&self, contract: &Contract, error: &str) -> Refusal {
        self.complaints.tell(TOPIC_ANSWER, &contract.terms.escrow, |times| {
            tracing::error!(
                error,
                times,
                "an escrow has answered the end of a stream with documents that do not fit it; the stream stays open; the escrow \
                 is asked again"
            );
        });
        Later::Unavailable("its escrow's answer does not fit the purchase".into()).into()
    }
}

/// The promise that an escrow has not kept which has committed `ticks` of a stream. The operator is told of it, and of a voucher
/// that came too late.
fn broken_promise(contract: &Contract, papers: StreamPapers, ticks: u32) -> Option<Signed<Raised>> {
    let (purchase, escrow) = (contract.terms.purchase_id(), contract.terms.escrow);
    let broken = papers.raised.filter(|raised| raised.body.ticks > ticks);
    if broken.is_some() {
        tracing::error!(
            %purchase, %escrow,
            "an escrow has committed fewer ticks of a stream than it has promised; `farthing-merchant evidence` exports the \
             proof"
        );
    } else if papers.voucher.is_some_and(|voucher| voucher.body.ticks > ticks) {
        tracing::warn!(
            %purchase, %escrow,
            "a stream was committed for fewer ticks than its voucher pays for: its escrow had decided before it was shown the \
             voucher, or has forgotten it"
        );
    }
    broken
}
