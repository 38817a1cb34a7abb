//! The answers to watch, ticks and stop.

use crate::background::instant_after;
use crate::check::{self, OwnStream};
use crate::merchant::Merchant;
use crate::rows::{SALES, Sale, SaleState, StreamSource};
use crate::streams::{
    session::{Session, Source},
    sessions::SharedSession,
    source::{ChunkedFile, SourceError},
};
use crate::transactions;
use farthing_coin::Signed;
use farthing_node::call::unavailable;
use farthing_node::card::RoleName;
use farthing_node::network::Caller;
use farthing_protocol::{
    decision::Outcome,
    documents::{Offer, PurchaseId},
    goods::{GoodsKey, TAG_BYTES},
    ids::ItemId,
    refusal::{Later, PurchaseFault, Refusal},
    stream::{
        StopRequest, Ticks, TicksRequest, Voucher, WatchRequest, chain::KeyChain, verify_stop, verify_watch,
    },
};
use std::pin::pin;
use tokio::time::timeout_at;

/// The longest time that a request waits for a live record (ms).
pub const WAIT_MAX_MS: u16 = 2_000;

/// How long a request waits until the escrow has acknowledged what was paid (ms).
pub const ACKNOWLEDGED_MAX_MS: u64 = 500;

/// The topic of the complaints about files that are sold in chunks.
const TOPIC_FILE: &str = "stream file";

impl Merchant {
    /// Begins a stream that its escrow has opened, or goes on with it. Returns the highest voucher in memory.
    ///
    /// The sale is on disk before the answer.
    ///
    /// # Errors
    /// When the stream is not one of this merchant, or has ended, or there are too many. [`PurchaseFault::Closed`] for a purchase
    /// that is long past, of which the merchant keeps nothing.
    pub async fn watch(&self, request: WatchRequest) -> Result<Option<Signed<Voucher>>, Refusal> {
        let now_ms = self.clock.now_ms();
        let watch = verify_watch(request, &self.self_id(), now_ms)?;
        let terms = &watch.contract().terms;
        // Both must be pinned. The escrow is trusted to decide, and the bank to pay.
        self.peers.link(RoleName::Bank, &terms.bank)?;
        self.peers.link(RoleName::Escrow, &terms.escrow)?;
        let (secret, account) = (self.secret.clone(), self.account);
        let (own, chain) = blocking(move || check::own_stream(watch, &secret, &account)).await??;
        let session = self.session_of(&own, chain)?;
        let purchase = own.watch.purchase();
        let state = self
            .store
            .transact(transactions::begin_stream_reads(&own), move |tx| {
                transactions::begin_stream(tx, &own, now_ms)
            })
            .await
            .map_err(|e| unavailable(&e))?;
        let Some(state) = state else {
            self.streams.forget(&purchase);
            return Err(PurchaseFault::Closed(purchase).into());
        };
        if let Some(ended) = ended(purchase, &state) {
            self.streams.forget(&purchase);
            return Err(ended.into());
        }
        let mut session = session.lock().await;
        session.begin(&state, now_ms)?;
        Ok(session.papers().voucher.clone())
    }

    /// Takes a voucher, and gives the key of its last tick and further ticks. The caller's `turn` is given back as soon as the
    /// request only waits.
    ///
    /// # Errors
    /// When the stream is not open, or the voucher is no payment for it. [`Later::Busy`] while the escrow has not acknowledged
    /// enough of what was paid.
    pub async fn ticks(&self, request: TicksRequest, turn: &mut Option<Caller>) -> Result<Ticks, Refusal> {
        let TicksRequest {
            purchase,
            voucher,
            window,
            wait_ms,
        } = request;
        let session = self.session(&purchase).await?;
        let (mut news, waiting) = {
            let mut session = session.lock().await;
            session.check_open(self.clock.now_ms())?;
            session.touch(self.clock.now_ms());
            (session.feed().map(|feed| feed.subscribe()), session.waiting())
        };
        let (key, after) = match voucher {
            Some(voucher) => (self.pay(&session, &voucher, turn).await?, voucher.body.ticks),
            None => (None, 0),
        };
        let until = instant_after(wait_ms.min(WAIT_MAX_MS).into());
        loop {
            self.read_ahead(&session, window).await?;
            let mut session = session.lock().await;
            session.check_open(self.clock.now_ms())?;
            session.answered();
            let ticks = Ticks {
                key: key.clone(),
                batch: session.batch(after, window, &self.key),
                ended: session.is_ended() && session.unpaid() <= usize::from(window),
            };
            if session.is_done() {
                self.streams.close_asked.notify_one();
            }
            let (has_all, is_behind) = (ticks.batch.is_some() || ticks.ended, after != session.paid());
            drop(session);
            match &mut news {
                Some(news) if window > 0 && !has_all && !is_behind => {
                    // One request of a stream waits at a time.
                    let Ok(_waits) = waiting.try_acquire() else {
                        return Ok(ticks);
                    };
                    give_back(turn);
                    if !matches!(timeout_at(until, news.changed()).await, Ok(Ok(()))) {
                        return Ok(ticks);
                    }
                }
                _ => return Ok(ticks),
            }
        }
    }

