//! The runtime of a purchase: makes a step's writes durable, sends its request, and turns the reply into the next
//! event.

use super::{
    driver::step,
    goods::{Delivered, discard_damaged, fetch_goods, missing_bytes, open_goods},
    held::HeldFile,
    offer,
    output::prove,
    record::{Write, Written, apply, reads},
    selection::{self, Purpose},
    state::State,
    step::{Event, Known, Opened, Renewed, Reply, Silence, Step, Then},
    watch::{Watch, WatchLimits, Watched},
};
use crate::{
    error::{Unanswered, WalletError},
    issuance::resume,
    keys::fetch_keys,
    observer,
    peer_client::{Backoff, PeerClient},
    rows::{CoinRow, Counter, ExchangeRow, PURCHASES, REPLACEABLE, SmallGoods},
    scan_record::{GAP_MAX, bridge_gap},
    wallet::{Wallet, card_of},
};
use farthing_coin::{Seed, Signed};
use farthing_node::{
    card::{Card, RoleName},
    network::Lane,
};
use farthing_protocol::{
    decision::Outcome,
    documents::Offer,
    forgetting::claims_expired,
    goods::GoodsKey,
    purchase::{Order, Plan, Proof, Purchase},
    refusal::{PurchaseFault, Refusal},
    stream::{RaiseRequest, StopRequest, Voucher, WatchRequest},
};

/// A purchase that is driven, with a client for each of its parties.
pub(crate) struct Run<'w> {
    wallet: &'w Wallet,
    state: State,
    seed: Seed,
    bank_card: Card,
    merchant: PeerClient<'w>,
    escrow: PeerClient<'w>,
    bank: PeerClient<'w>,
    /// The pauses since the last change of state.
    pause: Backoff,
    /// The status at that change.
    since: &'static str,
    /// Whether the run ends when a stream is open, as its ticks are watched then.
    is_watching: bool,
    /// The last voucher of a stream.
    voucher: Option<Signed<Voucher>>,
}

