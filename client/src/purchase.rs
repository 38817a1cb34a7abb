//! Purchases: an offer, its goods, a contract, one outcome.
//!
//! One purchase, in call order:
//!
//! | what | file |
//! |---|---|
//! | fetch and check an offer | `offer` |
//! | select the coins that pay | `selection` |
//! | sign the contract and authorize the coins | `order` |
//! | the next writes and the next request: pure | `driver` |
//! | whom to ask if a party gives no good reply: pure | `fallback` |
//! | open the goods, or exchange the coins for fresh ones: pure | `finish` |
//! | the writes of a step, one transaction | `record` |
//! | the runtime: write, send, step again | `run` |
//! | the output file: proven before the payment, and never another file's place | `output` |
//! | fetch and open goods | [`goods`] |
//! | pay for the ticks of a stream, and open them | `watch` |
//! | the ticks that are paid for next, on disk | `held` |

mod driver;
mod exhibits;
mod fallback;
mod finish;
pub mod goods;
mod held;
mod offer;
mod order;
mod output;
mod record;
mod run;
mod selection;
mod state;
mod step;
mod watch;

pub use self::{
    held::{HELD_TICKS, Place},
    offer::{Parties, Wanted},
    output::Output,
    watch::{Begun, TickSink, WINDOW_DEFAULT, WatchEnd, WatchLimits},
};
use self::{
    offer::accept,
    record::{Write, apply, reads},
    run::Run,
    state::State,
    step::save,
};
use crate::{
    catalog::is_named,
    error::WalletError,
    observer::WalletEvent,
    rows::{PURCHASES, PurchaseRow, all},
    wallet::Wallet,
};
use farthing_coin::PublicKey;
use farthing_node::network::Lane;
use farthing_protocol::purchase::Purchase;
use std::path::Path;

pub(crate) use self::{
    order::build as build_order,
    selection::{Purpose, choose},
};

/// The output of a stream in its purchase: its records go to a [`TickSink`].
pub const STREAM_OUTPUT: &str = "-";

/// What was seen of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The number of the purchase.
    pub number: u64,
    /// How many records were opened.
    pub ticks: u32,
    /// Why it has ended.
    pub end: WatchEnd,
}