    /// Takes a voucher, and returns the key of its last tick. It waits a little while the escrow has not acknowledged enough.
    async fn pay(
        &self,
        session: &SharedSession,
        voucher: &Signed<Voucher>,
        turn: &mut Option<Caller>,
    ) -> Result<Option<GoodsKey>, Refusal> {
        let above = self.settings.raise_above;
        let until = instant_after(ACKNOWLEDGED_MAX_MS);
        loop {
            let mut acknowledged = pin!(self.streams.acknowledged.notified());
            // Registered before the look at the session, so that nothing is missed.
            acknowledged.as_mut().enable();
            let paid = {
                let mut session = session.lock().await;
                let paid = session.pay(voucher, above, self.clock.now_ms());
                if session.due_to_raise(above).is_some() {
                    self.streams.raise_asked.notify_one();
                }
                paid
            };
            if !matches!(paid, Err(Refusal::Later(Later::Busy { .. }))) {
                return paid;
            }
            give_back(turn);
            if timeout_at(until, acknowledged).await.is_err() {
                return paid;
            }
        }
    }

    /// Ends a stream for its customer. Returns how it has ended.
    ///
    /// # Errors
    /// When the stream is unknown, or the purchase key did not sign the request. When the escrow is silent: then the merchant
    /// asks it again.
    pub async fn stop(&self, request: StopRequest) -> Result<Outcome, Refusal> {
        let purchase = request.purchase;
        let sale = self.stream_sale_of(&purchase)?;
        verify_stop(&request, &sale.contract.terms)?;
        if let Some(outcome) = sale.state.stream_outcome() {
            return Ok(outcome);
        }
        if !sale.state.is_streaming() {
            return Err(PurchaseFault::Unknown(purchase).into());
        }
        {
            let session = self.session(&purchase).await?;
            let mut session = session.lock().await;
            if let Some(voucher) = &request.voucher {
                session.keep(voucher)?;
            }
            session.close();
        }
        let closed = self.close(&sale.contract).await;
        if closed.is_err() {
            // The escrow is asked again.
            self.streams.close_asked.notify_one();
        }
        closed
    }

    /// The stored sale of a stream.
    fn stream_sale_of(&self, purchase: &PurchaseId) -> Result<Sale, Refusal> {
        let sale = SALES.peek(&self.store.view(), purchase);
        let sale = sale.map_err(|e| unavailable(&e))?;
        sale.filter(|sale| sale.contract.offer.body.ticks().is_some())
            .ok_or_else(|| PurchaseFault::Unknown(*purchase).into())
    }

    /// The session of a stream that begins now or goes on.
    fn session_of(&self, own: &OwnStream, chain: KeyChain) -> Result<SharedSession, Refusal> {
        if let Some(session) = self.streams.get(&own.watch.purchase()) {
            return Ok(session);
        }
        let contract = own.watch.contract();
        let source = self.source(&contract.offer.body)?;
        let now_ms = self.clock.now_ms();
        let session = Session::new(contract.terms.clone(), chain, source, now_ms);
        Ok(self.streams.add(session)?)
    }