impl<'w> Run<'w> {
    /// The runtime of a purchase. `merchant` is the connection on which the purchase began, if it is still open.
    ///
    /// # Errors
    /// When the card of the bank or the escrow is not pinned.
    pub(crate) fn new(
        wallet: &'w Wallet,
        state: State,
        merchant: Option<PeerClient<'w>>,
    ) -> Result<Run<'w>, WalletError> {
        let row = &state.row;
        let (bank, escrow) = row
            .bank_and_escrow()
            .ok_or(WalletError::Inconsistent("a purchase has neither plan nor order"))?;
        let pinned = wallet.network_file()?;
        let bank = card_of(&pinned, RoleName::Bank, &bank)?;
        let escrow = card_of(&pinned, RoleName::Escrow, &escrow)?;
        // One connection for each party, not shared with anything else.
        let merchant = merchant.unwrap_or_else(|| {
            // The pinned card first: it may know the merchant's new address.
            let card = card_of(&pinned, RoleName::Merchant, &row.merchant.identity);
            wallet.peer_client(&card.unwrap_or_else(|_| row.merchant.clone()), Lane::Anonymous)
        });
        let held = match stream_order(&row.purchase) {
            Some((order, _)) => HeldFile::open(wallet, &order.purchase())?.1,
            None => None,
        };
        Ok(Run {
            wallet,
            seed: wallet.seed_for(&bank.identity),
            merchant,
            escrow: wallet.peer_client(&escrow, Lane::Anonymous),
            bank: wallet.peer_client(&bank, Lane::Anonymous),
            bank_card: bank,
            pause: Backoff::new(wallet.env.retry),
            since: state.row.purchase.status(),
            is_watching: false,
            voucher: held.map(|held| held.voucher),
            state,
        })
    }

    /// Takes steps until the purchase is an open stream, or has ended.
    ///
    /// # Errors
    /// As [`drive`](Run::drive).
    pub(crate) async fn drive_to_stream(&mut self) -> Result<(), WalletError> {
        self.is_watching = true;
        let outcome = self.drive().await;
        self.is_watching = false;
        outcome
    }

    /// The number of the purchase.
    pub(crate) fn number(&self) -> u64 {
        self.state.number
    }

    /// The place in the stream, if the purchase is on one.
    ///
    /// # Errors
    /// When the file of held ticks cannot be read.
    pub(crate) fn watch(&self, limits: WatchLimits) -> Result<Option<Watch>, WalletError> {
        let Some((order, offered)) = stream_order(&self.state.row.purchase) else {
            return Ok(None);
        };
        let purchase_key = self.seed.purchase_key(order.counter);
        Watch::new(self.wallet, order, offered, purchase_key, limits).map(Some)
    }

    /// What tells the merchant of the stream, if it is open.
    pub(crate) fn watch_request(&self) -> Option<WatchRequest> {
        match &self.state.row.purchase {
            Purchase::Streaming(order, opened) => Some(WatchRequest {
                contract: order.contract.clone(),
                opened: opened.clone(),
            }),
            _ => None,
        }
    }

    /// Notes the last voucher, for the request that ends the stream.
    pub(crate) fn has_paid(&mut self, watch: &Watch) {
        self.voucher = watch.voucher().cloned();
    }

    /// The number of the last tick that the stream was committed for, and its key.
    pub(crate) fn stream_key(&self) -> Option<(u32, GoodsKey)> {
        match &self.state.row.purchase {
            Purchase::Committed(_, Proof::Stream(stream, key)) => {
                Some((stream.voucher.body.ticks, key.clone()))
            }
            _ => None,
        }
    }

    /// The merchant and the escrow, and the state of the purchase, while the stream is watched.
    pub(crate) fn watched(&mut self) -> Watched<'_, 'w> {
        Watched {
            wallet: self.wallet,
            merchant: &mut self.merchant,
            escrow: &mut self.escrow,
            state: &mut self.state,
        }
    }

    /// The state of the purchase.
    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// Takes steps until the purchase has ended, or until its state has not changed for the time of the retry policy.
    ///
    /// # Errors
    /// The reason why it has not ended.
    pub(crate) async fn drive(&mut self) -> Result<(), WalletError> {
        if self.may_be_long_past() {
            // Without the newest list, the wallet cannot tell. It then waits like for any purchase.
            drop(fetch_keys(self.wallet, &self.bank_card).await);
        }
        let mut event = Event::Resumed;
        loop {
            let step = self.step(event)?;
            let written = self.write(&step).await?;
            if !written.is_done() {
                event = self.overtaken(step.then)?;
                continue;
            }
            self.observe();
            match self.perform(step.then).await? {
                Some(next) => event = next,
                None => return Ok(()),
            }
        }
    }

    /// Whether its parties may have forgotten the purchase, by the wallet's clock.
    fn may_be_long_past(&self) -> bool {
        let order = match &self.state.row.purchase {
            Purchase::Held(order, _) | Purchase::Streaming(order, ..) => order,
            _ => return false,
        };
        claims_expired(order.contract.terms.deadline_ms, self.wallet.now_ms())
    }

    fn step(&mut self, event: Event) -> Result<Step, WalletError> {
        // Verification of a list of keys is costly. It is read only if coins may be too old.
        let may_be_old = matches!(self.state.row.purchase, Purchase::Aborted(..)) || self.may_be_long_past();
        let keys = match may_be_old {
            true => self.wallet.stored_keys(&self.bank_card).ok().flatten(),
            false => None,
        };
        let known = Known {
            rows: &self.wallet.rows(),
            seed: &self.seed,
            bank: &self.bank_card,
            escrow: &self.escrow.party(),
            merchant: &self.merchant.party(),
            keys: keys.as_deref(),
            now_ms: self.wallet.now_ms(),
        };
        step(&known, &mut self.state, event)
    }

    /// Makes a step's writes durable. Connects to the escrow at the same time, if the escrow is asked next.
    async fn write(&mut self, step: &Step) -> Result<Written, WalletError> {
        if step.writes.is_empty() {
            return Ok(Written::Done);
        }
        let writes = step.writes.clone();
        let writing = self.wallet.transact(reads(&writes), move |tx| apply(tx, &writes));
        let written = match step.then {
            Then::Hold(_) | Then::Pay(_) | Then::OpenStream(_) => {
                let (written, ()) = tokio::join!(biased; writing, self.escrow.prepare());
                written?
            }
            _ => writing.await?,
        };
        if written.is_done() && step.writes.iter().any(Write::saves) {
            self.state.on_written(&written);
        }
        if written == Written::Recovered {
            self.tell("recovered");
        }
        Ok(written)
    }

    fn overtaken(&mut self, then: Then) -> Result<Event, WalletError> {
        let rows = self.wallet.rows();
        let row = match self.state.stored {
            Some(_) => PURCHASES.peek(&rows, &self.state.number)?,
            None => None,
        };
        Ok(Event::Overtaken(row.map(Box::new), Box::new(then)))
    }

    /// Reports a change of state to the observer.
    fn observe(&mut self) {
        let status = self.state.row.purchase.status();
        if std::mem::replace(&mut self.state.observed, status) != status {
            self.tell(status);
        }
        if std::mem::replace(&mut self.since, status) != status {
            self.pause = Backoff::new(self.wallet.env.retry);
        }
    }

    fn tell(&self, status: &'static str) {
        let number = self.state.number;
        self.wallet
            .observer()
            .on_event(&observer::WalletEvent::Purchase { number, status });
    }

    /// Carries out a step's action and returns the event that follows; `None` if the purchase has ended.
    async fn perform(&mut self, then: Then) -> Result<Option<Event>, WalletError> {
        Ok(Some(match then {
            Then::Renew(plan) => Event::Renewed(self.renew(&plan).await),
            Then::Goods(offer) => Event::Goods(self.fetch(&offer).await),
            Then::Choose(plan) => Event::Chosen(self.choose(&plan).await),
            Then::Hold(request) => Event::Hold(self.escrow.once(*request).await),
            Then::Pay(request) => Event::Pay(self.escrow.once(*request).await),
            Then::Deliver(request) => Event::Deliver(self.merchant.once(*request).await),
            Then::Take(request) => Event::Take(self.merchant.once(*request).await),
            Then::Cancel(request) => Event::Cancel(self.escrow.once(*request).await),
            Then::OpenStream(request) => Event::StreamOpened(self.escrow.once(*request).await),
            // The caller watches before the stream ends.
            Then::Stop(_) if self.is_watching => return Ok(None),
            Then::Stop(request) => Event::Stop(self.stop(*request).await),
            Then::Outcome(request, why) => Event::Outcome(why, self.escrow.once(request).await),
            Then::Collect(request, open_question) => {
                Event::Collect(open_question, self.bank.once(request).await)
            }
            Then::Settle(settle) => Event::Settle(self.bank.ask(&*settle).await),
            Then::CarryOn(at, aim) => Event::CarriedOn(aim, resume::<ExchangeRow>(self.wallet, at).await),
            Then::Exchange(coins, aim) => Event::Exchanged(aim, self.wallet.exchange(coins).await.map(drop)),
            Then::Open(offer, key) => Event::Opened(self.open(&offer, &key)),
            Then::Pause(silence) => self.pause(silence).await?,
            Then::Happened(event) => *event,
            Then::End(outcome) => return outcome.map(|()| None),
        }))
    }

    async fn renew(&mut self, plan: &Plan) -> Result<Box<Renewed>, WalletError> {
        let renewed = offer::renew(self.wallet, &mut self.merchant, &self.bank_card, plan).await?;
        Ok(Box::new(renewed))
    }

    /// Fetches the encrypted goods, if the plain goods can be written.
    async fn fetch(&mut self, offer: &Offer) -> Result<Option<SmallGoods>, WalletError> {
        self.prove(offer)?;
        fetch_goods(self.wallet, offer, &mut self.merchant).await
    }

    /// Asks the merchant to end the stream. A merchant that does not know the stream is told of it first. If the merchant is
    /// silent, the escrow is shown the last voucher, as the merchant may have lost it.
    async fn stop(&mut self, request: StopRequest) -> Reply<Outcome> {
        let request = StopRequest {
            voucher: self.voucher.clone(),
            ..request
        };
        let reply = self.merchant.once(request.clone()).await;
        let unknown = matches!(
            &reply,
            Err(Unanswered::Refused(Refusal::Purchase(PurchaseFault::Unknown(_))))
        );
        match self.watch_request() {
            Some(watch) if unknown => {
                self.merchant.once(watch).await?;
                self.merchant.once(request).await
            }
            _ => {
                if let (Err(Unanswered::Again(_)), Some(voucher)) = (&reply, request.voucher) {
                    let wants_key = false;
                    // It is shown again with the next attempt, if this one fails.
                    let _raised = self.escrow.once(RaiseRequest { voucher, wants_key }).await;
                }
                reply
            }
        }
    }

    /// Proves that the goods can be delivered. Nothing is promised to anyone before.
    fn prove(&self, offer: &Offer) -> Result<(), WalletError> {
        if offer.ticks().is_some() {
            return Ok(());
        }
        let missing = missing_bytes(self.wallet, offer);
        prove(self.wallet, self.state.number, &self.state.row, missing)
    }

    /// Chooses coins that pay, after the proof of the output file. Before that, reserves numbers if the order's number would be out of a restore's reach.
    async fn choose(&mut self, plan: &Plan) -> Result<Vec<CoinRow>, WalletError> {
        self.prove(&plan.offer.body)?;
        let purse = self.state.purse.take();
        let bridging = bridge_gap(self.wallet, &self.bank_card, Counter::Orders, 1, GAP_MAX);
        bridging.await?;
        if plan.offer.body.is_free() {
            return Ok(Vec::new());
        }
        let purpose = Purpose::Purchase(plan);
        selection::choose(self.wallet, purpose, &self.bank_card, purse).await
    }

    fn open(&self, offer: &Offer, key: &GoodsKey) -> Result<Opened, WalletError> {
        let state = &self.state;
        let delivered = Delivered {
            number: state.number,
            row: &state.row,
            small: state.goods.as_ref(),
            replaceable: REPLACEABLE.peek(&self.wallet.rows(), &state.number)?,
        };
        Ok(match open_goods(self.wallet, delivered, offer, key)? {
            Some(place) => Opened::At(place),
            None if discard_damaged(self.wallet, offer)? => Opened::Damaged,
            None => Opened::NotAsDescribed,
        })
    }

    /// Waits before the next attempt, unless the time of the retry policy has passed.
    async fn pause(&mut self, silence: Silence) -> Result<Event, WalletError> {
        if !self.pause.wait().await {
            return Ok(Event::Silent(silence));
        }
        if self.state.stored.is_some() {
            self.state.reload(self.wallet.purchase(self.state.number)?);
        }
        Ok(Event::Resumed)
    }
}

/// The order of a purchase on a stream, and how many ticks its offer has.
fn stream_order(purchase: &Purchase) -> Option<(&Order, u32)> {
    let order = purchase.order()?;
    Some((order, order.contract.offer.body.ticks()?))
}
