//! Watches a stream: signs vouchers for the ticks that it holds, and opens them with the keys that it gets for these.
//!
//! A voucher is for ticks that the merchant has signed and that are in memory, encrypted. If the key does not come, the
//! wallet shows the voucher to the escrow, which has all keys, and pays this merchant no more.

use super::{
    exhibits::add_exhibit,
    record::{Write, apply, reads},
    state::State,
};
use crate::{
    error::{Unanswered, WalletError},
    peer_client::PeerClient,
    rows::{Exhibit, PurchaseRow},
    wallet::Wallet,
};
use farthing_coin::{SecretKey, Signed};
use farthing_protocol::{
    evidence::ShownTick,
    goods::GoodsKey,
    limits::TICKS_PER_REPLY_MAX,
    money::Amount,
    purchase::{Order, Purchase},
    stream::{
        RaiseRequest, TickBatch, Ticks, TicksRequest, Voucher, WatchRequest, chain::KnownKeys,
        chain::decrypt_tick, check_batch, check_voucher, pay_until_ms, price_of, ticks_for,
    },
};
use std::{io, time::Duration};
use tokio::time::sleep;

/// The longest time that a merchant is asked to wait for a record (ms).
const WAIT_MAX_MS: u16 = 2000;

/// The pause after an answer without ticks.
const PAUSE: Duration = Duration::from_millis(50);

/// The default for [`WatchLimits::window`].
pub const WINDOW_DEFAULT: u16 = 16;

/// What a customer wants of a stream.
#[derive(Debug, Clone, Copy)]
pub struct WatchLimits {
    /// The most that it may cost. `None` for all ticks of the offer.
    pub at_most: Option<Amount>,
    /// The most ticks.
    pub ticks: Option<u32>,
    /// The most ticks that are paid with one voucher: 1 to [`TICKS_PER_REPLY_MAX`].
    pub window: u16,
}

/// Takes the records of a stream.
pub trait TickSink: Send {
    /// The stream of a purchase begins. `is_live` says whether its records are lines of live data. Otherwise they are the pieces
    /// of a file.
    fn begin(&mut self, number: u64, is_live: bool);

    /// Takes the next record. `cost` is what all records up to it cost.
    ///
    /// # Errors
    /// When it cannot be written. Then the stream ends, and nothing more is paid.
    fn record(&mut self, tick: u32, cost: Amount, record: &[u8]) -> io::Result<()>;

    /// Whether the customer has seen enough.
    fn wants_stop(&self) -> bool {
        false
    }
}

/// Why a stream has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEnd {
    /// The stream was never open: the purchase has ended before.
    NotOpened,
    /// There are no further records, or all ticks of the offer are paid for.
    AllSeen,
    /// The customer wanted no more.
    Stopped,
    /// The time for payments is over.
    TimeOver,
    /// The merchant kept a key back, sent something else than signed ticks, refused, or was silent. The reason.
    Merchant(String),
    /// A tick did not open with its key. The documents convict the merchant.
    DoesNotOpen(u32),
    /// The records could not be written.
    Output(String),
}

/// What a watcher of an open stream uses of its run.
pub(crate) struct Watched<'r, 'w> {
    /// The wallet.
    pub(crate) wallet: &'w Wallet,
    /// The merchant, on the connection on which the purchase began.
    pub(crate) merchant: &'r mut PeerClient<'w>,
    /// The escrow.
    pub(crate) escrow: &'r mut PeerClient<'w>,
    /// The state of the purchase.
    pub(crate) state: &'r mut State,
}

/// The place in a stream that is watched.
pub(crate) struct Watch {
    order: Order,
    request: WatchRequest,
    purchase_key: SecretKey,
    /// How many ticks the offer has.
    offered: u32,
    limits: WatchLimits,
    keys: KnownKeys,
    /// The voucher that was sent last.
    voucher: Option<Signed<Voucher>>,
    /// The ticks after the keys, encrypted, with the merchant's signature.
    held: Vec<Vec<u8>>,
    batch: Option<Signed<TickBatch>>,
    /// How many ticks came before the first one that is watched here.
    skipped: u32,
}

impl Watch {
    /// The begin of a stream whose purchase is open. `None` if it is not.
    pub(crate) fn new(row: &PurchaseRow, purchase_key: SecretKey, limits: WatchLimits) -> Option<Watch> {
        let Purchase::Streaming(order, opened) = &row.purchase else {
            return None;
        };
        let offer = &order.contract.offer.body;
        Some(Watch {
            request: WatchRequest {
                contract: order.contract.clone(),
                opened: opened.clone(),
            },
            purchase_key,
            offered: offer.ticks()?,
            limits,
            keys: KnownKeys::none(&offer.key_commitment),
            voucher: None,
            held: Vec::new(),
            batch: None,
            skipped: 0,
            order: order.clone(),
        })
    }