impl Wallet {
    /// Buys an item and writes the goods to `output`, or beside it if another file is there. Returns the purchase's
    /// number. If the coins were worth more than the price, [`receive_change`](Wallet::receive_change) takes the rest, and so
    /// does [`resume`](Wallet::resume).
    ///
    /// # Errors
    /// When a party refuses or does not answer. The purchase then stands where [`purchases`](Wallet::purchases) shows
    /// it, and [`resume`](Wallet::resume) or [`cancel`](Wallet::cancel) ends it. A purchase that fails before any
    /// coin is at stake is dropped, so that a later `resume` does not buy what failed here.
    pub async fn buy<'a>(
        &self,
        parties: &Parties,
        wanted: impl Into<Wanted<'a>>,
        output: impl Into<Output<'a>>,
    ) -> Result<u64, WalletError> {
        let mut merchant = self.peer_client(&parties.merchant, Lane::Anonymous);
        let mut state = accept(self, &mut merchant, parties, wanted.into(), output.into()).await?;
        if state.row.purchase.offer().body.ticks().is_some() {
            return Err(WalletError::IsStream);
        }
        // If the goods came with the offer, the choice of coins is the first write.
        if state.goods.is_none() {
            self.write_begun(&mut state).await?;
        }
        let mut run = Run::new(self, state, Some(merchant))?;
        let outcome = run.drive().await;
        let State { number, stored, .. } = run.into_state();
        let Err(error) = outcome else {
            return Ok(number);
        };
        let is_fetching = |row: PurchaseRow| matches!(row.purchase, Purchase::Fetching(_));
        if stored.is_some_and(is_fetching) && !error.is_silence() {
            self.cancel(number).await?;
        }
        Err(error)
    }

    /// Watches a stream: pays for its ticks and gives its records to `sink`, until it ends or a limit is reached. Then the
    /// stream is closed, and the rest of the money comes back as change: see
    /// [`receive_change`](Wallet::receive_change).
    ///
    /// # Errors
    /// As [`buy`](Wallet::buy). The stream then stays open, and [`resume`](Wallet::resume) closes it.
    pub async fn watch<'a>(
        &self,
        parties: &Parties,
        wanted: impl Into<Wanted<'a>>,
        limits: WatchLimits,
        sink: &mut dyn TickSink,
    ) -> Result<Seen, WalletError> {
        let mut merchant = self.peer_client(&parties.merchant, Lane::Anonymous);
        let nowhere = Output::from(Path::new(STREAM_OUTPUT));
        let mut state = accept(self, &mut merchant, parties, wanted.into(), nowhere).await?;
        if state.row.purchase.offer().body.ticks().is_none() {
            return Err(WalletError::NoStream);
        }
        state.row.output = STREAM_OUTPUT.into();
        self.write_begun(&mut state).await?;
        let number = state.number;
        let mut run = Run::new(self, state, Some(merchant))?;
        match run.drive_to_stream().await {
            Ok(()) => self.see(run, limits, sink).await,
            Err(error) => {
                let is_fetching = matches!(self.purchase(number)?.purchase, Purchase::Fetching(_));
                if is_fetching && !error.is_silence() {
                    self.cancel(number).await?;
                }
                Err(error)
            }
        }
    }

    /// Goes on to watch a stream, after the ticks that are paid for. If a process has died, the ticks of its last voucher come
    /// first. If the stream has ended since, nothing else comes.
    ///
    /// # Errors
    /// As [`watch`](Wallet::watch). [`WalletError::NoStream`] if the purchase is not on a stream.
    pub async fn watch_on(
        &self,
        number: u64,
        limits: WatchLimits,
        sink: &mut dyn TickSink,
    ) -> Result<Seen, WalletError> {
        let row = self.purchase(number)?;
        if row.purchase.offer().body.ticks().is_none() {
            return Err(WalletError::NoStream);
        }
        let mut run = Run::new(self, State::stored(number, row), None)?;
        run.drive_to_stream().await?;
        self.see(run, limits, sink).await
    }

    /// Watches a stream if it is open, closes it, and takes what is paid for and was not seen.
    async fn see(
        &self,
        mut run: Run<'_>,
        limits: WatchLimits,
        sink: &mut dyn TickSink,
    ) -> Result<Seen, WalletError> {
        let mut end = WatchEnd::EndedBefore;
        let number = run.number();
        let Some(mut watch) = run.watch(limits)? else {
            return Ok(Seen {
                number,
                ticks: 0,
                end,
            });
        };
        let request = run.watch_request();
        if request.is_some() || watch.waits_for_key() {
            watch.begin(number, sink)?;
        }
        if let Some(request) = request {
            end = watch.run(&request, &mut run.watched(), sink).await?;
            end = watch.note_seen(sink)?.unwrap_or(end);
            run.has_paid(&watch);
            run.drive().await?;
        }
        // The commit has the key that the merchant has not given.
        if watch.waits_for_key()
            && let Some((ticks, key)) = run.stream_key()
        {
            let failed = watch.finish(&mut run.watched(), sink, (ticks, &key)).await?;
            end = failed.unwrap_or(end);
            end = watch.note_seen(sink)?.unwrap_or(end);
        }
        self.tidy_ticks(&run.into_state().row)?;
        Ok(Seen {
            number,
            ticks: watch.shown(),
            end,
        })
    }

    /// Fetches an offer and stores the purchase. No coin is at stake yet. [`drive_purchase`] does the rest.
    ///
    /// [`drive_purchase`]: Wallet::drive_purchase
    ///
    /// # Errors
    /// When the merchant does not answer, has no such item, or its offer is not acceptable.
    pub async fn begin_purchase<'a>(
        &self,
        parties: &Parties,
        wanted: impl Into<Wanted<'a>>,
        output: impl Into<Output<'a>>,
    ) -> Result<u64, WalletError> {
        let mut merchant = self.peer_client(&parties.merchant, Lane::Anonymous);
        let mut state = accept(self, &mut merchant, parties, wanted.into(), output.into()).await?;
        self.write_begun(&mut state).await?;
        Ok(state.number)
    }

    /// Stores a purchase for the first time.
    async fn write_begun(&self, state: &mut State) -> Result<(), WalletError> {
        let writes = save(state);
        let written = self
            .transact(reads(&writes), move |tx| apply(tx, &writes))
            .await?;
        state.on_written(&written);
        Ok(())
    }

    /// Every purchase, by number.
    ///
    /// # Errors
    /// When the store fails.
    pub fn purchases(&self) -> Result<Vec<(u64, PurchaseRow)>, WalletError> {
        Ok(all(&self.rows(), &PURCHASES)?)
    }

    /// A purchase by its number.
    ///
    /// # Errors
    /// [`WalletError::NoPurchase`] when there is none. When the store fails.
    pub fn purchase(&self, number: u64) -> Result<PurchaseRow, WalletError> {
        PURCHASES
            .peek(&self.rows(), &number)?
            .ok_or_else(|| WalletError::NoPurchase(number.to_string()))
    }

    /// The first purchase of an item at a merchant that is under way. `item` is as in [`Wanted`].
    ///
    /// # Errors
    /// When the store fails.
    pub fn purchase_under_way(
        &self,
        merchant: &PublicKey,
        item: &str,
    ) -> Result<Option<(u64, PurchaseRow)>, WalletError> {
        let mut purchases = self.purchases()?.into_iter();
        Ok(purchases.find(|(_, row)| {
            let offer = &row.purchase.offer().body;
            row.merchant.identity == *merchant
                && row.is_under_way()
                && is_named(&offer.title, &offer.item_id, item)
        }))
    }

    /// Drives a purchase until it has ended, with the goods or with fresh coins.
    ///
    /// # Errors
    /// When a party does not answer within the time of the retry policy. The purchase then keeps its state.
    pub async fn drive_purchase(&self, number: u64) -> Result<(), WalletError> {
        let state = State::stored(number, self.purchase(number)?);
        let mut run = Run::new(self, state, None)?;
        run.drive().await?;
        self.tidy_ticks(&run.into_state().row)
    }

    /// Asks for the coins of a purchase back, and drives it until it has ended. If the escrow has already committed
    /// it, the goods are delivered instead.
    ///
    /// # Errors
    /// When the purchase was committed before, or a party does not answer.
    pub async fn cancel(&self, number: u64) -> Result<(), WalletError> {
        loop {
            let row = self.purchase(number)?;
            let before = row.purchase.clone();
            let purchase = row.purchase.clone().on_cancel()?;
            let status = purchase.status();
            let write = Write::Save {
                number,
                before,
                row: PurchaseRow { purchase, ..row },
            };
            let writes = [write];
            let written = self.transact(reads(&writes), move |tx| apply(tx, &writes));
            if written.await?.is_done() {
                self.observer()
                    .on_event(&WalletEvent::Purchase { number, status });
                return self.drive_purchase(number).await;
            }
        }
    }
}
