//! Sales on sealed offers. The merchant takes no part in them, so it asks the escrows what they have committed.

use crate::background::pause;
use crate::check::{self, CheckedSale};
use crate::merchant::Merchant;
use crate::rows::{KNOWN_SALES, SEALS};
use crate::stock::Passed;
use crate::transactions;
use farthing_coin::{PublicKey, Signed};
use farthing_node::call::ask;
use farthing_node::card::RoleName;
use farthing_node::process::StopToken;
use farthing_protocol::{
    limits::{REPLY_TIMEOUT, SALES_ASKED_EVERY_MS, SALES_PAGE_MAX},
    refusal::ContractFault,
    sealed::{SalesPage, SalesRequest},
};
use farthing_store::StoreError;

/// The topics of the complaints about sales on sealed offers.
const TOPIC_UNSTORED: &str = "unstored";
const TOPIC_LISTED: &str = "listed";

impl Merchant {
    pub(crate) async fn learn_sales(&self, stop: &StopToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                learned = self.learn_round() => if let Err(error) = learned {
                    self.complaints.tell(TOPIC_UNSTORED, &"", |times| {
                        tracing::error!(%error, times, "cannot store the sales that escrows have committed; it is tried again");
                    });
                },
            }
            if !pause(stop, SALES_ASKED_EVERY_MS).await {
                return;
            }
        }
    }

    /// Asks every escrow for its committed sales on sealed offers, and stores them. Does nothing if no offer was sealed.
    ///
    /// Returns the number of escrows that have not answered completely.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn learn_round(&self) -> Result<usize, StoreError> {
        let mut left = 0;
        if SEALS.peek(&self.store.view(), &())?.is_none() {
            return Ok(left);
        }
        for escrow in self.peers.cards(RoleName::Escrow) {
            if !self.learn_from(escrow.identity).await? {
                left += 1;
            }
        }
        Ok(left)
    }

    /// Stores all sales that an escrow has committed on sealed offers. Returns whether the list is complete.
    async fn learn_from(&self, escrow: PublicKey) -> Result<bool, StoreError> {
        let asked_ms = self.clock.now_ms();
        loop {
            let known = KNOWN_SALES.peek(&self.store.view(), &escrow)?.unwrap_or_default();
            let Some(page) = self.ask_sales(escrow, known).await else {
                return Ok(false);
            };
            let more = page.more;
            let sales = match self.check_sales(page, &escrow) {
                Ok(sales) => sales,
                Err(error) => {
                    self.complaints.tell(TOPIC_LISTED, &escrow, |times| tracing::error!(%escrow, %error, times, "an escrow lists a sale that does not fit; it is not stored; the escrow is asked again"));
                    return Ok(false);
                }
            };
            if sales.is_empty() {
                self.expire(Passed::Listed { escrow, asked_ms }).await?;
                return Ok(true);
            }
            let reads = transactions::learn_sales_reads(&escrow, &sales);
            let now_ms = self.clock.now_ms();
            self.store
                .transact(reads, move |tx| {
                    transactions::learn_sales(tx, &escrow, known, &sales, now_ms)
                })
                .await?;
            self.sale_opened.notify_one();
            if !more {
                self.expire(Passed::Listed { escrow, asked_ms }).await?;
                return Ok(true);
            }
        }
    }

    async fn ask_sales(&self, escrow: PublicKey, known: u64) -> Option<SalesPage> {
        let link = self.peers.link(RoleName::Escrow, &escrow).ok()?;
        let request = SalesRequest {
            escrow,
            merchant: self.self_id(),
            known,
        };
        match ask(&*link, Signed::sign(request, &self.key), REPLY_TIMEOUT).await {
            Ok(page) => Some(page),
            Err(error) => {
                tracing::debug!(%escrow, %error, "an escrow does not list its sales; it is asked again");
                None
            }
        }
    }

    fn check_sales(&self, page: SalesPage, escrow: &PublicKey) -> Result<Vec<CheckedSale>, ContractFault> {
        if page.sales.len() > SALES_PAGE_MAX {
            return Err(ContractFault::DoesNotFit("list of sales".into()));
        }
        let sales = page.sales.into_iter();
        sales
            .map(|sale| check::sealed_sale(sale, &self.self_id(), escrow))
            .collect()
    }
}