    /// The session of a purchase. A stream that was open before a restart gets a new one.
    async fn session(&self, purchase: &PurchaseId) -> Result<SharedSession, Refusal> {
        if let Some(session) = self.streams.get(purchase) {
            return Ok(session);
        }
        let sale = self.stream_sale_of(purchase)?;
        if let Some(ended) = ended(*purchase, &sale.state) {
            return Err(ended.into());
        }
        let offer = &sale.contract.offer.body;
        let (last, ticks) = (
            self.secret.goods_key(&offer.sale_id),
            offer.ticks().unwrap_or_default(),
        );
        let chain = blocking(move || KeyChain::new(&last, ticks)).await?;
        // A live stream of this run always has its session, so this one is over.
        let source = match self.source(offer)? {
            Source::Live(..) => Source::Over,
            source => source,
        };
        let now_ms = self.clock.now_ms();
        let session = Session::new(sale.contract.terms.clone(), chain, source, now_ms);
        let session = self.streams.add(session)?;
        // The sale may have ended, or begun to end, since it was looked up.
        let sale = self.stream_sale_of(purchase)?;
        if let Some(ended) = ended(*purchase, &sale.state) {
            self.streams.forget(purchase);
            return Err(ended.into());
        }
        session.lock().await.begin(&sale.state, now_ms)?;
        Ok(session)
    }

    /// Where the data of a new session comes from.
    fn source(&self, offer: &Offer) -> Result<Source, Refusal> {
        let item_id = offer.item_id;
        let source = self.stream_of(&item_id)?.map(|stream| stream.source);
        Ok(match source {
            Some(StreamSource::File {
                path,
                chunk_bytes,
                chunks,
            }) => Source::File(ChunkedFile {
                item_id,
                path: path.into(),
                chunk_bytes,
                chunks,
            }),
            Some(StreamSource::Live) if self.streams.is_of_this_run(&offer.sale_id) => {
                match self.streams.feed(&item_id) {
                    Some(feed) => {
                        let place = feed.end_place();
                        Source::Live(feed, place)
                    }
                    None => Source::Over,
                }
            }
            Some(StreamSource::Live) | None => Source::Over,
        })
    }

    /// Encrypts further ticks up to the window, as far as there are any.
    async fn read_ahead(&self, session: &SharedSession, window: u16) -> Result<(), Refusal> {
        let mut session = session.lock().await;
        session.add_live(window);
        let Some((file, first, count, bytes)) = session.to_read(window) else {
            return Ok(());
        };
        let (shelf, item_id) = (self.shelf.clone(), file.item_id);
        let read = blocking(move || file.read(&shelf, first, count, bytes, TAG_BYTES)).await?;
        match read {
            Ok(chunks) => {
                self.complaints.clear(TOPIC_FILE, &item_id);
                session.add_chunks(first, chunks);
                Ok(())
            }
            Err(SourceError::Changed) => {
                self.tell_of_file(
                    &item_id,
                    "it has changed since it was added; its streams end early",
                );
                session.end_source();
                Ok(())
            }
            Err(SourceError::Io(error)) => {
                self.tell_of_file(&item_id, &format!("{error}; customers are told to ask again"));
                let why = "its data cannot be read; its operator is told in its log";
                Err(Later::Unavailable(why.into()).into())
            }
        }
    }

    fn tell_of_file(&self, item_id: &ItemId, why: &str) {
        self.complaints.tell(TOPIC_FILE, item_id, |times| {
            tracing::error!(item = %item_id, why, times, "the file of a stream cannot be sold");
        });
    }
}

/// Gives the caller's turn back: the request only waits from now on, and others from its address go on.
fn give_back(turn: &mut Option<Caller>) {
    if let Some(caller) = turn.take() {
        let _same_client = caller.give_back();
    }
}

/// Why no stream goes on, if the sale has ended.
fn ended(purchase: PurchaseId, state: &SaleState) -> Option<PurchaseFault> {
    match state {
        SaleState::Streaming | SaleState::Closing(_) => None,
        SaleState::Streamed(_) | SaleState::StreamCredited(..) | SaleState::StreamUnpaid(..) => {
            Some(PurchaseFault::Committed(purchase))
        }
        SaleState::Aborted(_) => Some(PurchaseFault::Aborted(purchase)),
        _ => Some(PurchaseFault::Unknown(purchase)),
    }
}

/// Runs work that takes long, beside the other requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Later::Unavailable(error.to_string()).into())
}
