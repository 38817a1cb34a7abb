//! What a merchant does besides answering: it brings every sale to its end, keeps the banks' key lists fresh, and
//! keeps the shelf tidy; and it learns of sales (`learn`).

use crate::check;
use crate::merchant::Merchant;
use crate::rows::{ITEMS, OPEN_SALES, SALES, Sale, SaleState, WITHDRAWN};
use crate::transactions;
use async_trait::async_trait;
use farthing_coin::PublicKey;
use farthing_node::call::{CallError, ask};
use farthing_node::card::RoleName;
use farthing_node::process::StopToken;
use farthing_node::serve::Role;
use farthing_node::store::StoreError;
use farthing_protocol::{
    decide::{Committed, ReleaseRequest, SignedDecision},
    documents::Terms,
    limits::REPLY_TIMEOUT,
    refusal::{Advice, ContractFault, Later, PurchaseFault, Refusal},
    settle::SettleRequest,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The most open sales that are looked at between two looks at the list.
pub const PAGE_MAX: usize = 256;

/// The most sales that are under way at one bank or escrow at once.
pub const IN_FLIGHT_MAX: usize = 8;

/// How long a new sale waits for others before it is brought to the bank (ms): the escrow brings it there too, so
/// there is no hurry.
pub const GATHER_MS: u64 = 300;

/// The first pause after a round that left something open (ms). It doubles with each such round.
pub const RETRY_FIRST_MS: u64 = 500;

/// The longest pause while something is open (ms).
pub const RETRY_MAX_MS: u64 = 30_000;

/// How often the list of open sales is looked at when there is nothing to do (ms).
pub const IDLE_MS: u64 = 60_000;

/// How often the banks' key lists are fetched (ms).
pub const KEYS_EVERY_MS: u64 = 60_000;

/// How soon a bank's key list is asked for again when it could not be had (ms).
pub const KEYS_RETRY_MS: u64 = 3_000;

/// How often the shelf is tidied (ms).
pub const TIDY_EVERY_MS: u64 = 60 * 60 * 1000;

/// The most withdrawn items that are looked at between two looks at the list.
pub const TIDY_PAGE_MAX: usize = 256;

#[async_trait]
impl Role for Merchant {
    const NAME: RoleName = RoleName::Merchant;

    async fn background(self: Arc<Self>, stop: StopToken) {
        tokio::join!(
            self.finish_sales(&stop),
            self.learn_sales(&stop),
            self.keep_keys(&stop),
            self.keep_tidy(&stop)
        );
    }
}

/// Waits, unless it is time to stop; says whether to go on.
pub(crate) async fn pause(stop: &StopToken, wait_ms: u64) -> bool {
    tokio::select! {
        biased;
        () = stop.stopped() => false,
        () = tokio::time::sleep(Duration::from_millis(wait_ms)) => true,
    }
}

/// What became of one attempt to bring a sale further.
enum Step {
    Moved,
    /// Still open; others at the same peer may go through.
    Open,
    /// The peer did not answer: others need not be tried now.
    Silent,
}

impl Merchant {
    async fn finish_sales(self: &Arc<Self>, stop: &StopToken) {
        let mut pause_ms = RETRY_FIRST_MS;
        loop {
            let open = tokio::select! {
                biased;
                () = stop.stopped() => return,
                open = self.sales_round() => open.unwrap_or_else(|error| {
                    tracing::error!(%error, "the open sales cannot be read");
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

    /// Brings every open sale one step further, and says how many are still open.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sales_round(self: &Arc<Self>) -> Result<usize, StoreError> {
        let mut open = 0;
        let mut silent = BTreeSet::new();
        let mut last: Option<[u8; 32]> = None;
        loop {
            let view = self.store.view();
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = OPEN_SALES.scan(&view, from, PAGE_MAX)?;
            let Some((end, ())) = page.last() else {
                return Ok(open);
            };
            last = Some(*end);
            let mut by_peer: BTreeMap<PublicKey, Vec<[u8; 32]>> = BTreeMap::new();
            for (purchase, ()) in &page {
                // A sale and its place in the list are one write, so there is always one.
                if let Some(sale) = SALES.peek(&view, purchase)? {
                    by_peer.entry(awaited(&sale)).or_default().push(*purchase);
                }
            }
            let mut peers = JoinSet::new();
            for (peer, sales) in by_peer {
                // One that did not answer is not waited for again before the next round.
                if silent.contains(&peer) {
                    open += sales.len();
                } else {
                    peers.spawn(Arc::clone(self).step_all(peer, sales));
                }
            }
            while let Some(stepped) = peers.join_next().await {
                let (left, silent_peer) = stepped.unwrap_or((1, None));
                open += left;
                silent.extend(silent_peer);
            }
        }
    }

    /// Brings sales that wait for one peer further, some at once; says how many are open, and whether it is silent.
    async fn step_all(self: Arc<Self>, peer: PublicKey, sales: Vec<[u8; 32]>) -> (usize, Option<PublicKey>) {
        let mut left = sales.len();
        let mut sales = sales.into_iter();
        let mut under_way = JoinSet::new();
        let mut silent = None;
        loop {
            while silent.is_none() && under_way.len() < IN_FLIGHT_MAX {
                let Some(sale) = sales.next() else { break };
                under_way.spawn(Arc::clone(&self).step(sale));
            }
            match under_way.join_next().await {
                None => return (left, silent),
                Some(Ok(Step::Moved)) => left = left.saturating_sub(1),
                Some(Ok(Step::Open)) => {}
                Some(Ok(Step::Silent) | Err(_)) => silent = Some(peer),
            }
        }
    }

    async fn step(self: Arc<Self>, purchase: [u8; 32]) -> Step {
        let sale = match SALES.peek(&self.store.view(), &purchase) {
            Ok(Some(sale)) => sale,
            Ok(None) => return Step::Moved,
            Err(_) => return Step::Open,
        };
        match sale.state {
            SaleState::Releasing => {
                let goods_key = self.secret.goods_key(&sale.contract.offer.body.sale_id);
                let request = ReleaseRequest {
                    contract: sale.contract.clone(),
                    hold: sale.hold,
                    goods_key,
                };
                match self.release(&sale.contract, request).await {
                    Ok(committed) => self.credit(&sale.contract.terms, &committed).await,
                    Err(Refusal::Later(Later::PeerSilent(_))) => Step::Silent,
                    Err(refusal) if refusal.advice() == Advice::GiveUp => Step::Moved,
                    Err(_) => Step::Open,
                }
            }
            SaleState::Committed(committed) => self.credit(&sale.contract.terms, &committed).await,
            SaleState::Credited(..) | SaleState::Unpaid(..) | SaleState::Ended(_) => Step::Moved,
        }
    }

    /// Brings a commit to the bank, and keeps its word that it has credited it.
    async fn credit(&self, terms: &Terms, committed: &Committed) -> Step {
        let purchase = terms.purchase_id();
        let Ok(link) = self.peers.link(RoleName::Bank, &terms.bank) else {
            tracing::error!(%purchase, "a sale's bank is not in the network file any more");
            return Step::Open;
        };
        let request = SettleRequest {
            escrow: terms.escrow,
            decision: SignedDecision::Commit(committed.commit.clone()),
        };
        let settled = match ask(&*link, request, REPLY_TIMEOUT).await {
            Ok(settled) => settled,
            Err(CallError::Refused(Refusal::Purchase(PurchaseFault::DecidedOtherwise(decision)))) => {
                return self.leave_unpaid(terms, *decision).await;
            }
            Err(CallError::Refused(refusal)) => {
                tracing::error!(%purchase, %refusal, "a bank has refused a commit; it is tried again");
                return Step::Open;
            }
            Err(error) => {
                tracing::debug!(%error, "a bank is silent");
                return Step::Silent;
            }
        };
        let checked = match check::credited(terms, settled) {
            Ok(checked) => checked,
            Err(error) => {
                tracing::error!(%purchase, %error, "a bank has answered a commit with a document that does not fit it");
                return Step::Open;
            }
        };
        match self
            .store
            .transact(move |tx| transactions::credit_sale(tx, &checked))
            .await
        {
            Ok(()) => Step::Moved,
            Err(_) => Step::Open,
        }
    }

    /// The bank obeys an abort of a purchase that its escrow has committed: both decisions are kept.
    async fn leave_unpaid(&self, terms: &Terms, decision: SignedDecision) -> Step {
        let purchase = terms.purchase_id();
        let checked = match decision {
            SignedDecision::Abort(abort) => check::aborted(terms, abort),
            SignedDecision::Commit(_) => Err(ContractFault::Decision("it is a commit".into())),
        };
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                tracing::error!(%purchase, %error, "a bank has refused a commit with a decision that does not fit it");
                return Step::Open;
            }
        };
        tracing::error!(
            %purchase, escrow = %terms.escrow,
            "an escrow has signed both outcomes of a sale, and the bank obeys its abort: nobody pays for it; \
             `farthing-merchant evidence` proves it"
        );
        let kept = self
            .store
            .transact(move |tx| transactions::leave_sale_unpaid(tx, &checked));
        match kept.await {
            Ok(()) => Step::Moved,
            Err(_) => Step::Open,
        }
    }

    /// Fetches the key lists of all banks, now and every minute, so that offers carry the digest of today's.
    async fn keep_keys(&self, stop: &StopToken) {
        loop {
            let mut wait_ms = KEYS_EVERY_MS;
            for card in self.peers.cards(RoleName::Bank) {
                let refreshed = tokio::select! {
                    biased;
                    () = stop.stopped() => return,
                    refreshed = self.keys.refresh(&card.identity) => refreshed,
                };
                if refreshed.is_err() {
                    wait_ms = KEYS_RETRY_MS;
                }
            }
            if !pause(stop, wait_ms).await {
                return;
            }
        }
    }

    async fn keep_tidy(&self, stop: &StopToken) {
        loop {
            match self.tidy().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "leftovers were removed from the shelf"),
                Err(error) => tracing::error!(%error, "the shelf cannot be tidied"),
            }
            if !pause(stop, TIDY_EVERY_MS).await {
                return;
            }
        }
    }

    /// Forgets withdrawn items whose time is over, and removes every file that no row knows of; says how many.
    ///
    /// # Errors
    /// When the store or the shelf fails.
    pub async fn tidy(&self) -> std::io::Result<usize> {
        let failed = |e: StoreError| std::io::Error::other(e.to_string());
        let now_ms = self.clock.now_ms();
        let mut last: Option<[u8; 32]> = None;
        loop {
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = WITHDRAWN
                .scan(&self.store.view(), from, TIDY_PAGE_MAX)
                .map_err(failed)?;
            let Some((end, _)) = page.last() else { break };
            last = Some(*end);
            for (item_id, withdrawn) in page {
                if withdrawn.served_until_ms <= now_ms {
                    self.store
                        .transact(move |tx| transactions::forget_item(tx, &item_id, now_ms))
                        .await
                        .map_err(failed)?;
                }
            }
        }
        let (shelf, view) = (self.shelf.clone(), self.store.view());
        // A row that cannot be read may be there: its file stays.
        let is_known = move |item_id: &[u8; 32]| {
            !matches!(
                (ITEMS.peek(&view, item_id), WITHDRAWN.peek(&view, item_id)),
                (Ok(None), Ok(None))
            )
        };
        tokio::task::spawn_blocking(move || shelf.tidy(is_known))
            .await
            .map_err(std::io::Error::other)?
    }
}

/// Whom a sale waits for: its escrow until it is committed, then its bank.
fn awaited(sale: &Sale) -> PublicKey {
    match sale.state {
        SaleState::Releasing => sale.contract.terms.escrow,
        SaleState::Committed(_) | SaleState::Credited(..) | SaleState::Unpaid(..) | SaleState::Ended(_) => {
            sale.contract.terms.bank
        }
    }
}
