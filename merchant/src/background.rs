//! The background work of the merchant. It finishes open sales (`finish`), learns of sales on sealed offers (`learn`),
//! brings refunds to the banks (`refunds`), shows vouchers to escrows and ends streams (`streams`),
//! refreshes the banks' key lists, removes unused files from the shelf, ends reservations (`reservations`), posts events
//! (`webhook`), and forgets what is of closed epochs (`purge`).

use crate::merchant::Merchant;
use crate::payable::warn_of_unpayable;
use crate::rows::{ITEMS, WITHDRAWN};
use crate::transactions;
use async_trait::async_trait;
use farthing_coin::KeyBook;
use farthing_node::books::Books;
use farthing_node::card::{Card, RoleName};
use farthing_node::drain::{Drain, UnderWay};
use farthing_node::peers::Peers;
use farthing_node::process::StopToken;
use farthing_node::purge;
use farthing_node::serve::Role;
use farthing_protocol::ids::ItemId;
use farthing_store::StoreError;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the banks' key lists are fetched (ms).
pub const KEYS_EVERY_MS: u64 = 60_000;

/// The pause before a bank's key list is requested again after a failure (ms).
pub const KEYS_RETRY_MS: u64 = 3_000;

/// How often unused files are removed from the shelf (ms).
pub const TIDY_EVERY_MS: u64 = 60 * 60 * 1000;

/// The most withdrawn items that are read at once.
pub const TIDY_PAGE_MAX: usize = 256;

#[async_trait]
impl Role for Merchant {
    const NAME: RoleName = RoleName::Merchant;

    fn peers(&self) -> &Peers {
        &self.peers
    }

    fn complaints(&self) -> usize {
        self.complaints.open().saturating_add(self.keys.complaints())
    }

    async fn books(&self) -> Result<Option<Books>, String> {
        self.sums().await.map(Some)
    }

    fn lacks(&self) -> Vec<&'static str> {
        let has = |role| !self.peers.cards(role).is_empty();
        let lacks = [
            (!has(RoleName::Bank)).then_some("no bank's card is pinned"),
            (!has(RoleName::Escrow)).then_some("no escrow's card is pinned"),
            (!self.keys.has_any()).then_some("it knows no bank's list of keys"),
        ];
        lacks.into_iter().flatten().collect()
    }

    fn drain(&self) -> Option<&Drain> {
        Some(Merchant::drain(self))
    }

    fn under_way(&self) -> Result<UnderWay, StoreError> {
        Merchant::under_way(self)
    }

    async fn background(self: Arc<Self>, stop: StopToken) {
        // In a fixed order, so that a simulation can be repeated.
        tokio::join!(
            biased;
            self.finish_sales(&stop),
            self.learn_sales(&stop),
            self.keep_keys(&stop),
            self.keep_tidy(&stop),
            self.keep_stock(&stop),
            self.keep_refunds(&stop),
            self.keep_raised(&stop),
            self.keep_closed(&stop),
            self.keep_webhook(&stop),
            purge::keep(&stop, &self.complaints, || self.purge_round())
        );
    }
}

/// The instant after so many milliseconds.
pub(crate) fn instant_after(wait_ms: u64) -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_millis(wait_ms)).unwrap_or(now)
}

/// Waits. Returns false if the node stops.
pub(crate) async fn pause(stop: &StopToken, wait_ms: u64) -> bool {
    tokio::select! {
        biased;
        () = stop.stopped() => false,
        () = tokio::time::sleep(Duration::from_millis(wait_ms)) => true,
    }
}

impl Merchant {
    /// Fetches the key lists of all banks, now and every minute. Offers then have the digest of the present list.
    async fn keep_keys(&self, stop: &StopToken) {
        let mut checked = BTreeSet::new();
        loop {
            let mut wait_ms = KEYS_EVERY_MS;
            for card in self.peers.cards(RoleName::Bank) {
                let refreshed = tokio::select! {
                    biased;
                    () = stop.stopped() => return,
                    refreshed = self.keys.refresh(&card.identity) => refreshed,
                };
                match refreshed {
                    // A bank's values never change.
                    Ok(book) if checked.insert(card.identity) => self.check_prices(&card, &book),
                    Ok(_) => {}
                    Err(_) => wait_ms = KEYS_RETRY_MS,
                }
            }
            if !pause(stop, wait_ms).await {
                return;
            }
        }
    }

    /// Warns of items that nobody can buy with this bank's coins.
    fn check_prices(&self, bank: &Card, keys: &KeyBook) {
        let currency = &keys.list().currency;
        let checked = warn_of_unpayable(&self.store.view(), &bank.identity, currency, keys.values());
        if let Err(error) = checked {
            tracing::warn!(%error, "the prices could not be checked");
        }
    }

    async fn keep_tidy(&self, stop: &StopToken) {
        loop {
            match self.tidy().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed unused files from the shelf"),
                Err(error) => {
                    tracing::error!(%error, "cannot remove unused files from the shelf; it is tried again")
                }
            }
            if !pause(stop, TIDY_EVERY_MS).await {
                return;
            }
        }
    }

    /// Deletes withdrawn items whose time has ended, and every file without a row. Returns the number of files.
    ///
    /// # Errors
    /// When the store or the shelf fails.
    pub async fn tidy(&self) -> std::io::Result<usize> {
        let failed = |e: StoreError| std::io::Error::other(e.to_string());
        let now_ms = self.clock.now_ms();
        let mut last: Option<ItemId> = None;
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
                        .transact(transactions::forget_item_reads(&item_id), move |tx| {
                            transactions::forget_item(tx, &item_id, now_ms)
                        })
                        .await
                        .map_err(failed)?;
                }
            }
        }
        let (shelf, view) = (self.shelf.clone(), self.store.view());
        // A row that cannot be read may exist, so its file stays.
        let is_known = move |item_id: &ItemId| {
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