    /// How many ticks are opened, of those that were watched here.
    pub(crate) fn opened(&self) -> u32 {
        self.keys.ticks().saturating_sub(self.skipped)
    }

    /// The voucher that was sent last.
    pub(crate) fn voucher(&self) -> Option<&Signed<Voucher>> {
        self.voucher.as_ref()
    }

    /// The ticks that the last voucher pays for.
    fn paid(&self) -> u32 {
        self.voucher.as_ref().map_or(0, |voucher| voucher.body.ticks)
    }

    /// How many ticks the customer wants in all.
    fn wanted(&self) -> u32 {
        let price = self.order.contract.offer.body.price;
        let payable = self
            .limits
            .at_most
            .map_or(self.offered, |most| ticks_for(most, self.offered, price));
        let wanted = self
            .limits
            .ticks
            .map_or(self.offered, |ticks| self.skipped.saturating_add(ticks));
        payable.min(wanted)
    }

    /// Pays for ticks and takes them until the stream ends.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn run(
        &mut self,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
    ) -> Result<WatchEnd, WalletError> {
        if let Err(end) = self.begin(run).await {
            return Ok(end);
        }
        sink.begin(run.state.number, self.order.contract.offer.body.size_bytes == 0);
        loop {
            let terms = &self.order.contract.terms;
            if run.wallet.now_ms() >= pay_until_ms(terms) {
                return Ok(WatchEnd::TimeOver);
            }
            let request = self.pay(wait_ms(run));
            let wants_more = request.window > 0;
            let ticks = match run.merchant.ask(&request).await {
                Ok(Ok(ticks)) => ticks,
                Ok(Err(refusal)) => return self.on_withheld(run, sink, refusal.to_string()).await,
                Err(error) => return self.on_withheld(run, sink, error.to_string()).await,
            };
            let Ticks { key, batch, ended } = ticks;
            if !self.held.is_empty() {
                match self.learn(key.as_ref()) {
                    Some(keys) => {
                        if let Some(end) = self.open(run, sink, keys).await? {
                            return Ok(end);
                        }
                    }
                    None => return self.on_withheld(run, sink, "it kept back a key".into()).await,
                }
            }
            if sink.wants_stop() {
                return Ok(WatchEnd::Stopped);
            }
            let paid = self.paid();
            match batch {
                Some(batch) if wants_more => {
                    let terms = &self.order.contract.terms;
                    if let Err(fault) = check_batch(&batch, terms, paid, request.window) {
                        return Ok(WatchEnd::Merchant(fault.to_string()));
                    }
                    self.held = batch.ticks.into_iter().map(|tick| tick.into_vec()).collect();
                    self.batch = Some(batch.signed);
                }
                _ if ended || paid >= self.offered => return Ok(WatchEnd::AllSeen),
                _ if !wants_more => return Ok(WatchEnd::Stopped),
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Tells the merchant of the stream, and takes up its last voucher.
    async fn begin(&mut self, run: &mut Watched<'_, '_>) -> Result<(), WatchEnd> {
        let last = match run.merchant.ask(&self.request).await {
            Ok(Ok(last)) => last,
            Ok(Err(refusal)) => return Err(WatchEnd::Merchant(refusal.to_string())),
            Err(error) => return Err(WatchEnd::Merchant(error.to_string())),
        };
        // A voucher that this wallet did not sign says nothing.
        let own =
            last.filter(|voucher| check_voucher(voucher, &self.order.contract.terms, self.offered).is_ok());
        self.skipped = own.as_ref().map_or(0, |voucher| voucher.body.ticks);
        self.voucher = own;
        Ok(())
    }

    /// The request for the next ticks, with a voucher for those that are held.
    fn pay(&mut self, wait_ms: u16) -> TicksRequest {
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        if held > 0 {
            let ticks = self.paid().saturating_add(held);
            self.voucher = Some(self.order.voucher(ticks, &self.purchase_key));
        }
        let most = TICKS_PER_REPLY_MAX as u32;
        let window = u32::from(self.limits.window).clamp(1, most);
        let left = self.wanted().saturating_sub(self.paid());
        TicksRequest {
            purchase: self.order.purchase(),
            voucher: self.voucher.clone(),
            window: u16::try_from(window.min(left)).unwrap_or(1),
            wait_ms,
        }
    }

    /// The keys of the ticks that are held. `None` if `key` is not that of the last tick that is paid for.
    fn learn(&mut self, key: Option<&GoodsKey>) -> Option<Vec<GoodsKey>> {
        let paid = self.paid();
        let keys = self.keys.learn(paid, key?)?;
        let held = keys.len().checked_sub(self.held.len())?;
        Some(keys.into_iter().skip(held).collect())
    }

    /// Opens the ticks that are held.
    async fn open(
        &mut self,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
        keys: Vec<GoodsKey>,
    ) -> Result<Option<WatchEnd>, WalletError> {
        let purchase = self.order.purchase();
        let price = self.order.contract.offer.body.price;
        let held = std::mem::take(&mut self.held);
        let first = self
            .paid()
            .saturating_sub(u32::try_from(held.len()).unwrap_or(u32::MAX))
            .saturating_add(1);
        for (index, (tick, key)) in (first..).zip(held.into_iter().zip(keys)) {
            let Some(record) = decrypt_tick(&key, &purchase, index, tick.clone()) else {
                self.keep_broken(run, index, tick, key).await?;
                return Ok(Some(WatchEnd::DoesNotOpen(index)));
            };
            if let Err(error) = sink.record(index, price_of(index, self.offered, price), &record) {
                return Ok(Some(WatchEnd::Output(error.to_string())));
            }
        }
        Ok(None)
    }

    /// Keeps what proves that the merchant has signed a tick that does not open.
    async fn keep_broken(
        &self,
        run: &mut Watched<'_, '_>,
        index: u32,
        tick: Vec<u8>,
        key: GoodsKey,
    ) -> Result<(), WalletError> {
        let Some(batch) = self.batch.clone() else {
            return Ok(());
        };
        let shown = ShownTick {
            batch,
            index,
            tick,
            key,
        };
        keep(run, Exhibit::Tick(Box::new(shown))).await
    }

    /// The merchant has given no key for the voucher. The escrow is shown the voucher, and gives the key.
    async fn on_withheld(
        &mut self,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
        why: String,
    ) -> Result<WatchEnd, WalletError> {
        let Some(voucher) = self.voucher.clone().filter(|_| !self.held.is_empty()) else {
            return Ok(WatchEnd::Merchant(why));
        };
        let paid = voucher.body;
        let request = RaiseRequest {
            voucher,
            wants_key: true,
        };
        let reply = match run.escrow.once(request).await {
            Ok(reply) => reply,
            // The commit has the key, too.
            Err(Unanswered::Again(_) | Unanswered::Refused(_) | Unanswered::Final(_)) => {
                return Ok(WatchEnd::Merchant(why));
            }
        };
        if reply.promises(&paid, &self.order.contract.terms) {
            keep(run, Exhibit::Raised(Box::new(reply.raised))).await?;
        }
        let keys = self.learn(reply.key.as_ref());
        match keys {
            Some(keys) => Ok(self
                .open(run, sink, keys)
                .await?
                .unwrap_or(WatchEnd::Merchant(why))),
            None => Ok(WatchEnd::Merchant(why)),
        }
    }

    /// Opens the ticks that are still held with the key in the commit.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn finish(
        &mut self,
        run: &mut Watched<'_, '_>,
        sink: &mut dyn TickSink,
        key: &GoodsKey,
    ) -> Result<Option<WatchEnd>, WalletError> {
        if self.held.is_empty() {
            return Ok(None);
        }
        match self.learn(Some(key)) {
            Some(keys) => self.open(run, sink, keys).await,
            None => Ok(None),
        }
    }
}

/// How long the merchant may wait for a record (ms): less than the time of an attempt.
fn wait_ms(run: &Watched<'_, '_>) -> u16 {
    let half = run.wallet.env.retry.attempt.as_millis() / 2;
    u16::try_from(half).unwrap_or(u16::MAX).min(WAIT_MAX_MS)
}

/// Keeps a document with the purchase.
async fn keep(run: &mut Watched<'_, '_>, exhibit: Exhibit) -> Result<(), WalletError> {
    let before = run.state.row.purchase.clone();
    add_exhibit(&mut run.state.row, exhibit);
    let writes = [Write::Save {
        number: run.state.number,
        before,
        row: run.state.row.clone(),
    }];
    let written = run
        .wallet
        .transact(reads(&writes), move |tx| apply(tx, &writes))
        .await?;
    if written.is_done() {
        run.state.on_written(&written);
    }
    Ok(())
}
