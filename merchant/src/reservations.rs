//! Ends the reservations of offers that are over, so that their places are free again.

use crate::background::pause;
use crate::merchant::Merchant;
use crate::rows::{RESERVATION_ENDS, RESERVATIONS};
use crate::stock::{self, Passed};
use farthing_node::process::StopToken;
use farthing_protocol::ids::SaleId;
use farthing_store::StoreError;
use std::ops::Bound;

/// How often reservations are looked at (ms).
pub(crate) const STOCK_EVERY_MS: u64 = 5_000;

/// The most reservations that are read at once.
const PAGE_MAX: usize = 256;

/// The topic of the complaint about reservations that cannot be ended.
const TOPIC_UNENDED: &str = "unended reservations";

impl Merchant {
    pub(crate) async fn keep_stock(&self, stop: &StopToken) {
        loop {
            let now_ms = self.clock.now_ms();
            if let Err(error) = self.expire(Passed::Time { now_ms }).await {
                self.complaints.tell(TOPIC_UNENDED, &"", |times| {
                    tracing::error!(%error, times, "cannot end the reservations of expired offers; it is tried again");
                });
            }
            if !pause(stop, STOCK_EVERY_MS).await {
                return;
            }
        }
    }

    /// Ends every reservation that is over. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn expire(&self, passed: Passed) -> Result<usize, StoreError> {
        let until_ms = passed.at_ms();
        let mut ended = 0;
        let mut last: Option<(u64, SaleId)> = None;
        loop {
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = RESERVATION_ENDS.scan(&self.store.view(), from, PAGE_MAX)?;
            let Some((end, ())) = page.last() else {
                return Ok(ended);
            };
            last = Some(*end);
            for ((ends_ms, sale_id), ()) in page {
                if ends_ms > until_ms {
                    return Ok(ended);
                }
                ended += usize::from(self.expire_one(sale_id, passed.clone()).await?);
            }
        }
    }

    async fn expire_one(&self, sale_id: SaleId, passed: Passed) -> Result<bool, StoreError> {
        let Some(reservation) = RESERVATIONS.peek(&self.store.view(), &sale_id)? else {
            return Ok(false);
        };
        if !reservation.is_over(&passed) {
            return Ok(false);
        }
        let reads = stock::sale_stock_reads(&reservation.item_id, &sale_id);
        self.store
            .transact(reads, move |tx| stock::expire(tx, &sale_id, &passed))
            .await
    }
}
