//! Finishes open sales. The escrow of a sale commits it first, then its bank credits it.

use crate::background::pause;
use crate::check;
use crate::merchant::Merchant;
use crate::rows::{OPEN_SALES, SALES, Sale, SaleState};
use crate::transactions;
use farthing_coin::PublicKey;
use farthing_node::call::{CallError, ask};
use farthing_node::card::RoleName;
use farthing_node::process::StopToken;
use farthing_protocol::{
    decide::ReleaseRequest,
    decision::SignedDecision,
    documents::{PurchaseId, Terms},
    limits::{REPLY_TIMEOUT, SETTLE_MAX},
    money::Amount,
    refusal::{Advice, ContractFault, Later, PurchaseFault, Refusal},
    settle::{Answers, SettleRequest},
};
use farthing_store::{Reads, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The most releases at one escrow at once.
pub const IN_FLIGHT_MAX: usize = 8;

/// How long a new sale waits for others before it is sent to the bank (ms). The escrow sends it too, so it is not urgent.
pub const GATHER_MS: u64 = 300;

/// The first pause after a round that leaves sales open (ms). It doubles with each further one.
pub const RETRY_FIRST_MS: u64 = 500;

/// The longest pause while sales are open (ms).
pub const RETRY_MAX_MS: u64 = 30_000;

/// How often an empty list of open sales is read (ms).
pub const IDLE_MS: u64 = 60_000;

/// The topics of the complaints about open sales.
const TOPIC_UNREADABLE: &str = "sales unreadable";
const TOPIC_UNPINNED: &str = "unpinned";
const TOPIC_REFUSED: &str = "refused";
const TOPIC_ANSWER: &str = "answer";

/// The result for the sales that wait for one peer.
struct Stepped {
    peer: PublicKey,
    /// How many sales are still open.
    open: usize,
    /// Whether the peer did not answer. Its other sales are skipped in this round.
    silent: bool,
}

impl Merchant {
    pub(crate) async fn finish_sales(self: &Arc<Self>, stop: &StopToken) {
        let mut pause_ms = RETRY_FIRST_MS;
        loop {
            let open = tokio::select! {
                biased;
                () = stop.stopped() => return,
                open = self.sales_round() => open.unwrap_or_else(|error| {
                    self.complaints.tell(TOPIC_UNREADABLE, &"", |times| {
                        tracing::error!(%error, times, "cannot read the open sales; it is tried again");
                    });
                    1
                }),
            };
            let wait_ms = if open == 0 {
                pause_ms = RETRY_FIRST_MS;
                IDLE_MS
            } else {
                let wait_ms = pause_ms;
                pause_ms = pause_ms.saturating_mul(2).min(RETRY_MAX_MS);
                wait_ms
            };
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = self.sale_opened.notified() => {
                    if !pause(stop, GATHER_MS).await {
                        return;
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    /// Moves every open sale one step further. Returns how many are still open.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sales_round(self: &Arc<Self>) -> Result<usize, StoreError> {
        let mut open = 0;
        let mut silent = BTreeSet::new();
        let mut last: Option<PurchaseId> = None;
        loop {
            let view = self.store.view();
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = OPEN_SALES.scan(&view, from, SETTLE_MAX)?;
            let Some((end, ())) = page.last() else {
                return Ok(open);
            };
            last = Some(*end);
            let mut releasing: BTreeMap<PublicKey, Vec<Sale>> = BTreeMap::new();
            let mut committed: BTreeMap<(PublicKey, PublicKey), Vec<Owed>> = BTreeMap::new();
            for (purchase, ()) in &page {
                // A sale and its row in the list are one write, so the sale exists.
                let Some(sale) = SALES.peek(&view, purchase)? else {
                    continue;
                };
                let terms = &sale.contract.terms;
                match &sale.state {
                    SaleState::Releasing => releasing.entry(terms.escrow).or_default().push(sale),
                    SaleState::Committed(_) | SaleState::Streamed(_) => {
                        let at = (terms.bank, terms.escrow);
                        committed.entry(at).or_default().extend(Owed::of(&sale));
                    }
                    // An open stream has a loop of its own. The others have ended.
                    _ => {}
                }
            }
            let mut peers = JoinSet::new();
            // A peer that did not answer is skipped until the next round.
            for (escrow, sales) in releasing {
                if silent.contains(&escrow) {
                    open += sales.len();
                } else {
                    peers.spawn(Arc::clone(self).release_all(escrow, sales));
                }
            }
            for ((bank, escrow), sales) in committed {
                if silent.contains(&bank) {
                    open += sales.len();
                } else {
                    peers.spawn(Arc::clone(self).bring(bank, escrow, sales));
                }
            }
            while let Some(stepped) = peers.join_next().await {
                let Ok(stepped) = stepped else {
                    open += 1;
                    continue;
                };
                open += stepped.open;
                if stepped.silent {
                    silent.insert(stepped.peer);
                }
            }
        }
    }

    /// Asks an escrow again to commit sales, several at once.
    async fn release_all(self: Arc<Self>, escrow: PublicKey, sales: Vec<Sale>) -> Stepped {
        let mut stepped = Stepped {
            peer: escrow,
            open: sales.len(),
            silent: false,
        };
        let mut sales = sales.into_iter();
        let mut under_way = JoinSet::new();
        loop {
            while !stepped.silent && under_way.len() < IN_FLIGHT_MAX {
                let Some(sale) = sales.next() else { break };
                under_way.spawn(Arc::clone(&self).release_again(sale));
            }
            match under_way.join_next().await {
                None => return stepped,
                // The bank credits it next.
                Some(Ok(Ok(()))) => self.sale_opened.notify_one(),
                Some(Ok(Err(refusal))) if refusal.advice() == Advice::GiveUp => {
                    stepped.open = stepped.open.saturating_sub(1);
                }
                Some(Ok(Err(Refusal::Later(Later::PeerSilent(_)))) | Err(_)) => stepped.silent = true,
                Some(Ok(Err(_))) => {}
            }
        }
    }

    async fn release_again(self: Arc<Self>, sale: Sale) -> Result<(), Refusal> {
        let request = ReleaseRequest {
            contract: sale.contract.clone(),
            hold: sale.hold,
            goods_key: self.secret.goods_key(&sale.contract.offer.body.sale_id),
        };
        self.release(&sale.contract, request).await.map(|_| ())
    }

    /// Sends the commits of one escrow to their bank, and stores the bank's answers in one write.
    async fn bring(self: Arc<Self>, bank: PublicKey, escrow: PublicKey, sales: Vec<Owed>) -> Stepped {
        let mut stepped = Stepped {
            peer: bank,
            open: sales.len(),
            silent: false,
        };
        let Ok(link) = self.peers.link(RoleName::Bank, &bank) else {
            self.complaints.tell(TOPIC_UNPINNED, &bank, |times| tracing::error!(%bank, waiting = sales.len(), times, "sales wait for a bank whose card is not pinned; they are not credited; add its card with `network add`"));
            return stepped;
        };
        self.complaints.clear(TOPIC_UNPINNED, &bank);
        let request = SettleRequest {
            escrow,
            decisions: sales.iter().map(|owed| owed.decision.clone()).collect(),
        };
        match ask(&*link, request, REPLY_TIMEOUT).await {
            Ok(answers) => {
                self.complaints.clear(TOPIC_REFUSED, &bank);
                stepped.open = self.keep(&bank, &sales, answers).await;
            }
            Err(CallError::Refused(refusal)) => {
                self.complaints.tell(TOPIC_REFUSED, &bank, |times| {
                    tracing::error!(%bank, %refusal, times, "a bank has refused all commits; the sales are not credited; they are sent again");
                });
            }
            Err(error) => {
                tracing::debug!(%bank, %error, "a bank does not answer; its commits are sent again");
                stepped.silent = true;
            }
        }
        stepped
    }

    /// Stores the answers of `bank` to commits: a credit, or the abort that it has applied. Returns how many sales are still
    /// open.
    async fn keep(&self, bank: &PublicKey, sales: &[Owed], answers: Answers) -> usize {
        let owed = sales.iter().map(|owed| (&owed.terms, owed.amount));
        let answers = check::credited(bank, owed, answers).unwrap_or_else(|error| {
            self.complaints.tell(TOPIC_ANSWER, bank, |times| {
                tracing::error!(%bank, %error, times, "a bank's reply does not answer each commit; they are sent again");
            });
            Vec::new()
        });
        let (mut credited, mut unpaid) = (Vec::new(), Vec::new());
        for (Owed { terms, .. }, answer) in sales.iter().zip(answers) {
            match answer {
                Ok(checked) => credited.push(checked),
                Err(Refusal::Purchase(PurchaseFault::DecidedOtherwise(decision))) => {
                    unpaid.extend(self.opposed(terms, *decision));
                }
                Err(refusal) => {
                    let purchase = terms.purchase_id();
                    self.complaints.tell(TOPIC_REFUSED, &purchase, |times| {
                        tracing::error!(%purchase, %refusal, times, "a bank has refused a commit; the sale is not credited; it is sent again");
                    });
                }
            }
        }
        let ended = credited.len().saturating_add(unpaid.len());
        let settled = credited.iter().map(|checked| checked.settled.body.purchase);
        let purchases = settled.chain(unpaid.iter().map(|checked| checked.purchase));
        let reads = Reads::from(purchases.flat_map(|purchase| transactions::sale_reads(&purchase)));
        let now_ms = self.clock.now_ms();
        let kept = self.store.transact(reads, move |tx| {
            credited
                .iter()
                .try_for_each(|checked| transactions::credit_sale(tx, checked, now_ms))?;
            unpaid
                .iter()
                .try_for_each(|checked| transactions::leave_sale_unpaid(tx, checked, now_ms))
        });
        match kept.await {
            Ok(()) => sales.len().saturating_sub(ended),
            Err(_) => sales.len(),
        }
    }

    /// The abort that a bank has applied instead of a commit, if it is valid. Both decisions are stored.
    fn opposed(&self, terms: &Terms, decision: SignedDecision) -> Option<check::CheckedAbort> {
        let purchase = terms.purchase_id();
        let checked = match decision {
            SignedDecision::Abort(abort) => check::aborted(terms, abort),
            SignedDecision::Commit(_) | SignedDecision::Stream(_) => {
                Err(ContractFault::Decision("it is a commit".into()))
            }
        };
        match checked {
            Ok(checked) => {
                tracing::error!(
                    %purchase, escrow = %terms.escrow,
                    "an escrow has signed both outcomes of a sale, and the bank has applied the abort: the sale is not paid; \
                     `farthing-merchant evidence` exports the proof"
                );
                Some(checked)
            }
            Err(error) => {
                self.complaints.tell(TOPIC_ANSWER, &purchase, |times| {
                    tracing::error!(%purchase, %error, times, "a bank has refused a commit with a decision that does not fit it; the sale stays open");
                });
                None
            }
        }
    }
}

/// A committed sale that its bank has not credited.
struct Owed {
    terms: Terms,
    decision: SignedDecision,
    /// What the bank credits.
    amount: Amount,
}

impl Owed {
    fn of(sale: &Sale) -> Option<Self> {
        let decision = match &sale.state {
            SaleState::Committed(documents) => SignedDecision::Commit(documents.commit.clone()),
            SaleState::Streamed(stream) => SignedDecision::Stream(stream.clone()),
            _ => return None,
        };
        Some(Self {
            amount: sale.paid()?,
            terms: sale.contract.terms.clone(),
            decision,
        })
    }
}
